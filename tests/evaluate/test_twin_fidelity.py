"""Fidelity and its controls: by hand, and on made-up features where the answer is known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casebase.distance import unit
from casebase.evaluate.images import Images, Sides
from casebase.evaluate.neighbours import Lists, nearest
from casebase.evaluate.twin_fidelity import (
    Asked,
    Head,
    Logits,
    any_twin,
    majority,
    plain,
    runner_up,
    shuffled,
    votes,
    weighted,
)
from tests.evaluate.made_up import classy, images, noise

ALL = np.ones((1, 5), bool)


@pytest.mark.parametrize(
    ("codes", "wanted"),
    [([2, 1, 1, 0, 2], 2), ([0, 1, 1, 0, 1], 1), ([0, 1, 2, 3, 4], 0), ([3, 1, 1, 3, 2], 3), ([4, 4, 4, 4, 4], 4)],
)
def test_the_majority_by_hand_ties_to_the_nearest(codes: list[int], wanted: int) -> None:
    assert majority(np.array([codes]), ALL).tolist() == [wanted]


def test_a_shorter_list_votes_with_what_it_has() -> None:
    filled = np.array([[True, True, False], [False, False, False]])
    assert majority(np.array([[1, 0, 0], [0, 0, 0]]), filled).tolist() == [1, -1]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_the_majority_is_as_frequent_as_any(codes: list[int]) -> None:
    found = int(majority(np.array([codes]), np.ones((1, len(codes)), bool))[0])
    counts = Counter(codes)
    assert counts[found] == max(counts.values())
    assert all(codes.index(found) <= codes.index(other) for other in counts if counts[other] == counts[found])


def test_votes_by_hand() -> None:
    said = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    cases = images(np.eye(3), [0, 1, 1], [0, 0, 1], probabilities=said)
    asked = images([[1, 0, 0], [0, 0, 1]], [0, 1], [0, 1], probabilities=np.array([[0.7, 0.3], [0.1, 0.9]]), prefix="q")
    lists = Lists(np.array([[0, 1, 2], [2, -1, -1]]), np.array([[0.1, 0.2, 0.3], [0.1, np.inf, np.inf]]))
    found = votes(lists, cases, asked)
    assert found.hard.tolist() == [0.0, 1.0]  # labels 0, 1, 1 against 0; label 1 against 1
    assert found.by_predicted.tolist() == [1.0, 1.0]  # predicted 0, 0, 1
    assert found.first.tolist() == [1.0, 1.0]
    mean = said.mean(axis=0)
    assert found.soft == pytest.approx([1 - abs(0.7 - mean[0]), 1 - 0.1])


def test_where_features_carry_the_answer_fidelity_is_one_and_shuffled_is_chance() -> None:
    cases, asked = classy(600, 12, 5, 0, "c"), classy(200, 12, 5, 1, "q", right=0.7)
    found = plain("avgpool", Sides(cases, asked), Asked(5), None)
    wrong = asked.wrong
    assert wrong.sum() > 30
    assert found.votes.hard.mean() == 1.0
    assert found.votes.hard[wrong].mean() == 1.0
    assert found.votes.first.mean() == 1.0
    assert found.shuffled.hard.mean() == pytest.approx(1 / 5, abs=0.06)
    assert found.votes.soft.mean() > 0.99


def test_on_pure_noise_fidelity_is_no_more_than_its_control() -> None:
    cases, asked = noise(600, 32, 5, 0, "c"), noise(400, 32, 5, 1, "q", right=0.7)
    found = plain("avgpool", Sides(cases, asked), Asked(5), None)
    assert found.votes.hard.mean() == pytest.approx(found.shuffled.hard.mean(), abs=0.07)
    assert found.votes.hard.mean() == pytest.approx(0.2, abs=0.07)


def _random_network(n: int, seed: int, prefix: str, head: Head) -> Images:
    random = np.random.default_rng(seed)
    features = np.maximum(random.normal(size=(n, 128)), 0).astype(np.float32)  # noise after a ReLU
    logits = head.logits(features)
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    said = logits.argmax(axis=1).tolist()
    return images(features, said, probabilities=raised / raised.sum(axis=1, keepdims=True), prefix=prefix, classes=10)


def test_own_class_weighting_leaks_the_answer_and_query_class_weighting_does_not() -> None:
    """Finding 1 of the science page: on features that are noise to begin with, then on shuffled ones."""
    random = np.random.default_rng(7)
    rows = random.normal(size=(10, 128)).astype(np.float32)
    head = Head(rows - rows.mean(axis=1, keepdims=True), np.zeros(10, np.float32))  # no class is favoured
    cases, asked = _random_network(1000, 1, "c", head), _random_network(300, 2, "q", head)
    both = Sides(cases, asked)

    def own_class(of: Images) -> Images:  # COLE: weighted by each image's *own* class
        return of.seen_as(head.weight[of.predicted] * of.features)

    def euclidean(side: Sides) -> np.ndarray:
        left, right = side.cases.features.astype(float), side.queries.features.astype(float)
        apart = (right**2).sum(1)[:, None] + (left**2).sum(1)[None] - 2 * right @ left.T
        near = apart.argsort(axis=1)[:, :5]
        return majority(side.cases.labels[near], np.ones(near.shape, bool)) == side.queries.predicted

    leak = euclidean(Sides(own_class(cases), own_class(asked)))
    mixed = both.seen_as(random.permutation(cases.features), random.permutation(asked.features))
    leak_shuffled = euclidean(Sides(own_class(mixed.cases), own_class(mixed.queries)))
    found = weighted("contribution", both, Asked(5), head, Logits.of(head, both))
    assert leak.mean() > 0.97
    assert leak_shuffled.mean() > 0.9  # the features belong to other images, and still they "agree"
    assert found.shuffled.hard.mean() == pytest.approx(0.1, abs=0.04)  # chance
    assert found.votes.hard.mean() < 0.6
    assert found.rival is not None
    assert found.votes.hard.mean() > found.rival.hard.mean() + 0.05  # the tilt: weights, not the image


def test_the_contrastive_vote_and_the_rivals_exist_only_where_there_are_weights() -> None:
    cases, asked = classy(60, 8, 3, 0, "c"), classy(20, 8, 3, 1, "q")
    assert plain("clip", Sides(cases, asked), Asked(5), None).rival is None
    head = Head(np.eye(3, 8, dtype=np.float32), np.zeros(3, np.float32))
    found = weighted("contribution", Sides(cases, asked), Asked(5), head, None)
    assert found.rival is not None
    assert found.contrast is not None
    assert found.gap is None


def test_query_class_weights_on_both_sides_are_those_of_the_definition() -> None:
    cases, asked = noise(50, 6, 3, 0, "c"), noise(10, 6, 3, 1, "q")
    head = Head(np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32), np.zeros(3, np.float32))
    found = weighted("contribution", Sides(cases, asked), Asked(4), head, None)
    for row in range(10):
        weights = head.weight[asked.predicted[row]]
        left, right = unit(cases.features * weights)[0], unit((asked.features[row] * weights)[None])[0][0]
        assert found.lists.index[row].tolist() == np.argsort(1 - left @ right, kind="stable")[:4].tolist()


def test_the_second_class_is_never_the_first() -> None:
    said = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5], [0.4, 0.2, 0.4]])
    of = images(np.eye(3), [0, 0, 0], [0, 2, 2], probabilities=said, classes=3)
    assert runner_up(of).tolist() == [1, 1, 0]


def test_the_logit_gap_by_hand() -> None:
    head = Head(np.array([[2, 0], [0, 1]], np.float32), np.array([0, 1], np.float32))
    cases, asked = images([[1, 0], [0, 1]], [0, 1]), images([[1, 1]], [0], prefix="q", classes=2)
    logits = Logits.of(head, Sides(cases, asked))
    assert logits.queries.tolist() == [[2, 2]]
    assert logits.cases.tolist() == [[2, 1], [0, 2]]
    assert logits.gap(np.array([0])) == pytest.approx([1 / np.sqrt(8)])
    assert logits.gap(np.array([1])) == pytest.approx([2 / np.sqrt(8)])
    assert np.isnan(logits.gap(np.array([-1]))).all()


def test_shuffling_is_seeded_and_keeps_every_label_in_place() -> None:
    both = Sides(classy(80, 6, 3, 0, "c"), classy(30, 6, 3, 1, "q"))
    one, again, other = (shuffled(both, 5, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.index, again.index)
    assert (one.index != other.index).any()
    assert (one.index != nearest(both.cases, both.queries, 5).index).any()


def test_any_twin_has_the_predicted_class_or_is_none() -> None:
    both = Sides(images(np.eye(3), [0, 0, 1]), images(np.eye(3), [0, 1, 2], prefix="q"))
    found = any_twin(both, 0)
    assert found[0] in (0, 1)
    assert found[1:].tolist() == [2, -1]
