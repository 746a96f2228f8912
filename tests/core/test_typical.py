"""ProtoDash and MMD-critic on kernels whose answer is known by hand or by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from casebase import typical
from casebase.errors import UsageError
from casebase.typical import Chosen, Kernel


def on_circle(*degrees: float) -> np.ndarray:
    angles = np.radians(np.array(degrees, dtype=np.float64))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def spread(count: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def whole(kernel: Kernel) -> np.ndarray:
    return kernel.columns(range(len(kernel)))


def test_the_kernel_of_a_right_angle_and_of_opposites_is_as_by_hand() -> None:
    """|x - y|^2 is 2 at 90 degrees and 4 at 180; with s = 1 that is exp(-1) and exp(-2)."""
    kernel = Kernel(on_circle(0, 90, 180), 1.0)
    near, far = np.exp(-1), np.exp(-2)
    np.testing.assert_allclose(whole(kernel), [[1, near, far], [near, 1, near], [far, near, 1]], atol=1e-8)
    np.testing.assert_allclose(kernel.means() * 3, [1 + near + far, 1 + 2 * near, 1 + near + far], atol=1e-8)


def test_the_median_distance_is_that_of_pairs_that_differ() -> None:
    assert typical.median_distance(on_circle(0, 90)) == pytest.approx(np.sqrt(2))
    assert typical.median_distance(on_circle(0, 0, 0, 0, 180)) == pytest.approx(2)
    assert typical.median_distance(on_circle(10, 10)) is None
    assert typical.median_distance(on_circle(10)) is None


def test_the_first_typical_case_of_three_in_a_row_is_the_middle_one() -> None:
    """The gradient is mu at first; the best single weight is w = mu / K = mu, and MMD^2 = nothing - mu^2."""
    kernel = Kernel(on_circle(0, 90, 180), 1.0)
    found = typical.typical(kernel, 1)
    mu = (1 + 2 * np.exp(-1)) / 3
    assert found.places == (1,)
    assert found.weights == pytest.approx((mu,))
    assert found.residual == pytest.approx(found.nothing - mu**2)
    assert found.witness[1] == pytest.approx(0, abs=1e-12)


def test_all_cases_stand_for_all_with_equal_weights() -> None:
    kernel = Kernel(spread(12), 1.0)
    found = typical.typical(kernel, 12)
    np.testing.assert_allclose(found.weights, np.full(12, 1 / 12), atol=1e-7)
    assert found.residual == pytest.approx(0, abs=1e-9)
    equal = typical.discrepancy(whole(kernel), kernel.means(), np.full(12, 1 / 12), found.nothing)
    assert equal == pytest.approx(0, abs=1e-12)


def test_the_discrepancy_is_its_definition_over_all_pairs() -> None:
    """MMD^2 = mean k(x, x') - 2 mean sum w k(x, s) + sum w w' k(s, s'), by plain loops."""
    kernel = Kernel(spread(7), 1.3)
    k, weights, places = whole(kernel), np.array([0.4, 0.5]), [2, 5]
    pairs = sum(k[i, j] for i in range(7) for j in range(7)) / 49
    cross = sum(w * k[i, s] for i in range(7) for w, s in zip(weights, places, strict=True)) / 7
    own = sum(weights[a] * weights[b] * k[places[a], places[b]] for a in range(2) for b in range(2))
    among, mu = k[np.ix_(places, places)], kernel.means()[places]
    assert typical.discrepancy(among, mu, weights, kernel.means().mean()) == pytest.approx(pairs - 2 * cross + own)


def test_weights_by_hand_where_one_must_be_zero() -> None:
    """K = [[1, .5], [.5, 1]], mu = (1, .2): free weights would be (1.2, -.4), so the best are (1, 0)."""
    kernel, mu = np.array([[1, 0.5], [0.5, 1]]), np.array([1, 0.2])
    np.testing.assert_allclose(typical.best_weights(kernel, mu), [1, 0], atol=1e-12)
    assert typical.violation(kernel, mu, np.array([1.0, 0.0])) == pytest.approx(0)
    assert typical.violation(kernel, mu, np.array([0.0, 0.2])) == pytest.approx(0.9)  # g = 1 - .1 where w = 0
    assert typical.violation(kernel, mu, np.array([1.2, 0.0])) == pytest.approx(0.2)  # g = -.2 where w > 0


@given(st.integers(0, 10_000), st.integers(1, 7))
def test_weights_are_those_of_another_solver_and_meet_the_conditions(seed: int, m: int) -> None:
    random = np.random.default_rng(seed)
    root = random.normal(size=(m, m)) + 0.3 * np.eye(m)
    kernel, mu = root @ root.T + 0.05 * np.eye(m), random.normal(size=m)
    found = typical.best_weights(kernel, mu)
    factor = np.linalg.cholesky(kernel).T  # max w.mu - w K w / 2 is min |F w - F^-T mu|
    other, _ = nnls(factor, np.linalg.solve(factor.T, mu))
    np.testing.assert_allclose(found, other, atol=1e-6 * (1 + np.abs(other).max()))
    np.testing.assert_allclose(typical.best_weights(kernel, mu, np.zeros(m)), found, atol=1e-9 * (1 + found.max()))
    assert (found >= 0).all()
    assert typical.violation(kernel, mu, found) < 1e-8


def test_weights_beat_every_point_of_a_grid() -> None:
    kernel = Kernel(spread(9, dim=3, seed=4), 0.8)
    among, mu, nothing = whole(kernel)[:3, :3], kernel.means()[:3], float(kernel.means().mean())
    best = typical.discrepancy(among, mu, typical.best_weights(among, mu), nothing)
    grid = [np.array(w) for w in itertools.product(np.linspace(0, 1, 41), repeat=3)]
    least = min(typical.discrepancy(among, mu, w, nothing) for w in grid)
    assert best <= least
    assert least - best < 2e-3  # and the grid comes near, so the two measure the same


def test_each_step_meets_the_conditions_and_leaves_less() -> None:
    kernel = Kernel(spread(60), 1.1)
    found = [typical.typical(kernel, k) for k in range(1, 9)]
    assert all(one.optimality < 1e-9 for one in found)
    assert all(later.residual < earlier.residual for earlier, later in itertools.pairwise(found))
    assert [len(one.places) for one in found] == list(range(1, 9))
    for one in found:
        assert min(one.weights) > 0
        assert list(one.weights) == sorted(one.weights, reverse=True)
        np.testing.assert_allclose(one.witness[list(one.places)], 0, atol=1e-9)


def test_two_clusters_of_three_to_one_give_two_cases_three_to_one() -> None:
    jitter = np.random.default_rng(1).normal(0, 1, 40)
    kernel = Kernel(on_circle(*jitter[:30], *(150 + jitter[30:])), 0.3)
    found = typical.typical(kernel, 2)
    assert found.places[0] < 30 <= found.places[1]
    assert found.weights[0] / found.weights[1] == pytest.approx(3, rel=0.02)


def test_typical_cases_beat_random_ones_and_random_ones_beat_none() -> None:
    kernel = Kernel(spread(80), 1.0)
    found = typical.typical(kernel, 5)
    chance = typical.by_chance(kernel, kernel.means(), 5)
    assert found.residual < chance < found.nothing
    assert typical.residual(kernel, kernel.means(), found.places) == pytest.approx(found.residual)


def test_copies_among_random_cases_are_no_hindrance() -> None:
    kernel = Kernel(on_circle(0, 0, 0, 60), 1.0)
    once = typical.residual(kernel, kernel.means(), [0, 3])
    assert typical.residual(kernel, kernel.means(), [0, 1, 2, 3]) == pytest.approx(once)


def test_copies_that_differ_by_rounding_do_not_make_the_weights_singular() -> None:
    """The same pictures read in another batch: equal up to 1e-6, so their means differ and their kernel does not."""
    rows = spread(6, dim=32)
    again = rows + 3e-6 * spread(6, dim=32, seed=1)
    kernel = Kernel(np.concatenate([rows, again]), 1.4)
    found = typical.typical(kernel, 12)
    assert len(found.places) == 6
    assert len({place % 6 for place in found.places}) == 6
    np.testing.assert_allclose(found.weights, np.full(6, 1 / 6), atol=1e-4)
    assert typical.by_chance(kernel, kernel.means(), 12) == pytest.approx(0, abs=1e-8)
    assert typical.criticisms(kernel, found, 3) == []


def test_a_planted_outlier_is_the_first_criticism() -> None:
    random = np.random.default_rng(2)
    rows = np.eye(6)[0] + 0.15 * random.normal(size=(50, 6))
    rows[17] = -np.eye(6)[3]
    kernel = Kernel(rows.astype(np.float32), typical.median_distance(rows) or 1.0)
    chosen = typical.typical(kernel, 3)
    assert 17 not in chosen.places
    found = typical.criticisms(kernel, chosen, 3)
    assert found[0] == 17
    assert chosen.witness[17] > 0
    assert not set(found) & set(chosen.places)


@pytest.mark.parametrize("seed", range(4))
def test_criticisms_maximise_witness_and_determinant_step_by_step(seed: int) -> None:
    """Against the sum and the determinant themselves, over every case that may join."""
    kernel = Kernel(spread(14, seed=seed), 1.0)
    chosen, k = typical.typical(kernel, 3), whole(kernel)
    found = typical.criticisms(kernel, chosen, 3)
    for turn in range(3):
        before = found[:turn]

        def worth(case: int, before: list[int] = before) -> float:
            some = [*before, case]
            places = [*chosen.places, *some]
            determinant = np.linalg.slogdet(k[np.ix_(places, places)])[1]
            return float(np.abs(chosen.witness[some]).sum() + determinant)

        others = set(range(14)) - set(chosen.places) - set(before)
        assert worth(found[turn]) == pytest.approx(max(worth(case) for case in others), abs=1e-7)


def test_a_case_the_typical_ones_account_for_is_no_criticism() -> None:
    kernel = Kernel(on_circle(0, 40), 1.0)
    none = Chosen((0,), (1.0,), 0.0, 1.0, np.array([0.0, 0.0]), 0.0)
    assert typical.criticisms(kernel, none, 2) == []
    below = Chosen((0,), (1.0,), 0.0, 1.0, np.array([0.0, -0.2]), 0.0)
    assert typical.criticisms(kernel, below, 2) == [1]


def test_equal_vectors_have_one_typical_case_and_no_criticism() -> None:
    kernel = Kernel(np.tile(on_circle(33), (6, 1)), 1.0)
    found = typical.typical(kernel, 3)
    assert (found.places, found.weights) == ((0,), pytest.approx((1.0,)))
    assert found.residual == pytest.approx(0, abs=1e-12)
    assert typical.criticisms(kernel, found, 3) == []


@pytest.mark.parametrize("block", [1, 7, 33, 1000])
def test_the_block_changes_nothing(block: int) -> None:
    rows = spread(120, dim=32)
    one, other = Kernel(rows, 1.2), Kernel(rows, 1.2, block=block)
    np.testing.assert_allclose(one.means(), other.means(), rtol=0, atol=1e-8)
    first, second = typical.typical(one, 6), typical.typical(other, 6)
    assert first.places == second.places
    np.testing.assert_allclose(first.weights, second.weights, atol=1e-7)
    assert typical.criticisms(one, first, 5) == typical.criticisms(other, second, 5)


def test_bad_input_is_told() -> None:
    with pytest.raises(UsageError, match="positive number, not 0"):
        Kernel(spread(3), 0.0)
    with pytest.raises(UsageError, match="zero or not finite"):
        Kernel(np.zeros((2, 4), np.float32), 1.0)
    with pytest.raises(UsageError, match="k = 0"):
        typical.typical(Kernel(spread(3), 1.0), 0)
