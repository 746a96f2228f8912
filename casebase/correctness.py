"""How often answers with such evidence were right: the figures that stand beside a raw score."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

HELD_OUT = "held-out images"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A raw score read as a chance of being right.

    ``n`` reference images have evidence like this and ``n_errors`` of their answers are wrong: ``p = 1 - n_errors / n``
    with its 95 % Wilson interval ``low`` to ``high``. ``total`` counts the whole reference. Where the score could not
    be calibrated, ``p`` is None, ``reason`` says why, and ``n`` and ``n_errors`` count the whole reference.
    """

    p: float | None
    low: float | None
    high: float | None
    n: int
    n_errors: int
    total: int
    reference: str = HELD_OUT
    reason: str | None = None

    @property
    def n_right(self) -> int:
        """How many of the ``n`` answers are right."""
        return self.n - self.n_errors

    def to_dict(self) -> dict[str, Any]:
        """JSON of one score's ``p_correct``."""
        return asdict(self)


def uncalibrated(reason: str, n: int = 0, n_errors: int = 0) -> Calibrated:
    """A score that cannot be read as a chance of being right, and why."""
    return Calibrated(None, None, None, n, n_errors, n, reason=reason)


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of both scores on the same images; smaller is better.

    ``gap`` is trust minus softmax, ``low`` to ``high`` its 95 % interval by a paired bootstrap over groups.
    """

    softmax: float
    trust: float
    gap: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Softmax and trust score judged on the same ``n`` held-out images, of which the network has ``n_errors`` wrong.

    ``augrc`` is the area under the generalised risk-coverage curve, ``brier`` the mean squared error of the
    cross-fitted P(correct). Both are None under :data:`FEWEST_ERRORS` errors: then nothing can be told.

    ``own`` of the ``n`` are the query itself, or of its group: two scores are judged here, not the query, so it need
    not be left out as it is from every reference of its own; but then the two counts differ, and that is said.
    """

    n: int
    n_errors: int
    augrc: Difference | None = None
    brier: Difference | None = None
    own: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON of ``comparison``."""
        return asdict(self)


FEWEST_ERRORS = 30
"""With fewer errors no ranking of scores is told: its interval would span nearly everything."""
FEWEST_COMPARED = 20
"""With fewer reference images it is not told how usual a distance is: one of them would be 5 % and more."""
