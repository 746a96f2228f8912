"""Intervals of measured figures: Wilson's for a share, the bootstrap for everything else.

B. Efron, 1979, "Bootstrap Methods: Another Look at the Jackknife", https://doi.org/10.1214/aos/1176344552. Images of
one group (one animal, one patient) are drawn together: a cluster bootstrap, since they are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.evaluations import Measured
from casebase.reuse import wilson

DRAWS = 1000
LEVEL = 0.95
_AT_ONCE = 500_000
"""Clusters drawn at once, in all samples together."""

Rows = NDArray[np.intp]


def share(successes: int, n: int) -> Measured:
    """A share of independent images with Wilson's 95 % interval; refused for n = 0."""
    if n == 0:
        return Measured(None, n=0, reason="no image")
    low, high = wilson(successes, n)
    return Measured(successes / n, low, high, n)


def resamples(n: int, groups: Sequence[Hashable | None] | None, seed: int, draws: int = DRAWS) -> Iterator[Rows]:
    """``draws`` times the row numbers of a bootstrap sample of ``n`` rows; None is a group of its own."""
    random = clock.generator(seed)
    if groups is None or all(group is None for group in groups):
        for _ in range(draws):
            yield random.integers(0, n, size=n)
        return
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(("row", row) if group is None else ("group", group), []).append(row)
    clusters = [np.array(rows, np.intp) for rows in members.values()]
    for _ in range(draws):
        picked = random.integers(0, len(clusters), size=len(clusters))
        yield np.concatenate([clusters[i] for i in picked])


def bootstrap(
    statistic: Callable[[Rows], float],
    n: int,
    *,
    groups: Sequence[Hashable | None] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Measured:
    """A statistic of rows with its 95 % percentile interval.

    ``statistic`` takes row numbers ``(m,)``, repeated as drawn; samples for which it is not finite (a class that was
    not drawn) are left out, and with fewer than half of the samples left there is no interval.
    """
    if n == 0:
        return Measured(None, n=0, reason="no image")
    value = float(statistic(np.arange(n)))
    drawn = np.array([statistic(rows) for rows in resamples(n, groups, seed, draws)], np.float64)
    low, high = interval(drawn)
    if not np.isfinite(value):
        return Measured(None, n=n, reason="not defined on these images")
    return Measured(value, low, high, n)


def bootstrap_all(
    statistics: Callable[[Rows], NDArray[np.float64]],
    n: int,
    *,
    groups: Sequence[Hashable | None] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> list[Measured]:
    """Several statistics ``(s,)`` of the same rows, each as :func:`bootstrap` gives it, from one set of samples.

    A figure that is the same in every sample (nothing was wrong, or everything) has no interval: no sample could
    show what was not seen once.
    """
    values = statistics(np.arange(n))
    drawn = np.stack([statistics(rows) for rows in resamples(n, groups, seed, draws)])
    found = []
    for value, column in zip(values.tolist(), drawn.T, strict=True):
        low, high = interval(column)
        if not np.isfinite(value):
            found.append(Measured(None, n=n, reason="not defined on these images"))
        elif low == high:
            found.append(Measured(value, n=n, reason="the same in every resample"))
        else:
            found.append(Measured(value, low, high, n))
    return found


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
