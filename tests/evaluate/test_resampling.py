"""Many figures from one set of bootstrap draws: the same draws as one at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casebase.evaluate.intervals import bootstrap, resamples
from casebase.evaluate.resampling import Draws
from casebase.reuse import wilson

GROUPS = ["a", "a", None, "b", None, "b", "b", None]


@pytest.mark.parametrize("groups", [GROUPS, [None] * 8])
def test_counts_are_the_draws_of_the_plain_bootstrap(groups: list[str | None]) -> None:
    draws = Draws.of(groups, seed=3, draws=50)
    for counts, rows in zip(draws.counts, resamples(8, groups, 3, 50), strict=True):
        assert counts.tolist() == np.bincount(rows, minlength=8).tolist()


def test_a_mean_has_the_interval_of_the_plain_bootstrap() -> None:
    values = np.random.default_rng(0).random(8)
    one = Draws.of(GROUPS, seed=3).mean(values)
    other = bootstrap(lambda rows: float(values[rows].mean()), 8, groups=GROUPS, seed=3)
    assert one.value == pytest.approx(other.value)
    assert (one.low, one.high) == (pytest.approx(other.low, abs=1e-6), pytest.approx(other.high, abs=1e-6))
    assert one.n == 8


def test_a_share_of_single_images_has_wilsons_interval() -> None:
    found = Draws.of([None] * 20, seed=0).mean(np.arange(20) < 15)
    assert (found.low, found.high) == pytest.approx(wilson(15, 20))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_certainty_is_never_claimed_and_counts_groups(value: float) -> None:
    found = Draws.of(GROUPS, seed=0).mean(np.full(8, value) > 0.5)
    assert (found.value, found.n) == (value, 8)
    assert (found.low, found.high) == pytest.approx(wilson(round(5 * value), 5))  # two groups, three single images


def test_no_image_gives_no_figure_but_a_reason() -> None:
    draws = Draws.of([], seed=0)
    found = draws.mean(np.empty(0), "nothing here")
    assert (found.value, found.reason, found.n) == (None, "nothing here", 0)


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(0, 1000))
def test_a_mean_lies_in_its_interval_and_that_in_the_range(n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.random(n)
    groups = [f"g{g}" if g < 5 else None for g in random.integers(0, 10, n)]
    found = Draws.of(groups, seed, 200).mean(values)
    assert found.value == pytest.approx(values.mean())
    assert found.low is not None
    assert found.high is not None
    assert found.low - 1e-6 <= found.value <= found.high + 1e-6
    if len(set(groups)) > 1 or groups[0] is None:
        assert values.min() - 1e-6 <= found.low <= found.high <= values.max() + 1e-6


def test_some_rows_keep_their_draws_and_their_groups() -> None:
    draws = Draws.of(GROUPS, seed=1, draws=20)
    rows = np.array([True, True, False, True, False, False, False, False])
    some = draws.of_rows(rows)
    np.testing.assert_array_equal(some.counts, draws.counts[:, rows])
    assert some.clusters == 2
