"""What a prototype training is told. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from casebase.errors import UsageError
from casebase.prototypes import PROFILES, SIGNED

TARGETS = ("predicted", "labels")


@dataclass(frozen=True, slots=True)
class PrototypeRecipe:
    """How prototypes are made.

    ``profile`` is ``signed`` or ``classic``; ``k`` prototypes a class before pruning, None for the profile's own
    number; ``layer`` names a spatial layer instead of the one found; ``target`` says what the head is fitted to: what
    the network ``predicted`` of the cases (a surrogate of the network) or their ``labels``. ``steps`` bounds the
    gradient steps of every stage that has any, None for the profile's own numbers.
    """

    profile: str = SIGNED
    k: int | None = None
    layer: str | None = None
    target: str = "predicted"
    steps: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise UsageError(f"--profile must be {' or '.join(PROFILES)}, not {self.profile!r}")
        if self.target not in TARGETS:
            raise UsageError(f"--target must be {' or '.join(TARGETS)}, not {self.target!r}")
        if self.k is not None and self.k < 1:
            raise UsageError(f"--k must be at least 1, not {self.k}")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"--steps must be at least 1, not {self.steps}")


Watch = Callable[[str, int, int], None]
"""Told of progress: (stage, done, total), in images while features are cached and in steps afterwards."""
