"""Cosine and its class-weighted form: values worked out by hand, and what holds for all vectors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from casebase.distance import check_query, cosine, unit, weighted_cosine
from casebase.errors import StorageFailed, UsageError

NUMBERS = st.floats(-100, 100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3)
VECTORS = arrays(np.float32, 4, elements=NUMBERS).filter(lambda v: v.any())
SCALES = st.floats(0.01, 100)


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_three_and_four_make_five() -> None:
    rows, lengths = unit(np.array([[3, 4], [0, -2]], np.float32))
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, -1.0]]
    assert lengths.tolist() == [5.0, 2.0]


@pytest.mark.parametrize("bad", [[0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_a_vector_without_a_direction_is_refused(bad: list[float]) -> None:
    with pytest.raises(UsageError, match="1 of 2 vectors are zero or not finite"):
        unit(np.array([[1, 0], bad], np.float32))


def test_a_single_vector_is_not_a_matrix() -> None:
    with pytest.raises(UsageError, match=r"\(N, D\)"):
        unit(vector(1, 0))


def test_a_query_has_the_dimension_of_its_space() -> None:
    assert check_query(vector(0, 5), 2).tolist() == [0.0, 1.0]
    with pytest.raises(UsageError, match="shape"):
        check_query(vector(1, 0, 0), 2)


def test_angles_by_hand() -> None:
    rows = np.array([[1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0]], np.float32)
    half = 1 / math.sqrt(2)
    assert cosine(rows, vector(2, 0)) == pytest.approx([0, 1 - half, 1, 1 + half, 2])


def test_weights_bend_the_angle_by_hand() -> None:
    # w = (1, 2): the row (1, 1) becomes (1, 2), the query stays on the first axis
    found = weighted_cosine(np.array([[1, 1], [0, 3]], np.float32), vector(1, 0), vector(1, 2))
    assert found == pytest.approx([1 - 1 / math.sqrt(5), 1])
    # both sides are weighted: (1, 2) and (1, -2) have the cosine (1 - 4) / 5
    assert weighted_cosine(np.array([[1, 1]], np.float32), vector(1, -1), vector(1, 2)) == pytest.approx([1.6])


def test_a_row_with_nothing_of_the_class_is_no_likeness() -> None:
    found = weighted_cosine(np.array([[0, 1], [1, 0]], np.float32), vector(1, 0), vector(1, 0))
    assert found.tolist() == [1.0, 0.0]


def test_a_stored_zero_is_damage() -> None:
    with pytest.raises(StorageFailed, match="verify"):
        cosine(np.zeros((1, 2), np.float32), vector(1, 0))


def test_no_rows_are_no_distances() -> None:
    assert cosine(np.empty((0, 2), np.float32), vector(1, 0)).tolist() == []


@given(VECTORS, VECTORS)
def test_distance_is_symmetric_and_between_0_and_2(one: np.ndarray, other: np.ndarray) -> None:
    there, back = cosine(one[None], other)[0], cosine(other[None], one)[0]
    assert there == pytest.approx(back, abs=2e-9)
    assert 0 <= there <= 2 + 1e-9


@given(VECTORS, VECTORS, SCALES)
def test_length_does_not_matter(one: np.ndarray, other: np.ndarray, scale: float) -> None:
    longer = (one.astype(np.float64) * scale).astype(np.float32)
    assert cosine(longer[None], other)[0] == pytest.approx(cosine(one[None], other)[0], abs=1e-5)


@given(VECTORS, VECTORS)
def test_equal_weights_change_nothing(one: np.ndarray, other: np.ndarray) -> None:
    even = np.full(4, 3.0, np.float32)
    assert weighted_cosine(one[None], other, even)[0] == pytest.approx(cosine(one[None], other)[0], abs=2e-9)


@given(VECTORS, VECTORS, arrays(np.float32, 4, elements=NUMBERS))
def test_the_sign_of_a_weight_does_not_matter(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> None:
    assume(weights.any())
    assert weighted_cosine(one[None], other, weights)[0] == weighted_cosine(one[None], other, -weights)[0]


@given(VECTORS)
def test_a_vector_is_at_distance_0_from_itself_and_equal_rows_tie(one: np.ndarray) -> None:
    found = cosine(np.stack([one, one, one]), one)
    assert found[0] == pytest.approx(0, abs=1e-9)
    assert len(set(found.tolist())) == 1
