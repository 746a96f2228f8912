"""The panel: the nearest case of every probable class side by side, the predicted one first.

Neighbours of the winning class alone raise the acceptance of wrong answers; two classes side by side do not (Nguyen,
Taesiri & Nguyen, TMLR 2024, "PCNN", https://arxiv.org/abs/2308.13651).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from casebase.answers import Neighbour, Retrieval, finite

LOW_MARGIN = 0.5
"""An answer whose two most probable classes lie closer than this is of low margin: between two classes it says less
than 75 %, so at its own word one such answer in four is wrong. The same line holds for a calibrated P(correct)."""
MOST = 5
"""Classes side by side: as many as stand in one row of a page."""
DEEPER = 50
"""Where none of the first cases of a class is labelled as it is predicted, so many are looked through."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One probable class and the cases that stand for it.

    ``agreed`` is the nearest case both labelled and predicted so; ``nearer`` one still nearer that is predicted so and
    labelled otherwise. ``available`` counts the cases predicted so, ``searched`` how many of them were looked through.
    """

    name: str
    probability: float
    agreed: Neighbour | None
    nearer: Neighbour | None
    available: int
    searched: int

    def to_dict(self) -> dict[str, Any]:
        """JSON of one class of ``panel``."""
        return {
            "class": self.name,
            "probability": finite(self.probability),
            "agreed": None if self.agreed is None else self.agreed.to_dict(),
            "nearer": None if self.nearer is None else self.nearer.to_dict(),
            "cases": self.available,
            "searched": self.searched,
        }


def contender(
    name: str, probability: float, available: int, rows: Sequence[Neighbour], k: int,
    deeper: Callable[[int], Sequence[Neighbour]],
) -> Contender:  # fmt: skip
    """The cases of one class, from its first ``rows`` of ``k`` asked for; ``deeper`` gives more of them."""

    def agreeing(found: Sequence[Neighbour]) -> Neighbour | None:
        return next((row for row in found if row.case.label == row.case.predicted == name), None)

    agreed = agreeing(rows)
    if agreed is None and len(rows) == k < DEEPER:
        rows = deeper(DEEPER)
        agreed = agreeing(rows)
    first = rows[0] if rows else None
    nearer = None if first is None or first is agreed else first
    return Contender(name, probability, agreed, nearer, available, len(rows))


def low_margin(answer: Retrieval) -> bool:
    """Whether an answer is so unsure that the classes should be seen side by side before anything else."""
    ranked = answer.prediction.ranked
    if len(ranked) > 1 and ranked[0][1] - ranked[1][1] < LOW_MARGIN:
        return True
    trust = answer.trust
    shares = [c.p for c in (trust.softmax_correct, trust.trust_correct) if c is not None and c.p is not None]
    return any(2.0 * p - 1.0 < LOW_MARGIN for p in shares)
