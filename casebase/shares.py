"""Shares of right answers with an interval that is honest about images that belong together.

Wilson's 95 % interval for independent images (:func:`casebase.reuse.wilson`); where images of one group (one animal,
one patient) stand together, a bootstrap in which whole groups are drawn. B. Efron, 1979, "Bootstrap Methods: Another
Look at the Jackknife", https://doi.org/10.1214/aos/1176344552.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.evaluations import Measured
from casebase.reuse import wilson

DRAWS = 1000
LEVEL = 0.95
_AT_ONCE = 500_000
"""Clusters drawn at once, in all samples together."""


def share(successes: int, n: int) -> Measured:
    """A share of independent images with Wilson's 95 % interval; refused for n = 0."""
    if n == 0:
        return Measured(None, n=0, reason="no image")
    low, high = wilson(successes, n)
    return Measured(successes / n, low, high, n)


def grouped_share(good: NDArray[np.bool_], groups: Sequence[Hashable | None], seed: int = 0) -> Measured:
    """The share of true values ``(n,)``: Wilson's interval, or a bootstrap by group where images belong together.

    Where groups are all good or all bad, no resample could show the contrary: Wilson's interval with the number of
    groups in the place of n.
    """
    n, successes = len(good), int(good.sum())
    named = [group for group in groups if group is not None]
    if n == 0 or len(set(named)) == len(named):
        return share(successes, n)
    number = {group: place for place, group in enumerate(dict.fromkeys(named))}
    alone = iter(range(len(number), n + len(number)))
    codes = np.array([next(alone) if group is None else number[group] for group in groups])
    _, codes = np.unique(codes, return_inverse=True)
    sizes, right = np.bincount(codes), np.bincount(codes, weights=good)
    if successes in (0, n):
        low, high = wilson(len(sizes) if successes else 0, len(sizes))
        return Measured(successes / n, low, high, n)
    random = clock.generator(seed)
    drawn = np.empty(DRAWS)
    block = max(1, _AT_ONCE // len(sizes))
    for start in range(0, DRAWS, block):
        picked = random.integers(0, len(sizes), size=(min(block, DRAWS - start), len(sizes)))
        drawn[start : start + block] = right[picked].sum(axis=1) / sizes[picked].sum(axis=1)
    low_, high_ = interval(drawn)
    return Measured(successes / n, low_, high_, n)


def interval(drawn: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """The 2.5th and 97.5th percentile of bootstrap values ``(draws,)``; None, None where most are not finite."""
    kept = drawn[np.isfinite(drawn)]
    if len(kept) < len(drawn) / 2 or not len(kept):
        return None, None
    edge = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(kept, [edge, 1.0 - edge])
    return float(low), float(high)
