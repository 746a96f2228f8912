"""What ``casebase evaluate cae`` is given: the embedding of a base on its network, the saliency bench, masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from casebase import parts, reading
from casebase.cases import Case
from casebase.errors import ModelError
from casebase.evaluate import BenchSettings, CaeOptions
from casebase.evaluations import Evaluation
from casebase.parts import Part
from casebase.settings import Settings
from casebase.spaces import NETWORK_SPACE
from casebase.storage.writing import SqlCaseStore
from casebase.wiring import bench_images
from casebase.wiring.asking import networks_of
from casebase.wiring.association import needed_association
from casebase.wiring.saliency_bench import KEPT, Progress

if TYPE_CHECKING:
    from casebase.evaluate.saliency.annotations import Masks
    from casebase.evaluate.saliency.summary import Summary
    from casebase.networks.explained import ExplainedNetwork
    from casebase.ports import AssociationView

POINTING = 15 / 224
"""Tolerance of the pointing game, of the view's side: 15 pixels of 224."""


def measured(
    store: SqlCaseStore,
    settings: Settings,
    split: str | None,
    options: CaeOptions,
    progress: Progress,
    announce: Callable[[str], None],
) -> Evaluation:
    """Measure the embedding of a base on one part of it; on its cases, with an alarm, where nothing is held out.

    Raises ``NotFound`` where the base has none, ``UsageError`` for a part that is not there, ``FingerprintMismatch``
    for one of another network, ``DataError`` where nothing can be swapped and for masks that do not fit.
    """
    part = parts.choose(store.parts(), split, or_cases=True)  # told before anything is loaded
    _, network = networks_of(store, settings)
    view = needed_association(store, network)
    from casebase.evaluate.cae import measure
    from casebase.evaluate.cae.looking import Sight

    masks = _masks(store, part, settings, options)
    maps = partial(_maps, store, settings, network, view, masks, options, progress, announce)
    run = measure.CaeRun(
        Sight(view, network, settings.max_megapixels, progress), settings.seed, maps if options.hidden else None,
        None if masks is None else masks.facts,
    )  # fmt: skip
    return measure.measure(store, part, options, run)


def _maps(
    store: SqlCaseStore, settings: Settings, network: ExplainedNetwork, view: AssociationView, masks: Masks | None,
    options: CaeOptions, progress: Progress, announce: Callable[[str], None], cases: Sequence[Case],
) -> Summary | None:  # fmt: skip
    """The saliency bench on these cases; None, with the reason said, where no method can do this network."""
    from casebase.evaluate.cae import map_tables, removal
    from casebase.evaluate.saliency import bench, catalogue
    from casebase.evaluate.saliency.kept import Kept
    from casebase.evaluate.saliency.summary import Summary
    from casebase.explain.saliency import catalogue as methods
    from casebase.explain.saliency.method import MethodSettings

    read = partial(reading.read, megapixels=settings.max_megapixels)
    images = [
        bench.BenchImage(
            case.path, partial(read, case.file), case.group,
            None if masks is None else partial(bench_images.mask_in_view, masks, case.file),
        )
        for case in cases
    ]  # fmt: skip
    names = [map_tables.CAE, *([map_tables.PUBLISHED] if masks is not None else []), *map_tables.AGAINST]
    metrics = [*removal.METRICS.values(), *(catalogue.metric(name) for name in map_tables.MASKED if masks is not None)]
    plan = bench.Plan(
        [methods.method(name) for name in names], metrics,
        MethodSettings(seed=settings.seed, batch=settings.batch_size, association=view),
        BenchSettings(
            seed=settings.seed, patch_repeats=options.draws,
            pointing_tolerance=max(1, round(POINTING * min(network.preprocess.crop))),
        ),
        asked=False, every=True,
    )  # fmt: skip
    explained = network.with_precision("fp32")
    networks = [bench.BenchNetwork(explained.spec, lambda: explained)]
    try:
        outcome = bench.run(networks, images, plan, Kept(store.folder / KEPT), bench.Told(progress, announce))
    except ModelError as error:
        announce(f"no maps are compared: {error}")
        return None
    return Summary(outcome, settings.seed)


def _masks(store: SqlCaseStore, part: Part, settings: Settings, options: CaeOptions) -> Masks | None:
    if options.masks is None:
        return None
    blocks = store.snapshot().examined(NETWORK_SPACE, part.status, split=part.split)
    images = [(case.path, case.file, case.label, case.group) for block in blocks for case in block.cases]
    read = partial(reading.read, megapixels=settings.max_megapixels)
    return bench_images.masks_of(options.masks, options.mask_choice, images, read)
