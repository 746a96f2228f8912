"""Whether bf16 may stand in for fp32: only where this machine is fast in it and the vectors agree.

Measured on images of the set with the weights in use, because agreement differs between networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.networks.devices import fast_bf16
from casebase.ports import Embedder, Matrix

LEAST_COSINE = 0.9995
LEAST_OVERLAP = 0.97
NEIGHBOURS = 5
FEWEST = 2 * NEIGHBOURS
ROUNDS = 1


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two precisions agree on ``n`` images.

    ``min_cosine`` is the lowest cosine of a vector with itself, ``min_centred_cosine`` the same after the mean is taken
    off (images of one set are alike, which flatters the first); ``top5_overlap`` the mean share of common neighbours;
    ``speed_ratio`` how many times faster bf16 was, measured once, so roughly. None where nothing was compared.
    """

    choice: str
    reason: str
    n: int
    min_cosine: float | None = None
    min_centred_cosine: float | None = None
    top5_overlap: float | None = None
    speed_ratio: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def choose(
    network: Embedder, in_bf16: Callable[[], Embedder], views: NDArray[np.uint8], *, device: str = "cpu"
) -> tuple[str, dict[str, Any]]:
    """``fp32`` or ``bf16`` for this network on this machine, and the figures behind it (see :class:`Agreement`).

    ``network`` reads in fp32, ``in_bf16`` makes its bf16 twin; ``views (n, H, W, 3) uint8`` are a sample of the set.
    """
    found = compare(network, in_bf16, views, device=device)
    return found.choice, found.to_dict()


def compare(
    network: Embedder, in_bf16: Callable[[], Embedder], views: NDArray[np.uint8], *, device: str = "cpu"
) -> Agreement:
    """See :func:`choose`."""
    n = len(views)
    if not fast_bf16(device):
        return Agreement("fp32", f"{device} has no native bf16", n)
    if n < FEWEST:
        return Agreement("fp32", f"{n} images are too few to compare precisions (at least {FEWEST})", n)
    half = in_bf16()
    plain_vectors, plain_seconds = _timed(network, views)
    half_vectors, half_seconds = _timed(half, views)
    cosine, centred, overlap = agreement(plain_vectors, half_vectors)
    agreed = cosine >= LEAST_COSINE and overlap >= LEAST_OVERLAP
    reason = (
        f"bf16 {'agrees' if agreed else 'does not agree'} with fp32: lowest cosine {cosine:.5f} "
        f"(at least {LEAST_COSINE}), same {NEIGHBOURS} neighbours {overlap:.3f} (at least {LEAST_OVERLAP}), n = {n}"
    )
    ratio = plain_seconds / max(half_seconds, 1e-9)
    return Agreement("bf16" if agreed else "fp32", reason, n, cosine, centred, overlap, ratio)


def agreement(one: Matrix, other: Matrix) -> tuple[float, float, float]:
    """Lowest cosine, lowest cosine after centring, and share of common nearest five, of two ``(n, D)`` readings."""
    cosine = _row_cosines(one, other)
    centred = _row_cosines(one - one.mean(0), other - other.mean(0))
    mine, theirs = _neighbours(one), _neighbours(other)
    shared = [len(set(a) & set(b)) / len(a) for a, b in zip(mine.tolist(), theirs.tolist(), strict=True)]
    return float(cosine.min()), float(centred.min()), float(np.mean(shared))


def _timed(network: Embedder, views: NDArray[np.uint8]) -> tuple[Matrix, float]:
    best, vectors = float("inf"), np.zeros((0, 0), np.float32)
    for _ in range(ROUNDS):
        started = clock.seconds()
        step = network.batch_size
        vectors = np.concatenate([network.read(views[i : i + step]).features for i in range(0, len(views), step)])
        best = min(best, clock.seconds() - started)
    return vectors, best


def _neighbours(vectors: Matrix) -> NDArray[np.intp]:
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    likeness = unit @ unit.T  # (n, n)
    np.fill_diagonal(likeness, -np.inf)
    found: NDArray[np.intp] = np.argsort(-likeness, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(vectors) - 1)]
    return found


def _row_cosines(one: Matrix, other: Matrix) -> NDArray[np.float64]:
    a, b = one.astype(np.float64), other.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found: NDArray[np.float64] = (a * b).sum(1) / np.maximum(norms, 1e-12)
    return found
