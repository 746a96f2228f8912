"""Intervals of figures that are no share: the bootstrap. Those of shares are in :mod:`casebase.shares`.

B. Efron, 1979, "Bootstrap Methods: Another Look at the Jackknife", https://doi.org/10.1214/aos/1176344552. Images of
one group (one animal, one patient) are drawn together: a cluster bootstrap, since they are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.evaluations import Measured
from casebase.shares import DRAWS, interval

Rows = NDArray[np.intp]
STILL = 1e-12
"""A narrower interval is rounding."""


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
    return moved(value, low, high, n)


def moved(value: float, low: float | None, high: float | None, n: int) -> Measured:
    """A figure with its interval; without one where no resample moved it: that is no certainty, but a blind method.

    What was not seen once (an error, an answer out of order) is in no resample either.
    """
    if low is not None and high is not None and high - low <= STILL:
        return Measured(value, n=n, reason="the same in every resample")
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
        else:
            found.append(moved(value, low, high, n))
    return found
