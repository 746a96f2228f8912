"""Figures with their intervals: means over images in shared draws, means over prototypes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.intervals import bootstrap, moved
from casebase.evaluate.resampling import Draws
from casebase.evaluations import Measured
from casebase.shares import interval


def picked(values: Sequence[float | None], draws: Draws, reason: str) -> Measured:
    """The mean over the images that have a value, in the draws of all of them."""
    there = np.array([one is not None for one in values], np.bool_)
    numbers = np.array([one for one in values if one is not None], np.float64)
    return draws.of_rows(there).mean(numbers, reason)


def free(values: NDArray[np.float64], draws: Draws) -> Measured:
    """The mean of ``values (n,)`` that are no shares, with the percentile interval of these draws."""
    if not len(values):
        return Measured(None, n=0, reason="no image")
    return moved(float(values.mean()), *interval(draws.means(values)), len(values))


def over_prototypes(values: NDArray[np.float64], seed: int, reason: str = "no prototype could be judged") -> Measured:
    """The mean of one figure per prototype ``(P,)``, NaN left out, with a bootstrap interval over prototypes."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Measured(None, n=0, reason=reason)
    return bootstrap(lambda rows: float(known[rows].mean()), len(known), seed=seed)
