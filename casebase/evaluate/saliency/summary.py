"""From marks to figures: means with bootstrap intervals, and what is ahead of what on the same images.

The percentile bootstrap over images (B. Efron, 1979, https://doi.org/10.1214/aos/1176344552): one set of draws for all
figures of a run, so that two methods are compared by the difference on the same images in every draw. Images of one
group are drawn together. Each interval is of 95 % by itself: among twenty open comparisons one looks decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from casebase.evaluate.intervals import STILL, moved
from casebase.evaluate.resampling import Draws
from casebase.evaluate.saliency.marks import Outcome, Row, Values
from casebase.evaluate.saliency.metric import Figure, Metric
from casebase.evaluations import Measured
from casebase.reuse import wilson
from casebase.shares import interval

RESAMPLES = 10_000
FEWEST = 6
"""Images below which nothing is decided: five that agree would do so by chance one time in sixteen (sign test)."""


@dataclass(frozen=True, eq=False)
class Against:
    """``one`` minus ``other`` in a figure on the images both have; turned so that more is better for ``one``."""

    metric: Metric
    figure: Figure
    one: Row
    other: Row
    difference: Measured

    @property
    def ahead(self) -> bool:
        """Whether ``one`` is better beyond chance."""
        return self.difference.n >= FEWEST and self.difference.low is not None and self.difference.low > 0

    @property
    def behind(self) -> bool:
        """Whether ``one`` is worse beyond chance."""
        return self.difference.n >= FEWEST and self.difference.high is not None and self.difference.high < 0

    @property
    def turned(self) -> Against:
        """The same from the other side."""
        found = self.difference
        value, low, high = (None if edge is None else -edge for edge in (found.value, found.high, found.low))
        back = Measured(value, low, high, found.n, found.reason)
        return Against(self.metric, self.figure, self.other, self.one, back)

    @property
    def verdict(self) -> str:
        """The same in a word."""
        return "ahead" if self.ahead else "behind" if self.behind else "open"


class Summary:
    """Figures of an outcome; what is drawn hangs on ``seed`` alone."""

    def __init__(self, outcome: Outcome, seed: int, resamples: int = RESAMPLES) -> None:
        self.outcome, self.seed, self.resamples = outcome, seed, resamples

    @cached_property
    def _draws(self) -> Draws:
        return Draws.of(self.outcome.groups, self.seed, self.resamples)

    def mean(self, row: Row, metric: Metric, figure: Figure, *, whole: bool = False) -> Measured:
        """The mean over images with its interval; ``whole`` leaves out maps that say nothing."""
        values = row.values(metric.name, figure.key, len(self.outcome.images), whole=whole)
        return self._measured(values, _reason(row, metric), certain=(0.0, 1.0) if figure.counted else ())

    def seconds(self, row: Row) -> Measured:
        """The mean time of a map."""
        found = row.seconds
        return Measured(float(found.mean()), n=len(found)) if len(found) else Measured(None, n=0, reason="no map")

    def against(self, one: Row, other: Row, metric: Metric, figure: Figure) -> Against:
        """Two rows of one figure, compared on the same images."""
        n = len(self.outcome.images)
        turn = -1.0 if figure.better == "lower" else 1.0
        apart = turn * (one.values(metric.name, figure.key, n) - other.values(metric.name, figure.key, n))
        difference = self._measured(apart, "no image has both", certain=(1.0,) if figure.counted else ())
        return Against(metric, figure, one, other, difference)

    def best_baseline(self, network: str, metric: Metric, figure: Figure) -> Row | None:
        """The baseline with the best mean that was not given to it; None where there is none, or no better."""
        if figure.better is None:
            return None
        turn = -1.0 if figure.better == "lower" else 1.0
        best: tuple[float, Row] | None = None
        for row in self.outcome.of(network):
            values = row.values(metric.name, figure.key, len(self.outcome.images))
            if row.baseline and row.method not in figure.given and np.isfinite(values).any():
                mean = turn * float(np.nanmean(values))
                best = (mean, row) if best is None or mean > best[0] else best
        return None if best is None else best[1]

    def cleared(self, row: Row, metric: Metric, figure: Figure) -> Against | None:
        """A method against the best baseline of its network; None for baselines and where there is nothing to beat."""
        best = self.best_baseline(row.network, metric, figure)
        return None if row.baseline or best is None else self.against(row, best, metric, figure)

    def pairs(self) -> Iterator[Against]:
        """Every two methods of one network, and every method on every two networks, in every figure with a better."""
        rows = [row for row in self.outcome.rows if not row.baseline and row.refused is None]
        for metric, figure in self.outcome.figures():
            if figure.better is not None:
                for one, other in combinations(rows, 2):
                    if (one.network == other.network) != (one.method == other.method):
                        yield self.against(one, other, metric, figure)

    def _measured(self, values: Values, reason: str, *, certain: Sequence[float] = ()) -> Measured:
        """``certain`` are sizes at which values that are all alike get Wilson's interval: they were counted."""
        rows = np.isfinite(values)
        kept = values[rows]
        n = len(kept)
        if n == 0:
            return Measured(None, n=0, reason=reason)
        value = float(kept.mean())
        draws = self._draws.of_rows(rows)
        if float(np.ptp(kept)) <= STILL and abs(value) in certain:
            # All alike, so no draw moves it: what was not seen once is no proof of never. Wilson's interval.
            low, high = wilson(round(abs(value) * draws.clusters), draws.clusters)
            return Measured(value, low, high, n) if value >= 0 else Measured(value, -high, -low, n)
        low_, high_ = interval(draws.means(kept))
        return moved(value, low_, high_, n)


def _reason(row: Row, metric: Metric) -> str:
    told = [mark.problems[metric.name] for mark in row.marks if metric.name in mark.problems]
    return told[0] if told else "no figure for any image"


def mean_curve(curves: Sequence[tuple[Sequence[float], Sequence[float]]]) -> tuple[Values, Values]:
    """The mean of curves; those with other abscissae are read off between their points."""
    across = np.asarray(curves[0][0], np.float64)
    lines = [np.interp(across, np.asarray(x, np.float64), np.asarray(y, np.float64)) for x, y in curves]
    return across, np.mean(lines, axis=0)
