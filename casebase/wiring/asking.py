"""The networks of a finished case base, as they were indexed with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casebase import clock
from casebase.cases import Case, Status
from casebase.errors import EmptyCaseBase, FingerprintMismatch
from casebase.ports import Embedder
from casebase.query import Networks
from casebase.settings import Settings
from casebase.spaces import CAE_SPACE, CLIP_SPACE, NETWORK_SPACE
from casebase.storage.writing import SqlCaseStore
from casebase.wiring.association import association_embedder, cautions

if TYPE_CHECKING:
    from casebase.networks.explained import ExplainedNetwork
    from casebase.networks.open_clip_net import ClipEmbedder


def networks_of(
    store: SqlCaseStore, settings: Settings, space: str = NETWORK_SPACE
) -> tuple[Networks, ExplainedNetwork]:
    """The base's own networks as they were indexed with; other spaces' embedders only where they are asked for."""
    known = store.setting("classifier")
    if known is None:
        raise EmptyCaseBase(f"{store.folder} holds no case yet; run `casebase index DATA` to its end first")
    spaces = store.spaces()
    network = read_network(store, explained_folder(store, known), settings, spaces[NETWORK_SPACE].precision)
    classifier = network.classifier
    if classifier is None or classifier.fingerprint != known["fingerprint"]:
        raise FingerprintMismatch(
            f"the model in {store.folder / 'models'} is not the one that made the predictions of this base; "
            "restore it from a backup, or index into another --base"
        )
    others: dict[str, Embedder] = {}
    if space == CLIP_SPACE and space in spaces:
        others[space] = read_clip(store, settings)
    if space == CAE_SPACE:
        others[space] = association_embedder(store, network)
    return Networks(network, classifier, others, cautions(store.association())), network


def explained_folder(store: SqlCaseStore, known: Mapping[str, Any]) -> Path:
    """The model folder of the classifier that made the base's predictions."""
    return store.folder / "models" / f"explained-{known['fingerprint']}"


def read_network(store: SqlCaseStore, folder: Path, settings: Settings, precision: str = "fp32") -> ExplainedNetwork:
    """A model folder of this base, on the device and with the layer that the base is set to."""
    from casebase.networks import devices, model_folder
    from casebase.networks.explained import ExplainedNetwork

    return ExplainedNetwork(
        model_folder.load(folder),
        device=devices.choose(settings.device),
        precision=precision,
        layer=store.setting("layer"),
        batch_size=settings.batch_size,
    )


def read_clip(store: SqlCaseStore, settings: Settings) -> ClipEmbedder:
    """The base's own open_clip network."""
    from casebase.networks import devices, model_folder
    from casebase.networks.open_clip_net import ClipEmbedder

    loaded = model_folder.load(store.folder / "models" / CLIP_SPACE)
    return ClipEmbedder(loaded, device=devices.choose(settings.device), batch_size=settings.batch_size)


def random_cases(store: SqlCaseStore, count: int, seed: int) -> list[Case]:
    """Some active cases, drawn at random with this seed, whatever their class; fewer where there are fewer."""
    ids = [name for source in sorted(store.view().places) for name in store.ids_of(source)]
    drawn = [ids[place] for place in clock.generator(seed).permutation(len(ids)).tolist()]
    found: list[Case] = []
    while drawn and len(found) < count:
        part, drawn = drawn[: 4 * count], drawn[4 * count :]
        known = store.get(part)
        found += [known[name] for name in part if name in known and known[name].status is Status.ACTIVE]
    return found[:count]
