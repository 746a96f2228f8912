"""Re-ranking with neighbours: the classifier's probabilities times what the nearest cases of each class have to say.

``argmax_c [log π_c + β s̄_c]`` over the ten most probable classes, ``s̄_c`` the mean of the three best cosines to cases
predicted c. After the product of classifier and comparator of Nguyen et al., TMLR 2024 (PCNN,
https://arxiv.org/abs/2308.13651), without training: β is chosen on held-out images and may be 0, and then the answer is
the classifier's own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase import comparison
from casebase.answers import Prediction
from casebase.evidence import BEST, COPY, PROBABLE, EvidenceTable
from casebase.ports import CaseBase, Vector, Where
from casebase.retrieve import Themselves

BETAS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
LEAST_IMAGES = 50
"""With fewer held-out images β is not chosen, and 0."""
_TINY = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gain:
    """What re-ranking does to the accuracy on ``n`` held-out images, each answered with a β chosen without its fold.

    ``value`` is ``after - before``, ``low`` to ``high`` its 95 % interval by a paired bootstrap over groups.
    """

    before: float
    after: float
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The weight of the neighbours, and what it was worth; ``reason`` says why it is 0."""

    beta: float
    gain: Gain | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Reranked:
    """An answer with the neighbours' weight in it, beside the classifier's own.

    ``scores`` are log π_c + β s̄_c of the classes that were weighed, ``closeness`` their s̄_c (None without a case).
    """

    predicted: str
    classifier: str
    choice: Choice
    scores: Mapping[str, float]
    closeness: Mapping[str, float | None]

    @property
    def changed(self) -> bool:
        """Whether the answer is another than the classifier's."""
        return self.predicted != self.classifier

    def to_dict(self) -> dict[str, Any]:
        """JSON of ``rerank``."""
        gain = self.choice.gain
        return {
            "predicted": self.predicted,
            "classifier": self.classifier,
            "changed": self.changed,
            "beta": self.choice.beta,
            "reason": self.choice.reason,
            "gain": None if gain is None else asdict(gain),
            "scores": dict(self.scores),
            "closeness": dict(self.closeness),
        }


def combined(probabilities: Floats, closeness: Floats, beta: float) -> Floats:
    """``log π + β s̄`` of ``(n, K)`` classes.

    A class without a case (NaN) is taken to be as far as the farthest of the others, so that lacking cases
    helps none; where no class has one, nothing is added.
    """
    with_cases = np.isfinite(closeness)
    farthest = np.where(with_cases, closeness, np.inf).min(axis=1, keepdims=True)
    filled = np.where(with_cases, closeness, np.where(np.isfinite(farthest), farthest, 0.0))
    scores: Floats = np.log(np.maximum(probabilities, _TINY)) + beta * filled
    return scores


def picks(table: EvidenceTable, beta: float) -> NDArray[np.int64]:
    """The class ``(n,)`` that every held-out image is given with one β; the more probable one where two are equal."""
    best = combined(table.probabilities, table.closeness, beta).argmax(axis=1)
    picked: NDArray[np.int64] = table.probable[np.arange(len(table)), best]
    return picked


def hits(table: EvidenceTable) -> NDArray[np.bool_]:
    """Whether each image ``(n,)`` is right under each β: ``(B, n)``."""
    return np.stack([picks(table, beta) == table.label for beta in BETAS])


def best_beta(right: NDArray[np.bool_]) -> int:
    """The place in :data:`BETAS` of the most accurate one, ties to the smaller; ``right`` is ``(B, n)``."""
    return int(right.sum(axis=1).argmax())


def cross_validated(right: NDArray[np.bool_], clusters: NDArray[np.intp], *, seed: int = 0) -> NDArray[np.bool_]:
    """Whether each image is right with the β chosen on the other folds: ``(n,)``."""
    fold = comparison.folds(clusters, seed)
    after: NDArray[np.bool_] = right[0].copy()
    for number in np.unique(fold):
        inside = fold == number
        if not inside.all():
            after[inside] = right[best_beta(right[:, ~inside])][inside]
    return after


def gain(before: NDArray[np.bool_], after: NDArray[np.bool_], clusters: NDArray[np.intp], *, seed: int = 0) -> Gain:
    """The change of accuracy from ``before`` to ``after`` ``(n,)`` with its interval."""
    moved = after.astype(np.float64) - before.astype(np.float64)
    drawn = [weights @ moved / weights.sum(axis=1) for weights in comparison.draws(clusters, seed)]
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    return Gain(
        float(before.mean()), float(after.mean()), float(moved.mean()), float(low), float(high), len(before)
    )  # fmt: skip


def choose(table: EvidenceTable | None, *, seed: int = 0) -> Choice:
    """β by accuracy on held-out images, where its cross-validated gain is beyond its 95 % interval; else 0, and why."""
    if table is None:
        return Choice(0.0, None, "this base has no held-out images to choose the weight on")
    if len(table) < LEAST_IMAGES:
        return Choice(
            0.0, None, f"only {len(table)} held-out images to choose the weight on, {LEAST_IMAGES} are needed"
        )
    right = hits(table)
    clusters = comparison.numbered(table.clusters)
    worth = gain(right[0], cross_validated(right, clusters, seed=seed), clusters, seed=seed)
    beta = BETAS[best_beta(right)]
    if beta == 0:
        return Choice(0.0, worth, f"on {len(table)} held-out images no weight of the neighbours is more accurate")
    if worth.low <= 0:  # a weight that noise alone could have chosen would lose as often as it wins
        return Choice(0.0, worth, f"on {len(table)} held-out images no weight gains more than noise could")
    return Choice(beta, worth)


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Where a query lies: its vector in a space, and what must not answer it."""

    case_base: CaseBase
    space: str
    vector: Vector
    themselves: Themselves

    def closeness(self, name: str) -> float | None:
        """Mean of the three best cosines to cases predicted ``name``, of as many as there are; None without any."""
        fetch = 4 * BEST
        while True:
            found = self.case_base.nearest(self.space, self.vector, fetch, where=Where((name,)))
            near = [1.0 - h.distance for h in found.hits if h.distance >= COPY and not self.themselves.owns(h.case)]
            if len(near) >= BEST or len(found.hits) < fetch:
                break
            fetch *= 4
        return float(np.mean(near[:BEST])) if near else None


def rerank(prediction: Prediction, near: Neighbourhood, choice: Choice) -> Reranked:
    """The answer under a β that was chosen before."""
    likely: Sequence[tuple[str, float]] = prediction.ranked[:PROBABLE]
    closeness = {name: near.closeness(name) for name, _ in likely}
    probabilities = np.array([[p for _, p in likely]], np.float64)
    close = np.array([[np.nan if c is None else c for c in closeness.values()]], np.float64)
    scores = combined(probabilities, close, choice.beta)[0]
    named = dict(zip(closeness, scores.tolist(), strict=True))
    return Reranked(likely[int(scores.argmax())][0], prediction.predicted, choice, named, closeness)


def chosen_for(table: EvidenceTable | None, pixels: str, groups: Collection[str], *, seed: int = 0) -> Choice:
    """β for one query, chosen without it and without its group.

    For a query that is no held-out image it is the same every time, and remembered with the table.
    """
    rest = None if table is None else table.without(pixels, groups)
    if rest is None or rest is not table:
        return choose(rest, seed=seed)
    known: dict[int, Choice] = rest.__dict__.setdefault("_choices", {})
    if seed not in known:
        known[seed] = choose(rest, seed=seed)
    return known[seed]
