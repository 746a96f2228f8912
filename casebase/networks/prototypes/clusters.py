"""Where a class's parts are: its cells of largest evidence, in groups of one direction, each stood for by a real cell.

Spherical k-means: I. S. Dhillon and D. S. Modha, "Concept Decompositions for Large Sparse Text Data Using Clustering",
2001, https://doi.org/10.1023/A:1007612920971, by scikit-learn's k-means on vectors of unit length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from casebase.errors import ModelError

Cells = NDArray[np.float32]
Places = NDArray[np.intp]
STARTS = 4


@dataclass(frozen=True, eq=False)
class Candidates:
    """Cells that may stand for a class: unit ``vectors (M, D)``, and of each its image and its cell's number."""

    vectors: Cells
    images: Places
    cells: Places

    def __len__(self) -> int:
        return len(self.images)


def of_evidence(cells: Cells, maps: Cells, images: Places, weights: NDArray[np.float32], most: int) -> Candidates:
    """The ``most`` cells of largest class evidence of each image.

    ``cells (N, P, D)`` are unit vectors, ``maps (N, P, C)`` the raw cells less their mean, ``weights (C,)`` the class's
    row of the head less the mean of the others', so that ``maps @ weights`` is the cell's share of the score.
    """
    share = maps @ weights
    top = np.argsort(-share, axis=1, kind="stable")[:, :most]
    taken = np.take_along_axis(cells, top[:, :, None], axis=1)
    return Candidates(
        np.ascontiguousarray(taken.reshape(-1, cells.shape[2])), np.repeat(images, top.shape[1]), top.reshape(-1)
    )


def centres(vectors: Cells, k: int, seed: int) -> Cells:
    """Unit centres ``(k, D)`` of unit ``vectors (M, D)``; raises ``ModelError`` with fewer different vectors than k."""
    different = len(np.unique(vectors.round(6), axis=0))
    if different < k:
        raise ModelError(f"a class has only {different} different patches for {k} prototypes; choose a smaller --k")
    with threadpool_limits(limits=1, user_api="blas"):
        found = KMeans(k, n_init=STARTS, random_state=seed).fit(vectors).cluster_centers_
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    unit: Cells = (found / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit


def nearest_real(similar: NDArray[np.float32], images: Places, cells: Places) -> list[tuple[int, int]]:
    """For every prototype the most similar (image, cell), no image twice where there are enough of them.

    ``similar (M, K)`` is the similarity of M candidates to K prototypes. Prototypes choose in the order of how sure
    they are, so that none takes another's only good patch for a weak one of its own.
    """
    chosen: dict[int, tuple[int, int]] = {}
    used: set[int] = set()
    order = np.argsort(-similar, axis=0, kind="stable")
    for prototype in np.argsort(-similar.max(axis=0), kind="stable").tolist():
        ranked = order[:, prototype]
        free = next((at for at in ranked.tolist() if int(images[at]) not in used), int(ranked[0]))
        used.add(int(images[free]))
        chosen[prototype] = (int(images[free]), int(cells[free]))
    return [chosen[prototype] for prototype in range(similar.shape[1])]
