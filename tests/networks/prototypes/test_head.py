"""The convex head: its optimum against another solver, its signs, its choice of strength."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from casebase.networks.prototypes import head


def made(seed: int = 0, count: int = 3, each: int = 20, parts: int = 2, noise: float = 1.0):
    rng = np.random.default_rng(seed)
    target = np.repeat(np.arange(count), each)
    of_class = np.repeat(np.arange(count), parts)
    similar = rng.normal(0, noise, (len(target), len(of_class))) + (target[:, None] == of_class[None])
    return similar.astype(np.float32), target, of_class.tolist()


def objective(v, b, z, target, sign, strength):
    each = (len(target) / (len(np.unique(target)) * np.bincount(target)))[target] / len(target)
    scores = b + (z * v) @ sign.T
    scores = scores - scores.max(1, keepdims=True)
    likely = scores[np.arange(len(target)), target] - np.log(np.exp(scores).sum(1))
    return -float(each @ likely) + strength * float((v + v * v / 2).sum())


@pytest.mark.parametrize("strength", [1e-3, 3e-2, 0.3])
@pytest.mark.parametrize("count", [2, 3])
def test_the_optimum_is_that_of_a_general_solver(count: int, strength: float) -> None:
    similar, target, of_class = made(count=count)
    z = (similar - similar.mean(0)) / similar.std(0)
    sign = head.signs(of_class, count)
    v, b = head.solve(z.astype(np.float64), target, sign, strength)
    other = minimize(
        lambda x: objective(x[: len(of_class)], x[len(of_class) :], z, target, sign, strength),
        np.full(len(of_class) + count, 0.1),
        bounds=[(0, None)] * len(of_class) + [(None, None)] * count,
        method="L-BFGS-B",
        options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 2000},
    )
    assert (v >= 0).all()
    assert objective(v, b, z, target, sign, strength) == pytest.approx(other.fun, abs=1e-6)
    assert v == pytest.approx(other.x[: len(of_class)], abs=2e-3)


def test_signs_are_one_signed_sum_for_two_classes() -> None:
    assert head.signs([0, 1], 2).tolist() == [[0.5, -0.5], [-0.5, 0.5]]
    assert head.signs([0, 1, 2], 3).tolist() == [[1.0, -0.5, -0.5], [-0.5, 1.0, -0.5], [-0.5, -0.5, 1.0]]


def test_a_useless_prototype_gets_no_weight_and_stronger_lambda_keeps_fewer() -> None:
    similar, target, of_class = made(noise=0.5)
    similar[:, 1] = np.random.default_rng(1).normal(size=len(similar))
    weak, strong = (head.at_strength(similar, target, of_class, 3, value).weight for value in (1e-3, 0.1))
    assert strong[1] == 0.0
    assert (strong > 0).sum() < (weak > 0).sum()


def test_scores_are_linear_in_the_similarities() -> None:
    similar, target, of_class = made()
    found = head.fit(similar, target, of_class, 3)
    by_hand = found.bias + sum(
        np.outer((similar[:, j] - found.shift[j]) / found.scale[j], found.matrix[:, j]) for j in range(len(of_class))
    )
    assert found.scores(similar) == pytest.approx(by_hand)
    assert found.matrix == pytest.approx(head.signs(of_class, 3) * found.weight)


def test_one_class_cannot_take_every_image_where_the_classes_are_as_many() -> None:
    """Even similarities that say nothing leave the classes level: the bias is fitted to balanced weights."""
    rng = np.random.default_rng(0)
    similar = rng.normal(size=(200, 10)).astype(np.float32)
    target = np.repeat([0, 1], [180, 20])
    found = head.at_strength(similar, target, [0] * 5 + [1] * 5, 2, 1e-3)
    share = np.bincount(found.scores(similar).argmax(1), minlength=2) / 200
    assert 0.2 < share[0] < 0.8


def test_the_weight_is_shared_by_prototypes_that_say_the_same() -> None:
    """L1 alone is as well served by one of two copies as by both; the square wants them even."""
    similar, target, _ = made(count=2, parts=1)
    twice = np.repeat(similar, 2, axis=1)
    weight = head.at_strength(twice, target, [0, 0, 1, 1], 2, 1e-2).weight
    assert weight[0] == pytest.approx(weight[1], rel=1e-3)
    assert weight[2] == pytest.approx(weight[3], rel=1e-3)
    assert weight.min() > 0.0


def test_of_nearly_equal_strengths_the_largest_is_taken() -> None:
    similar, target, of_class = made(noise=1.5, each=40)
    found = head.fit(similar, target, of_class, 3)
    losses = []
    for strength in head.STRENGTHS:
        scores = head.at_strength(similar[::2], target[::2], of_class, 3, strength).scores(similar[1::2])
        likely = scores[np.arange(60), target[1::2]] - np.log(np.exp(scores).sum(1))
        losses.append(-likely.mean())
    assert found.strength > head.STRENGTHS[int(np.argmin(losses))] or found.strength == head.STRENGTHS[-1]


def test_the_same_seed_chooses_the_same_strength_and_constant_similarities_do_no_harm() -> None:
    similar, target, of_class = made()
    similar[:, 0] = 0.5
    one, other = (head.fit(similar, target, of_class, 3, seed=4) for _ in range(2))
    assert one.strength == other.strength
    assert np.isfinite(one.scores(similar)).all()
