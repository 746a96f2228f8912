"""A case store that keeps nothing but counts, so that the pipeline can be timed without storing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase.cases import Fingerprint
from casebase.ports import Changes, Entry, Known
from casebase.spaces import NETWORK_SPACE
from casebase.storage.memory import MemoryCaseStore


class CountingStore(MemoryCaseStore):
    """Forgets what it is given; with ``keep`` it remembers each file's vector, to be compared."""

    def __init__(self, *, keep: bool = False) -> None:
        super().__init__()
        self.retained = 0
        self.embed_seconds = 0.0
        self.kept: dict[Path, NDArray[np.float32]] = {}
        self._keep = keep
        self._told: dict[str, Fingerprint] = {}

    def known(self, ids: Sequence[str]) -> Mapping[str, Known]:
        """Nothing is known."""
        return {}

    def ids_of(self, source: int) -> Iterator[str]:
        """Nothing is there."""
        return iter(())

    def retain(self, run: int, entries: Sequence[Entry]) -> None:
        """Count."""
        self.retained += len(entries)
        if self._keep:
            self.kept |= {entry.image.path.resolve(): entry.vectors[NETWORK_SPACE] for entry in entries}

    def publish(self, run: int, changes: Changes) -> bool:
        """Nothing becomes visible."""
        return False

    def finish(self, run: int, summary: Mapping[str, Any]) -> None:
        """Nothing is recorded."""
