"""What ``casebase evaluate prototypes`` is given: the sets of a base on its network, masks and parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from casebase import parts, reading
from casebase.cases import Case
from casebase.commands import spoken
from casebase.errors import UsageError
from casebase.evaluate import PrototypeOptions
from casebase.evaluations import Evaluation
from casebase.parts import Part
from casebase.settings import Settings
from casebase.spaces import NETWORK_SPACE
from casebase.storage.writing import SqlCaseStore
from casebase.wiring import bench_images
from casebase.wiring.asking import networks_of
from casebase.wiring.prototypes import prototype_view

if TYPE_CHECKING:
    from casebase.evaluate.prototypes.sights import Candidate
    from casebase.evaluate.saliency.annotations import Masks
    from casebase.evaluate.saliency.seeing import MaskPair
    from casebase.networks.explained import ExplainedNetwork
    from casebase.reading import Preprocess


def measured(
    store: SqlCaseStore,
    settings: Settings,
    split: str | None,
    options: PrototypeOptions,
    progress: Callable[[int, int, int], None],
) -> Evaluation:
    """Measure the prototypes of a base on one part of it.

    Raises ``UsageError`` where the base has no such prototypes or no image is held out, ``FingerprintMismatch`` for
    those of another network, ``DataError`` for masks and parts that do not fit.
    """
    part = parts.choose(store.parts(), split)  # a split that is not there is told before anything is loaded
    profiles = _profiles(store, options.profile)
    from casebase.evaluate.prototypes import measure
    from casebase.evaluate.prototypes.part_file import read_parts

    places = None if options.parts is None else read_parts(options.parts)
    masks = None if options.masks is None else _masks(store, part, settings, options, options.masks)
    _, network = networks_of(store, settings)
    run = measure.PrototypeRun(
        network, settings.seed, settings.max_megapixels, progress,
        mask_of=None if masks is None else partial(_mask, masks, network.preprocess),
        mask_facts=None if masks is None else masks.facts, parts=places,
    )  # fmt: skip
    return measure.measure(store, part, options, [_candidate(store, network, one) for one in profiles], run)


def _profiles(store: SqlCaseStore, wanted: str | None) -> list[str]:
    there = list(store.prototype_profiles())
    chosen = there if wanted is None else [one for one in there if one == wanted]
    if not chosen:
        what = f"no {wanted} prototypes" if wanted else "no prototypes"
        more = () if wanted is None else ("--profile", wanted)
        command = spoken("prototypes", "train", *more, base=store.folder)
        has = f", only {' and '.join(there)} ones" if there else ""
        raise UsageError(f"this case base has {what}{has}; make them with `{command}` first")
    return chosen


def _candidate(store: SqlCaseStore, network: ExplainedNetwork, profile: str) -> Candidate:
    from casebase.evaluate.prototypes.sights import Candidate

    view = prototype_view(store, network, profile)
    if view is None:  # another process has taken them away since they were listed
        raise UsageError(f"the {profile} prototypes of this case base are gone; run `casebase prototypes train` again")
    return Candidate(view, view.tensors.vectors.numpy())


def _masks(store: SqlCaseStore, part: Part, settings: Settings, options: PrototypeOptions, place: Path) -> Masks:
    blocks = store.snapshot().examined(NETWORK_SPACE, part.status, split=part.split)
    images = [(case.path, case.file, case.label, case.group) for block in blocks for case in block.cases]
    return bench_images.masks_of(
        place, options.mask_choice, images, partial(reading.read, megapixels=settings.max_megapixels)
    )


def _mask(masks: Masks, preprocess: Preprocess, case: Case, picture: reading.Picture) -> MaskPair | None:
    return bench_images.mask_in_view(masks, case.file, picture, preprocess)
