"""Baselines: right shape and range, repeatable, each what its name says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from casebase.errors import UsageError
from casebase.evaluate.saliency.baselines import BASELINES, LUMA, baseline

UNIT = np.random.default_rng(3).random((3, 32, 48)).astype(np.float32)


@pytest.mark.parametrize("name", BASELINES)
def test_maps_have_the_images_size_are_repeatable_and_leave_the_image_alone(name: str) -> None:
    before = UNIT.copy()
    state = np.random.get_state()[1].copy()  # noqa: NPY002  # the global generator is not to be touched
    one, same = baseline(name, UNIT, "a", 0), baseline(name, UNIT, "a", 0)
    assert one.shape == (32, 48)
    assert one.dtype == np.float32
    assert one.min() >= 0
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(UNIT, before)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert BASELINES[name].note


@pytest.mark.parametrize("name", BASELINES)
def test_only_the_random_ones_hang_on_key_and_seed_and_only_edges_on_the_image(name: str) -> None:
    one = baseline(name, UNIT, "a", 0)
    random = name.startswith("random")
    assert random == (not np.array_equal(one, baseline(name, UNIT, "b", 0)))
    assert random == (not np.array_equal(one, baseline(name, UNIT, "a", 1)))
    assert (name == "edge") == (not np.array_equal(one, baseline(name, UNIT[:, ::-1] ** 2, "a", 0)))


def test_smooth_noise_is_smoother_than_noise_and_not_its_copy() -> None:
    def roughness(values: np.ndarray) -> float:
        return float(np.abs(np.diff(values, axis=1)).mean() / values.std())

    assert roughness(baseline("random-smooth", UNIT, "a", 0)) < 0.5 * roughness(baseline("random", UNIT, "a", 0))


def test_the_centre_has_a_sigma_of_a_quarter_of_the_side() -> None:
    found = baseline("centre", np.zeros((3, 101, 101), np.float32), "a", 0)
    assert np.unravel_index(found.argmax(), found.shape) == (50, 50)
    assert found[50, 50] == 1.0
    away = 0.25 * 101
    expected = np.exp(-0.5 * (25 / away) ** 2)
    assert found[75, 50] == pytest.approx(expected, abs=1e-6)
    assert found[50, 25] == pytest.approx(expected, abs=1e-6)


def test_edges_are_those_of_scipys_sobel() -> None:
    grey = np.tensordot(np.array(LUMA), UNIT.astype(np.float64), 1)
    theirs = np.hypot(ndimage.sobel(grey, 0, mode="nearest"), ndimage.sobel(grey, 1, mode="nearest"))
    np.testing.assert_allclose(baseline("edge", UNIT, "a", 0), theirs, atol=1e-5)


def test_an_unknown_baseline_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match="no baseline 'noise'; there is random, random-smooth, centre, edge, ones"):
        baseline("noise", UNIT, "a", 0)
