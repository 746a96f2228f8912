"""Isotonic regression against hand-computed blocks and scikit-learn's; what a block says of itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from casebase.calibration import LEAST_BLOCK, LEAST_IMAGES, Blocks, at_most, fit, pool
from casebase.reuse import wilson


def told(blocks: Blocks) -> list[tuple[float, int, int]]:
    return list(zip(blocks.edges.tolist(), blocks.n.tolist(), blocks.right.tolist(), strict=True))


def test_blocks_by_hand() -> None:
    """1 0 | 1 0 0 | 1 pool to 1/2 over two, then 1/3 < 1/2 pulls all five to 2/5; the last stays 1."""
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    right = np.array([1, 0, 1, 0, 0, 1], bool)
    assert told(pool(scores, right)) == [(0.1, 5, 2), (0.6, 1, 1)]


def test_rising_outcomes_stay_apart_and_falling_ones_become_one_block() -> None:
    scores = np.arange(4.0)
    assert told(pool(scores, np.array([0, 0, 1, 1], bool))) == [(0.0, 2, 0), (2.0, 2, 2)]
    assert told(pool(scores, np.array([1, 1, 0, 0], bool))) == [(0.0, 4, 2)]


def test_equal_scores_stay_together_whatever_their_order() -> None:
    scores = np.array([0.5, 0.5, 0.5, 0.9])
    for right in ([1, 0, 0, 1], [0, 0, 1, 1]):
        assert told(pool(scores, np.array(right, bool))) == [(0.5, 3, 1), (0.9, 1, 1)]


outcomes = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=80)


@given(outcomes)
@settings(max_examples=300)
def test_the_regression_is_that_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score / 7 for score, _ in pairs])
    right = np.array([hit for _, hit in pairs], bool)
    expected = IsotonicRegression().fit_transform(scores, right.astype(float))
    np.testing.assert_allclose(pool(scores, right).share(scores), expected, atol=1e-9)


@given(outcomes, st.integers(1, 30), st.lists(st.floats(-1, 3), min_size=2, max_size=20))
@settings(max_examples=200)
def test_blocks_lose_nobody_are_large_enough_and_never_fall(
    pairs: list[tuple[int, bool]], least: int, asked: list[float]
) -> None:
    scores = np.array([score / 7 for score, _ in pairs])
    right = np.array([hit for _, hit in pairs], bool)
    blocks = pool(scores, right, least)
    assert blocks.n.sum() == len(scores)
    assert blocks.right.sum() == right.sum()
    assert (blocks.n >= least).all() or len(blocks.n) == 1
    assert (np.diff(blocks.edges) > 0).all()
    assert (np.diff(blocks.right / blocks.n) > 0).all()
    shares = blocks.share(np.sort(np.array(asked)))
    assert (np.diff(shares) >= 0).all()
    # every score lies in the block that counted it
    np.testing.assert_array_equal(np.bincount(blocks.place(scores), minlength=len(blocks.n)), blocks.n)


def test_the_least_sure_answers_are_a_block_of_their_own_even_where_few_are_wrong() -> None:
    """4 errors among the lowest 30 of 300: an unsure answer must not be read with the 270 sure ones."""
    scores = np.linspace(0.5, 1.0, 300)
    right = np.ones(300, bool)
    right[[0, 3, 7, 11]] = False
    found = fit(scores, right)
    low, high = found.at(0.51), found.at(0.99)
    assert (low.n, low.n_errors, low.p) == (LEAST_BLOCK, 4, pytest.approx(26 / 30))
    assert (high.n, high.n_errors, high.p) == (270, 0, 1.0)
    assert (low.low, low.high) == wilson(26, 30)
    assert (high.low, high.total) == (wilson(270, 270)[0], 300)


def test_a_score_between_two_blocks_is_read_with_the_lower_one_and_one_outside_with_the_end() -> None:
    scores = np.r_[np.full(40, 1.0), np.full(40, 2.0)]
    right = np.r_[np.arange(40) % 2 == 0, np.ones(40, bool)]
    found = fit(scores, right)
    assert found.at(1.999).p == 0.5
    assert found.at(2.0).p == 1.0
    assert found.at(-5.0).p == 0.5
    assert found.at(1e12).p == 1.0


def test_too_few_images_or_no_error_is_not_calibrated_and_says_why() -> None:
    few = fit(np.linspace(0, 1, LEAST_IMAGES - 1), np.arange(LEAST_IMAGES - 1) > 3).at(0.5)
    assert (few.p, few.low, few.high) == (None, None, None)
    assert few.reason == f"only {LEAST_IMAGES - 1} held-out images to learn from, {LEAST_IMAGES} are needed"
    never = fit(np.linspace(0, 1, 138), np.ones(138, bool)).at(0.5)
    assert (never.p, never.n, never.n_errors) == (None, 138, 0)
    assert "no held-out answer is wrong" in (never.reason or "")


@pytest.mark.parametrize("score", [None, math.nan, math.inf])
def test_an_answer_without_a_score_is_not_calibrated(score: float | None) -> None:
    found = fit(np.linspace(0, 1, 100), np.arange(100) > 20)
    assert found.at(score).p is None
    assert found.at(0.9).p is not None


def test_scores_that_are_not_finite_are_left_out_of_the_fit() -> None:
    scores = np.r_[np.linspace(0, 1, 100), np.full(50, np.nan)]
    found = fit(scores, np.r_[np.arange(100) > 20, np.zeros(50, bool)])
    assert (found.n, found.n_errors) == (100, 21)


def test_the_rule_of_three() -> None:
    assert at_most(138) == pytest.approx(3 / 138, rel=0.02)
    assert (1 - at_most(40)) ** 40 == pytest.approx(0.05)
    assert at_most(0) == 1.0
