"""Settings in, ready objects out: the one place where concrete classes meet."""

from __future__ import annotations

import io
import os
import platform
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import fromarray

from casebase import reading
from casebase.errors import EmptyCaseBase, FingerprintMismatch, ImageError, UsageError
from casebase.explain.render_html import HtmlRenderer
from casebase.explanations import Pixels
from casebase.indexer.service import Classification, DryPlan, Plan
from casebase.indexer.sources import Listed, Source, matched, open_source
from casebase.ports import CaseStore, Embedder, Renderer
from casebase.query import Networks
from casebase.settings import Settings
from casebase.spaces import CLIP_SPACE, CONTRIBUTION, NETWORK_SPACE
from casebase.storage import database, files, pictures
from casebase.storage.memory import MemoryCaseStore
from casebase.storage.opening import make_store, open_store
from casebase.storage.writing import SqlCaseStore

if TYPE_CHECKING:
    from PIL.Image import Image

    from casebase.networks.explained import ExplainedNetwork
    from casebase.networks.open_clip_net import ClipEmbedder

DEFAULT_MODEL = "torchvision:resnet18"
DEFAULT_CLIP = "open_clip:ViT-B-32"
START = "start"
"""Folder of the network while the first run goes on; afterwards there is only ``explained-<fingerprint>``."""
NETWORK, FITTED, FIT = "network", "fitted", "fit"
AGREEMENT_SAMPLE = 48
FEWEST_FOR_BF16 = 256


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which network to index with: what ``--model``, ``--arch``, ``--weights``, ``--class-names``, ``--layer`` say."""

    model: str | None = None
    arch: str | None = None
    weights: Path | None = None
    class_names: Path | None = None
    layer: str | None = None
    head: str = "auto"
    refit_head: bool = False
    clip_model: str = DEFAULT_CLIP
    clip_weights: Path | None = None
    clip_untrained: bool = False

    def __post_init__(self) -> None:
        if self.head not in ("auto", "network", "fit"):
            raise UsageError(f"--head must be auto, network or fit, not {self.head!r}")

    @property
    def names_a_network(self) -> bool:
        """Whether the user named a network, so that it must be the one of the base."""
        return any(v is not None for v in (self.model, self.arch, self.weights))


def store_for_writing(settings: Settings) -> SqlCaseStore:
    """The store, made where there is none."""
    return make_store(settings)


def made_anew(store: SqlCaseStore, settings: Settings) -> SqlCaseStore:
    """The same store, or one made again where it is gone."""
    return store if database.exists(settings.base, settings.sql_url) else make_store(settings)


def store_for_reading(settings: Settings) -> SqlCaseStore:
    """The store of an existing case base."""
    return open_store(settings)


@contextmanager
def store_for_looking(settings: Settings) -> Iterator[CaseStore]:
    """The store of a case base, or an empty one in memory where there is none: for dry runs."""
    if not database.exists(settings.base, settings.sql_url):
        yield MemoryCaseStore()
        return
    store = open_store(settings)
    try:
        yield store
    finally:
        store.close()


def renderer() -> Renderer:
    """What writes reports."""
    return HtmlRenderer()


def workers(settings: Settings) -> int:
    """Threads to work on: those asked for, else the cores this process may use."""
    if settings.workers:
        return settings.workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Every worker runs its network on one thread; torch's setting is put back afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# -- querying ----------------------------------------------------------------------------------------------------


def networks_of(
    store: SqlCaseStore, settings: Settings, space: str = NETWORK_SPACE
) -> tuple[Networks, ExplainedNetwork]:
    """The base's own networks as they were indexed with; other spaces' embedders only where they are asked for."""
    known = store.setting("classifier")
    if known is None:
        raise EmptyCaseBase(f"{store.folder} holds no case yet; run `casebase index DATA` to its end first")
    spaces = store.spaces()
    network = _read_network(store, _explained_folder(store, known), settings, spaces[NETWORK_SPACE].precision)
    classifier = network.classifier
    if classifier is None or classifier.fingerprint != known["fingerprint"]:
        raise FingerprintMismatch(
            f"the model in {store.folder / 'models'} is not the one that made the predictions of this base; "
            "restore it from a backup, or index into another --base"
        )
    others: dict[str, Embedder] = {}
    if space not in (NETWORK_SPACE, CONTRIBUTION) and space in spaces:
        others[space] = _read_clip(store, settings)
    return Networks(network, classifier, others), network


def _explained_folder(store: SqlCaseStore, known: Mapping[str, Any]) -> Path:
    return store.folder / "models" / f"explained-{known['fingerprint']}"


def _read_network(store: SqlCaseStore, folder: Path, settings: Settings, precision: str = "fp32") -> ExplainedNetwork:
    from casebase.networks import devices, model_folder
    from casebase.networks.explained import ExplainedNetwork

    return ExplainedNetwork(
        model_folder.load(folder),
        device=devices.choose(settings.device),
        precision=precision,
        layer=store.setting("layer"),
        batch_size=settings.batch_size,
    )


def _read_clip(store: SqlCaseStore, settings: Settings) -> ClipEmbedder:
    from casebase.networks import devices, model_folder
    from casebase.networks.open_clip_net import ClipEmbedder

    loaded = model_folder.load(store.folder / "models" / CLIP_SPACE)
    return ClipEmbedder(loaded, device=devices.choose(settings.device), batch_size=settings.batch_size)


def save_picture(target: Path, pixels: Pixels) -> None:
    """Write a picture as PNG in one step; raises ``StorageFailed``."""
    out = io.BytesIO()
    fromarray(pixels).save(out, "PNG")
    files.write(target, out.getvalue())


def thumbnails(store: SqlCaseStore) -> Callable[[str], Any]:
    """Finds the thumbnail of a picture by its pixels."""
    return partial(pictures.find, store.folder)


def train_birds(folder: Path, target: Path, settings: Settings, announce: Callable[[str], None]) -> Mapping[str, Any]:
    """Fine-tune a small network on the drawn birds, in under a minute on two cores, and save it as a model folder.

    The recipe was found on seeds 0 to 2 (see docs/demo.md); validation images are only looked at, not chosen by.
    """
    from casebase.networks import backbones, devices, fine_tune, model_folder

    train, val = open_source(folder).chosen("train"), open_source(folder).chosen("val")
    classes = sorted({image.label for image in train})
    start = backbones.load(backbones.Wanted("casebase:resnet10", pretrained=False, seed=settings.seed))
    options = fine_tune.Options(
        epochs=9,
        lr=2e-3,
        batch_size=32,
        optimiser="adamw",
        weight_decay=0.05,
        warm_up=0.25,
        shift=8,
        seed=settings.seed,
    )

    def told(epoch: fine_tune.Epoch) -> None:
        seen = "" if epoch.val_accuracy is None else f", validation {reading.percent(epoch.val_accuracy)}"
        announce(f"  epoch {epoch.number}/{epoch.of}: loss {epoch.loss:.2f}, {epoch.seconds:.0f} s{seen}")

    def labelled(images: Sequence[Listed]) -> fine_tune.Labelled:
        found = [reading.read(folder / image.relative) for image in images]
        views = np.stack([start.preprocess.pixels(picture.image) for picture in found])
        return fine_tune.Labelled(views, [classes.index(image.label) for image in images])

    tuned = fine_tune.fine_tune(
        start, labelled(train), classes, val=labelled(val), options=options, device=devices.choose(settings.device),
        on_epoch=told,
    )  # fmt: skip
    metrics = tuned.metrics()
    model_folder.save(tuned.network, target, metadata=metrics)
    return metrics


def examples(store: SqlCaseStore) -> list[Path]:
    """Files of one image the network gets right and one it gets wrong, held-out ones before cases."""
    return [case.file for case in store.some_right_and_wrong()]


def fetch_pets(folder: Path) -> Path:
    """Download Oxford-IIIT Pet and return its manifest."""
    from casebase.networks import torchvision_data

    return torchvision_data.pets(folder)


NEEDED = {
    "torch": (2, 14), "torchvision": (0, 29), "chromadb": (1, 5), "torchcam": (0, 5), "open-clip-torch": (2, 30),
    "timm": (1, 0), "diffusers": (0, 30), "sqlalchemy": (2, 0), "alembic": (1, 13), "pillow": (12, 3), "numpy": (2, 0),
    "scikit-learn": (1, 5), "safetensors": (0, 4), "jinja2": (3, 1), "typer": (0, 26), "rich": (13, 7),
}  # fmt: skip


def environment(settings: Settings) -> list[dict[str, Any]]:
    """What ``casebase doctor`` reports: rows of name, found, ok."""
    rows = [_row("python", platform.python_version(), sys.version_info >= (3, 11))]
    for name, least in NEEDED.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            rows.append(_row(name, "not installed", ok=False))
            continue
        numbers = tuple(int(n) for n in re.findall(r"\d+", found)[:2])
        rows.append(_row(name, found, numbers >= least))
    try:
        import torch
        import torchvision

        rows.append(_row("torch with torchvision", f"{torch.__version__}, {torchvision.__version__}", ok=True))
        rows.append(_row("devices", ", ".join(["cpu", *(["cuda"] if torch.cuda.is_available() else [])]), ok=True))
    except Exception as error:  # a mismatched pair fails with all sorts of errors while importing
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        rows.append(_row("torch with torchvision", f"they do not fit together ({said})", ok=False))
    rows.append(_row("sqlite", sqlite3.sqlite_version, sqlite3.sqlite_version_info >= (3, 35)))
    if database.exists(settings.base, settings.sql_url):
        rows.append(_row("case base", str(settings.base), database.writable(settings.base)))
    else:
        rows.append(_row("case base", f"none at {settings.base} yet", ok=True))
    return rows


def _row(name: str, found: str, ok: bool) -> dict[str, Any]:  # noqa: FBT001  # private, three words
    return {"name": name, "found": found, "ok": ok}


# -- indexing ----------------------------------------------------------------------------------------------------


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
    wanted = _spaces(store, spaces)
    listed = source.chosen(run.split, run.limit)
    labels = sorted({image.label for image in listed})
    network, notes, kind = _explained(store, settings, choice, labels)
    if kind == NETWORK:
        source, told = _in_its_names(source, labels, network.classes or ())
        notes += told
    network, agreement = _in_precision(store, settings, network, source, listed)
    embedders: list[Embedder] = [network]
    facts: dict[str, Mapping[str, Any]] = {NETWORK_SPACE: {"engine": "torch", "spec": network.spec, **agreement}}
    if CLIP_SPACE in wanted:
        clip = _clip(store, settings, choice)
        embedders.append(clip)
        facts[CLIP_SPACE] = {"engine": "torch", "spec": clip.spec, "untrained": clip.untrained}
        if clip.untrained:
            notes.append("the CLIP weights are random: likeness in 'clip' means nothing, only the code path is tried")
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
    """After a run: remove models that no prediction of this base comes from any more."""
    known = store.setting("classifier")
    if known is not None:
        keep = {_explained_folder(store, known).name, CLIP_SPACE}
        files.remove_others(store.folder / "models", lambda name: name in keep)


def _spaces(store: CaseStore, asked: Sequence[str]) -> list[str]:
    for name in asked:
        if name not in (NETWORK_SPACE, CLIP_SPACE, CONTRIBUTION):
            raise UsageError(f"no space {name!r}; there is {NETWORK_SPACE}, {CONTRIBUTION}, {CLIP_SPACE}")
    # contribution weighs the vectors of avgpool: nothing to store
    return sorted({NETWORK_SPACE, *store.spaces(), *(name for name in asked if name != CONTRIBUTION)})


def _keep_thumbnail(folder: Path, pixel_hash: str, view: Image) -> None:
    pictures.keep(folder, pixel_hash, pictures.encode(view))


def _explained(
    store: SqlCaseStore, settings: Settings, choice: ModelChoice, labels: Sequence[str]
) -> tuple[ExplainedNetwork, list[str], str]:
    """The network, what to say of it, its kind: ``network`` (as it is), ``fitted`` (has its head), ``fit`` (will)."""
    known = store.setting("classifier")
    start = store.folder / "models" / START
    if known is None and not start.exists():
        return _first(store, settings, choice, labels)
    network = _read_network(store, start if known is None else _explained_folder(store, known), settings)
    if choice.names_a_network:
        _same_network(network, _named_network(choice, settings), store)
    if known is None:
        return network, [], str(store.setting("start"))
    kind = str(known["kind"])
    if choice.refit_head and kind != FITTED:
        raise UsageError("this base uses the network's own classes; --refit-head is for a fitted head")
    return network, [] if choice.refit_head else _strangers(labels, network.classes or (), kind), kind


def _first(
    store: SqlCaseStore, settings: Settings, choice: ModelChoice, labels: Sequence[str]
) -> tuple[ExplainedNetwork, list[str], str]:
    from casebase.networks import model_folder

    network = _named_network(choice, settings)
    notes = []
    if network.untrained:
        notes.append("the network's weights are random: untrained")
    fits = network.classifier is not None and set(labels) <= set(matched(labels, network.classes or ()))
    if choice.head == "network" and network.classifier is None:
        raise UsageError(
            "the network's classes have no names; give them with --class-names, or leave out --head network"
        )
    if choice.head == "network" and not fits:
        notes += _strangers(labels, network.classes or (), NETWORK)
    kind = NETWORK if choice.head == "network" or (fits and choice.head == "auto") else FIT
    if kind == FIT:
        notes.append("no classifier for these classes: a linear head is fitted on the network's frozen features")
    store.remember("layer", choice.layer)
    store.remember("start", kind)
    model_folder.save(network, store.folder / "models" / START)
    return network, notes, kind


def _in_its_names(source: Source, labels: Sequence[str], classes: Sequence[str]) -> tuple[Source, list[str]]:
    """The source with labels spelt as the network spells its classes, and a note where that changed something."""
    other = {label: name for label, name in matched(labels, classes).items() if label != name}
    if not other:
        return source, []
    first, name = next(iter(other.items()))
    shown = f"{reading.printable(first)} as {reading.printable(name)}"
    more = f" and {len(other) - 1} more" if len(other) > 1 else ""
    return source.renamed(other), [f"labels are spelt as the network spells its classes: {shown}{more}"]


def _strangers(labels: Sequence[str], classes: Sequence[str], kind: str) -> list[str]:
    known = matched(labels, classes)
    unknown = [label for label in labels if label not in known]
    if not unknown:
        return []
    shown = ", ".join(map(reading.printable, unknown[:5])) + (", …" if len(unknown) > 5 else "")
    remedy = "; --refit-head fits the head anew" if kind == FITTED else ""
    return [f"the network does not know {len(unknown)} of the labels ({shown}), so it can never predict them{remedy}"]


def _named_network(choice: ModelChoice, settings: Settings) -> ExplainedNetwork:
    from casebase.networks import backbones, devices
    from casebase.networks.explained import ExplainedNetwork

    model = choice.model or (f"torchvision:{choice.arch}" if choice.arch and ":" not in choice.arch else choice.arch)
    checkpoint = choice.arch if choice.model else None
    loaded = backbones.load(
        backbones.Wanted(model or DEFAULT_MODEL, checkpoint, choice.weights, choice.class_names, seed=settings.seed)
    )
    where = devices.choose(settings.device)
    return ExplainedNetwork(loaded, device=where, layer=choice.layer, batch_size=settings.batch_size)


def _same_network(stored: ExplainedNetwork, named: ExplainedNetwork, store: SqlCaseStore) -> None:
    one, other = stored.fingerprint, named.with_precision(stored.precision).fingerprint
    if one != other:
        raise FingerprintMismatch(
            f"{store.folder} was made with another network ({'; '.join(one.differences(other))}: here / now); "
            "leave out --model and --weights to go on with it, or index into another --base"
        )


def _in_precision(
    store: SqlCaseStore, settings: Settings, network: ExplainedNetwork, source: Source, listed: Sequence[Listed]
) -> tuple[ExplainedNetwork, Mapping[str, Any]]:
    """The network in the base's precision; for a new base in the one asked for, or the faster one that agrees."""
    from casebase.networks import precision

    known = store.declared(NETWORK_SPACE)
    if known is not None:
        if settings.precision not in ("auto", known.precision):
            raise FingerprintMismatch(
                f"{store.folder} holds {known.precision} vectors, not {settings.precision}; "
                "leave out --precision, or index into another --base"
            )
        return network.with_precision(known.precision), {}
    if settings.precision != "auto":
        return network.with_precision(settings.precision), {"precision": settings.precision, "asked": True}
    if len(listed) < FEWEST_FOR_BF16:
        return network, {"precision": "fp32"}
    views = _views(source, listed, network, settings)
    if views is None:
        return network, {"precision": "fp32"}
    in_bf16 = cache(lambda: network.with_precision("bf16"))
    choice, agreement = precision.choose(network, in_bf16, views, device=network.device)
    return in_bf16() if choice == "bf16" else network, {"precision": choice, **agreement}


def _views(
    source: Source, listed: Sequence[Listed], network: ExplainedNetwork, settings: Settings
) -> NDArray[np.uint8] | None:
    """Views of some images spread over the set."""
    views = []
    for image in listed[:: max(1, len(listed) // AGREEMENT_SAMPLE)][:AGREEMENT_SAMPLE]:
        try:
            picture = reading.read(source.root / image.relative, megapixels=settings.max_megapixels)
        except ImageError:
            continue
        views.append(network.preprocess.pixels(picture.image))
    return np.stack(views) if views else None


def _clip(store: SqlCaseStore, settings: Settings, choice: ModelChoice) -> ClipEmbedder:
    from casebase.networks import backbones, devices, model_folder
    from casebase.networks.open_clip_net import ClipEmbedder

    place = store.folder / "models" / CLIP_SPACE
    if place.exists():
        return _read_clip(store, settings)
    wanted = backbones.Wanted(
        choice.clip_model, weights=choice.clip_weights, pretrained=not choice.clip_untrained, seed=settings.seed
    )
    where = devices.choose(settings.device)
    embedder = ClipEmbedder(backbones.load(wanted), device=where, batch_size=settings.batch_size)
    model_folder.save(embedder, place)
    return embedder


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
        model_folder.save(network, _explained_folder(store, facts))
        return Classification(None, reclassify=False, facts=facts)
    features, labels, groups, total = linear_head.gather(store.stored(NETWORK_SPACE), seed)
    head = linear_head.fit(features, labels, groups=groups, seed=seed)
    fitted = network.with_head(head.weight, head.bias, head.classes)
    facts |= {"fingerprint": fitted.classifier_fingerprint, "classes": list(head.classes), "kind": FITTED, "fair": True}
    facts |= {"fitted_on": len(labels), "of": total, **head.to_dict()}
    model_folder.save(fitted, _explained_folder(store, facts), metadata={"head": facts})
    classify = partial(linear_head.probabilities, weight=head.weight, bias=head.bias)
    return Classification(classify, reclassify=True, facts=facts, notes=[head.reason] if head.reason else [])
