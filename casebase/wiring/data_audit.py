"""The audit of a data set: the one look at its files, the network that checks copies, and the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from casebase import clock, reading
from casebase.data_audit import DataAudit, Seen
from casebase.errors import StorageFailed, UsageError
from casebase.explain.data_audit_page import DataAuditPages
from casebase.indexer.service import Progress
from casebase.indexer.sources import open_source
from casebase.indexer.surveying import survey
from casebase.reading import printable
from casebase.settings import Settings
from casebase.wiring.choices import ModelChoice, named_network
from casebase.wiring.machine import workers

if TYPE_CHECKING:
    from casebase.networks.explained import ExplainedNetwork


def audit_data(
    settings: Settings,
    data: Path,
    model: ModelChoice | None = None,
    *,
    progress: Progress = lambda done, total, skipped: None,
    announce: Callable[[str], None] = lambda line: None,
) -> DataAudit:
    """Look at every file of a folder or a manifest once, and say what is wrong with the set.

    With a ``model``, copies that are no exact ones must be near in its embedding too. Raises ``DataError`` where there
    is no image, and all errors of loading a network.
    """
    from casebase.evaluate.data_audit.study import audit

    source = open_source(data)
    network = None if model is None else named_network(model, settings)
    if network is not None and network.untrained:
        announce("the network's weights are random: untrained")
    for note in source.notes:
        announce(note)
    started = clock.seconds()
    looked = survey(source, workers=workers(settings), megapixels=settings.max_megapixels, progress=progress)
    reading_took = clock.seconds() - started
    facts = {"data": str(data), "date": clock.now(), "network": None if network is None else network.spec}
    embed = None if network is None else _embedder(network, looked.root, settings)
    found = audit(looked, str(data), facts, seed=settings.seed, embed=embed)
    seconds = {"seconds_reading": round(reading_took, 3), "seconds": round(clock.seconds() - started, 3)}
    return replace(found, settings={**found.settings, **seconds}, writer=DataAuditPages(settings.max_megapixels))


def check_audit(target: Path) -> None:
    """Raise where no page can be written to ``target``: before the work."""
    if target.is_dir():
        raise UsageError(f"{printable(str(target))} is a folder; name a file with --report, such as audit.html")
    if not target.resolve().parent.is_dir():
        raise StorageFailed(f"there is no folder {printable(str(target.parent))}; make it, or name another file")


def _embedder(
    network: ExplainedNetwork, root: Path, settings: Settings
) -> Callable[[Sequence[Seen]], NDArray[np.float32]]:
    """Embeddings ``(n, D)`` of unit length; only what is compared is decoded again."""

    def embed(pictures: Sequence[Seen]) -> NDArray[np.float32]:
        found = []
        for start in range(0, len(pictures), network.batch_size):
            batch = pictures[start : start + network.batch_size]
            views = [
                network.preprocess.pixels(reading.read(root / one.relative, megapixels=settings.max_megapixels).image)
                for one in batch
            ]
            found.append(network.read(reading.stack(views)).features)
        vectors = np.concatenate(found)
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)

    return embed
