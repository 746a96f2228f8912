"""The bootstrap of many figures at once: every draw is a row of counts, so that figures of one draw can be compared.

The cluster bootstrap of :mod:`casebase.evaluate.intervals`, drawn once and multiplied instead of looped over.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.evaluate.ratios import ratio
from casebase.evaluations import Measured
from casebase.reuse import wilson
from casebase.shares import DRAWS, interval

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Draws:
    """``counts (draws, n) float32``: how often each image was drawn; ``cluster (n,)``: what is drawn together."""

    counts: NDArray[np.float32]
    cluster: NDArray[np.intp]

    @classmethod
    def of(cls, groups: Sequence[Hashable | None], seed: int, draws: int = DRAWS) -> Draws:
        """One group per image: images of one group are drawn together; None is a group of its own."""
        place: dict[Hashable, int] = {}
        cluster = np.array(
            [place.setdefault(("row", i) if g is None else ("group", g), len(place)) for i, g in enumerate(groups)],
            np.intp,
        )
        random = clock.generator(seed)
        counts = np.zeros((draws, len(cluster)), np.float32)
        for draw in range(draws if len(cluster) else 0):
            picked = random.integers(0, len(place), size=len(place))
            counts[draw] = np.bincount(picked, minlength=len(place))[cluster]
        return cls(counts, cluster)

    def of_rows(self, rows: NDArray[np.bool_]) -> Draws:
        """The same draws, looked at in some of the images: ``rows (n,)``."""
        return self if rows.all() else Draws(self.counts[:, rows], self.cluster[rows])

    @property
    def clusters(self) -> int:
        """How many groups and single images there are."""
        return len(np.unique(self.cluster))

    def mean(self, values: Values | NDArray[np.bool_], reason: str = "no image") -> Measured:
        """The mean of ``values (n,)`` with its 95 % interval; ``reason`` is given for n = 0.

        Shares of images that all stand alone have Wilson's interval; so have values that no draw would move, since
        they are all alike or of one group, over the number of groups.
        """
        n = len(values)
        if n == 0:
            return Measured(None, n=0, reason=reason)
        numbers = np.asarray(values, np.float64)
        value, clusters = float(numbers.mean()), self.clusters
        still = numbers.min() == numbers.max() or clusters == 1
        if (still and 0.0 <= value <= 1.0) or (values.dtype == bool and clusters == n):
            low, high = wilson(round(value * clusters), clusters)
            return Measured(value, low, high, n)
        edges = interval(self.means(numbers))
        return Measured(value, edges[0], edges[1], n)

    def means(self, values: Values) -> Values:
        """``(draws,)`` means of ``values (n,)``; not finite where a draw holds none of the images."""
        drawn = self.counts.sum(axis=1, dtype=np.float64)
        sums = (self.counts @ values.astype(np.float32)).astype(np.float64)
        return ratio(sums, drawn)
