"""Answers: a prediction, its neighbours in four lists, and how far they support it.

Numbers in ``to_dict`` are finite or null. Keys follow schema ``casebase.query/1``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from casebase.cases import Case
from casebase.commands import named
from casebase.correctness import Calibrated, Comparison

if TYPE_CHECKING:
    from casebase.panel import Contender
    from casebase.rerank import Reranked


def finite(value: float | None) -> float | None:
    """The value, or None where JSON has no word for it."""
    return None if value is None or not math.isfinite(value) else float(value)


class Role(StrEnum):
    """Why a neighbour is shown."""

    NEAREST = "nearest"
    TWIN = "twin"
    COUNTERFACTUAL = "counterfactual"
    SEMI_FACTUAL = "semi_factual"


class Basis(StrEnum):
    """How class membership was read for the unlike lists."""

    PREDICTED = "predicted"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says: class probabilities (softmax, they sum to 1) in the network's class order."""

    probabilities: Mapping[str, float]

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Classes from most to least probable; ties in class order."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])

    @property
    def predicted(self) -> str:
        """The most probable class."""
        return self.ranked[0][0]

    @property
    def confidence(self) -> float:
        """Softmax probability of the predicted class, in [0, 1]; not a calibrated chance of being right."""
        return self.ranked[0][1]

    @property
    def runner_up(self) -> str | None:
        """The second most probable class; None for a network of one class."""
        ranked = self.ranked
        return ranked[1][0] if len(ranked) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """JSON of ``prediction``."""
        return {
            "predicted": self.predicted,
            "confidence": finite(self.confidence),
            "runner_up": self.runner_up,
            "probabilities": {name: finite(value) for name, value in self.probabilities.items()},
        }


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A case in one list of one query.

    ``distance`` is 1 - cosine (>= 0, smaller is nearer). ``percentile`` (0..100) is the share of pairs inside the
    case's own predicted class that are no more alike than query and case; None where there are too few pairs.
    ``group_size`` counts the near-duplicates folded into this row, itself included.
    """

    case: Case
    rank: int
    distance: float
    percentile: float | None
    group_size: int
    role: Role

    @property
    def similarity(self) -> float:
        """Cosine, in [-1, 1]; for display and formulas."""
        return 1.0 - self.distance

    def to_dict(self) -> dict[str, Any]:
        """JSON of one row of a list."""
        return {
            "rank": self.rank,
            "id": self.case.id,
            "path": self.case.path,
            "label": self.case.label,
            "predicted": self.case.predicted,
            "distance": finite(self.distance),
            "similarity": finite(self.similarity),
            "percentile": finite(self.percentile),
            "group_size": self.group_size,
        }


@dataclass(frozen=True, slots=True)
class Rival:
    """A class other than the predicted one that is worth asking about, and why."""

    name: str
    probability: float
    reason: str
    available: int


@dataclass(frozen=True, slots=True)
class ListSource:
    """Which index served a list, and its recall@k against exact search (1.0 where the search is exact)."""

    index: str
    recall: float


@dataclass(frozen=True, slots=True)
class Search:
    """How the lists were found."""

    space: str
    metric: str
    cases: int
    lists: Mapping[str, ListSource]

    def to_dict(self) -> dict[str, Any]:
        """JSON of ``search``."""
        lists = {name: {"index": source.index, "recall": source.recall} for name, source in self.lists.items()}
        return {"space": self.space, "metric": self.metric, "cases": self.cases, "lists": lists}


@dataclass(frozen=True, slots=True)
class Comparable:
    """How usual the nearest twin's distance is, against ``n`` reference images of the predicted class.

    ``share`` of them have their own nearest twin as far away or farther; ``low`` and ``high`` are its 95 % Wilson
    interval; ``reference`` says which images these were. A tiny share means: no comparable case.
    """

    share: float
    n: int
    low: float
    high: float
    reference: str


@dataclass(frozen=True, slots=True)
class Support:
    """How far the neighbours agree with the prediction.

    ``trust_score`` = d(q, NUN) / d(q, twin), ``margin`` = d(q, NUN) - d(q, twin), with the nearest case of any other
    predicted class (NUN) and the nearest twin; both None without a rival or a twin. ``k_same`` and ``k_unlike`` count
    the unfiltered, unweighted nearest list by *predicted* class, ``k_label`` those whose *label* is the predicted
    class. After Jiang et al. 2018, "To Trust Or Not To Trust A Classifier", https://arxiv.org/abs/1805.11783, with
    classes by prediction instead of label.

    ``softmax_correct`` and ``trust_correct`` read softmax and trust score as P(correct) on held-out images;
    ``comparison`` tells which of the two finds wrong answers better there.
    """

    trust_score: float | None
    softmax: float
    k_same: int
    k_unlike: int
    k_label: int
    margin: float | None
    comparable: Comparable | None = None
    softmax_correct: Calibrated | None = None
    trust_correct: Calibrated | None = None
    comparison: Comparison | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON of ``trust``."""
        gate = self.comparable
        correct = {"softmax": self.softmax_correct, "trust": self.trust_correct}
        return {
            "trust_score": finite(self.trust_score),
            "softmax": finite(self.softmax),
            "k_same": self.k_same,
            "k_unlike": self.k_unlike,
            "k_label": self.k_label,
            "margin": finite(self.margin),
            "comparable": None
            if gate is None
            else {"share": gate.share, "n": gate.n, "low": gate.low, "high": gate.high, "reference": gate.reference},
            "p_correct": {name: None if one is None else one.to_dict() for name, one in correct.items()},
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """The image that was asked about."""

    path: str
    sha256: str
    known_case: str | None
    held_out: bool = False
    """Whether ``known_case`` is a held-out image: known, but never an answer and never learnt from."""
    label: str | None = None
    """What the image is, where the question came with its answer: a stored image asked about again."""

    def to_dict(self) -> dict[str, Any]:
        """JSON of ``query``."""
        value = {"path": self.path, "sha256": self.sha256, "known_case": self.known_case, "held_out": self.held_out}
        return value if self.label is None else {**value, "label": self.label}


@dataclass(frozen=True)
class Retrieval:
    """The lists for one query: always three and the semi-factuals; a list may be empty, never missing.

    ``counterfactuals`` holds up to k cases for every class in ``rivals``, all in order of distance.
    """

    query: Asked
    prediction: Prediction
    nearest: Sequence[Neighbour]
    twins: Sequence[Neighbour]
    counterfactuals: Sequence[Neighbour]
    semi_factuals: Sequence[Neighbour]
    rivals: Sequence[Rival]
    trust: Support
    search: Search
    fingerprint: str
    k: int
    basis: Basis = Basis.PREDICTED
    warnings: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    panel: Sequence[Contender] = ()
    reranked: Reranked | None = None

    @property
    def called(self) -> str:
        """The class that twins and rivals are sought for: the network's own answer, or the re-ranked one."""
        return self.prediction.predicted if self.reranked is None else self.reranked.predicted

    @property
    def runner_up(self) -> str | None:
        """The most probable class other than :attr:`called`; None for a network of one class."""
        return next((name for name, _ in self.prediction.ranked if name != self.called), None)

    def of_rival(self, name: str) -> list[Neighbour]:
        """The counterfactuals predicted as one rival class, nearest first."""
        return [row for row in self.counterfactuals if row.case.predicted == name]

    @property
    def contradicting(self) -> list[Neighbour]:
        """The rows of ``nearest`` whose predicted class or label is not the query's predicted class."""
        called = self.called
        return [row for row in self.nearest if called != row.case.predicted or called != row.case.label]

    def to_dict(self) -> dict[str, Any]:
        """The object of schema ``casebase.query/1``, without overlays (those belong to an Explanation)."""
        return {
            "schema": "casebase.query/1",
            "query": self.query.to_dict(),
            "prediction": self.prediction.to_dict(),
            "twins": [row.to_dict() for row in self.twins],
            "counterfactuals": [row.to_dict() for row in self.counterfactuals],
            "nearest": [row.to_dict() for row in self.nearest],
            "semi_factuals": [row.to_dict() for row in self.semi_factuals],
            "rivals": [
                {"class": r.name, "probability": finite(r.probability), "reason": r.reason, "cases": r.available}
                for r in self.rivals
            ],
            "trust": self.trust.to_dict(),
            "panel": [one.to_dict() for one in self.panel],
            "rerank": None if self.reranked is None else self.reranked.to_dict(),
            "overlays": {},
            "search": self.search.to_dict(),
            "basis": str(self.basis),
            "k": self.k,
            "fingerprint": self.fingerprint,
            "warnings": list(self.warnings),
            "seconds": {name: finite(value) for name, value in self.seconds.items()},
        }

    def _repr_html_(self) -> str:
        """A plain table for notebooks; the full report comes from ``explain``."""
        from html import escape

        head = "<tr><th scope='col'>list<th scope='col'>case<th scope='col'>label<th scope='col'>predicted<th>distance"
        rows = "".join(
            f"<tr><td>{escape(str(r.role))}<td>{escape(named(r.case))}<td>{escape(r.case.label)}"
            f"<td>{escape(r.case.predicted)}<td>{r.distance:.3f}"
            for r in [*self.nearest, *self.twins, *self.counterfactuals, *self.semi_factuals]
        )
        said = f"{escape(self.prediction.predicted)} ({self.prediction.confidence:.0%})"
        return f"<p>{escape(self.query.path)}: <b>{said}</b></p><table>{head}{rows}</table>"
