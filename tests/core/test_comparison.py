"""AUGRC and the paired bootstrap against plain loops; folds that keep a group together."""

from __future__ import annotations

import numpy as np
import pytest

from casebase.comparison import area, compare, cross_fitted, draws, folds, numbered
from casebase.correctness import FEWEST_ERRORS


def augrc(scores: np.ndarray, right: np.ndarray) -> float:
    """The definition, for scores without ties: (1/n) Σ_j #errors among the j highest / n."""
    order = np.argsort(-scores)
    n = len(scores)
    return sum((~right[order[:j]]).sum() / n for j in range(1, n + 1)) / n


def made_up(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores = random.permutation(n) / n
    return scores, random.random(n) < 0.4 + 0.6 * scores


def test_augrc_is_its_definition() -> None:
    scores, right = made_up()
    assert area(scores, right)(np.ones((1, 200)))[0] == pytest.approx(augrc(scores, right))
    perfect = np.r_[np.zeros(3, bool), np.ones(7, bool)]
    assert area(np.arange(10.0), perfect)(np.ones((1, 10)))[0] == pytest.approx((1 + 2 + 3) / 100)


def test_equal_scores_are_worth_the_mean_over_their_orders() -> None:
    random = np.random.default_rng(1)
    tied, right = np.repeat([1.0, 2.0, 3.0], 8), random.random(24) < 0.6
    orders = [augrc(tied + 1e-6 * random.permutation(24), right) for _ in range(4000)]
    assert area(tied, right)(np.ones((1, 24)))[0] == pytest.approx(np.mean(orders), abs=2e-3)


def test_a_weight_of_two_is_a_row_twice() -> None:
    scores, right = made_up(40)
    times = np.random.default_rng(2).integers(0, 3, 40)
    again = np.repeat(np.arange(40), times)
    repeated = area(scores[again], right[again])(np.ones((1, len(again))))[0]
    assert area(scores, right)(times[None].astype(float))[0] == pytest.approx(repeated)


def test_folds_and_draws_never_part_a_group() -> None:
    clusters = numbered([f"g{i % 37}" for i in range(200)])
    fold = folds(clusters, seed=0)
    assert all(len(set(fold[clusters == c])) == 1 for c in range(37))
    sizes = np.bincount(fold)
    assert len(sizes) == 5
    assert sizes.max() - sizes.min() <= 6
    for weights in draws(clusters, seed=0, count=60):
        assert all((weights[:, clusters == c] == weights[:, clusters == c][:, :1]).all() for c in range(37))


def test_cross_fitted_shares_know_nothing_of_their_own_fold() -> None:
    scores, right = made_up(300)
    fold = folds(np.arange(300), seed=0)
    before = cross_fitted(scores, right, fold)
    flipped = np.where(fold == 2, ~right, right)
    after = cross_fitted(scores, flipped, fold)
    np.testing.assert_array_equal(before[fold == 2], after[fold == 2])
    assert (before[fold == 0] != after[fold == 0]).any()


def test_the_score_that_ranks_better_wins_beyond_the_interval() -> None:
    scores, right = made_up(400)
    noise = np.random.default_rng(3).random(400)
    names = [str(i) for i in range(400)]
    good = compare(noise, scores, right, names)
    assert good.augrc is not None
    assert good.brier is not None
    assert good.augrc.high < 0
    assert good.augrc.gap == pytest.approx(augrc(scores, right) - augrc(noise, right))
    bad = compare(scores, noise, right, names)
    assert bad.augrc is not None
    assert bad.augrc.low > 0
    same = compare(scores, 2 * scores + 1, right, names)
    assert same.augrc is not None
    assert (same.augrc.gap, same.augrc.low, same.augrc.high) == (0, 0, 0)


def test_under_thirty_errors_nothing_is_compared() -> None:
    scores = np.linspace(0, 1, 200)
    right = np.arange(200) >= FEWEST_ERRORS - 1
    found = compare(scores, scores, right, [str(i) for i in range(200)])
    assert (found.n, found.n_errors, found.augrc, found.brier) == (200, FEWEST_ERRORS - 1, None, None)
    one_more = compare(scores, scores, np.arange(200) >= FEWEST_ERRORS, [str(i) for i in range(200)])
    assert one_more.augrc is not None


def test_images_without_a_trust_score_count_for_neither() -> None:
    scores, right = made_up(200)
    trust = scores.copy()
    trust[:50] = np.nan
    assert compare(scores, trust, right, [str(i) for i in range(200)]).n == 150
