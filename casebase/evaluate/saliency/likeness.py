"""How alike two maps of one image are: rank correlation, structural similarity, correlation of gradient histograms.

Each function takes two maps ``(H, W)`` of one shape and gives a figure in [-1, 1], or None where the measure does not
exist: a map that is the same everywhere or not finite, or one too small for the window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
SSIM_WINDOW = 7
SSIM_K1, SSIM_K2 = 0.01, 0.03
ORIENTATIONS = 9
CELL = 16
"""Pixels along a cell's side in the gradient histograms, as in Adebayo et al."""
BLOCK = 3
"""Cells along the side of a block that is normalised together."""
CLIP, TINY = 0.2, 1e-5
"""Of L2-Hys: entries of a block are cut at ``CLIP``; ``TINY`` keeps empty blocks from being divided by zero."""


def spearman(one: Values, other: Values) -> float | None:
    """Pearson correlation of the ranks; equal values share their mean rank."""
    from scipy.stats import rankdata

    if not (_varied(one) and _varied(other)):
        return None
    return pearson(rankdata(one.ravel()), rankdata(other.ravel()))


def pearson(one: Values, other: Values) -> float | None:
    """Correlation of the values."""
    if not (_varied(one) and _varied(other)):
        return None
    a, b = (values.ravel().astype(np.float64) - values.mean(dtype=np.float64) for values in (one, other))
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / size, -1.0, 1.0)) if size > 0 else None


def ssim(one: Values, other: Values, *, window: int = SSIM_WINDOW, data_range: float = 1.0) -> float | None:
    """Mean structural similarity over all windows that lie inside; None for maps smaller than the window.

    Z. Wang et al., 2004, "Image Quality Assessment", https://doi.org/10.1109/TIP.2003.819861. With means m, variances v
    and covariance c of a ``window`` x ``window`` square, all pixels weighing the same and n - 1 under the variances:

        (2 m1 m2 + C1)(2 c + C2) / ((m1^2 + m2^2 + C1)(v1 + v2 + C2)),  C1 = (0.01 range)^2,  C2 = (0.03 range)^2

    The same choices as scikit-image's defaults; the paper's figures have a Gaussian window of 11.
    """
    if min(one.shape) < window or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return None
    a, b = one.astype(np.float64), other.astype(np.float64)
    unbiased = window**2 / (window**2 - 1)
    mean_a, mean_b = _means(a, window), _means(b, window)
    spread_a = unbiased * (_means(a * a, window) - mean_a**2)
    spread_b = unbiased * (_means(b * b, window) - mean_b**2)
    shared = unbiased * (_means(a * b, window) - mean_a * mean_b)
    c1, c2 = (SSIM_K1 * data_range) ** 2, (SSIM_K2 * data_range) ** 2
    above = (2 * mean_a * mean_b + c1) * (2 * shared + c2)
    return float((above / ((mean_a**2 + mean_b**2 + c1) * (spread_a + spread_b + c2))).mean())


def hog_correlation(one: Values, other: Values) -> float | None:
    """Pearson correlation of :func:`hog` of both maps; None where a side has fewer than three cells."""
    if min(one.shape) < BLOCK * CELL or not (_varied(one) and _varied(other)):
        return None
    return pearson(hog(one), hog(other))


def hog(values: Values) -> NDArray[np.float64]:
    """Histograms of oriented gradients: 9 unsigned directions, cells of 16 pixels, blocks of 3 x 3 cells, L2-Hys.

    N. Dalal, B. Triggs, 2005, https://doi.org/10.1109/CVPR.2005.177. Pixels beyond the last whole cell are left out.
    """
    down, across = np.zeros(values.shape), np.zeros(values.shape)
    down[1:-1] = values[2:].astype(np.float64) - values[:-2]
    across[:, 1:-1] = values[:, 2:].astype(np.float64) - values[:, :-2]
    size, angle = np.hypot(down, across), np.rad2deg(np.arctan2(down, across)) % 180
    rows, columns = values.shape[0] // CELL, values.shape[1] // CELL
    turned = np.minimum((angle * ORIENTATIONS / 180).astype(int), ORIENTATIONS - 1)
    parts = size * (turned == np.arange(ORIENTATIONS)[:, None, None])  # (9, H, W)
    whole = parts[:, : rows * CELL, : columns * CELL].reshape(ORIENTATIONS, rows, CELL, columns, CELL)
    cells = whole.mean((2, 4))  # (9, rows, columns)
    blocks = sliding_window_view(cells, (BLOCK, BLOCK), (1, 2))  # (9, r, c, 3, 3)
    flat = blocks.transpose(1, 2, 3, 4, 0).reshape(-1, ORIENTATIONS * BLOCK**2)
    cut = np.minimum(flat / np.sqrt((flat**2).sum(1, keepdims=True) + TINY**2), CLIP)
    found: NDArray[np.float64] = cut / np.sqrt((cut**2).sum(1, keepdims=True) + TINY**2)
    return found.ravel()


def likeness(one: Values, other: Values) -> dict[str, float | None]:
    """All measures of two raw maps: ``spearman`` with signs, and of the sizes ``spearman_abs``, ``ssim``, ``hog``.

    For the last two, the sizes are min-max scaled to [0, 1] map by map.
    """
    a, b = np.abs(one), np.abs(other)
    varied = _varied(a) and _varied(b)
    small, large = (_unit(a), _unit(b)) if varied else (a, b)
    return {
        "spearman": spearman(one, other),
        "spearman_abs": spearman(a, b),
        "ssim": ssim(small, large) if varied else None,
        "hog": hog_correlation(small, large) if varied else None,
    }


def _means(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """The mean of every window that lies inside."""
    for axis in (0, 1):
        values = sliding_window_view(values, window, axis).mean(-1)
    return values


def _unit(values: Values) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (values.astype(np.float64) - values.min()) / np.ptp(values)
    return found


def _varied(values: Values) -> bool:
    return bool(np.isfinite(values).all()) and float(np.ptp(values)) > 0
