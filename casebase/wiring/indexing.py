"""From a source and a choice of networks to a plan for ``index``, and where its predictions come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casebase.commands import spoken
from casebase.errors import ModelError, UsageError
from casebase.indexer.service import Classification, DryPlan, Plan
from casebase.indexer.sources import Source
from casebase.ports import CaseStore, Embedder
from casebase.reading import printable
from casebase.settings import Settings
from casebase.spaces import CAE_SPACE, CLIP_SPACE, CONTRIBUTION, NETWORK_SPACE
from casebase.storage import association_rows, files, pictures, prototype_rows
from casebase.storage.writing import SqlCaseStore
from casebase.wiring.asking import explained_folder
from casebase.wiring.association import association_embedder
from casebase.wiring.choices import (
    FIT,
    FITTED,
    NETWORK,
    ModelChoice,
    clip_network,
    explained_network,
    in_its_names,
    in_precision,
)
from casebase.wiring.machine import workers
from casebase.wiring.trained_folder import LEAKS, held_out_by_model, leaks_of, leaks_told

if TYPE_CHECKING:
    from PIL.Image import Image

    from casebase.networks.explained import ExplainedNetwork


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of the source to index, and whether to keep thumbnails."""

    split: str | None = None
    limit: int | None = None
    thumbnails: bool = True


@dataclass(frozen=True, eq=False)
class Prepared:
    """A plan, the source in the network's own class names, and what should be said about them."""

    plan: Plan
    source: Source
    notes: Sequence[str]
    describe: str


def prepare(
    store: SqlCaseStore, source: Source, settings: Settings, choice: ModelChoice, run: Scope, spaces: Sequence[str]
) -> Prepared:
    """Load the networks, agree with what the base already holds, choose the precision, and plan the run.

    Raises ``FingerprintMismatch`` where the base was made by another network, and all errors of loading.
    """
    from casebase.networks.devices import one_thread_each

    wanted = _spaces(store, spaces)
    listed = source.chosen(run.split, run.limit)
    labels = sorted({image.label for image in listed})
    network, notes, kind = explained_network(store, settings, choice, labels)
    leaks = leaks_of(choice.model)
    if leaks:  # the base's own copy of the network has no history, and the folder may go
        store.remember(LEAKS, leaks)
    notes = [*notes, *held_out_by_model(choice.model, source, run.split)]
    notes += [said.text for said in leaks_told(store.setting(LEAKS))]
    if kind == NETWORK:
        source, told = in_its_names(source, labels, network.classes or ())
        notes += told
    network, agreement = in_precision(store, settings, network, source, listed)
    embedders: list[Embedder] = [network]
    facts: dict[str, Mapping[str, Any]] = {NETWORK_SPACE: {"engine": "torch", "spec": network.spec, **agreement}}
    if CLIP_SPACE in wanted:
        clip = clip_network(store, settings, choice)
        embedders.append(clip)
        facts[CLIP_SPACE] = {"engine": "torch", "spec": clip.spec, "untrained": clip.untrained}
        if clip.untrained:
            notes.append("the CLIP weights are random: likeness in 'clip' means nothing, only the code path is tried")
    coded, left_out = _class_codes(store, network, refit=choice.refit_head)
    embedders += coded
    notes = [*notes, *left_out]
    plan = Plan(
        embedders=embedders,
        predicts=kind != FIT,
        settle=partial(_settle, store, network, kind, refit=choice.refit_head, seed=settings.seed),
        split=run.split,
        limit=run.limit,
        workers=workers(settings),
        batch_size=settings.batch_size,
        megapixels=settings.max_megapixels,
        around=one_thread_each(),
        thumbnail=partial(_keep_thumbnail, store.folder) if run.thumbnails else None,
        facts=facts,
    )
    return Prepared(
        plan, source, notes, f"{network.spec}, {network.precision}, {network.device}, {plan.workers} workers"
    )


def dry_plan(store: CaseStore, scope: Scope, spaces: Sequence[str]) -> DryPlan:
    """The part of a plan that needs no network."""
    return DryPlan(_spaces(store, spaces), scope.split, scope.limit)


def tidy(store: SqlCaseStore) -> None:
    """After a run: remove models that no prediction of this base comes from any more; what was learned of it stays."""
    known = store.setting("classifier")
    if known is not None:
        keep = {explained_folder(store, known).name, CLIP_SPACE}
        files.remove_others(store.folder / "models", lambda name: name in keep or _learned(name))


def _learned(name: str) -> bool:
    return prototype_rows.of_prototypes(name) or association_rows.of_association(name)


def _class_codes(
    store: SqlCaseStore, network: ExplainedNetwork, *, refit: bool
) -> tuple[Sequence[Embedder], Sequence[str]]:
    """What brings new images into the space ``cae`` where there is one; or why they stay out of it."""
    found, known = store.association(), store.setting("classifier") or {}
    if found is None:
        return [], []
    again = f"`{spoken('cae', 'train', base=store.folder)}`"
    if refit or found.classifier != known.get("fingerprint"):
        return [], [f"the class association embedding explains the head before --refit-head; {again} makes a new one"]
    try:
        return [association_embedder(store, network)], []
    except ModelError as error:  # its file is gone: no reason to index nothing
        return [], [f"new images get no class code: {error}"]


def _spaces(store: CaseStore, asked: Sequence[str]) -> list[str]:
    for name in asked:
        if name not in (NETWORK_SPACE, CLIP_SPACE, CONTRIBUTION, CAE_SPACE):
            known = (NETWORK_SPACE, CONTRIBUTION, CLIP_SPACE, CAE_SPACE)
            raise UsageError(f"no space {printable(name)!r}; there is {', '.join(known)}")
    if CAE_SPACE in asked and store.association() is None:
        raise UsageError(f"the space {CAE_SPACE!r} needs a class association embedding; `casebase cae train` makes it")
    # contribution weighs the vectors of avgpool: nothing to store
    return sorted({NETWORK_SPACE, *store.spaces(), *(name for name in asked if name != CONTRIBUTION)})


def _keep_thumbnail(folder: Path, pixel_hash: str, view: Image) -> None:
    pictures.keep(folder, pixel_hash, pictures.encode(view))


def _settle(store: SqlCaseStore, network: ExplainedNetwork, kind: str, *, refit: bool, seed: int) -> Classification:
    """Where predictions come from once every image is stored: the network's own classes, or a head fitted now."""
    from casebase.networks import linear_head, model_folder

    known = store.setting("classifier")
    if known is not None and not refit:
        return Classification(None, reclassify=False, facts=known)
    facts: dict[str, Any] = {"spec": network.spec, "untrained": network.untrained}
    if kind == NETWORK:
        facts |= {"fingerprint": network.classifier_fingerprint, "classes": list(network.classes or ())}
        facts |= {"kind": NETWORK, "fair": False}
        model_folder.save(network, explained_folder(store, facts))
        return Classification(None, reclassify=False, facts=facts)
    features, labels, groups, total = linear_head.gather(store.stored(NETWORK_SPACE), seed)
    head = linear_head.fit(features, labels, groups=groups, seed=seed)
    fitted = network.with_head(head.weight, head.bias, head.classes)
    facts |= {"fingerprint": fitted.classifier_fingerprint, "classes": list(head.classes), "kind": FITTED, "fair": True}
    facts |= {"fitted_on": len(labels), "of": total, **head.to_dict()}
    model_folder.save(fitted, explained_folder(store, facts), metadata={"head": facts})
    classify = partial(linear_head.probabilities, weight=head.weight, bias=head.bias)
    return Classification(classify, reclassify=True, facts=facts, notes=[head.reason] if head.reason else [])
