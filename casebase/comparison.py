"""Does the trust score find wrong answers better than softmax? Judged on held-out images, each out of its own fit.

Two measures, smaller is better. AUGRC (Traub et al. 2024, "Overcoming Common Flaws in the Evaluation of Selective
Classification Systems", https://arxiv.org/abs/2407.01032): (1/n) Σ_j #errors among the j highest scores / n, the risk
of undetected errors, averaged over coverages. Brier (1950): the mean of (P(correct) - right)², with P(correct)
cross-fitted in five folds by group.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.calibration import LEAST_BLOCK, Flags, Scores, pool
from casebase.correctness import FEWEST_ERRORS, Comparison, Difference

FOLDS = 5
DRAWS = 500
_AT_ONCE = 50

Weights = NDArray[np.float64]


def compare(softmax: Scores, trust: Scores, right: Flags, clusters: Sequence[Hashable], *, seed: int = 0) -> Comparison:
    """Both scores ``(n,)`` on the images that have both; ``clusters`` names what must stay together."""
    usable = np.isfinite(trust) & np.isfinite(softmax)
    n, errors = int(usable.sum()), int((usable & ~right).sum())
    if errors < FEWEST_ERRORS or errors == n:
        return Comparison(n, errors)
    one, other, good = softmax[usable], trust[usable], right[usable]
    number = numbered([name for name, kept in zip(clusters, usable.tolist(), strict=True) if kept])
    fold = folds(number, seed)
    areas = area(one, good), area(other, good)
    squares = [(cross_fitted(scores, good, fold) - good) ** 2 for scores in (one, other)]
    means = _mean(squares[0]), _mean(squares[1])
    return Comparison(n, errors, _difference(*areas, number, seed), _difference(*means, number, seed))


def numbered(clusters: Sequence[Hashable]) -> NDArray[np.intp]:
    """Clusters as numbers from 0, in order of first appearance."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in clusters], np.intp)


def folds(clusters: NDArray[np.intp], seed: int, count: int = FOLDS) -> NDArray[np.intp]:
    """A fold for every row, whole clusters together; clusters are dealt out in a seeded order, the largest first."""
    sizes = np.bincount(clusters)
    order = clock.generator(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    full = np.zeros(count, np.int64)
    of = np.zeros(len(sizes), np.intp)
    for cluster in order.tolist():
        of[cluster] = int(full.argmin())
        full[of[cluster]] += sizes[cluster]
    return of[clusters]


def cross_fitted(scores: Scores, right: Flags, fold: NDArray[np.intp]) -> Scores:
    """P(correct) of every row, learnt from the other folds only."""
    found = np.empty(len(scores), np.float64)
    for number in np.unique(fold):
        inside = fold == number
        if inside.all():
            found[inside] = right.mean()
            continue
        blocks = pool(scores[~inside], right[~inside], LEAST_BLOCK)
        found[inside] = blocks.share(scores[inside])
    return found


Statistic = Callable[[Weights], NDArray[np.float64]]
"""From how often each row was drawn, ``(draws, n)``, to one value per draw."""


def area(scores: Scores, right: Flags) -> Statistic:
    """AUGRC under weights. Rows of equal score have no order: their errors are spread evenly over them."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    wrong = (~right[order]).astype(np.float64)

    def measured(weights: Weights) -> NDArray[np.float64]:
        drawn = weights[:, order]
        n = np.add.reduceat(drawn, starts, axis=1)
        errors = np.add.reduceat(drawn * wrong, starts, axis=1)
        before = np.cumsum(errors, axis=1) - errors
        total: NDArray[np.float64] = (n * before + errors * (n + 1) / 2).sum(axis=1)
        whole = weights.sum(axis=1)
        area: NDArray[np.float64] = np.divide(total, whole**2, out=np.full(len(n), np.nan), where=whole > 0)
        return area

    return measured


def _mean(values: Scores) -> Statistic:
    def measured(weights: Weights) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = weights @ values / np.maximum(weights.sum(axis=1), 1.0)
        return mean

    return measured


def draws(clusters: NDArray[np.intp], seed: int, count: int = DRAWS) -> list[Weights]:
    """How often each row is drawn when whole clusters are drawn with replacement: blocks of ``(draws, n)``.

    B. Efron, 1979, "Bootstrap Methods: Another Look at the Jackknife", https://doi.org/10.1214/aos/1176344552.
    """
    random = clock.generator(seed)
    number = int(clusters.max()) + 1
    blocks = []
    for start in range(0, count, _AT_ONCE):
        picked = random.integers(0, number, size=(min(_AT_ONCE, count - start), number))
        times = np.stack([np.bincount(row, minlength=number) for row in picked]).astype(np.float64)
        blocks.append(times[:, clusters])
    return blocks


def _difference(one: Statistic, other: Statistic, clusters: NDArray[np.intp], seed: int) -> Difference:
    """Both statistics on the same draws: a paired bootstrap of their difference, 95 % by percentiles."""
    plain = np.ones((1, len(clusters)))
    first, second = float(one(plain)[0]), float(other(plain)[0])
    gaps = np.concatenate([other(weights) - one(weights) for weights in draws(clusters, seed)])
    low, high = np.quantile(gaps[np.isfinite(gaps)], [0.025, 0.975])
    return Difference(first, second, second - first, float(low), float(high))
