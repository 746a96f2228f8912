"""Noisy linear imputation: the vectors of the handbook, plain loops, and what cannot be imputed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casebase.errors import UsageError
from casebase.evaluate.saliency.imputation import imputed
from tests.evaluate.saliency.toy import picture

SQUARES = np.array([[1, 4, 9], [16, 25, 36], [49, 64, 81]], np.float32)[None]


def missing(*cells: int, shape: tuple[int, int] = (3, 3)) -> np.ndarray:
    mask = np.zeros(shape[0] * shape[1], bool)
    mask[list(cells)] = True
    return mask.reshape(shape)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        ((4,), (31.666667,)),
        ((0,), (13.0,)),
        ((1,), (15.25,)),
        ((4, 5), (32.173913, 39.043478)),
        ((0, 1, 2), (21.625, 25.5625, 29.625)),
        (tuple(range(8)), (81.0,) * 8),
    ],
)
def test_vector_tv3(cells, values):
    found = imputed(SQUARES, missing(*cells), 0.0)
    # float32 holds 39.043478 to 2e-6
    np.testing.assert_allclose(found.ravel()[list(cells)], values, atol=2e-6)
    known = np.setdiff1d(np.arange(9), cells)
    np.testing.assert_array_equal(found.ravel()[known], SQUARES.ravel()[known])


def test_where_nothing_is_known_it_is_refused():
    with pytest.raises(UsageError, match="every pixel is missing"):
        imputed(SQUARES, np.ones((3, 3), bool), 0.0)


def test_where_nothing_is_missing_the_image_comes_back_as_a_copy():
    found = imputed(SQUARES, np.zeros((3, 3), bool), 0.01, np.random.default_rng(0))
    np.testing.assert_array_equal(found, SQUARES)
    assert found is not SQUARES
    assert not np.shares_memory(found, SQUARES)


def by_loops(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The same equations, one pixel and one neighbour at a time, solved densely."""
    height, width = mask.shape
    cells = [(y, x) for y in range(height) for x in range(width) if mask[y, x]]
    left, right = np.zeros((len(cells), len(cells))), np.zeros((len(cells), len(image)))
    for row, (y, x) in enumerate(cells):
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                j = (y + down, x + across)
                if (down or across) and 0 <= j[0] < height and 0 <= j[1] < width:
                    weight = 1 / 12 if down and across else 1 / 6
                    left[row, row] += weight
                    if mask[j]:
                        left[row, cells.index(j)] -= weight
                    else:
                        right[row] += weight * image[:, j[0], j[1]]
    out = image.astype(np.float64).copy()
    for cell, value in zip(cells, np.linalg.solve(left, right), strict=True):
        out[:, cell[0], cell[1]] = value
    return out


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_any_mask_on_any_size_equals_plain_loops(height, width, seed, share):
    random = np.random.default_rng(seed)
    image, mask = random.random((3, height, width)).astype(np.float32), random.random((height, width)) < share
    mask.ravel()[random.integers(mask.size)] = False
    before = image.copy()
    np.testing.assert_allclose(imputed(image, mask, 0.0), by_loops(image, mask), atol=1e-6)
    np.testing.assert_array_equal(image, before)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_what_is_imputed_lies_between_what_is_known(seed, share):
    random = np.random.default_rng(seed)
    image, mask = random.random((3, 12, 17)).astype(np.float32), random.random((12, 17)) < share
    mask[3, 3] = False
    found = imputed(image, mask, 0.0)
    low, high = image[:, ~mask].min(axis=1), image[:, ~mask].max(axis=1)
    assert (found.min(axis=(1, 2)) >= low - 1e-6).all()
    assert (found.max(axis=(1, 2)) <= high + 1e-6).all()


def test_noise_lies_on_imputed_pixels_alone_and_repeats_with_its_generator():
    image, mask = picture(64), np.zeros((64, 64), bool)
    mask[8:40, 8:40] = True
    plain = imputed(image, mask, 0.0)
    one, two = (imputed(image, mask, 0.01, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one[:, ~mask], image[:, ~mask])
    added = (one - plain)[:, mask]
    assert abs(added.mean()) < 0.001
    assert 0.0095 < added.std() < 0.0105


def test_the_ordering_equals_a_plain_factorisation_on_a_large_hole():
    from scipy.sparse import diags
    from scipy.sparse.linalg import spsolve

    from casebase.evaluate.saliency.imputation import _dissected, _weights

    image, mask = picture(96), np.ones((96, 96), bool)
    mask[40:50, 20:60] = False
    weights, sums = _weights(96, 96)
    back = np.argsort(_dissected(96, 96))
    plain, total = weights[back][:, back], sums[back]
    at = np.flatnonzero(mask)
    right = plain[at] @ np.where(mask.ravel(), 0.0, image.reshape(3, -1)).T
    wanted = spsolve((diags(total[at]) - plain[at][:, at]).tocsc(), right)
    np.testing.assert_allclose(imputed(image, mask, 0.0)[:, mask], wanted.T, atol=1e-6)


def test_noise_needs_a_generator_and_the_mask_the_size_of_the_image():
    with pytest.raises(UsageError, match="generator"):
        imputed(SQUARES, missing(0), 0.01)
    with pytest.raises(UsageError, match="mask"):
        imputed(SQUARES, np.zeros((2, 2), bool), 0.0)
