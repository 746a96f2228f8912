"""How to measure twins: what a person may choose. Light to import."""

from __future__ import annotations

from dataclasses import dataclass

from casebase.errors import UsageError


@dataclass(frozen=True, slots=True)
class TwinOptions:
    """``k`` neighbours per list; ``sample`` images are read from the disk for stability (0: none).

    ``control_cases`` cases at most are embedded by the random network, unless ``random_network`` is False.
    """

    k: int = 5
    sample: int = 100
    control_cases: int = 400
    random_network: bool = True

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k must be at least 1, not {self.k}")
        if self.sample < 0:
            raise UsageError(f"the sample must be 0 (no stability) or more images, not {self.sample}")
        if self.control_cases < 1:
            raise UsageError(
                f"the random network needs at least 1 case, not {self.control_cases}; --no-random-control leaves it out"
            )
