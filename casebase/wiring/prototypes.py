"""Prototypes of a base: learned from its cases for its own network, kept in it, and put on that network again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from casebase import folders
from casebase.commands import spoken
from casebase.errors import (
    DataError,
    FingerprintMismatch,
    ModelError,
    NoTargetLayer,
    NotFound,
    UsageError,
    WeightsMissing,
)
from casebase.networks.prototypes.recipe import PrototypeRecipe, Watch
from casebase.networks.training_cases import TrainingCases
from casebase.prototypes import PROFILES, SIGNED, PrototypeSet
from casebase.reading import printable
from casebase.settings import Settings
from casebase.storage import lock, prototype_rows
from casebase.storage.translate import file_errors
from casebase.storage.writing import SqlCaseStore
from casebase.wiring.asking import networks_of
from casebase.wiring.looking import READING, active_cases, first_refused, looked_at, to_learn_from

if TYPE_CHECKING:
    from casebase.networks.explained import ExplainedNetwork
    from casebase.networks.prototypes.model import PrototypeReader, Tensors

FOLDER = "prototypes"
"""Folder of a base that remembers features and the state of interrupted trainings, by profile."""


def train_prototypes(
    store: SqlCaseStore,
    settings: Settings,
    recipe: PrototypeRecipe,
    *,
    fresh: bool = False,
    progress: Watch = lambda stage, done, total: None,
    announce: Callable[[str], None] = lambda line: None,
) -> PrototypeSet:
    """Learn prototypes of the base's own network from its cases and keep them in the place of this profile's.

    An interrupted training of the same recipe goes on unless ``fresh``. Raises ``EmptyCaseBase``; ``NoTargetLayer``
    for a network without a map of places; ``ModelError`` for a head that is not linear under ``signed``, and where a
    gate fails: the old set then stays; ``DataError`` where no case can be read; ``Locked``; ``StorageFailed``.
    """
    _, network = networks_of(store, settings)
    _explainable(network, recipe, store.folder)
    from casebase.networks.prototypes.training import train

    folder = store.folder / FOLDER
    with file_errors(store.folder):
        folder.mkdir(exist_ok=True)
    with lock.writer(folder, "prototypes train"):  # beside the training's own folder, which it removes when done
        cases = training_cases(store, network, recipe, settings, progress, announce)
        chosen = replace(recipe, seed=settings.seed)
        found, tensors = train(network, cases, chosen, folder / recipe.profile, progress, fresh=fresh)
        kept = _kept(store, found, tensors)
        shutil.rmtree(folder / recipe.profile, ignore_errors=True)  # not before: a full disk or a lock costs no minutes
        return kept


def training_cases(
    store: SqlCaseStore,
    network: ExplainedNetwork,
    recipe: PrototypeRecipe,
    settings: Settings,
    progress: Watch = lambda stage, done, total: None,
    announce: Callable[[str], None] = lambda line: None,
) -> TrainingCases:
    """All active cases with labels and predictions, as the network sees them; each file is decoded once.

    A case whose file is gone or has other pixels is left out and told. Raises ``EmptyCaseBase`` and ``DataError``, and
    before anything is read what :func:`casebase.networks.prototypes.prepared.enough` raises.
    """
    cases, _ = active_cases(store, "prototypes")
    from casebase.networks.prototypes.prepared import enough

    enough([case.label for case in cases], [case.predicted for case in cases], recipe, network.classes or ())
    decoded = looked_at(cases, network, settings, lambda done, total: progress(READING, done, total))
    if decoded.refused:
        first = first_refused(cases, decoded)
        if not decoded.rows:
            raise DataError(
                f"none of the {len(cases)} cases can be read, so no prototype can be learned; the first, {first}"
            )
        announce(
            f"{len(decoded.refused)} of {len(cases)} cases are left out, their files cannot be read; first {first}"
        )
    return to_learn_from([cases[row] for row in decoded.rows], decoded.views)


def prototype_set(store: SqlCaseStore, profile: str | None = None) -> PrototypeSet | None:
    """The stored prototypes; None where there are none. Raises ``FingerprintMismatch`` for another network's."""
    known = store.setting("classifier") or {}
    return _of_network(store, store.prototypes(profile), known.get("fingerprint"))


def needed_prototypes(store: SqlCaseStore, network: ExplainedNetwork, profile: str | None = None) -> PrototypeReader:
    """:func:`prototype_view` where there are some, else ``NotFound`` with the command that makes them.

    Raises ``UsageError`` for a profile that is none.
    """
    if profile is not None and profile not in PROFILES:
        raise UsageError(f"--profile must be {' or '.join(PROFILES)}, not {printable(profile)!r}")
    found = prototype_view(store, network, profile)
    if found is None:
        which = "" if profile is None else f"{printable(profile)} "
        words = ("train",) if profile is None else ("train", "--profile", profile)
        command = spoken("prototypes", *words, base=store.folder)
        raise NotFound(f"no {which}prototypes in {printable(str(store.folder))}; make them with `{command}`")
    return found


def prototype_view(
    store: SqlCaseStore, network: ExplainedNetwork, profile: str | None = None
) -> PrototypeReader | None:
    """The base's prototypes on the network they explain; None where there are none.

    Raises ``FingerprintMismatch`` for another network's, ``WeightsMissing`` and ``CheckpointRefused`` where the file
    of their vectors is gone or is another.
    """
    found = _of_network(store, store.prototypes(profile), network.classifier_fingerprint)
    if found is None:
        return None
    from casebase.networks.prototypes import model

    place = prototype_rows.tensor_file(store.folder, found.profile, found.digest)
    try:
        tensors = model.load(place, found.digest)
    except WeightsMissing:
        if store.prototype_digest(profile) == found.digest:
            raise
        return prototype_view(store, network, profile)  # a training has just put others in their place
    return model.PrototypeReader(network, found, tensors)


def _of_network(store: SqlCaseStore, found: PrototypeSet | None, network: str | None) -> PrototypeSet | None:
    if found is not None and found.classifier != network:
        raise FingerprintMismatch(
            f"the {found.profile} prototypes of this base explain the network {found.classifier}, and its predictions "
            f"are those of {network}; make new ones with "
            f"`{spoken('prototypes', 'train', '--profile', found.profile, base=store.folder)}`"
        )
    return found


def _explainable(network: ExplainedNetwork, recipe: PrototypeRecipe, base: Path) -> None:
    """Whether prototypes of this profile can be made for a network at all, told before an image is read."""
    if recipe.layer is None and network.spatial_layer is None:
        raise NoTargetLayer(
            f"no prototypes can be cut out: {network.where_unavailable}; "
            f"`{spoken('prototypes', 'summarize', base=base)}` shows typical cases of each class without them, and "
            "--layer names a layer with a map of places"
        )
    if recipe.profile == SIGNED and network.head_weights()[0] is None:
        raise ModelError(
            "signed prototypes are looked for where the network's last linear layer finds evidence, and this network "
            f"has no linear head; `{spoken('prototypes', 'train', '--profile', 'classic', base=base)}` needs none"
        )


def _kept(store: SqlCaseStore, found: PrototypeSet, tensors: Tensors) -> PrototypeSet:
    """The set with its digest, its vectors in a whole file before any row names it."""
    from casebase.networks.prototypes import model

    draft = prototype_rows.file_in_the_making(store.folder, found.profile)
    kept = replace(found, digest=model.save(tensors, draft))
    with file_errors(store.folder):
        draft.replace(prototype_rows.tensor_file(store.folder, found.profile, kept.digest))
        folders.sync(draft.parent)
    store.keep_prototypes(kept)
    return kept
