"""How near is near: the distances that are usual inside a class, measured once per generation.

Two tables per space and predicted class: similarities of pairs (for the percentile of a neighbour) and distances of
reference images to their own nearest twin (for "no comparable case"). Held-out images are the reference where there
are at least ``FEWEST_COMPARED`` of a class; else the cases themselves, each left out, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.answers import Comparable
from casebase.correctness import FEWEST_COMPARED, HELD_OUT
from casebase.distance import Matrix
from casebase.evidence import COPY, Relatives, related
from casebase.reuse import wilson
from casebase.storage.matrix import ExactIndex
from casebase.storage.translate import file_errors

MOST_PAIRS = 10_000
MOST_REFERENCES = 400
PAIR_BUDGET = 2_000_000
LEFT_OUT = "the cases themselves, each left out"


@dataclass(frozen=True, eq=False)
class Yardstick:
    """By predicted class: sorted similarities of pairs, sorted nearest-twin distances, and the reference they use."""

    pairs: Mapping[str, NDArray[np.float32]]
    twins: Mapping[str, NDArray[np.float32]]
    reference: Mapping[str, str]

    def percentile(self, name: str, similarity: float) -> float | None:
        """Share (0..100) of the class's pairs that are no more alike than ``similarity``."""
        pairs = self.pairs.get(name)
        if pairs is None or len(pairs) < FEWEST_COMPARED:
            return None
        return 100.0 * float(np.searchsorted(pairs, np.float32(similarity + 1e-6), side="right")) / len(pairs)

    def comparable(self, name: str, distance: float) -> Comparable | None:
        """Share of reference images whose nearest twin is as far or farther, with its Wilson interval."""
        twins = self.twins.get(name)
        if twins is None or len(twins) < FEWEST_COMPARED:
            return None
        farther = len(twins) - int(np.searchsorted(twins, np.float32(distance - 1e-6), side="left"))
        low, high = wilson(farther, len(twins))
        return Comparable(farther / len(twins), len(twins), low, high, self.reference[name])


@dataclass(frozen=True, eq=False)
class Outside:
    """Held-out images of one predicted class: unit vectors ``(n, D)``, pixel hashes and groups."""

    vectors: Matrix
    pixels: Sequence[str]
    groups: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.vectors)


def measure(
    index: ExactIndex, relatives: Relatives, held_out: Mapping[str, Outside], *, cases_are_fair: bool, seed: int
) -> Yardstick:
    """Measure every predicted class of an index, whose rows ``relatives`` knows in the same order.

    ``held_out`` maps a predicted class to its held-out images. An image's own pixels and its own group are never
    measured against it, as they never answer it. ``cases_are_fair`` tells whether
    the network was fitted without the cases, so that their own distances are what a new image would see; where it is
    False and there are no held-out images, no nearest-twin reference is made (``science``: a fitted network has pulled
    its training images together).
    """
    random = clock.generator(seed)
    most = max(FEWEST_COMPARED, min(MOST_PAIRS, PAIR_BUDGET // max(1, len(index.slices))))
    pairs: dict[str, NDArray[np.float32]] = {}
    twins: dict[str, NDArray[np.float32]] = {}
    reference: dict[str, str] = {}
    for name, part in index.slices.items():
        own = index.rows[part]
        outside = held_out.get(name)
        fair = outside is not None and len(outside) >= FEWEST_COMPARED
        if len(own) < 2:
            continue
        queries, kin = own, relatives.codes[part]
        if fair and outside is not None:
            queries, kin = outside.vectors, relatives.of_images(outside.pixels, outside.groups)
        left = random.integers(0, len(queries), most)
        right = random.integers(0, len(own), most)
        apart = ~related(kin[left], relatives.codes[part][right])
        similar = _row_products(queries, own, left[apart], right[apart])
        if fair or cases_are_fair:
            picked = np.arange(len(queries)) if fair else np.sort(random.permutation(len(own)))
            picked = picked[:MOST_REFERENCES]
            twins[name] = _nearest(np.asarray(queries[picked]), own, kin[picked], relatives, part.start)
        unique = len(own) * (len(own) - 1) // 2
        if unique >= FEWEST_COMPARED:
            pairs[name] = np.sort(similar.astype(np.float32))
        reference[name] = HELD_OUT if fair else LEFT_OUT
    return Yardstick(pairs, twins, reference)


def _row_products(one: Matrix, other: Matrix, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
    parts = [
        np.einsum("nd,nd->n", one[left[i : i + 2048]], other[right[i : i + 2048]]) for i in range(0, len(left), 2048)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _nearest(
    queries: Matrix, own: Matrix, kin: NDArray[np.int64], relatives: Relatives, start: int
) -> NDArray[np.float32]:
    """Sorted distances of ``queries`` to their nearest row of ``own``, which begins at ``start`` of all cases."""
    found = []
    for first in range(0, len(queries), 64):
        scores = queries[first : first + 64] @ own.T  # (64, n)
        for row, codes in enumerate(kin[first : first + 64]):
            at = relatives.positions(codes) - start
            scores[row, at[(at >= 0) & (at < len(own))]] = -2.0
        scores[scores > 1.0 - COPY] = -2.0  # an exact copy of a query never answers it either
        best = scores.max(axis=1)
        found.append(1.0 - best[best > -2.0])
    return np.sort(np.maximum(np.concatenate(found), 0.0).astype(np.float32))


def save(folder: Path, space: str, yardstick: Yardstick, classes: Sequence[str]) -> None:
    """Write a yardstick beside its matrix."""
    arrays: dict[str, Any] = {}
    for number, name in enumerate(classes):
        for kind, table in (("pairs", yardstick.pairs), ("twins", yardstick.twins)):
            if name in table:
                arrays[f"{kind}{number}"] = table[name]
        arrays[f"fair{number}"] = np.array(yardstick.reference.get(name) == HELD_OUT)
    with file_errors(folder):
        np.savez(folder / f"{space}.yardstick.npz", **arrays)


def load(folder: Path, space: str, classes: Sequence[str]) -> Yardstick:
    """Read a yardstick; raises ``OSError``, ``ValueError`` or ``KeyError`` where it is damaged."""
    with np.load(folder / f"{space}.yardstick.npz", allow_pickle=False) as stored:
        arrays = dict(stored)
    return Yardstick(
        pairs={c: arrays[f"pairs{i}"] for i, c in enumerate(classes) if f"pairs{i}" in arrays},
        twins={c: arrays[f"twins{i}"] for i, c in enumerate(classes) if f"twins{i}" in arrays},
        reference={c: HELD_OUT if bool(arrays[f"fair{i}"]) else LEFT_OUT for i, c in enumerate(classes)},
    )
