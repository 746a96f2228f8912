"""A linear head on frozen features, for classes that no classifier knows: multinomial logistic regression.

Method: J. S. Cramer, "The Origins of Logistic Regression", 2002; as a probe of frozen features G. Alain and Y. Bengio,
"Understanding intermediate layers using linear classifier probes", 2017, https://arxiv.org/abs/1610.01644.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from casebase import clock
from casebase.errors import ModelError
from casebase.ports import Matrix, Stored, Vector
from casebase.shares import grouped_share

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)
DEFAULT_STRENGTH = 1.0
FEWEST = 30
MOST_IMAGES = 20_000
_SHARE = 0.15
Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class FittedHead:
    """``weight (K, D) float32`` and ``bias (K,) float32`` for ``classes``, fitted on all images.

    ``strength`` is scikit-learn's C (larger: less regularised), chosen on ``chosen_on`` images. The accuracy is that
    of a head with this C fitted without the ``held_out_n`` images it was measured on; ``held_out_interval`` is
    its 95 % interval, by group where images belong together. All three are None, None and 0 where ``reason`` says why.
    """

    weight: Matrix
    bias: Vector
    classes: tuple[str, ...]
    strength: float
    held_out_accuracy: float | None
    held_out_n: int
    held_out_interval: tuple[float, float] | None
    chosen_on: int
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON, without the weights."""
        interval = None if self.held_out_interval is None else list(self.held_out_interval)
        return {
            "classes": list(self.classes),
            "strength": self.strength,
            "held_out_accuracy": self.held_out_accuracy,
            "held_out_n": self.held_out_n,
            "held_out_interval": interval,
            "chosen_on": self.chosen_on,
            "reason": self.reason,
        }


def fit(
    features: Matrix, labels: Sequence[str], *, groups: Sequence[Hashable | None] | None = None, seed: int = 0
) -> FittedHead:
    """Fit a head to ``features (N, D) float32``, not normalised, and their labels; the same seed gives the same head.

    Images of one group (one animal, one patient) never stand on both sides of a split; None is a group of its own.
    With one class the head is constant. With fewer than 30 images, or classes too small to hold any back, C is 1 and
    no accuracy is given. Raises ``ModelError`` for no images, NaN, or lengths that differ.
    """
    if len(features) != len(labels) or features.ndim != 2 or (groups is not None and len(groups) != len(labels)):
        raise ModelError(f"a head needs one label per image; given were {len(features)} features, {len(labels)} labels")
    if not len(labels):
        raise ModelError("a head needs images to be fitted on; there are none")
    if not np.isfinite(features).all():
        raise ModelError("some features are not finite numbers; no head can be fitted")
    classes = tuple(sorted(set(labels)))
    if len(classes) == 1:
        weight, bias = np.zeros((1, features.shape[1]), np.float32), np.zeros(1, np.float32)
        return FittedHead(weight, bias, classes, DEFAULT_STRENGTH, None, 0, None, 0, "there is only one class")
    position = {name: i for i, name in enumerate(classes)}
    target: Indices = np.array([position[label] for label in labels], dtype=np.intp)
    train, choose, report = split(target, groups, seed)
    reason = _too_few(len(labels), choose, report)
    if reason is not None:
        weight, bias = regress(features, target, len(classes), DEFAULT_STRENGTH)
        return FittedHead(weight, bias, classes, DEFAULT_STRENGTH, None, 0, None, 0, reason)
    strength = _chosen(features, target, len(classes), train, choose)
    rest = np.concatenate([train, choose])
    weight, bias = regress(features[rest], target[rest], len(classes), strength)
    right = _scores(features[report], weight, bias).argmax(1) == target[report]
    measured = grouped_share(right, [None if groups is None else groups[i] for i in report.tolist()], seed)
    weight, bias = regress(features, target, len(classes), strength)
    return FittedHead(
        weight=weight,
        bias=bias,
        classes=classes,
        strength=strength,
        held_out_accuracy=measured.value,
        held_out_n=len(report),
        held_out_interval=None if measured.low is None or measured.high is None else (measured.low, measured.high),
        chosen_on=len(choose),
        reason=None,
    )


def probabilities(features: Matrix, weight: Matrix, bias: Vector) -> Matrix:
    """Softmax of ``features (N, D) @ weight.T (D, K) + bias``: ``(N, K) float32``, rows sum to 1."""
    scores = _scores(features, weight, bias)
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Matrix = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def split(target: Indices, groups: Sequence[Hashable | None] | None, seed: int) -> tuple[Indices, Indices, Indices]:
    """Positions for fitting (70 %), for choosing C (15 %) and for reporting (15 %); by class, groups kept whole.

    A group counts for its most frequent class. A class gives nothing away unless a group of it stays for fitting.
    """
    keys: Sequence[Hashable] = (
        range(len(target))
        if groups is None
        else [("alone", i) if g is None else ("group", g) for i, g in enumerate(groups)]
    )
    members: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        members.setdefault(key, []).append(i)
    of_class: dict[int, list[list[int]]] = {}
    for rows in members.values():
        of_class.setdefault(Counter(int(target[i]) for i in rows).most_common(1)[0][0], []).append(rows)
    rng = clock.generator(seed)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for name in sorted(of_class):
        clusters = of_class[name]
        want = round(_SHARE * sum(len(rows) for rows in clusters))
        taken = [0, 0]
        spare = len(clusters) - 1  # one stays for fitting
        for at in rng.permutation(len(clusters)):
            rows = clusters[int(at)]
            side = next((s for s in (0, 1) if spare and taken[s] + len(rows) <= want), None)
            if side is None:
                parts[0].extend(rows)
            else:
                spare -= 1
                taken[side] += len(rows)
                parts[1 + side].extend(rows)
    train, choose, report = (np.sort(np.array(p, dtype=np.intp)) for p in parts)
    return train, choose, report


def _too_few(n: int, choose: Indices, report: Indices) -> str | None:
    if n < FEWEST:
        return f"{n} images are too few to hold some back (at least {FEWEST})"
    if not len(choose) or not len(report):
        return "no class, or no group, is large enough to hold some images back"
    return None


def _chosen(features: Matrix, target: Indices, k: int, train: Indices, choose: Indices) -> float:
    """The C with the lowest log-loss on the images for choosing; of equal ones the smaller.

    The search ends where two larger C in a row were no better: weaker regularisation only takes longer to fit.
    """
    best, lowest, worse = STRENGTHS[0], math.inf, 0
    for strength in STRENGTHS:
        weight, bias = regress(features[train], target[train], k, strength)
        given = probabilities(features[choose], weight, bias)[np.arange(len(choose)), target[choose]]
        loss = -float(np.log(np.maximum(given, 1e-12)).mean())
        if loss < lowest:
            best, lowest, worse = strength, loss, 0
        else:
            worse += 1
        if worse == 2:
            break
    return best


def regress(
    features: Matrix, target: Indices, k: int, strength: float, *, balanced: bool = False
) -> tuple[Matrix, Vector]:
    """Weight ``(k, D)``, bias ``(k,)`` of ``features (N, D)`` and ``target (N,)``; ``balanced``: classes weigh alike.

    Fitted on standardised features; the scale is folded back: w = w' / s, b = b' - w . mean.
    """
    present = np.unique(target)
    weight, bias = np.zeros((k, features.shape[1])), np.full(k, -30.0)
    if len(present) == 1:
        bias[present[0]] = 0.0
        return weight.astype(np.float32), bias.astype(np.float32)
    mean = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    scale = np.where(spread > 1e-8 * max(1.0, float(np.abs(mean).max())), spread, 1.0)
    model = LogisticRegression(C=strength, max_iter=500, tol=1e-4, class_weight="balanced" if balanced else None)
    # On many small products a BLAS with several threads spends its time waiting: 20 to 40 times slower, measured.
    with threadpool_limits(limits=1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 500 steps are enough for a head, converged or not
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # few images each: known
        model.fit((features - mean) / scale, target)
    rows, constants = model.coef_, model.intercept_
    if len(present) == 2:  # one row for two classes: their difference
        rows, constants = np.concatenate([-rows, rows]) / 2, np.concatenate([-constants, constants]) / 2
    weight[present] = rows / scale
    bias[present] = constants - weight[present] @ mean
    return weight.astype(np.float32), bias.astype(np.float32)


def _scores(features: Matrix, weight: Matrix, bias: Vector) -> NDArray[np.float32]:
    found: NDArray[np.float32] = features @ weight.T + bias
    return found


def gather(
    blocks: Iterable[Stored], seed: int, most: int = MOST_IMAGES
) -> tuple[Matrix, list[str], list[str | None] | None, int]:
    """Features ``(n, D)``, labels and groups to fit on, held-out images left out; and how many there were in all.

    At most ``most`` images, drawn at random, so that memory does not grow with the set. Groups are None where no image
    has one.
    """
    random = clock.generator(seed)
    kept: list[tuple[float, Vector, str, str | None]] = []
    total = 0
    for block in blocks:
        for row in np.flatnonzero(~block.held_out).tolist():
            kept.append((float(random.random()), block.features[row].copy(), block.labels[row], block.groups[row]))
            total += 1
        if len(kept) > 2 * most:
            kept = sorted(kept, key=lambda drawn: drawn[0])[:most]
    kept = sorted(kept, key=lambda drawn: drawn[0])[:most]
    if not kept:
        raise ModelError("a head needs images to be fitted on; none of those indexed is a training image")
    groups = [drawn[3] for drawn in kept]
    known = groups if any(group is not None for group in groups) else None
    return np.stack([drawn[1] for drawn in kept]), [drawn[2] for drawn in kept], known, total
