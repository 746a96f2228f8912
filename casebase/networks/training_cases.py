"""What a training on a base's cases is given: the cases, and what the network sees of each. Knows no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Views(Protocol):
    """Images that can be had in batches."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: NDArray[np.intp], /) -> NDArray[np.uint8]:
        """The views ``(n, H, W, 3) uint8`` of these rows."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingCases:
    """The cases to learn from, in a fixed order: ``views`` as the network sees them, and what is known of each.

    ``labels`` and ``predicted`` are class names; ``groups`` keep together what belongs together (None: by itself).
    ``answers (N, C) float32`` are the network's probabilities in the order of its classes, None where none are needed.
    """

    views: Views
    ids: Sequence[str]
    pixel_hashes: Sequence[str]
    labels: Sequence[str]
    predicted: Sequence[str]
    groups: Sequence[str | None]
    answers: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.ids)
