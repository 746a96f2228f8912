"""What a training of a class association embedding is told. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from casebase.association import PREDICTED, TARGETS, Size, Standing
from casebase.errors import UsageError

PAPER, SMALL, TEST = "paper", "small", "test"


@dataclass(frozen=True, slots=True)
class Preset:
    """A size with the settings it is trained with; ``halve_every`` iterations the rate is halved."""

    size: Size
    iterations: int
    batch: int
    rate: float
    halve_every: int


PRESETS: Final = MappingProxyType({
    PAPER: Preset(Size(256, 64, 6), 200_000, 1, 1e-4, 20_000),
    SMALL: Preset(Size(64, 16, 3), 2_000, 1, 2e-4, 700),
    TEST: Preset(Size(32, 12, 2, halvings=2), 600, 1, 2e-4, 200),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaeRecipe:
    """How an embedding is trained.

    ``preset`` is ``paper``, ``small`` or ``test``; ``iterations`` and ``batch`` (pairs a step) replace the preset's.
    ``target``: the classes the network ``predicted``, with its probabilities as soft targets, or the ``labels``.
    """

    preset: str = SMALL
    iterations: int | None = None
    batch: int | None = None
    target: str = PREDICTED
    seed: int = 0

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UsageError(f"--preset must be one of {', '.join(PRESETS)}, not {self.preset!r}")
        if self.target not in TARGETS:
            raise UsageError(f"--target must be {' or '.join(TARGETS)}, not {self.target!r}")
        if self.iterations is not None and self.iterations < 1:
            raise UsageError(f"--iterations must be at least 1, not {self.iterations}")
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"--batch-size must be at least 1, not {self.batch}")


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a training is: ``done`` of ``total`` iterations, the running mean of each term, the newest standing."""

    stage: str
    done: int
    total: int
    terms: Mapping[str, float]
    standing: Standing | None = None


Watch = Callable[[Progress], None]
