"""Pairs that may be one photograph, without an n x n matrix in memory.

Re-encoded and rescaled pictures have look hashes a few bits apart. Cut into ``bound + 1`` bands, two hashes that differ
in at most ``bound`` bits are equal in at least one band (there are fewer differences than bands), so sorting by each
band finds every such pair. Cropped pictures have other hashes: there, every whole picture is compared with parts of
all others, in blocks, by 32 numbers each.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.data_audit.looks import WHOLE, Box, Matrix, cut, whitening

Places = NDArray[np.intp]
Hashes = NDArray[np.uint64]

BITS = 64
BLOCK = 512
"""Rows compared at once."""
COARSE_SIDE, COARSE_KEPT, COARSE_FLOOR = 8, 32, 0.3
LIKELY, MOST = 0.7, 8
"""A picture has at most so many candidates whose coarse correlation is at least this.

Of crops to 80 % of both sides, 100 % of photographs and 98 % of 28-pixel X-rays reach it with the picture they were
cut from, which is then among the first eight; of other pairs of photographs, one in 4,000 does."""
LEARNT = 20_000
"""Pictures from which the common part is learnt, spread over the set."""


def boxes() -> list[Box]:
    """The whole and 14 parts: 90 % of both sides in the middle and the corners, 80 % in nine places."""
    found = [WHOLE]
    for share, places in ((0.9, ((0.05, 0.05), (0, 0), (0.1, 0), (0, 0.1), (0.1, 0.1))),
                          (0.8, tuple((x, y) for x in (0, 0.1, 0.2) for y in (0, 0.1, 0.2)))):  # fmt: skip
        found += [(x, y, x + share, y + share) for x, y in places]
    return found


def by_hash(hashes: Hashes, bound: int) -> Iterator[tuple[Places, Places]]:
    """Every pair of rows whose hashes ``(n,) uint64`` differ in at most ``bound`` bits, once, in pieces."""
    edges = np.linspace(0, BITS, bound + 2).round().astype(int)
    bands = [(hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1) for low, high in pairwise(edges)]
    for number, band in enumerate(bands):
        order = np.argsort(band, kind="stable")
        keys = band[order]
        for away in range(1, len(order)):
            equal = np.flatnonzero(keys[away:] == keys[:-away])
            if not len(equal):
                break
            one, other = order[equal], order[equal + away]
            near = np.bitwise_count(hashes[one] ^ hashes[other]) <= bound
            for earlier in bands[:number]:  # told already, by that band
                near &= earlier[one] != earlier[other]
            if near.any():
                yield np.minimum(one[near], other[near]), np.maximum(one[near], other[near])


class Parts:
    """Finds pairs of which the whole of one picture looks like a part of the other, block by block."""

    def __init__(self, minis: NDArray[np.uint8]) -> None:
        parts = boxes()
        common = whitening(spread(cut(minis, WHOLE, COARSE_SIDE)), COARSE_FLOOR, COARSE_KEPT)
        self._looks = [common.of(cut(minis, box, COARSE_SIDE)) for box in parts]  # of each part (n, 32)
        self._boxes = np.array(parts)
        self.starts = range(0, len(minis), BLOCK)

    def block(self, start: int) -> tuple[Places, Places, NDArray[np.float64]]:
        """Pairs (one, other, box) for a block of pictures: each looks like the part ``box (m, 4)`` of other."""
        block = self._looks[0][start : start + BLOCK]
        found: list[tuple[Places, Places, Places, Matrix]] = []
        for number, look in enumerate(self._looks):
            alike = (block @ look.T).ravel()  # (block * n,)
            hit = np.flatnonzero(alike >= LIKELY)
            one, other = np.divmod(hit, len(look))
            # the whole with the whole: each pair once, none with itself
            keep = other > one + start if number == 0 else other != one + start
            found.append((one[keep] + start, other[keep], np.full(int(keep.sum()), number), alike[hit[keep]]))
        one, other, part, score = (np.concatenate(column) for column in zip(*found, strict=True))
        kept = _best(one, other, score)
        return one[kept], other[kept], self._boxes[part[kept]]


def spread(values: Matrix) -> Matrix:
    """At most ``LEARNT`` of the rows, evenly spread."""
    return values[:: max(1, -(-len(values) // LEARNT))]


def _best(one: Places, other: Places, score: Matrix) -> Places:
    """Rows of the best part of each pair, and of these the ``MOST`` best of each ``one``."""
    order = np.lexsort((-score, other, one))
    first = np.ones(len(order), bool)
    first[1:] = (one[order][1:] != one[order][:-1]) | (other[order][1:] != other[order][:-1])
    pairs = order[first]
    pairs = pairs[np.lexsort((other[pairs], -score[pairs], one[pairs]))]
    start = np.searchsorted(one[pairs], one[pairs], side="left")
    return pairs[np.arange(len(pairs)) - start < MOST]
