"""Do matches stay where they are under noise? The stability of EvalProtoPNet, and what it can be without parts.

Q. Huang et al., "Evaluation and Improvement of Interpretability for Self-Explainable Part-Prototype Networks", ICCV
2023, https://arxiv.org/abs/2212.05946: Gaussian noise of sigma 0.2 on the normalised image, clipped at 0.25. Ours is
put on the 8-bit pixels that the network's preprocessing normalises, and so rounded to a 255th and kept within black and
white: a picture that could exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.prototypes.regions import overlap, top_region
from casebase.prototypes import Activation

SIGMA, LIMIT = 0.2, 0.25
"""In units of the normalised image."""


def noisy(view: NDArray[np.uint8], std: Sequence[float], random: np.random.Generator) -> NDArray[np.uint8]:
    """A view ``(H, W, 3) uint8`` with noise clip(N(0, 0.2^2), -0.25, 0.25) in units of ``std`` (of the [0, 1] scale).

    >>> bool((noisy(np.full((2, 2, 3), 128, np.uint8), (0.0, 0.0, 0.0), np.random.default_rng(0)) == 128).all())
    True
    """
    noise = np.clip(random.normal(0.0, SIGMA, view.shape), -LIMIT, LIMIT)
    moved = view + 255.0 * noise * np.asarray(std, np.float64)
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Steady:
    """Of one image: the share of its prototypes whose best cell stayed, and their mean IoU of the top 5 % region.

    ``top_stayed``: whether the best cell of the strongest match stayed.
    """

    cells: float
    region: float
    top_stayed: bool


def steady(
    before: Activation, after: Activation, numbers: NDArray[np.intp], top: int, size: tuple[int, int]
) -> Steady | None:
    """Compare two looks at one image over the prototypes ``numbers``; ``top`` is the strongest match.

    ``size`` is (height, width) of the view. None where there is no prototype to compare.
    """
    if not len(numbers):
        return None
    same = (before.cells == after.cells).all(axis=1)
    regions = [overlap(top_region(before.maps[j], size), top_region(after.maps[j], size)) for j in numbers.tolist()]
    return Steady(float(same[numbers].mean()), float(np.mean(regions)), bool(same[top]))
