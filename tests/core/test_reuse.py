"""Support by hand, and Wilson's interval against published values."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebase.answers import Comparable, Neighbour, Prediction, Role
from casebase.cases import Case
from casebase.reuse import support, wilson

SAID = Prediction({"cat": 0.7, "dog": 0.3})


def row(label: str, predicted: str) -> Neighbour:
    case = Case("id", "p", Path("p"), label, predicted, 0.5, None, None, "h", 0)
    return Neighbour(case, 1, 0.1, None, 1, Role.NEAREST)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # R. G. Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_nothing_seen_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_mirrors(pair: tuple[int, int]) -> None:
    successes, n = pair
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1
    assert wilson(n - successes, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_support_by_hand() -> None:
    nearest = [row("cat", "cat"), row("dog", "cat"), row("cat", "dog"), row("owl", "owl")]
    gate = Comparable(0.5, 20, 0.3, 0.7, "held-out images")
    found = support(SAID, nearest, 0.2, 0.5, gate)
    assert found.trust_score == pytest.approx(2.5)
    assert found.margin == pytest.approx(0.3)
    assert (found.softmax, found.k_same, found.k_unlike, found.k_label) == (0.7, 2, 2, 2)
    assert found.comparable is gate


@pytest.mark.parametrize(("twin", "unlike"), [(None, 0.5), (0.2, None), (None, None)])
def test_without_a_twin_or_a_rival_there_is_no_trust_score(twin: float | None, unlike: float | None) -> None:
    found = support(SAID, [], twin, unlike, None)
    assert found.trust_score is None
    assert found.margin is None
    assert (found.k_same, found.k_unlike, found.k_label) == (0, 0, 0)


def test_a_twin_at_distance_0_gives_a_finite_score() -> None:
    found = support(SAID, [], 0.0, 0.5, None)
    assert found.trust_score is not None
    assert found.trust_score > 1e9
    assert found.to_dict()["trust_score"] == found.trust_score


def test_a_rival_on_the_query_gives_0() -> None:
    assert support(SAID, [], 0.2, 0.0, None).trust_score == 0.0
