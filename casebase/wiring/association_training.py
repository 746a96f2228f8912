"""A class association embedding learned from a base's cases for its own network, and kept with everybody's codes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from casebase import folders
from casebase.association import Association
from casebase.cases import Case, Status
from casebase.commands import spoken
from casebase.errors import DataError, GateFailed, ModelError, Moved, UsageError
from casebase.networks.cae.prepared import FEWEST, enough, scarce
from casebase.networks.cae.recipe import PRESETS, SMALL, CaeRecipe, Progress, Watch
from casebase.ports import Vector
from casebase.reading import printable, some
from casebase.settings import Settings
from casebase.storage import association_rows, files, lock
from casebase.storage.translate import file_errors
from casebase.storage.writing import SqlCaseStore
from casebase.wiring.asking import networks_of
from casebase.wiring.looking import READING, active_cases, first_refused, images_of, looked_at, to_learn_from

if TYPE_CHECKING:
    from casebase.indexer.views import Views
    from casebase.networks.cae.reader import CaeReader, Tensors
    from casebase.networks.explained import ExplainedNetwork

FOLDER = "cae"
"""Folder of a base that remembers the state of an interrupted training, by preset, and its sample sheets."""
SHEETS = "sheets"
CODES = "class codes"
"""The stage in which every image of the base gets its code."""
LEAST = 0.75
"""Share of a preset's side that the shorter side of most images has to have: more would only be enlarged."""
BLOCK = 256
TRIES = 3


def train_association(
    store: SqlCaseStore,
    settings: Settings,
    recipe: CaeRecipe,
    *,
    fresh: bool = False,
    watch: Watch = lambda told: None,
    announce: Callable[[str], None] = lambda line: None,
) -> Association:
    """Learn an embedding of the base's own network from its cases, and keep it with the class code of every image.

    An interrupted training of the same recipe goes on unless ``fresh``. One that fails its gates is kept where no
    trustworthy one of this network is there, and ``GateFailed`` raised with it. Raises ``EmptyCaseBase``; ``DataError``
    for classes too few or too small and where an image cannot be read; ``UsageError`` for images smaller than the
    preset; ``Diverged``; ``Locked``; ``StorageFailed``. The embedding before stays where anything is raised but
    ``GateFailed``.
    """
    _, network = networks_of(store, settings)
    cases, answers = active_cases(store, "a class association embedding")
    _told_left_out(cases, recipe, network.classes or (), announce)
    _large_enough(store, recipe, len(cases))
    with file_errors(store.folder):
        (store.folder / FOLDER).mkdir(exist_ok=True)
    with lock.writer(store.folder / FOLDER, "cae train"):  # beside the training's own folder
        images = [*cases, *images_of(store, Status.HELD_OUT)]
        views = _read(images, network, settings, watch)
        from casebase.networks.cae import reader, training
        from casebase.networks.resuming import STATE

        folder = store.folder / FOLDER / recipe.preset
        if not (folder / STATE).exists():  # nothing to go on with, so nothing to look at beside the new sheets
            shutil.rmtree(folder / SHEETS, ignore_errors=True)
        announce(f"sample sheets, synthetic images all of them: {printable(str(folder / SHEETS))}")
        learnt = to_learn_from(cases, views.only(range(len(cases))), answers)
        chosen = replace(recipe, seed=settings.seed)
        found, tensors = training.train(network, learnt, chosen, folder, watch, fresh=fresh)
        better = _better(store, found)
        if better is None:
            codes = _codes(reader.CaeReader(network, found, tensors), images, views, watch)
            found = _kept(store, settings, network, found, tensors, codes)
        # not before: a full disk or a lock costs no hours
        files.remove_others(folder, lambda name: name == SHEETS)
    if found.failed:
        raise GateFailed(_failed(store, found, better), found=found)
    return found


def _told_left_out(
    cases: Sequence[Case], recipe: CaeRecipe, known: Sequence[str], announce: Callable[[str], None]
) -> None:
    labels, predicted = [case.label for case in cases], [case.predicted for case in cases]
    few = scarce(labels, predicted, recipe, enough(labels, predicted, recipe, known))
    if few:
        named = some([f"{printable(name)} ({n})" for name, n in sorted(few.items())])
        announce(f"classes with fewer than {FEWEST} cases take no part in the training: {named}")


def _large_enough(store: SqlCaseStore, recipe: CaeRecipe, cases: int) -> None:
    """Raise ``UsageError`` where most images are smaller than what they would be brought to."""

    def fits(preset: str) -> bool:
        return 2 * store.narrower(round(LEAST * PRESETS[preset].size.side)) <= cases

    if fits(recipe.preset):
        return
    side = PRESETS[recipe.preset].size.side
    by_side = sorted(PRESETS, key=lambda name: PRESETS[name].size.side, reverse=True)
    other = next((name for name in by_side if PRESETS[name].size.side < side and fits(name)), None)
    narrow = store.narrower(round(LEAST * side))
    instead = (
        f"choose --preset {other}, which works at {PRESETS[other].size.side}"
        if other is not None
        else "index larger images"
    )
    raise UsageError(
        f"the preset {recipe.preset} works at {side} x {side} pixels, and {narrow} of {cases} cases have a shorter "
        f"side below {round(LEAST * side)}; {instead}"
    )


def _read(images: Sequence[Case], network: ExplainedNetwork, settings: Settings, watch: Watch) -> Views:
    """The views of all images, or ``DataError``: a space in which one image has no code could not be asked."""
    decoded = looked_at(images, network, settings, lambda done, total: watch(Progress(READING, done, total, {})))
    if decoded.refused:
        raise DataError(
            f"every image of the base gets a class code, and {len(decoded.refused)} of {len(images)} cannot be read; "
            f"the first, {first_refused(images, decoded)}; put them back, or run `casebase index` so that the base "
            "forgets them"
        )
    return decoded.views


def _better(store: SqlCaseStore, found: Association) -> Association | None:
    """The stored embedding, where it passed the gates that the new one failed and explains the same network."""
    old = store.association()
    if found.trustworthy or old is None or not old.trustworthy or old.classifier != found.classifier:
        return None
    return old


def _codes(reader: CaeReader, images: Sequence[Case], views: Views, watch: Watch) -> dict[str, Vector]:
    """The class code of every image by the name of its pixels; raises ``ModelError`` where one has no direction."""
    codes: dict[str, Vector] = {}
    for start in range(0, len(images), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(images)))
        watch(Progress(CODES, start, len(images), {}))
        block = reader.codes(views[rows])
        bad = int((~np.isfinite(block).all(axis=1) | ~block.any(axis=1)).sum())
        if bad:
            raise ModelError(
                f"the class codes of {bad} of {len(rows)} images are zero or not finite, so the embedding tells "
                "nothing apart and is not kept; try more --iterations, or another --preset"
            )
        codes |= {images[row].pixel_hash: code for row, code in zip(rows.tolist(), block, strict=True)}
    watch(Progress(CODES, len(images), len(images), {}))
    return codes


def _kept(
    store: SqlCaseStore, settings: Settings, network: ExplainedNetwork, found: Association, tensors: Tensors,
    codes: dict[str, Vector],
) -> Association:  # fmt: skip
    """The embedding with its digest, its weights in a whole file before the store names it.

    Images that were indexed during the training get their codes now.
    """
    from casebase.networks.cae import reader

    draft = association_rows.file_in_the_making(store.folder)
    kept = replace(found, digest=reader.save(tensors, draft))
    with file_errors(store.folder):
        draft.replace(association_rows.tensor_file(store.folder, kept.digest))
        folders.sync(draft.parent)
    fingerprint = reader.fingerprint(kept, network.preprocess)
    for _ in range(TRIES - 1):
        try:
            store.keep_association(kept, codes, fingerprint)
        except Moved:
            codes |= _missing(store, settings, reader.CaeReader(network, kept, tensors), network, codes)
        else:
            return kept
    store.keep_association(kept, codes, fingerprint)
    return kept


def _missing(
    store: SqlCaseStore, settings: Settings, reader: CaeReader, network: ExplainedNetwork, codes: dict[str, Vector]
) -> dict[str, Vector]:
    live = [*images_of(store, Status.ACTIVE), *images_of(store, Status.HELD_OUT)]
    new = [case for case in live if case.pixel_hash not in codes]
    return _codes(reader, new, _read(new, network, settings, lambda told: None), lambda told: None)


def _failed(store: SqlCaseStore, found: Association, better: Association | None) -> str:
    more = f" (and {len(found.failed) - 1} more)" if len(found.failed) > 1 else ""
    what = (
        "it is kept to be looked at, and shown as no explanation"
        if better is None
        else f"it is not kept, and the one of {better.created}, which passed them, stays"
    )
    preset = () if found.preset == SMALL else ("--preset", found.preset)
    words = ("cae", "train", *preset, "--iterations", str(2 * _iterations(found)))
    longer = f"`{spoken(*words, base=store.folder)}` trains longer"
    return (
        f"the class association embedding failed its gates, since {printable(found.failed[0])}{more}; {what}; {longer}"
    )


def _iterations(found: Association) -> int:
    return int(found.settings.get("iterations", PRESETS[found.preset].iterations))
