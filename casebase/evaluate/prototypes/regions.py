"""Maps of similarity on the view: where their maximum is, and which part of the view is most similar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase.prototypes import Floats

Bits = NDArray[np.bool_]
TOP_SHARE = 0.05
"""Of the view: what the published pictures draw a box round (their 95th percentile)."""


def enlarged(values: Floats, size: tuple[int, int]) -> Floats:
    """A map ``(h, w)`` resized bicubically to ``size`` (height, width), as ProtoPNet draws it; values not clipped."""
    small = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(small.resize((size[1], size[0]), Image.Resampling.BICUBIC), np.float32)


def peak(values: Floats, size: tuple[int, int]) -> tuple[float, float]:
    """The middle (x, y) of the enlarged map's largest pixel, as fractions of the view; the first of equals.

    >>> peak(np.array([[0, 0], [0, 1]], np.float32), (2, 2))
    (0.75, 0.75)
    """
    row, column = divmod(int(enlarged(values, size).argmax()), size[1])
    return (column + 0.5) / size[1], (row + 0.5) / size[0]


def top_region(values: Floats, size: tuple[int, int], share: float = TOP_SHARE) -> Bits:
    """The ``share`` of pixels of the enlarged map that are largest, ``size`` bool; of equals the earlier ones.

    At least one pixel, and never all of a map that has more than one.
    """
    whole = enlarged(values, size).ravel()
    chosen = np.zeros(whole.size, np.bool_)
    chosen[np.argsort(-whole, kind="stable")[: max(1, round(share * whole.size))]] = True
    return chosen.reshape(size)


def overlap(one: Bits, other: Bits) -> float:
    """Intersection over union of two regions, in [0, 1]; 1 where both are empty."""
    union = int((one | other).sum())
    return float((one & other).sum() / union) if union else 1.0
