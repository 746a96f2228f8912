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


def interval(drawn: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """The 2.5th and 97.5th percentile of bootstrap values ``(draws,)``; None, None where most are not finite."""
    kept = drawn[np.isfinite(drawn)]
    if len(kept) < len(drawn) / 2 or not len(kept):
        return None, None
    edge = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(kept, [edge, 1.0 - edge])
    return float(low), float(high)
