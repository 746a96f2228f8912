"""The class association embedding of a base, put on the network it explains again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casebase.association import Association
from casebase.commands import spoken
from casebase.errors import FingerprintMismatch, NotFound, UsageError, WeightsMissing
from casebase.reading import printable
from casebase.spaces import CAE_SPACE, absent
from casebase.storage import association_rows
from casebase.storage.writing import SqlCaseStore

if TYPE_CHECKING:
    from casebase.networks.cae.reader import CaeEmbedder, CaeReader
    from casebase.networks.explained import ExplainedNetwork


def association(store: SqlCaseStore) -> Association | None:
    """The stored embedding; None where there is none. Raises ``FingerprintMismatch`` for another network's."""
    return _of_network(store, store.association())


def association_view(store: SqlCaseStore, network: ExplainedNetwork) -> CaeReader | None:
    """The base's embedding on the network it explains; None where there is none.

    Raises ``FingerprintMismatch`` for another network's, ``WeightsMissing`` and ``CheckpointRefused`` where the file
    of its weights is gone or is another. One that failed its gates is handed out as well: ``found.failed`` says so.
    """
    found = association(store)
    if found is None:
        return None
    from casebase.networks.cae import reader

    try:
        tensors = reader.load(association_rows.tensor_file(store.folder, found.digest), found.digest)
    except WeightsMissing:
        if store.association_digest() == found.digest:
            raise
        return association_view(store, network)  # a training has just put another in its place
    return reader.CaeReader(network, found, tensors)


def needed_association(store: SqlCaseStore, network: ExplainedNetwork) -> CaeReader:
    """:func:`association_view` where there is one, else ``NotFound`` with the command that makes it."""
    found = association_view(store, network)
    if found is None:
        command = spoken("cae", "train", base=store.folder)
        raise NotFound(f"no class association embedding in {printable(str(store.folder))}; make one with `{command}`")
    return found


def association_embedder(store: SqlCaseStore, network: ExplainedNetwork) -> CaeEmbedder:
    """What brings images into the space ``cae``; raises as :func:`association_view`, ``UsageError`` without one."""
    found = association_view(store, network)
    if found is None:
        raise UsageError(absent(CAE_SPACE, store.spaces()))
    from casebase.networks.cae import reader

    return reader.CaeEmbedder(found, network.preprocess)


def cautions(found: Association | None) -> dict[str, str]:
    """What whoever asks in the space ``cae`` has to know first, by space."""
    if found is None or found.trustworthy:
        return {}
    more = f" (and {len(found.failed) - 1} more)" if len(found.failed) > 1 else ""
    return {CAE_SPACE: f"the class codes of this base are not to be trusted: {printable(found.failed[0])}{more}"}


def _of_network(store: SqlCaseStore, found: Association | None) -> Association | None:
    known = (store.setting("classifier") or {}).get("fingerprint")
    if found is not None and found.classifier != known:
        raise FingerprintMismatch(
            f"the class association embedding of this base explains the network {found.classifier}, and its "
            f"predictions are those of {known}; make a new one with `{spoken('cae', 'train', base=store.folder)}`"
        )
    return found
