"""Reuse: let the neighbours speak for or against the prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence

from casebase.answers import Comparable, Neighbour, Prediction, Support

EPSILON = 1e-12


def support(
    prediction: Prediction,
    nearest: Sequence[Neighbour],
    twin: float | None,
    unlike: float | None,
    comparable: Comparable | None,
    called: str | None = None,
) -> Support:
    """The neighbours' evidence for ``called``, which is the predicted class unless the answer was re-ranked.

    ``twin`` and ``unlike`` are the distances of the nearest twin and of the nearest case of any other predicted class.
    ``trust_score = unlike / (twin + 1e-12)``: above 1 the query lies nearer to its own class. On unit vectors
    ``1 - cosine`` is half the squared Euclidean distance, so this is the square of a ratio of Euclidean distances.
    """
    called = prediction.predicted if called is None else called
    both = twin is not None and unlike is not None
    return Support(
        trust_score=unlike / (twin + EPSILON) if both else None,  # type: ignore[operator]  # both checked above
        softmax=prediction.probabilities[called],
        k_same=sum(row.case.predicted == called for row in nearest),
        k_unlike=sum(row.case.predicted != called for row in nearest),
        k_label=sum(row.case.label == called for row in nearest),
        margin=unlike - twin if both else None,  # type: ignore[operator]  # both checked above
        comparable=comparable,
    )


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson score interval of a share, 95 % by default; (0, 1) for n = 0.

    E. B. Wilson, 1927, "Probable Inference, the Law of Succession, and Statistical Inference":
    centre (p + z²/2n) / (1 + z²/n), half-width z / (1 + z²/n) * sqrt(p(1-p)/n + z²/4n²).
    """
    if n == 0:
        return 0.0, 1.0
    share, extra = successes / n, z * z / n
    centre = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * math.sqrt(share * (1 - share) / n + extra / (4 * n))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return 0.0 if successes == 0 else low, 1.0 if successes == n else high  # exactly, whatever is lost in rounding
