"""Distances on arrays: cosine, and its form weighted by one class of the network's head. Smaller is nearer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from casebase.errors import StorageFailed, UsageError

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]


def unit(vectors: Matrix) -> tuple[Matrix, NDArray[np.float32]]:
    """Rows ``(N, D)`` scaled to unit length, and their former lengths ``(N,)``.

    Raises ``UsageError`` for a row that is zero or not finite: it has no direction, so no cosine.
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.ndim != 2:
        raise UsageError(f"vectors must be (N, D), not {rows.shape}")
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    bad = ~np.isfinite(norms) | (norms < 1e-12)
    if bad.any():
        raise UsageError(f"{int(bad.sum())} of {len(rows)} vectors are zero or not finite; cosine is undefined there")
    normed: Matrix = np.empty(rows.shape, dtype=np.float32)
    np.divide(rows, norms[:, None], out=normed, casting="same_kind")
    lengths: NDArray[np.float32] = norms.astype(np.float32)
    return normed, lengths


def check_query(vector: Vector, dim: int) -> Vector:
    """A query ``(D,)`` of unit length, checked like the rows it is compared with."""
    if vector.shape != (dim,):
        raise UsageError(f"the query has shape {vector.shape}, the space {(dim,)}")
    normed: Vector = unit(vector[None])[0][0]
    return normed


def cosine(rows: Matrix, query: Vector) -> NDArray[np.float64]:
    """``1 - cos`` of rows ``(N, D)`` to a query ``(D,)``, in float64, clipped to be >= 0, rounded to 1e-9.

    Both are normalised here, so that stored rounding does not leak into the answer; the rounding makes equal
    pictures tie exactly, whatever the order of summation.
    """
    left, right = rows.astype(np.float64), query.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right)
    if np.any(lengths == 0):
        raise StorageFailed("a stored vector is zero; run `casebase verify --deep`")
    similarity = np.einsum("nd,d->n", left, right) / lengths
    return _rounded(similarity)


def weighted_cosine(rows: Matrix, query: Vector, weights: Vector) -> NDArray[np.float64]:
    """``1 - cos(w*x, w*q)``: the ``contribution`` space, ``w`` being the head's row for the query's class, (D,).

    Scale of rows and query cancels. A row without any of the class's units has no direction here: distance 1.
    """
    left = rows.astype(np.float64) * weights.astype(np.float64)
    right = query.astype(np.float64) * weights.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right)
    similarity = np.divide(np.einsum("nd,d->n", left, right), lengths, out=np.zeros(len(left)), where=lengths > 0)
    return _rounded(similarity)


def _rounded(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.maximum(1.0 - similarity, 0.0).round(9)
    return distances
