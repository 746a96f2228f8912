"""Do the neighbours answer as the network does? Hard and soft fidelity, each beside what it would be by chance.

Hard fidelity after E. M. Kenny and M. T. Keane, 2019, "Twin-Systems to Explain Artificial Neural Networks using
Case-Based Reasoning", https://doi.org/10.24963/ijcai.2019/376: ``mean_q 1[majority of the labels of the k nearest =
predicted(q)]``. What is ours are the controls: the same lists with features of other images (shuffled), with the
weights of the runner-up class (rival weights), with a network that has learnt nothing (``random_control``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.evaluate.images import Images, Sides
from casebase.evaluate.neighbours import Lists, Weigh, by_class, nearest, other_predicted, same_predicted, search
from casebase.evaluate.ratios import ratio
from casebase.ports import Matrix, Vector

SHUFFLES = 5
"""Seeds of the shuffled control; its figure is their mean."""
CHUNK = 2_000_000

Values = NDArray[np.float64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Head:
    """The explained network's linear head: ``weight (C, D) float32``, ``bias (C,) float32``."""

    weight: Matrix
    bias: Vector

    def logits(self, features: Matrix) -> NDArray[np.float64]:
        """``z = W h + b``, ``(n, C)``, of features ``(n, D)``."""
        found: NDArray[np.float64] = features.astype(np.float64) @ self.weight.T.astype(np.float64) + self.bias
        return found


@dataclass(frozen=True, eq=False)
class Votes:
    """What the k nearest say of each query, per query ``(m,)``.

    ``hard``: the majority of their *labels* is the network's answer; ``by_predicted``: the majority of their
    *predicted* classes is; ``first``: the label of the nearest one alone is; ``soft``: 1 − half the L1 distance of the
    network's probabilities to the neighbours' mean probabilities, in [0, 1].
    """

    hard: Values
    by_predicted: Values
    first: Values
    soft: Values

    @classmethod
    def mean(cls, several: Sequence[Votes]) -> Votes:
        """The mean of several runs, query by query."""
        columns = [np.mean([getattr(one, name) for one in several], axis=0) for name in cls.__dataclass_fields__]
        return cls(*columns)


def majority(codes: NDArray[np.intp], filled: Truths) -> NDArray[np.intp]:
    """The most frequent of each row of ``codes (m, k)``; ties go to the class whose nearest case is nearest.

    Only where ``filled``; -1 for a row with nothing.
    """
    m, k = codes.shape
    found = np.full(m, -1, np.intp)
    step = max(1, CHUNK // max(1, k * k))
    for start in range(0, m, step):
        rows, held = codes[start : start + step], filled[start : start + step]
        alike = (rows[:, :, None] == rows[:, None, :]) & held[:, None, :]
        first = np.where(held, alike.sum(axis=2), 0).argmax(axis=1)  # the first of the largest: they are in order
        found[start : start + step] = np.where(held.any(axis=1), rows[np.arange(len(rows)), first], -1)
    return found


def votes(lists: Lists, cases: Images, queries: Images) -> Votes:
    """How far the neighbours in ``lists`` answer as the network does on ``queries``; empty lists agree with nothing."""
    filled = lists.filled
    at = np.maximum(lists.index, 0)
    labels, predicted = cases.labels[at], cases.predicted[at]
    any_one = filled[:, 0]
    return Votes(
        hard=(majority(labels, filled) == queries.predicted).astype(np.float64),
        by_predicted=(majority(predicted, filled) == queries.predicted).astype(np.float64),
        first=((labels[:, 0] == queries.predicted) & any_one).astype(np.float64),
        soft=_soft(lists, cases, queries),
    )


def _soft(lists: Lists, cases: Images, queries: Images) -> Values:
    """``1 - 1/2 sum_c |p_c(q) - mean_i p_c(i)|`` per query; 0 for an empty list."""
    filled = lists.filled
    m, k = filled.shape
    found = np.zeros(m)
    step = max(1, CHUNK // max(1, k * cases.probabilities.shape[1]))
    for start in range(0, m, step):
        part = slice(start, start + step)
        held = filled[part]
        said = cases.probabilities[np.maximum(lists.index[part], 0)].astype(np.float64)  # (b, k, C)
        number = held.sum(axis=1)
        mean = (said * held[:, :, None]).sum(axis=1) / np.maximum(number, 1)[:, None]
        apart = 0.5 * np.abs(queries.probabilities[part].astype(np.float64) - mean).sum(axis=1)
        found[part] = np.where(number > 0, 1.0 - apart, 0.0)
    return found


def runner_up(images: Images) -> NDArray[np.intp]:
    """The second most probable class ``(n,)``: the most probable one that is not the predicted class.

    With a network of one class there is none; then it is the predicted class itself.
    """
    said = images.probabilities.copy()
    said[np.arange(len(said)), images.predicted] = -1.0
    return np.asarray(said.argmax(axis=1))


@dataclass(frozen=True, eq=False)
class Fidelity:
    """One space: its lists (``lists`` the nearest, ``twins``, the one ``unlike``), its votes and those of its controls.

    ``rival`` and ``contrast`` exist for class-weighted spaces: the votes with the runner-up's weights, and with the
    difference of both. ``gap`` and ``gap_of_any`` ``(m,)`` are ``||z(q) - z(i)|| / ||z(q)||`` of the nearest twin and
    of any twin drawn at random; NaN without a twin, None without a linear head.
    """

    space: str
    lists: Lists
    twins: Lists
    unlike: Lists
    votes: Votes
    shuffled: Votes
    rival: Votes | None = None
    contrast: Votes | None = None
    gap: Values | None = None
    gap_of_any: Values | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a space: ``k`` neighbours, and the seed of its controls."""

    k: int
    seed: int = 0
    shuffles: int = SHUFFLES


def plain(space: str, sides: Sides, asked: Asked, logits: Logits | None) -> Fidelity:
    """Fidelity of plain cosine in a space."""
    return _measured(space, sides, asked, logits, None)


def weighted(space: str, sides: Sides, asked: Asked, head: Head, logits: Logits | None) -> Fidelity:
    """Fidelity of the query-class weighting ``cos(w * h_q, w * h_i)``, ``w`` the head's row of the query's class.

    Both sides carry the *query's* class, never the case's own: that one writes the answer into the vector, and its
    neighbours agree with the network on pure noise (see ``docs/twins.md``).
    """
    rivals = runner_up(sides.queries)
    own, other = by_class(head.weight, sides.queries.predicted), by_class(head.weight, rivals)
    found = _measured(space, sides, asked, logits, own)
    if head.weight.shape[0] < 2:
        return found
    against: dict[str, Votes] = {}
    for name, weigh in (("rival", other), ("contrast", lambda part: own(part) - other(part))):
        lists = nearest(sides.cases, sides.queries, asked.k, weigh=weigh)
        against[name] = votes(lists, sides.cases, sides.queries)
    return replace(found, rival=against["rival"], contrast=against["contrast"])


@dataclass(frozen=True, eq=False)
class Logits:
    """``cases (n, C)`` and ``queries (m, C)``."""

    cases: NDArray[np.float64]
    queries: NDArray[np.float64]

    @classmethod
    def of(cls, head: Head, sides: Sides) -> Logits:
        """From features of the network's own space."""
        return cls(head.logits(sides.cases.features), head.logits(sides.queries.features))

    def gap(self, twins: NDArray[np.intp]) -> Values:
        """``||z(q) - z(i)|| / ||z(q)||`` to one case per query ``(m,)``; NaN where that is -1."""
        apart = np.linalg.norm(self.queries - self.cases[np.maximum(twins, 0)], axis=1)
        size = np.linalg.norm(self.queries, axis=1)
        return ratio(apart, np.where(twins >= 0, size, 0.0))


def _measured(space: str, sides: Sides, asked: Asked, logits: Logits | None, weigh: Weigh | None) -> Fidelity:
    cases, queries = sides.cases, sides.queries
    wanted = {
        "nearest": (asked.k, None),
        "twins": (asked.k, same_predicted(cases, queries)),
        "unlike": (1, other_predicted(cases, queries)),
    }
    found = search(cases, queries, wanted, weigh=weigh)
    dealt = [
        votes(shuffled(sides, asked.k, asked.seed * SHUFFLES + number, weigh), cases, queries)
        for number in range(asked.shuffles)
    ]
    twins = found["twins"].index[:, 0]
    return Fidelity(
        space,
        found["nearest"],
        found["twins"],
        found["unlike"],
        votes(found["nearest"], cases, queries),
        Votes.mean(dealt),
        gap=None if logits is None else logits.gap(twins),
        gap_of_any=None if logits is None else logits.gap(any_twin(sides, asked.seed)),
    )


def shuffled(sides: Sides, k: int, seed: int, weigh: Weigh | None = None) -> Lists:
    """The nearest lists where features are dealt out anew among the cases, and among the queries.

    Labels, predictions and weights stay with their images: what agreement is left does not come from the features.
    """
    random = clock.generator(seed)
    cases, queries = sides.cases, sides.queries
    mixed = sides.seen_as(
        cases.features[random.permutation(len(cases))], queries.features[random.permutation(len(queries))]
    )
    return nearest(mixed.cases, mixed.queries, k, weigh=weigh)


def any_twin(sides: Sides, seed: int) -> NDArray[np.intp]:
    """One case of each query's predicted class ``(m,)``, drawn at random; -1 where there is none."""
    random = clock.generator(seed)
    found = np.full(len(sides.queries), -1, np.intp)
    for code in np.unique(sides.queries.predicted):
        rows = np.flatnonzero(sides.cases.predicted == code)
        asking = np.flatnonzero(sides.queries.predicted == code)
        if len(rows):
            found[asking] = random.choice(rows, size=len(asking))
    return found
