"""The convex head: how much each prototype counts, never less than nothing, as few of them as will do.

Logistic loss on standardised similarities z, class-balanced, with an elastic net:

    minimise over v >= 0, b:   sum_i w_i CE(softmax(b + A (v * z_i)), y_i) + lambda * sum_j (v_j + v_j^2 / 2)

with A_cj = +1 for the own class and -1/2 for the others.

With v >= 0 the L1 term is linear, so accelerated projected gradient solves it (A. Beck and M. Teboulle, "A Fast
Iterative Shrinkage-Thresholding Algorithm", 2009, https://doi.org/10.1137/080716542). The square shares the weight out
among prototypes that say the same, where L1 alone would leave one class to speak by absence (H. Zou and T. Hastie,
"Regularization and Variable Selection via the Elastic Net", 2005, https://doi.org/10.1111/j.1467-9868.2005.00503.x).
Because the optimum is one and
the signs are fixed, the head cannot draw every image into one class as ProtoPNet's can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from casebase import clock

Floats = NDArray[np.float64]
STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
FOLDS = 5
_STEPS = 1000
_SAME = 1e-9
_LARGE = 2e7


@dataclass(frozen=True, eq=False)
class Head:
    """``weight (P,)`` >= 0 and ``bias (K,)`` over similarities less ``shift (P,)`` over ``scale (P,)``.

    ``matrix (K, P)`` is what a prototype's standardised similarity adds to each class; ``strength`` is lambda.
    """

    weight: Floats
    bias: Floats
    shift: Floats
    scale: Floats
    matrix: Floats
    strength: float

    def scores(self, similarities: NDArray[np.float32]) -> Floats:
        """Class scores ``(N, K)`` of similarities ``(N, P)``."""
        found: Floats = self.bias + ((similarities - self.shift) / self.scale) @ self.matrix.T
        return found


def signs(of_class: Sequence[int], count: int) -> Floats:
    """``A (K, P)``: +1 where the prototype is the class's own, else -1/2; for two classes +1/2 and -1/2, one sum."""
    own = np.array(of_class)[None] == np.arange(count)[:, None]
    found: Floats = np.where(own, 0.5 if count == 2 else 1.0, -0.5)
    return found


def fit(
    similarities: NDArray[np.float32], target: NDArray[np.intp], of_class: Sequence[int], count: int, *, seed: int = 0
) -> Head:
    """The head of ``similarities (N, P)``; lambda by 5-fold cross-validation, folds by class.

    Not the lambda of the lowest log-loss, but the largest within one standard error of it (L. Breiman et al.,
    "Classification and Regression Trees", 1984, section 3.4.3): the prototypes were learnt from these very images, so
    that the lowest is too low.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        strength = _chosen(similarities, target, of_class, count, seed)
        return at_strength(similarities, target, of_class, count, strength)


def at_strength(
    similarities: NDArray[np.float32], target: NDArray[np.intp], of_class: Sequence[int], count: int, strength: float
) -> Head:
    """The head for one lambda."""
    shift = similarities.mean(0, dtype=np.float64)
    spread = similarities.std(0, dtype=np.float64)
    scale = np.where(spread > 1e-6, spread, 1.0)
    sign = signs(of_class, count)
    weight, bias = solve((similarities - shift) / scale, target, sign, strength)
    return Head(weight, bias, shift, scale, sign * weight, strength)


def solve(z: Floats, target: NDArray[np.intp], sign: Floats, strength: float) -> tuple[Floats, Floats]:
    """The optimum ``v (P,)`` >= 0 and ``b (K,)`` for standardised ``z (N, P)``; classes without images get -30."""
    count, parts = sign.shape
    present = np.bincount(target, minlength=count)
    each = (len(target) / (np.count_nonzero(present) * np.maximum(present, 1)))[target] / len(target)
    wanted = np.eye(count)[target]
    # Lipschitz constant of the gradient: softmax's Hessian is at most 1/2 in norm; +1 for the bias column.
    norm = np.linalg.norm(z * np.sqrt(each)[:, None], 2) if parts else 0.0
    slope = 1.0 / (0.5 * (norm**2 * float((sign**2).sum(0).max(initial=0.0)) + 1.0) + strength)
    v, b = np.full(parts, 1.0 / max(parts, 1) ** 0.5), np.where(present > 0, 0.0, -30.0)
    ahead_v, ahead_b, pace = v.copy(), b.copy(), 1.0
    for _ in range(_STEPS):
        scores = ahead_b + (z * ahead_v) @ sign.T
        scores -= scores.max(1, keepdims=True)
        share = np.exp(scores)
        share /= share.sum(1, keepdims=True)
        error = (share - wanted) * each[:, None]
        next_v = np.maximum(ahead_v - slope * (((error @ sign) * z).sum(0) + strength * (1.0 + ahead_v)), 0.0)
        next_b = np.where(present > 0, ahead_b - slope * error.sum(0), -30.0)
        moved = max(float(np.abs(next_v - v).max(initial=0.0)), float(np.abs(next_b - b).max()))
        # Momentum that points uphill is dropped (O'Donoghue and Candes 2015): the way back costs more than it gains.
        if float((ahead_v - next_v) @ (next_v - v) + (ahead_b - next_b) @ (next_b - b)) > 0.0:
            pace = 1.0
        later = (1.0 + (1.0 + 4.0 * pace * pace) ** 0.5) / 2.0
        gain = (pace - 1.0) / later
        ahead_v, ahead_b = next_v + gain * (next_v - v), next_b + gain * (next_b - b)
        v, b, pace = next_v, next_b, later
        if moved < _SAME:
            break
    return v, b


def _chosen(
    similarities: NDArray[np.float32], target: NDArray[np.intp], of_class: Sequence[int], count: int, seed: int
) -> float:
    folds = _folds(target, seed)
    if similarities.size * count > _LARGE:
        folds = folds[:1]  # large sets have little noise and much work: one fold tells
    held_out = np.concatenate(folds)
    losses = np.zeros((len(STRENGTHS), len(target)))
    for held in folds:
        rest = np.setdiff1d(np.arange(len(target)), held)
        for place, strength in enumerate(STRENGTHS):
            head = at_strength(similarities[rest], target[rest], of_class, count, strength)
            scores = head.scores(similarities[held])
            scores -= scores.max(1, keepdims=True)
            likely = scores[np.arange(len(held)), target[held]] - np.log(np.exp(scores).sum(1))
            losses[place, held] = -likely
    each = losses[:, held_out]
    mean = each.mean(1)
    best = int(mean.argmin())
    allowed = mean[best] + each[best].std() / len(held_out) ** 0.5
    return STRENGTHS[int(np.flatnonzero(mean <= allowed + 1e-9)[-1])]


def _folds(target: NDArray[np.intp], seed: int) -> list[NDArray[np.intp]]:
    """Rows in :data:`FOLDS` parts, each class spread over all of them."""
    part = np.zeros(len(target), np.intp)
    random = clock.generator(seed)
    start = 0
    for name in np.unique(target):
        rows = random.permutation(np.flatnonzero(target == name))
        part[rows] = (np.arange(len(rows)) + start) % FOLDS
        start += len(rows)
    found = [np.flatnonzero(part == fold) for fold in range(FOLDS)]
    return [rows for rows in found if 0 < len(rows) < len(target)]
