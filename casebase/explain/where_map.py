"""Where the likeness of two pictures lies: the exact split of a cosine over the cells of a feature map.

Source: Stylianou, Souvenir & Pless 2019, "Visualizing Deep Similarity Networks", https://arxiv.org/abs/1901.00536.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def split(cells: Array, other: Array, weights: Array | None = None) -> Array:
    """Share of each cell of one picture in its cosine with another.

    ``cells`` is the last feature map ``(D, h, w)`` whose mean over cells is the embedding, ``other`` the other
    picture's embedding ``(D,)`` of any length. Returns ``(h, w) float32``, signed, summing to the cosine:

        S_p = a_p . h' / (P |h| |h'|)            with h = (1/P) sum_p a_p

    With ``weights`` w ``(D,)`` it is the class-weighted cosine: S_p = (w² * a_p) . h' / (P |w*h| |w*h'|).
    A picture whose embedding is zero has no direction: all cells are 0.
    """
    a = cells.astype(np.float64)
    b = other.astype(np.float64)
    w = np.ones_like(b) if weights is None else weights.astype(np.float64)
    count = a.shape[1] * a.shape[2]
    pooled = a.mean(axis=(1, 2))
    lengths = np.linalg.norm(w * pooled) * np.linalg.norm(w * b)
    if lengths == 0:
        return np.zeros(a.shape[1:], dtype=np.float32)
    shares: Array = (np.einsum("dhw,d->hw", a, w * w * b) / (count * lengths)).astype(np.float32)
    return shares
