"""How concise a map is: entropy, Gini index, mean. The absolute value is taken first; a map of zeros has no figure.

Entropy: U. Bhatt, A. Weller, J. Moura, 2020, "Evaluating and Aggregating Feature-based Model Explanations",
https://arxiv.org/abs/2005.00631. Gini: P. Chalasani et al., 2020, "Concise Explanations of Neural Networks using
Adversarial Training", https://arxiv.org/abs/1810.06583.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.saliency.metric import BenchSettings, Figure, Map, Metric, Scored, Subject

Values = NDArray[np.floating[Any]]
"""An array of any shape; never written into."""


def entropy(values: Values) -> float | None:
    """-sum q ln q with q = |S| / sum |S|, in nats: 0 for one pixel, ln(H W) where all are equal. None for zeros."""
    sizes = _sizes(values)
    total = float(sizes.sum())
    if not total > 0 or not math.isfinite(total):
        return None
    shares = sizes[sizes > 0] / total
    return abs(float(-(shares * np.log(shares)).sum()))  # of one pixel it would be -0.0


def gini(values: Values) -> float | None:
    """sum_k (2k - n - 1) s_k / (n sum s), s = |S| ascending: 0 where all are equal, 1 - 1/n for one. None for zeros."""
    sizes = np.sort(_sizes(values))
    total = float(sizes.sum())
    if not total > 0 or not math.isfinite(total):
        return None
    n = sizes.size
    return float((2.0 * np.arange(1, n + 1) - n - 1) @ sizes / (n * total))


def mean_size(values: Values) -> float | None:
    """L1 / (H W), the mean of |S|; None for zeros."""
    found = float(_sizes(values).mean())
    return found if found > 0 and math.isfinite(found) else None


def _sizes(values: Values) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.abs(np.asarray(values, np.float64)).ravel()
    return found


def _score(values: Map, _subject: Subject, _settings: BenchSettings) -> Scored:
    return Scored({"entropy": entropy(values), "gini": gini(values), "l1": mean_size(values)})


METRICS: tuple[Metric, ...] = (
    Metric(
        "sparseness",
        "Sparseness",
        "Bhatt et al. 2020, https://arxiv.org/abs/2005.00631; Chalasani et al. 2020, https://arxiv.org/abs/1810.06583",
        (
            Figure("entropy", "Entropy", "lower", help="how widely the map is spread, in nats; at most ln(pixels)"),
            Figure("gini", "Gini", "higher", help="0: every pixel alike; near 1: all of the map in a few pixels"),
            Figure("l1", "L1/HW", "lower", help="the mean of the map; all-ones has 1, and a perfect average drop"),
        ),
        _score,
        passes=lambda settings: 0,
    ),
)
