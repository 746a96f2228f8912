"""Scores of a classifier from its answers: counts, averages, calibration. Pure functions of arrays.

``truth`` and ``called`` are ``(n,) intp`` class numbers below ``k``; the definitions of precision, recall, F1 and of
their macro and weighted averages are scikit-learn's (``precision_recall_fscore_support`` with ``zero_division=0``,
averaged over the classes that have images), tested against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from casebase import clock

Classes = NDArray[np.intp]
Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]

BINS = 15
LEAST_OF_A_BIN = 10
"""Answers in a bin of equal mass, at least: a bin of one is all right or all wrong, and measures nothing."""
FLOOR = float(np.finfo(np.float32).eps)
"""Probabilities below this count as this much in the log-loss, as scikit-learn does with float32."""
AVERAGES = (
    "balanced accuracy", "macro precision", "macro F1", "weighted precision", "weighted recall", "weighted F1",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Counts:
    """Per class ``(k,)``: images with this label, answers naming it, and how many are both."""

    labelled: NDArray[np.intp]
    called: NDArray[np.intp]
    right: NDArray[np.intp]


def count(truth: Classes, called: Classes, k: int) -> Counts:
    """The counts of ``k`` classes."""
    both = truth[truth == called]
    return Counts(*(np.bincount(numbers, minlength=k) for numbers in (truth, called, both)))


def confusion(truth: Classes, called: Classes, k: int) -> NDArray[np.intp]:
    """``(k, k)``: rows are labels, columns are predictions."""
    return np.bincount(truth * k + called, minlength=k * k).reshape(k, k)


def averages(truth: Classes, called: Classes, k: int) -> Floats:
    """The six figures of ``AVERAGES``; over the classes that have images here. Weighted recall is the accuracy."""
    counts = count(truth, called, k)
    there = counts.labelled > 0
    labelled, named, right = (x[there].astype(np.float64) for x in (counts.labelled, counts.called, counts.right))
    recall = right / labelled
    precision = np.divide(right, named, out=np.zeros_like(right), where=named > 0)
    f1 = 2 * right / (labelled + named)
    weight = labelled / labelled.sum()
    return np.array([recall.mean(), precision.mean(), f1.mean(), weight @ precision, weight @ recall, weight @ f1])


def log_losses(probabilities: Floats, truth: Classes) -> Floats:
    """Minus the log of each image's probability of its own label, ``(n,)``, in nats."""
    own = probabilities[np.arange(len(truth)), truth]
    return -np.log(np.clip(own, FLOOR, 1.0))


def brier_scores(probabilities: Floats, truth: Classes) -> Floats:
    """Each image's sum over classes of (probability - truth)², ``(n,)`` in [0, 2].

    G. W. Brier, 1950, "Verification of forecasts expressed in terms of probability". A label that the network does not
    know (a number beyond its classes) has probability 0.
    """
    known = truth < probabilities.shape[1]
    own = np.zeros(len(truth))
    own[known] = probabilities[np.flatnonzero(known), truth[known]]
    squares: Floats = (probabilities**2).sum(axis=1) - own**2 + (1 - own) ** 2
    return squares


def ranks(probabilities: Floats, truth: Classes) -> NDArray[np.intp]:
    """How many classes are more probable than an image's label, ``(n,)``; ties count against it.

    A label that the network does not know comes after all classes.
    """
    known = truth < probabilities.shape[1]
    found = np.full(len(truth), probabilities.shape[1], np.intp)
    own = probabilities[np.flatnonzero(known), truth[known]]
    found[known] = (probabilities[known] >= own[:, None]).sum(axis=1) - 1
    return found


@dataclass(frozen=True, eq=False)
class Bins:
    """Answers by confidence; per bin that is not empty: its edges, ``n``, mean confidence, number right."""

    low: Floats
    high: Floats
    n: NDArray[np.intp]
    confidence: Floats
    right: NDArray[np.intp]

    @property
    def error(self) -> float:
        """Expected calibration error: sum over bins of n_b / n · |share right - mean confidence|.

        Guo, Pleiss, Sun & Weinberger, 2017, "On Calibration of Modern Neural Networks",
        https://proceedings.mlr.press/v70/guo17a.html, equation 5.
        """
        return float(np.abs(self.right - self.n * self.confidence).sum() / self.n.sum())


def equal_width(confidence: Floats, right: Truths, bins: int = BINS) -> Bins:
    """Bins ((b-1)/B, b/B] of confidence, as in Guo et al.; empty ones are left out."""
    place = np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)
    n = np.bincount(place, minlength=bins)
    there = np.flatnonzero(n)
    total = np.bincount(place, weights=confidence, minlength=bins)
    good = np.bincount(place[right], minlength=bins)
    return Bins(there / bins, (there + 1) / bins, n[there], total[there] / n[there], good[there])


def equal_mass(confidence: Floats, right: Truths, bins: int = BINS, least: int = LEAST_OF_A_BIN) -> Bins:
    """As many answers in each bin as in every other, give or take one, and at least ``least``; else fewer bins.

    Under twice ``least`` answers there is one bin of all, whose error is that of the mean confidence.

    Nguyen & O'Connor, 2015, "Posterior calibration and exploratory analysis for natural language processing models",
    https://aclanthology.org/D15-1182, for why equal mass.
    """
    order = np.argsort(confidence, kind="stable")
    edges = np.linspace(0, len(order), max(1, min(bins, len(order) // least)) + 1).round().astype(np.intp)
    starts, n = edges[:-1], np.diff(edges)
    ranked = confidence[order]
    total = np.add.reduceat(ranked, starts)
    good = np.add.reduceat(right[order].astype(np.intp), starts)
    ends = np.array([(ranked[a], ranked[b - 1]) for a, b in pairwise(edges)])
    return Bins(ends[:, 0], ends[:, 1], n, total / n, good)


def errors_if_calibrated(confidence: Floats, seed: int, draws: int = 1000) -> tuple[Floats, Floats]:
    """The two expected calibration errors ``(draws,)`` of answers that are right with exactly their confidence.

    With few images the error is above zero even then. Bröcker & Smith, 2007, "Increasing the Reliability of
    Reliability Diagrams", https://doi.org/10.1175/WAF993.1, resample in this way.
    """
    random = clock.generator(seed)
    found = np.empty((draws, 2))
    for draw in range(draws):
        right = random.random(len(confidence)) < confidence
        found[draw] = equal_width(confidence, right).error, equal_mass(confidence, right).error
    return found[:, 0], found[:, 1]


def most_confused(matrix: NDArray[np.intp], most: int) -> Sequence[int]:
    """The ``most`` classes with the largest number of errors in row and column, in class order."""
    errors = matrix - np.diag(np.diag(matrix))
    involved = errors.sum(axis=0) + errors.sum(axis=1)
    return sorted(np.argsort(-involved, kind="stable")[:most].tolist())
