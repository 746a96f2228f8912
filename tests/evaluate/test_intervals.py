"""Intervals: known values, coverage on made-up data, clusters, and what cannot be had."""

from __future__ import annotations

import numpy as np
import pytest

from casebase.evaluate.intervals import bootstrap, interval, resamples, share
from casebase.evaluations import Measured


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
