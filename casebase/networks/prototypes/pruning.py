"""Which prototypes go: those that hardly count, those that say what a better one says, those found in other classes.

After ProtoPNet's rule (C. Chen et al. 2019, supplement S8: 3 of the 6 nearest patches of its class), with the number
raised where that is what chance would give.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WEAK = 0.01
ALIKE = 0.95
NEAREST = 6
CHANCE = 0.11


def needed(prior: float) -> int:
    """Of the 6 most similar images, how many must be of the prototype's class: at least 3, and more than chance.

    The smallest number that a random prototype reaches with a probability of at most 0.11.

    >>> needed(0.5), needed(0.1)
    (5, 3)
    """
    for count in range(3, NEAREST + 1):
        tail = sum(
            math.comb(NEAREST, hit) * prior**hit * (1.0 - prior) ** (NEAREST - hit) for hit in range(count, NEAREST + 1)
        )
        if tail <= CHANCE:
            return count
    return NEAREST


def pure(
    similarities: NDArray[np.float32], target: NDArray[np.intp], of_class: Sequence[int], sources: Sequence[int]
) -> list[bool]:
    """Whether enough of the 6 images most similar to each prototype are of its class; its own source never counts."""
    found = []
    for number, (name, source) in enumerate(zip(of_class, sources, strict=True)):
        column = similarities[:, number].astype(np.float64)
        column[source] = -np.inf
        near = np.argsort(-column, kind="stable")[: min(NEAREST, len(column) - 1)]
        hits = int((target[near] == name).sum())
        wanted = needed(float((target == name).mean()))
        found.append(hits >= min(wanted, math.ceil(wanted * len(near) / NEAREST)))
    return found


def kept(
    weight: NDArray[np.float64],
    vectors: NDArray[np.float32],
    of_class: Sequence[int],
    pure_ones: Sequence[bool],
    fewest: int = 2,
) -> tuple[list[int], dict[str, int]]:
    """The numbers that stay, in order, and how many went for which reason (``weak``, ``duplicate``, ``impure``).

    Never fewer than ``fewest`` a class, where it has as many: the heaviest pure ones come back first.
    """
    gone: dict[int, str] = {}
    order = np.argsort(-weight, kind="stable").tolist()
    for place, number in enumerate(order):
        if not pure_ones[number]:
            gone[number] = "impure"
        elif weight[number] < WEAK:
            gone[number] = "weak"
        else:
            better = [o for o in order[:place] if o not in gone and of_class[o] == of_class[number]]
            if better and float((vectors[better] @ vectors[number]).max()) > ALIKE:
                gone[number] = "duplicate"
    for name in sorted(set(of_class)):
        own = [number for number in order if of_class[number] == name]
        lacking = fewest - sum(number not in gone for number in own)
        back = sorted((number for number in own if number in gone), key=lambda n: (not pure_ones[n], order.index(n)))
        for number in back[: max(0, lacking)]:
            del gone[number]
    counts = {reason: list(gone.values()).count(reason) for reason in ("weak", "duplicate", "impure")}
    return [number for number in range(len(of_class)) if number not in gone], counts
