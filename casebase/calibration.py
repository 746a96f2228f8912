"""From a raw score to P(correct): isotonic regression on images whose answers are known to be right or wrong.

For scores in rising order with outcomes y (1 right, 0 wrong) it finds the non-decreasing f that minimises
Σ (y_i - f_i)². M. Ayer et al. 1955, "An Empirical Distribution Function for Sampling with Incomplete Information",
https://doi.org/10.1214/aoms/1177728423 (pool adjacent violators); for class probabilities B. Zadrozny & C. Elkan 2002,
"Transforming Classifier Scores into Accurate Multiclass Probability Estimates", https://doi.org/10.1145/775047.775151.
f is constant on blocks, and on each it is the share of right answers, so every value has its n and its interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.correctness import Calibrated, uncalibrated
from casebase.reuse import wilson

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST_IMAGES = 50
"""With fewer reference images a score is not calibrated."""
LEAST_BLOCK = 30
"""Images per block, at least: 30 answers that are all right still leave 11 % of error possible."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of scores in rising order: lowest score ``(B,)``, images ``(B,)`` and right answers ``(B,)`` of each."""

    edges: Scores
    n: NDArray[np.int64]
    right: NDArray[np.int64]

    def place(self, scores: Scores) -> NDArray[np.intp]:
        """The block of each score. A score between two blocks belongs to the lower one, the more careful of the two."""
        return np.maximum(np.searchsorted(self.edges, scores, side="right") - 1, 0)

    def share(self, scores: Scores) -> Scores:
        """P(correct) of each score, in [0, 1]; never falls as the score rises."""
        shares: Scores = (self.right / self.n)[self.place(scores)]
        return shares


def pool(scores: Scores, right: Flags, least: int = 1) -> Blocks:
    """The blocks of the isotonic regression of ``right (n,)`` on finite ``scores (n,)``, n >= 1.

    Equal scores stay together. With ``least`` above 1, scores are first joined from the lowest on into bins of at least
    so many images, and the regression runs over the bins: no block is smaller then, and an unsure answer is compared
    with the least sure ones, however few of them are wrong. Neighbouring bins of equal share always share a block, so
    they are joined before the loop, which then takes as many steps as there are changes of the share.
    """
    edges, place = np.unique(scores, return_inverse=True)
    n = np.bincount(place).astype(np.int64)
    good = np.bincount(place, weights=right).round().astype(np.int64)
    edges, n, good = _joined(edges, n, good, _bins(n, least))
    fresh = np.r_[True, good[1:] * n[:-1] != good[:-1] * n[1:]]
    return _violators(*_joined(edges, n, good, np.flatnonzero(fresh)))


Counts = NDArray[np.int64]


def _bins(n: Counts, least: int) -> NDArray[np.intp]:
    """Where bins of at least ``least`` images begin; what is left over at the end joins the last one."""
    before = np.r_[0, np.cumsum(n)]
    starts = [0]
    while True:
        stop = int(np.searchsorted(before, before[starts[-1]] + least))
        if stop >= len(n) or before[-1] - before[stop] < least:
            return np.array(starts, np.intp)
        starts.append(stop)


def _joined(edges: Scores, n: Counts, good: Counts, starts: NDArray[np.intp]) -> tuple[Scores, Counts, Counts]:
    return edges[starts], np.add.reduceat(n, starts), np.add.reduceat(good, starts)


def _violators(edges: Scores, n: NDArray[np.int64], good: NDArray[np.int64]) -> Blocks:
    """Pool adjacent violators: a block whose share is not above its predecessor's joins it, again and again."""
    held: list[tuple[float, int, int]] = []
    for edge, count, hits in zip(edges.tolist(), n.tolist(), good.tolist(), strict=True):
        while held and held[-1][2] * count >= hits * held[-1][1]:  # in whole numbers: shares are compared exactly
            edge, count, hits = held[-1][0], held[-1][1] + count, held[-1][2] + hits
            held.pop()
        held.append((edge, count, hits))
    return _blocks(held)


def _blocks(held: list[tuple[float, int, int]]) -> Blocks:
    edges, n, right = zip(*held, strict=True)
    return Blocks(np.array(edges, np.float64), np.array(n, np.int64), np.array(right, np.int64))


@dataclass(frozen=True, eq=False)
class Calibrator:
    """P(correct) as a function of one score; ``blocks`` is None where there is too little to learn it from."""

    blocks: Blocks | None
    n: int
    n_errors: int

    def at(self, score: float | None) -> Calibrated:
        """The reading of one score."""
        if self.blocks is None:
            return uncalibrated(self._lack(), self.n, self.n_errors)
        if score is None or not np.isfinite(score):
            return uncalibrated("this answer has no such score", self.n, self.n_errors)
        block = int(self.blocks.place(np.array([score]))[0])
        n, right = int(self.blocks.n[block]), int(self.blocks.right[block])
        low, high = wilson(right, n)
        return Calibrated(right / n, low, high, n, n - right, self.n)

    def _lack(self) -> str:
        if self.n < LEAST_IMAGES:
            return f"only {self.n} held-out images to learn from, {LEAST_IMAGES} are needed"
        return "no held-out answer is wrong, so no score can tell right from wrong here"


def fit(scores: Scores, right: Flags) -> Calibrator:
    """Learn P(correct) from ``scores (n,)``, of which those that are not finite are left out, and ``right (n,)``."""
    usable = np.isfinite(scores)
    n, errors = int(usable.sum()), int((usable & ~right).sum())
    if n < LEAST_IMAGES or not errors:
        return Calibrator(None, n, errors)
    blocks = pool(scores[usable].astype(np.float64), right[usable], LEAST_BLOCK)
    return Calibrator(blocks, n, errors)


def at_most(n: int) -> float:
    """The largest error rate that ``n`` answers without an error leave possible, 95 % one-sided: 1 - 0.05^(1/n).

    Hanley & Lippman-Hand 1983, "If Nothing Goes Wrong, Is Everything All Right?" (about 3/n).
    """
    return 1.0 if n <= 0 else float(1.0 - 0.05 ** (1.0 / n))
