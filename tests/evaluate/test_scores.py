"""Scores on values worked out by hand, on the founding study's figures, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, confusion_matrix, log_loss, precision_recall_fscore_support

from casebase.evaluate import scores


def answers(matrix: list[list[int]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Truth and answers with this confusion matrix."""
    pairs = [(i, j) for i, row in enumerate(matrix) for j, n in enumerate(row) for _ in range(n)]
    return np.array([i for i, _ in pairs], np.intp), np.array([j for _, j in pairs], np.intp)


def test_the_founding_study() -> None:
    """100 images, 50 of each class, recall 44/50 and 47/50: precision 44/47 = .94, 47/53 = .89, F1 .91."""
    truth, called = answers([[44, 6], [3, 47]])
    counts = scores.count(truth, called, 2)
    assert counts.labelled.tolist() == [50, 50]
    assert counts.called.tolist() == [47, 53]
    assert counts.right.tolist() == [44, 47]
    found = dict(zip(scores.AVERAGES, scores.averages(truth, called, 2).tolist(), strict=True))
    assert found["balanced accuracy"] == pytest.approx(0.91)
    assert found["weighted recall"] == pytest.approx(0.91)
    assert found["macro precision"] == pytest.approx((44 / 47 + 47 / 53) / 2)
    assert found["macro F1"] == pytest.approx((88 / 97 + 94 / 103) / 2)


def test_three_classes_by_hand() -> None:
    """Rows 5+1+0, 2+3+1, 0+0+8. Recall 5/6, 1/2, 1; precision 5/7, 3/4, 8/9; F1 10/13, 3/5, 16/17."""
    matrix = [[5, 1, 0], [2, 3, 1], [0, 0, 8]]
    truth, called = answers(matrix)
    assert scores.confusion(truth, called, 3).tolist() == matrix
    balanced, macro_p, macro_f, weighted_p, weighted_r, weighted_f = scores.averages(truth, called, 3)
    assert balanced == pytest.approx((5 / 6 + 1 / 2 + 1) / 3)
    assert macro_p == pytest.approx((5 / 7 + 3 / 4 + 8 / 9) / 3)
    assert macro_f == pytest.approx((10 / 13 + 3 / 5 + 16 / 17) / 3)
    assert weighted_p == pytest.approx((6 * 5 / 7 + 6 * 3 / 4 + 8 * 8 / 9) / 20)
    assert weighted_r == pytest.approx(16 / 20)
    assert weighted_f == pytest.approx((6 * 10 / 13 + 6 * 3 / 5 + 8 * 16 / 17) / 20)


numbers = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(numbers)
def test_averages_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, called = (np.array(side, np.intp) for side in zip(*pairs, strict=True))
    there = np.unique(truth)
    expected = {
        way: precision_recall_fscore_support(truth, called, labels=there, average=way, zero_division=0)
        for way in ("macro", "weighted")
    }
    found = dict(zip(scores.AVERAGES, scores.averages(truth, called, 5).tolist(), strict=True))
    assert found["macro precision"] == pytest.approx(expected["macro"][0])
    assert found["balanced accuracy"] == pytest.approx(expected["macro"][1])
    assert found["macro F1"] == pytest.approx(expected["macro"][2])
    assert found["weighted precision"] == pytest.approx(expected["weighted"][0])
    assert found["weighted recall"] == pytest.approx(expected["weighted"][1])
    assert found["weighted F1"] == pytest.approx(expected["weighted"][2])
    assert (scores.confusion(truth, called, 5) == confusion_matrix(truth, called, labels=range(5))).all()


@given(st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_log_loss_and_brier_score_are_those_of_scikit_learn(n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([0.5] * 3, size=n)
    truth = random.integers(0, 3, size=n)
    clipped = np.clip(probabilities, scores.FLOOR, 1.0)
    assert scores.log_losses(probabilities, truth).mean() == pytest.approx(
        log_loss(truth, clipped / clipped.sum(1, keepdims=True), labels=[0, 1, 2]), rel=1e-5
    )
    expected = brier_score_loss(truth, probabilities, labels=[0, 1, 2], scale_by_half=False)
    assert scores.brier_scores(probabilities, truth).mean() == pytest.approx(expected)


def test_a_probability_of_zero_costs_much_but_not_everything() -> None:
    found = scores.log_losses(np.array([[0.0, 1.0]]), np.array([0]))
    assert found.tolist() == [pytest.approx(-np.log(np.finfo(np.float32).eps))]


def test_calibration_error_of_equal_width_by_hand() -> None:
    """Bins of a fifth. (.6, .8]: .7 right, .7 wrong, .8 right; (.8, 1]: .9 right, .9 wrong; (0, .2]: .2 wrong.

    Gaps in numbers of answers: |2 - 2.2| + |1 - 1.8| + |0 - .2| = 1.2; over 6 answers .2.
    """
    confidence = np.array([0.7, 0.7, 0.8, 0.9, 0.9, 0.2])
    right = np.array([True, False, True, True, False, False])
    bins = scores.equal_width(confidence, right, 5)
    assert bins.n.tolist() == [1, 3, 2]
    assert bins.right.tolist() == [0, 2, 1]
    assert bins.low.tolist() == pytest.approx([0.0, 0.6, 0.8])
    assert bins.high.tolist() == pytest.approx([0.2, 0.8, 1.0])
    assert bins.confidence.tolist() == pytest.approx([0.2, 2.2 / 3, 0.9])
    assert bins.error == pytest.approx(0.2)


def test_calibration_error_of_equal_mass_by_hand() -> None:
    """Two bins of two: (.5 wrong, .6 right) and (.8 right, 1 right): |1 - 1.1| + |2 - 1.8| over 4 = .075."""
    bins = scores.equal_mass(np.array([0.8, 0.5, 1.0, 0.6]), np.array([True, False, True, True]), 2, 1)
    assert bins.n.tolist() == [2, 2]
    assert bins.right.tolist() == [1, 2]
    assert bins.low.tolist() == [0.5, 0.8]
    assert bins.high.tolist() == [0.6, 1.0]
    assert bins.error == pytest.approx(0.075)


@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.booleans()), min_size=1, max_size=80), st.integers(1, 20))
def test_bins_hold_every_answer_once_and_errors_are_shares(pairs: list[tuple[float, bool]], count: int) -> None:
    confidence, right = (np.array(side) for side in zip(*pairs, strict=True))
    for bins in (scores.equal_width(confidence, right, count), scores.equal_mass(confidence, right, count, 1)):
        assert bins.n.sum() == len(pairs)
        assert bins.right.sum() == right.sum()
        assert (bins.n > 0).all()
        assert 0 <= bins.error <= 1
        assert abs(confidence.mean() - right.mean()) <= bins.error + 1e-9  # the bins cannot hide the overall gap
    mass = scores.equal_mass(confidence, right, count, 1).n
    assert mass.max() - mass.min() <= 1


def test_bins_of_equal_mass_are_never_too_small_to_measure_anything() -> None:
    """Twelve bins of one answer each would give the mean distance of single answers from 0 or 1."""
    random = np.random.default_rng(0)
    for n, bins in ((1, 1), (12, 1), (19, 1), (20, 2), (57, 5), (150, 15), (1000, 15)):
        confidence = random.uniform(0.5, 1, n)
        found = scores.equal_mass(confidence, random.random(n) < confidence)
        assert len(found.n) == bins
        assert found.n.min() >= min(n, scores.LEAST_OF_A_BIN)


def test_one_certain_right_answer_is_calibrated() -> None:
    assert scores.equal_width(np.array([1.0]), np.array([True])).error == 0.0
    assert scores.equal_mass(np.array([1.0]), np.array([True])).error == 0.0


def test_a_calibrated_network_shows_an_error_that_shrinks_with_images() -> None:
    few, many = (scores.errors_if_calibrated(np.full(n, 0.8), seed=0, draws=300)[0] for n in (50, 5000))
    # one bin: the mean of |share - .8| is sd · sqrt(2/pi), sd = sqrt(.16 / n)
    assert few.mean() == pytest.approx(np.sqrt(0.16 / 50 * 2 / np.pi), rel=0.1)
    assert many.mean() == pytest.approx(np.sqrt(0.16 / 5000 * 2 / np.pi), rel=0.1)


def test_ranks_count_ties_against_the_label_and_put_unknown_labels_last() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])
    assert scores.ranks(probabilities, np.array([0, 1, 3])).tolist() == [0, 1, 3]


def test_the_most_confused_classes_are_those_with_errors_in_row_or_column() -> None:
    matrix = np.array([[9, 0, 0, 0], [0, 5, 4, 0], [0, 0, 9, 1], [0, 0, 0, 9]])
    assert scores.most_confused(matrix, 2) == [1, 2]
    assert scores.most_confused(matrix, 9) == [0, 1, 2, 3]
