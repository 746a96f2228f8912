"""Hubs, antihubs, distinct sources, contradictions: by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

from casebase.evaluate.contradiction import alarms, namings
from casebase.evaluate.hubness import distinct_sources, measure, skewness
from casebase.evaluate.images import Sides
from casebase.evaluate.neighbours import Lists, nearest
from tests.evaluate.made_up import images, noise


def _lists(index: list[list[int]]) -> Lists:
    found = np.array(index)
    return Lists(found, np.where(found >= 0, 0.5, np.inf))


def test_counts_by_hand() -> None:
    hub = measure(_lists([[0, 1], [0, 2], [0, -1]]), 4)
    assert hub.counts.tolist() == [3, 1, 1, 0]
    assert hub.expected == 5 / 4
    assert hub.antihubs == 1 / 4
    assert hub.per_case == 3 / 4
    assert hub.per_slot == 3 / 5
    assert hub.hubs.tolist() == []
    assert hub.skewness == pytest.approx(skew([3, 1, 1, 0]))


def test_a_case_in_every_list_is_a_hub_and_two_showings_are_none() -> None:
    lists = _lists([[0, 1 + query] for query in range(40)])
    hub = measure(lists, 100)
    assert hub.hubs.tolist() == [0]
    assert hub.slots_of_hubs == 0.5
    twice = measure(_lists([[0, 1], [0, 2]]), 10_000)  # 5000 times as often as expected
    assert twice.hubs.tolist() == []


def test_skewness_of_equal_counts_is_not_defined() -> None:
    assert skewness(np.ones(5)) is None


@settings(max_examples=30)
@given(st.lists(st.integers(0, 30), min_size=3, max_size=40).filter(lambda counts: len(set(counts)) > 1))
def test_skewness_agrees_with_scipy(counts: list[int]) -> None:
    assert skewness(np.array(counts, float)) == pytest.approx(skew(counts), abs=1e-9)


def test_blind_draws_are_as_skewed_and_leave_out_as_many_as_predicted() -> None:
    random = np.random.default_rng(0)
    index = [random.choice(5000, 20, replace=False).tolist() for _ in range(400)]
    hub = measure(_lists(index), 5000)
    assert hub.skewness == pytest.approx(hub.skewness_by_chance, abs=0.12)
    assert hub.antihubs == pytest.approx(hub.antihubs_by_chance, abs=0.02)


def test_lists_of_one_source_are_told_from_lists_of_many() -> None:
    cases = images(np.eye(5), [0] * 5, groups=["a", "a", "a", None, None])
    found = distinct_sources(_lists([[0, 1, 2], [0, 3, 4], [1, 2, -1], [-1, -1, -1]]), cases)
    assert found[:3] == pytest.approx([1 / 3, 1.0, 1 / 2])
    assert np.isnan(found[3])


def test_alarms_and_namings_by_hand() -> None:
    cases = images(np.eye(4), labels=[0, 1, 2, 1], predicted=[0, 0, 2, 1])
    asked = images(np.eye(2, 4), labels=[2, 0], predicted=[0, 0], prefix="q", classes=3)
    raised = {one.key: one.raised.tolist() for one in alarms(_lists([[0, 1, 2], [0, 1, -1]]), cases, asked, None)}
    assert raised["any_predicted"] == [True, False]
    assert raised["any_label"] == [True, True]
    assert raised["most_label"] == [True, False]
    assert "contrast" not in raised
    named = {one.key: one.right.tolist() for one in namings(np.array([2, -1]), cases, asked)}
    assert named["nun_label"] == [1.0, 0.0]
    assert named["nun_predicted"] == [1.0, 0.0]
    # unlike cases of an answer 0 are c2 (label 2) and c3 (label 1)
    assert named["any_unlike"] == [0.5, 0.0]


def test_blind_naming_is_what_blind_drawing_gives() -> None:
    both = Sides(noise(300, 4, 4, 0, "c", right=0.8), noise(100, 4, 4, 1, "q", right=0.5))
    random = np.random.default_rng(0)
    drawn = []
    for row in range(100):
        unlike = np.flatnonzero(both.cases.predicted != both.queries.predicted[row])
        drawn.append(np.mean(both.cases.labels[random.choice(unlike, 400)] == both.queries.labels[row]))
    found = namings(np.full(100, -1), both.cases, both.queries)[-1]
    assert found.right.mean() == pytest.approx(np.mean(drawn), abs=0.01)


def test_the_contrast_alarm_is_raised_where_the_vote_is_lost() -> None:
    both = Sides(noise(20, 4, 2, 0, "c"), noise(3, 4, 2, 1, "q"))
    lists = nearest(both.cases, both.queries, 5)
    found = alarms(lists, both.cases, both.queries, np.array([0.0, 1.0, 0.0]))
    assert found[-1].raised.tolist() == [True, False, True]
