"""Which network to index with, in which precision, and whether it knows the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from casebase import reading
from casebase.errors import FingerprintMismatch, ImageError, UsageError
from casebase.indexer.sources import Listed, Source, matched
from casebase.settings import Settings
from casebase.spaces import CLIP_SPACE, NETWORK_SPACE
from casebase.storage.writing import SqlCaseStore
from casebase.wiring.asking import explained_folder, read_clip, read_network

if TYPE_CHECKING:
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


def explained_network(
    store: SqlCaseStore, settings: Settings, choice: ModelChoice, labels: Sequence[str]
) -> tuple[ExplainedNetwork, list[str], str]:
    """The network, what to say of it, its kind: ``network`` (as it is), ``fitted`` (has its head), ``fit`` (will)."""
    known = store.setting("classifier")
    start = store.folder / "models" / START
    if known is None and not start.exists():
        return _first(store, settings, choice, labels)
    network = read_network(store, start if known is None else explained_folder(store, known), settings)
    kind = str(store.setting("start") if known is None else known["kind"])
    if choice.names_a_network:
        _same_network(network, named_network(choice, settings), store, kind)
    if choice.layer is not None and choice.layer != store.setting("layer"):
        raise UsageError("this base was made with another layer; leave out --layer, or index into another --base")
    if choice.head != "auto" and (choice.head == "network") != (kind == NETWORK):
        raise UsageError("the head was chosen when this base was made; leave out --head, or index into another --base")
    if known is None:
        return network, [], kind
    if choice.refit_head and kind != FITTED:
        raise UsageError("this base uses the network's own classes; --refit-head is for a fitted head")
    return network, [] if choice.refit_head else _strangers(labels, network.classes or (), kind), kind


def _first(
    store: SqlCaseStore, settings: Settings, choice: ModelChoice, labels: Sequence[str]
) -> tuple[ExplainedNetwork, list[str], str]:
    from casebase.networks import model_folder

    network = named_network(choice, settings)
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


def in_its_names(source: Source, labels: Sequence[str], classes: Sequence[str]) -> tuple[Source, list[str]]:
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


def named_network(choice: ModelChoice, settings: Settings) -> ExplainedNetwork:
    """The network that was named, on the device of the settings."""
    from casebase.networks import backbones, devices
    from casebase.networks.explained import ExplainedNetwork

    model, arch = named(choice.model, choice.arch)
    loaded = backbones.load(backbones.Wanted(model, arch, choice.weights, choice.class_names, seed=settings.seed))
    where = devices.choose(settings.device)
    return ExplainedNetwork(loaded, device=where, layer=choice.layer, batch_size=settings.batch_size)


def network_alone(choice: ModelChoice, settings: Settings) -> tuple[ExplainedNetwork, list[str]]:
    """A network that belongs to no base, and what to say of it; classes without names are called by their numbers."""
    network, notes = named_network(choice, settings), []
    if network.loaded.embeds:
        raise UsageError(f"{reading.printable(network.spec)} knows no classes, so there is nothing to explain")
    if network.untrained:
        notes.append("the network's weights are random: untrained")
    if network.classes is None:
        notes.append("the network's classes have no names and are called by their numbers; --class-names gives them")
        network = network.with_classes([str(number) for number in range(network.anatomy.outputs)])
    return network, notes


def named(model: str | None, arch: str | None) -> tuple[str, str | None]:
    """What ``--model`` and ``--arch`` mean together: a text for ``backbones``, and a checkpoint's architecture."""
    if model is not None:
        return model, arch
    return (arch if ":" in arch else f"torchvision:{arch}") if arch else DEFAULT_MODEL, None


def _same_network(stored: ExplainedNetwork, named: ExplainedNetwork, store: SqlCaseStore, kind: str) -> None:
    one, other = stored.fingerprint, named.with_precision(stored.precision).fingerprint
    if one != other:
        raise FingerprintMismatch(
            f"{store.folder} was made with another network ({'; '.join(one.differences(other))}: here / now); "
            "leave out --model and --weights to go on with it, or index into another --base"
        )
    if kind == NETWORK and named.classifier_fingerprint is not None:
        held = named.with_precision(stored.precision).classifier_fingerprint
        if held != stored.classifier_fingerprint:
            raise FingerprintMismatch(
                f"{store.folder} was made with another head on the same backbone; leave out --model and --weights "
                "to go on with it, or index into another --base"
            )


def in_precision(
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


def clip_network(store: SqlCaseStore, settings: Settings, choice: ModelChoice) -> ClipEmbedder:
    """The base's open_clip network, loaded and kept in the base the first time."""
    from casebase.networks import backbones, devices, model_folder
    from casebase.networks.open_clip_net import ClipEmbedder

    place = store.folder / "models" / CLIP_SPACE
    held = read_clip(store, settings) if place.exists() else None
    if held is not None and choice.clip_weights is None and choice.clip_model == DEFAULT_CLIP:
        return held
    wanted = backbones.Wanted(
        choice.clip_model, weights=choice.clip_weights, pretrained=not choice.clip_untrained, seed=settings.seed
    )
    where = devices.choose(settings.device)
    embedder = ClipEmbedder(backbones.load(wanted), device=where, batch_size=settings.batch_size)
    if held is not None and held.fingerprint != embedder.fingerprint:
        apart = "; ".join(held.fingerprint.differences(embedder.fingerprint))
        raise FingerprintMismatch(
            f"the space 'clip' of this base was made otherwise ({apart}: here / now); "
            "leave out --clip-model and --clip-weights, or index into another --base"
        )
    model_folder.save(embedder, place)
    return embedder
