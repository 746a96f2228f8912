"""TV10 of the handbook, and what must not happen to signed values, zeros and the caller's array."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from casebase.evaluate.saliency.metric import BenchSettings
from casebase.evaluate.saliency.sparseness import METRICS, entropy, gini, mean_size
from tests.evaluate.saliency.subjects import subject


def test_the_vectors_of_the_handbook() -> None:
    assert gini(np.array([1.0, 2, 3, 4])) == pytest.approx(0.25)
    assert entropy(np.array([1.0, 2, 3, 4])) == pytest.approx(1.279854, abs=1e-6)
    assert gini(np.array([0.0, 0, 0, 1])) == pytest.approx(0.75)
    assert entropy(np.array([0.0, 0, 0, 1])) == 0.0
    assert mean_size(np.array([1.0, 2, 3, 4]) / 4) == pytest.approx(0.625)


def test_signs_do_not_matter() -> None:
    signed, sizes = np.array([-1.0, 2, -3, 4]), np.array([1.0, 2, 3, 4])
    for measure in (entropy, gini, mean_size):
        assert measure(signed) == measure(sizes)


@pytest.mark.parametrize("values", [np.zeros(4), np.full(4, np.nan), np.array([np.inf, 1.0])])
def test_what_says_nothing_has_no_figure(values: np.ndarray) -> None:
    assert [measure(values) for measure in (entropy, gini, mean_size)] == [None] * 3


@given(arrays(np.float64, st.integers(2, 40), elements=st.floats(0.001, 1.0)), st.floats(0.1, 100.0))
def test_bounds_hold_and_the_scale_does_not_matter(values: np.ndarray, scale: float) -> None:
    e, g = entropy(values), gini(values)
    assert e is not None
    assert -1e-9 <= e <= math.log(values.size) + 1e-9
    assert g is not None
    assert -1e-9 <= g <= 1 - 1 / values.size + 1e-9
    assert entropy(values * scale) == pytest.approx(e, abs=1e-9)
    assert gini(values * scale) == pytest.approx(g, abs=1e-9)


def test_the_callers_array_is_left_alone() -> None:
    values = np.array([[-1.0, 2.0], [3.0, -4.0]], np.float32)
    before = values.copy()
    values.setflags(write=False)
    found = METRICS[0].score(values, subject(2), BenchSettings()).figures
    np.testing.assert_array_equal(values, before)
    assert set(found) == {figure.key for figure in METRICS[0].figures}
    assert found["l1"] == pytest.approx(2.5)


def test_quantus_agrees_where_it_is_right() -> None:
    complexity = pytest.importorskip("quantus.metrics.complexity", exc_type=ImportError)
    values, quiet = np.random.default_rng(0).random((1, 36)), {"disable_warnings": True, "display_progressbar": False}
    given = {"x_batch": np.zeros((1, 1, 6, 6)), "a_batch": values}
    assert gini(values) == pytest.approx(complexity.Sparseness(**quiet).evaluate_batch(**given)[0], abs=1e-4)
    assert entropy(values) == pytest.approx(complexity.Complexity(**quiet).evaluate_batch(**given)[0], abs=1e-6)
