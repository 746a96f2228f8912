"""Intervals: known values, coverage on made-up data, clusters, and what cannot be had."""

from __future__ import annotations

import numpy as np
import pytest

from casebase.evaluate.intervals import bootstrap, bootstrap_all, resamples
from casebase.evaluations import Measured
from casebase.shares import grouped_share, interval, share


def test_91_of_100_is_the_interval_of_the_founding_study() -> None:
    found = share(91, 100)
    assert (found.value, found.n) == (0.91, 100)
    assert (found.low, found.high) == (pytest.approx(0.838, abs=5e-4), pytest.approx(0.952, abs=5e-4))


def test_a_share_of_nothing_is_refused() -> None:
    assert share(0, 0) == Measured(None, n=0, reason="no image")


def test_the_bootstrap_of_a_mean_has_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = bootstrap(lambda rows: float(values[rows].mean()), 400, seed=1)
    assert found.value == pytest.approx(values.mean())
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.12)


def test_groups_are_drawn_whole_and_widen_the_interval() -> None:
    groups = [f"g{i // 10}" for i in range(100)]
    values = np.repeat(np.random.default_rng(0).normal(size=10), 10)
    for rows in resamples(100, groups, 0, draws=20):
        counts = np.bincount(rows, minlength=100).reshape(10, 10)
        assert (counts == counts[:, :1]).all()
    alone = bootstrap(lambda rows: float(values[rows].mean()), 100)
    together = bootstrap(lambda rows: float(values[rows].mean()), 100, groups=groups)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_none_is_a_group_of_its_own() -> None:
    sizes = {len(rows) for rows in resamples(4, ["a", "a", None, None], 0, draws=50)}
    assert sizes == {3, 4, 5, 6}


def test_the_same_seed_draws_the_same() -> None:
    one, other = (list(resamples(5, None, 3, draws=4)) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_a_statistic_that_is_mostly_undefined_has_no_interval() -> None:
    assert interval(np.array([1.0, np.nan, np.nan])) == (None, None)
    assert bootstrap(lambda rows: float("nan"), 3, draws=10).value is None


def test_several_statistics_share_their_samples() -> None:
    values = np.random.default_rng(0).normal(size=200)

    def both(rows: np.ndarray) -> np.ndarray:
        return np.array([values[rows].mean(), values[rows].mean() * 2])

    one, double = bootstrap_all(both, 200, seed=3)
    alone = bootstrap(lambda rows: float(values[rows].mean()), 200, seed=3)
    assert one == alone
    assert double.low == pytest.approx(2 * one.low)


def test_a_figure_that_no_sample_changes_has_no_interval() -> None:
    (found,) = bootstrap_all(lambda rows: np.array([1.0]), 5)
    assert (found.value, found.low, found.high) == (1.0, None, None)
    assert found.reason is not None


def test_a_statistic_that_is_not_defined_is_refused() -> None:
    (found,) = bootstrap_all(lambda rows: np.array([np.nan]), 5)
    assert found.value is None
    assert found.reason == "not defined on these images"


def test_a_share_without_groups_is_wilsons() -> None:
    good = np.arange(100) < 91
    assert grouped_share(good, [None] * 100) == share(91, 100)
    assert grouped_share(good, list(range(100))) == share(91, 100)


def test_ten_copies_of_ten_images_are_evidence_of_ten() -> None:
    """Every group all right or all wrong: the interval is that of 10 images, not of 100."""
    good, groups = np.repeat(np.arange(10) < 5, 10), [f"g{i // 10}" for i in range(100)]
    found, narrow = grouped_share(good, groups), share(50, 100)
    assert found.low is not None
    assert found.high is not None
    assert narrow.low is not None
    assert found.n == 100
    assert found.low < narrow.low
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 10), rel=0.2)


@pytest.mark.parametrize("right", [True, False])
def test_groups_that_are_all_alike_still_leave_doubt(right: bool) -> None:
    found = grouped_share(np.full(30, right), [f"g{i // 10}" for i in range(30)])
    assert found.value == float(right)
    expected = share(3 if right else 0, 3)
    assert (found.low, found.high) == (expected.low, expected.high)


def test_images_without_a_group_are_groups_of_their_own() -> None:
    groups: list[str | None] = [None, None, "a", "a"]
    found = grouped_share(np.array([True] * 4), groups)
    assert (found.low, found.high) == (share(3, 3).low, 1.0)
