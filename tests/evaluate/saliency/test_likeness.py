"""Likeness of maps: TV8 of the handbook, bounds, what has no figure, and scikit-image as oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebase.evaluate.saliency.likeness import CELL, hog, hog_correlation, likeness, pearson, spearman, ssim
from tests.evaluate.saliency.subjects import TOY_MAP

NOISE = np.random.default_rng(0).random((64, 80))


def test_the_vector_of_the_handbook() -> None:
    rolled = np.roll(TOY_MAP, 1, axis=1)
    assert spearman(TOY_MAP, rolled) == pytest.approx(-0.011765, abs=1e-6)
    assert pearson(TOY_MAP, rolled) == pytest.approx(-0.011765, abs=1e-6)
    assert ssim(TOY_MAP, rolled, window=3) == pytest.approx(-0.199414, abs=1e-6)


@given(st.integers(0, 1000))
def test_a_map_is_like_itself_and_measures_are_symmetric(seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.normal(size=(48, 50)), random.normal(size=(48, 50))
    for measure in (spearman, pearson, ssim, hog_correlation):
        assert measure(one, one) == pytest.approx(1.0)
        found, turned = measure(one, other), measure(other, one)
        assert found == pytest.approx(turned)
        assert found is not None
        assert -1 <= found <= 1


def test_signs_show_only_where_they_are_kept() -> None:
    found = likeness(NOISE, -NOISE)
    assert found["spearman"] == pytest.approx(-1.0)
    assert found["spearman_abs"] == pytest.approx(1.0)
    assert found["ssim"] == pytest.approx(1.0)
    assert found["hog"] == pytest.approx(1.0)


@pytest.mark.parametrize("blank", [np.zeros((64, 80)), np.full((64, 80), 3.0), np.full((64, 80), np.nan)])
def test_what_says_nothing_is_not_compared(blank: np.ndarray) -> None:
    assert set(likeness(NOISE, blank).values()) == {None}
    assert set(likeness(blank, NOISE).values()) == {None}


def test_small_maps_have_ranks_alone() -> None:
    found = likeness(TOY_MAP, TOY_MAP)
    assert found["spearman"] == pytest.approx(1.0)
    assert found["ssim"] is None
    assert found["hog"] is None
    seven = np.arange(49.0).reshape(7, 7)
    assert likeness(seven, seven)["ssim"] == pytest.approx(1.0)


def test_scikit_image_finds_the_same() -> None:
    metrics = pytest.importorskip("skimage.metrics", exc_type=ImportError)
    from skimage.feature import hog as theirs

    other = np.clip(NOISE + np.random.default_rng(1).normal(0, 0.2, NOISE.shape), 0, 1)
    expected = metrics.structural_similarity(NOISE, other, data_range=1.0)
    assert ssim(NOISE, other) == pytest.approx(expected, abs=1e-9)
    expected = theirs(NOISE, pixels_per_cell=(CELL, CELL))
    np.testing.assert_allclose(hog(NOISE), expected, atol=1e-6)
