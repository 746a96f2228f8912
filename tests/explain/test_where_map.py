"""Where maps: the exact split of a cosine over cells, by hand and for all maps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casebase.distance import cosine, weighted_cosine
from casebase.explain.where_map import split

MAPS = st.tuples(st.integers(1, 8), st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**32 - 1))


def drawn(shape: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A map (D, h, w), another picture's embedding (D,) and weights (D,)."""
    depth, height, width, seed = shape
    rng = np.random.default_rng(seed)
    cells = rng.normal(size=(depth, height, width)).astype(np.float32)
    return cells, rng.normal(size=depth).astype(np.float32), rng.normal(size=depth).astype(np.float32)


def test_shares_by_hand() -> None:
    """Two channels on 1 x 2 cells: h = (1.5, 0.5), h' = (3, 4); a_p . h' = 3 and 10, over 2 |h| |h'|."""
    cells = np.array([[[1, 2]], [[0, 1]]], np.float32)
    found = split(cells, np.array([3, 4], np.float32))
    below = 2 * math.sqrt(2.5) * 5
    assert found.tolist() == [[pytest.approx(3 / below), pytest.approx(10 / below)]]


def test_weighted_shares_by_hand() -> None:
    """w = (2, 1): w h = (3, 0.5), w h' = (6, 4); w² a_p . h' = 12 and 28."""
    cells = np.array([[[1, 2]], [[0, 1]]], np.float32)
    found = split(cells, np.array([3, 4], np.float32), np.array([2, 1], np.float32))
    below = 2 * math.sqrt(9.25) * math.sqrt(52)
    assert found.tolist() == [[pytest.approx(12 / below), pytest.approx(28 / below)]]


@given(MAPS)
@settings(deadline=None)
def test_the_shares_sum_to_the_cosine(shape: tuple[int, int, int, int]) -> None:
    """To 1e-5, as the maps of a ReLU network do; where shares of both signs outweigh their sum, to 1e-5 of them."""
    cells, other, weights = drawn(shape)
    pooled = cells.astype(np.float64).mean(axis=(1, 2))[None]
    plain, weighted = split(cells, other).astype(np.float64), split(cells, other, weights).astype(np.float64)
    assert plain.sum() == pytest.approx(1 - cosine(pooled, other)[0], abs=1e-5 * max(1, np.abs(plain).sum()))
    wanted = 1 - weighted_cosine(pooled, other, weights)[0]
    assert weighted.sum() == pytest.approx(wanted, abs=1e-5 * max(1, np.abs(weighted).sum()))


@given(MAPS)
@settings(deadline=None)
def test_the_shares_of_maps_without_negative_values_sum_to_the_cosine(shape: tuple[int, int, int, int]) -> None:
    cells, other = np.abs(drawn(shape)[0]), np.abs(drawn(shape)[1])
    found = split(cells, other)
    assert (found >= 0).all()
    assert float(found.sum()) == pytest.approx(1 - cosine(cells.mean(axis=(1, 2))[None], other)[0], abs=1e-5)


@given(MAPS, st.floats(0.01, 100))
@settings(deadline=None)
def test_the_length_of_either_side_does_not_matter(shape: tuple[int, int, int, int], scale: float) -> None:
    cells, other, _ = drawn(shape)
    once = split(cells, other)
    assert split(cells * np.float32(scale), other) == pytest.approx(once, rel=1e-3, abs=1e-4)
    assert split(cells, other * np.float32(scale)) == pytest.approx(once, rel=1e-3, abs=1e-4)


def test_a_likeness_at_the_lower_left_is_found_at_the_lower_left() -> None:
    cells = np.zeros((3, 4, 5), np.float32)
    cells[1, 3, 0] = 9.0
    cells[2, 0, 4] = 9.0  # strong, but nothing of it in the other picture
    found = split(cells, np.array([0, 1, 0], np.float32))
    assert found.shape == (4, 5)
    assert np.unravel_index(found.argmax(), found.shape) == (3, 0)
    assert np.count_nonzero(found) == 1


def test_a_cell_can_speak_against_the_likeness() -> None:
    cells = np.array([[[3.0, -1.0]]], np.float32)
    assert split(cells, np.array([1], np.float32)).tolist() == [[pytest.approx(1.5), pytest.approx(-0.5)]]


def test_a_picture_without_a_direction_has_no_shares() -> None:
    assert not split(np.zeros((2, 3, 3), np.float32), np.array([1, 1], np.float32)).any()
    assert not split(np.ones((2, 3, 3), np.float32), np.zeros(2, np.float32)).any()
