"""Thresholds make masks of a map, ties included; fills replace what is hidden and nothing else."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from casebase.errors import UsageError
from casebase.evaluate.saliency.hiding import blurred, hidden, mask_of, otsu, percentile, space_of, top_fraction, whole
from casebase.evaluate.saliency.metric import FILLS, THRESHOLDS
from tests.evaluate.saliency.toy import MAP, picture, smooth

MAPS = arrays.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 1, width=16))


def test_vector_tv2_the_75th_percentile_of_the_toy():
    assert np.percentile(MAP, 75) == pytest.approx(0.75)
    assert set(np.flatnonzero(percentile(MAP, 0.75))) == {2, 5, 12, 15}
    assert set(np.flatnonzero(top_fraction(MAP, 0.25))) == {2, 5, 12, 15}


def test_a_fraction_is_the_decimal_that_is_written():
    assert int(0.29 * 100) == 28  # what binary fractions make of it
    assert whole(0.29, 100) == 29
    assert whole(0.1, 224 * 224) == 5017


@settings(max_examples=60)
@given(MAPS, st.integers(1, 99))
def test_top_fraction_is_exact_and_takes_the_largest(values, hundredths):
    mask = top_fraction(values, hundredths / 100)
    assert mask.sum() == int(Fraction(hundredths, 100) * values.size)
    if mask.any() and not mask.all():
        assert values[mask].min() >= values[~mask].max()


@settings(max_examples=60)
@given(MAPS, st.floats(0.01, 0.99), st.sampled_from(THRESHOLDS))
def test_no_threshold_calls_a_pixel_salient_and_a_greater_one_not(values, level, threshold):
    mask = mask_of(values, threshold, level)
    assert mask.shape == values.shape
    assert mask.dtype == np.bool_
    if mask.any() and not mask.all():
        assert values[mask].min() >= values[~mask].max()
    if threshold != "top_fraction" and mask.any() and not mask.all():
        assert values[mask].min() > values[~mask].max()  # equal pixels share a fate


def test_of_equal_values_the_first_in_reading_order_is_taken():
    flat = np.ones((4, 4), np.float32)
    assert list(np.flatnonzero(top_fraction(flat, 0.25))) == [0, 1, 2, 3]
    values = np.array([[0, 0.5], [0.5, 1]], np.float32)
    assert list(np.flatnonzero(top_fraction(values, 0.5))) == [1, 3]


@pytest.mark.parametrize("constant", [0.0, 0.5, 1.0])
def test_of_a_map_that_says_nothing_only_the_fraction_makes_a_mask(constant):
    flat = np.full((4, 4), constant, np.float32)
    assert not percentile(flat, 0.75).any()
    assert not otsu(flat).any()
    assert mask_of(flat, "relative_to_max", 0.5).all() == (constant > 0)
    assert top_fraction(flat, 0.25).sum() == 4


def test_a_percentile_inside_a_tie_leaves_the_tie_out():
    values = np.array([[0, 0, 0, 0], [0, 0, 0.2, 0.7]], np.float32)
    assert list(np.flatnonzero(percentile(values, 0.5))) == [6, 7]


def test_otsu_parts_two_hills():
    values = np.array([[0.1, 0.12, 0.09, 0.8], [0.11, 0.82, 0.79, 0.1]], np.float32)
    np.testing.assert_array_equal(otsu(values), values > 0.5)


@pytest.mark.parametrize("seed", range(5))
def test_otsu_agrees_with_scikit_image(seed):
    filters = pytest.importorskip("skimage.filters")
    values = np.random.default_rng(seed).beta(0.5, 0.9, (40, 40)).astype(np.float32)
    exact = values.astype(np.float64)
    cut = filters.threshold_otsu(exact) + np.ptp(exact) / 512  # its cut is the middle of a bin, ours the end of it
    np.testing.assert_array_equal(otsu(values), values >= cut)


def test_an_unknown_threshold_or_fill_is_refused_with_those_that_exist():
    with pytest.raises(UsageError, match="top_fraction"):
        mask_of(MAP, "median", 0.5)
    with pytest.raises(UsageError, match="image_mean"):
        hidden(picture(), np.zeros((32, 32), bool), "green")


@pytest.mark.parametrize("fill", FILLS)
def test_a_fill_replaces_what_is_hidden_and_nothing_else(fill):
    image, hide = picture(), smooth() > 0.5
    before = image.copy()
    found = hidden(image, hide, fill, np.random.default_rng(0), 0.01)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, ~hide], image[:, ~hide])
    assert not np.allclose(found[:, hide], image[:, hide], atol=1e-4)
    np.testing.assert_array_equal(image, before)


def test_what_the_fills_are():
    image, hide = picture(), smooth() > 0.5
    assert (hidden(image, hide, "black")[:, hide] == 0).all()
    assert (hidden(image, hide, "normalised_zero")[:, hide] == 0).all()
    np.testing.assert_allclose(hidden(image, hide, "image_mean")[:, hide][:, 0], image.mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(hidden(image, hide, "blur")[:, hide], blurred(image)[:, hide])
    assert {fill: space_of(fill) for fill in FILLS} == {
        "normalised_zero": "normalised", "black": "unit", "image_mean": "unit", "blur": "normalised", "road": "unit",
    }  # fmt: skip


def test_road_fill_refuses_to_hide_everything():
    with pytest.raises(UsageError, match="every pixel"):
        hidden(picture(), np.ones((32, 32), bool), "road", np.random.default_rng(0))


def test_the_blur_is_the_window_of_rise_with_zeros_beyond_the_edge():
    torch = pytest.importorskip("torch")
    image = picture() - 0.5
    at = np.arange(11) - 5
    line = np.exp(-(at**2) / 50)
    window = torch.from_numpy(np.outer(line, line) / line.sum() ** 2)
    wanted = torch.nn.functional.conv2d(
        torch.from_numpy(image.astype(np.float64))[:, None], window[None, None], padding=5
    )
    np.testing.assert_allclose(blurred(image), wanted[:, 0].numpy(), atol=1e-6)
