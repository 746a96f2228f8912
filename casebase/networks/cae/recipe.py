"""What a training of a class association embedding is told. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from casebase.association import PREDICTED, TARGETS, Size, Standing
from casebase.errors import UsageError

PAPER, SMALL, TEST = "paper", "small", "test"


@dataclass(frozen=True, slots=True)
class Preset:
    """A size with the settings it is trained with: ``batch`` pairs a step, the rate halved ``halved`` times."""

    size: Size
    iterations: int
    batch: int
    rate: float
    halved: int


PRESETS: Final = MappingProxyType({
    PAPER: Preset(Size(256, 64, 6), 200_000, 1, 1e-4, 10),
    SMALL: Preset(Size(64, 16, 3), 2_000, 1, 2e-4, 3),
    TEST: Preset(Size(32, 12, 2, halvings=2), 1_500, 1, 2e-4, 3),
})  # fmt: skip
"""``paper``: as published. ``small`` and ``test``: the same networks, losses and weights, narrower and shorter."""


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

    @property
    def plan(self) -> Preset:
        """The preset with what was chosen otherwise."""
        one = PRESETS[self.preset]
        return Preset(one.size, self.iterations or one.iterations, self.batch or one.batch, one.rate, one.halved)


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a training is.

    ``done`` of ``total``, in images while they are read and in iterations afterwards; ``terms`` are running means of
    the losses by name, ``standing`` the newest, ``sheet`` the newest sample sheet.
    """

    stage: str
    done: int
    total: int
    terms: Mapping[str, float] = field(default_factory=dict)
    standing: Standing | None = None
    sheet: str | None = None


Watch = Callable[[Progress], None]
