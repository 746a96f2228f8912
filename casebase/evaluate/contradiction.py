"""Do the neighbours contradict wrong answers, and does the nearest unlike case name the true class?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.images import Images
from casebase.evaluate.neighbours import Lists
from casebase.evaluate.ratios import ratio
from casebase.evaluate.twin_fidelity import runner_up

Truths = NDArray[np.bool_]
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Alarm:
    """A sign of a wrong answer that the neighbours give: ``raised (m,)``."""

    key: str
    title: str
    raised: Truths


@dataclass(frozen=True, eq=False)
class Naming:
    """Who names the true class of an error: ``right (m,)`` in [0, 1]; only errors count."""

    key: str
    title: str
    right: Values


def alarms(nearest: Lists, cases: Images, queries: Images, contrast: Values | None) -> list[Alarm]:
    """Signs from the unfiltered, unweighted ``nearest`` lists; the list of twins can give none, by construction.

    ``contrast (m,)`` says where the majority under contrastive weights is the network's answer.
    """
    at, filled = np.maximum(nearest.index, 0), nearest.filled
    asked = queries.predicted[:, None]
    otherwise = (cases.predicted[at] != asked) & filled
    labelled = (cases.labels[at] != asked) & filled
    k = nearest.index.shape[1]
    found = [
        Alarm("any_predicted", f"one of the {k} nearest is predicted otherwise", otherwise.any(axis=1)),
        Alarm("any_label", f"one of the {k} nearest is labelled otherwise", labelled.any(axis=1)),
        Alarm("most_label", f"most of the {k} nearest are labelled otherwise",
              np.asarray(2 * labelled.sum(axis=1) > filled.sum(axis=1))),
    ]  # fmt: skip
    if contrast is not None:
        title = f"under contrastive weights the {k} nearest vote otherwise"
        found.append(Alarm("contrast", title, np.asarray(contrast < 0.5)))
    return found


def namings(unlike: NDArray[np.intp], cases: Images, queries: Images) -> list[Naming]:
    """Who names the label: the nearest unlike case, the runner-up, and an unlike case drawn blindly (the control).

    ``unlike (m,)`` are positions of the nearest unlike cases, -1 where there is none.
    """
    at, there = np.maximum(unlike, 0), unlike >= 0
    return [
        Naming("nun_label", "label of the nearest unlike case",
               ((cases.labels[at] == queries.labels) & there).astype(np.float64)),
        Naming("nun_predicted", "predicted class of the nearest unlike case",
               ((cases.predicted[at] == queries.labels) & there).astype(np.float64)),
        Naming("runner_up", "the network's second class", (runner_up(queries) == queries.labels).astype(np.float64)),
        Naming("any_unlike", "an unlike case drawn blindly (control)", _blindly(cases, queries)),
    ]  # fmt: skip


def _blindly(cases: Images, queries: Images) -> Values:
    """Share of all unlike cases that carry the query's label ``(m,)``; 0 where there is no unlike case."""
    size = len(cases.names)
    predicted, labelled = np.bincount(cases.predicted, minlength=size), np.bincount(cases.labels, minlength=size)
    pairs = np.sort(cases.predicted * size + cases.labels)
    asked = queries.predicted * size + queries.labels
    both = np.searchsorted(pairs, asked, "right") - np.searchsorted(pairs, asked, "left")  # like and so labelled
    unlike = len(cases) - predicted[queries.predicted]
    carrying = labelled[queries.labels] - both
    return ratio(carrying, unlike, otherwise=0.0)
