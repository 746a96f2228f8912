"""What a set consists of: how many prototypes, how many different ones, from how many images, how pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.prototypes.sights import Sight
from casebase.prototypes import Floats, PrototypeSet

NEAREST = 10
"""Images that purity looks at."""


@dataclass(frozen=True, slots=True)
class Census:
    """``distinct`` are different (image, row, column), ``sources`` different images, both counted over ``count``.

    ``fewest`` and ``most`` are prototypes per class, over all classes. ``cosine`` is the mean over pairs of one
    class, None where no class has two.
    """

    count: int
    fewest: int
    most: int
    distinct: int
    sources: int
    cosine: float | None
    pairs: int


def census(found: PrototypeSet, vectors: Floats) -> Census:
    """Count a set; ``vectors (P, D)`` are compared as they are, without the mean cell taken away twice."""
    per_class = Counter(one.of_class for one in found.prototypes)
    counts = [per_class[name] for name in found.classes]
    patches = [one.patch for one in found.prototypes]
    cosines = within_class([one.of_class for one in found.prototypes], vectors)
    return Census(
        count=len(patches), fewest=min(counts, default=0), most=max(counts, default=0),
        distinct=len({(patch.case_id, patch.row, patch.column) for patch in patches}),
        sources=len({patch.case_id for patch in patches}),
        cosine=float(np.mean(cosines)) if len(cosines) else None, pairs=len(cosines),
    )  # fmt: skip


def within_class(owners: Sequence[str], vectors: Floats) -> NDArray[np.float64]:
    """Cosine of every pair of vectors ``(P, D)`` of one class, in [-1, 1]; a vector of zeros has cosine 0."""
    length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1.0)
    return np.array([float(unit[i] @ unit[j]) for i, j in combinations(range(len(owners)), 2)
                     if owners[i] == owners[j]], np.float64)  # fmt: skip


def purity(sight: Sight, truth: NDArray[np.intp], owners: NDArray[np.intp]) -> NDArray[np.float64]:
    """For each prototype ``(P,)`` the share of its class among the ten images most similar to it.

    ``truth (n,)`` are labels, ``owners (P,)`` the prototypes' classes, in one numbering. Where a class has fewer than
    ten images, as many as it has are looked at, so that 1 can be reached; NaN where it has none.
    """
    found = np.full(len(owners), np.nan)
    for number, owner in enumerate(owners.tolist()):
        most = min(NEAREST, int((truth == owner).sum()))
        if most:
            found[number] = float((truth[sight.nearest(number, most)] == owner).mean())
    return found
