"""How often the prototypes are right, how far that is from the network, and how often both agree.

``truth``, ``called`` and ``network`` are class numbers ``(n,) intp``. Every figure of one part has the same bootstrap
draws (:mod:`casebase.evaluate.resampling`), so that the gap between two answers on the same images is paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.intervals import moved
from casebase.evaluate.ratios import ratio
from casebase.evaluate.resampling import Draws
from casebase.evaluations import Measured
from casebase.shares import interval

Indices = NDArray[np.intp]
Values = NDArray[np.float64]
BEYOND_PRIOR = 0.15
"""A class that is named this much more often than it occurs has swallowed others."""


@dataclass(frozen=True, eq=False)
class Standing:
    """Figures over ``n`` images. ``gap`` is balanced accuracy less the network's, None in the network's own row.

    ``swallowed`` is the class number whose share of the answers exceeds its share of the labels most, by ``excess``.
    """

    accuracy: Measured
    balanced: Measured
    gap: Measured | None
    agreement: Measured | None
    agreement_on_errors: Measured | None
    swallowed: int
    excess: float


def standing(truth: Indices, called: Indices, network: Indices | None, draws: Draws) -> Standing:
    """Measure answers ``called``; ``network`` are the answers of the network, None where these are they."""
    value, drawn = balanced(truth, called, draws)
    shares = [np.bincount(numbers, minlength=int(max(truth.max(), called.max())) + 1) / len(truth)
              for numbers in (truth, called)]  # fmt: skip
    over = shares[1] - shares[0]
    gap = agreement = on_errors = None
    if network is not None:
        other, other_drawn = balanced(truth, network, draws)
        edges = interval(drawn - other_drawn)
        gap = moved(value - other, *edges, len(truth))
        same, wrong = called == network, network != truth
        agreement = draws.mean(same)
        on_errors = draws.of_rows(wrong).mean(same[wrong], "the network makes no error here")
    edges = interval(drawn)
    return Standing(
        draws.mean(called == truth), moved(value, *edges, len(truth)), gap, agreement, on_errors,
        int(over.argmax()), float(over.max()),
    )  # fmt: skip


def balanced(truth: Indices, called: Indices, draws: Draws) -> tuple[float, Values]:
    """Mean recall over the classes that have images, and the same in every draw ``(draws,)``.

    A class that a draw holds no image of is left out of that draw's mean.
    """
    there = np.unique(truth)
    right = called == truth
    value = float(np.mean([right[truth == one].mean() for one in there]))
    members = (truth[:, None] == there[None]).astype(np.float32)  # (n, classes)
    recalls = ratio(draws.counts @ (members * right[:, None]), draws.counts @ members)  # (draws, classes)
    here = np.isfinite(recalls)
    return value, ratio(np.where(here, recalls, 0.0).sum(axis=1), here.sum(axis=1))
