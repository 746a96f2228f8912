"""What one run of the benchmarks was asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """``rounds`` counted after the warm-up, photographs per round, sizes of the query part, a folder to write in."""

    rounds: int
    photographs: int
    sizes: Sequence[int]
    queries: int
    images: int
    scratch: Path


def tell(line: str) -> None:
    """A line of progress, to standard error."""
    print(line, file=sys.stderr, flush=True)
