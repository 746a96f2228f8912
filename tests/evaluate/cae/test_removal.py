"""Deletion of patches at few stops: equal to one patch at a time, and a perfect map beats a random one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from casebase.evaluate.cae.removal import AOPC, METRICS, PD, Curve, merged, patch_side, stops
from casebase.evaluate.saliency.metric import BenchSettings, Subject
from casebase.evaluate.saliency.patches import ranked, squares, vanishing

SIDE = 64


def subject(predict: Callable[[np.ndarray], np.ndarray] | None = None) -> Subject:
    """A grey image with a bright spot, and a network that is as sure as the spot is bright."""
    image = np.full((3, SIDE, SIDE), 0.2, np.float32)
    image[:, 16:24, 40:48] = 1.0

    def spot(images: np.ndarray) -> np.ndarray:
        return np.asarray(images[:, :, 16:24, 40:48].mean(axis=(1, 2, 3)), np.float64)

    asked = predict or spot
    return Subject(
        "key", "name", image, image, 0, float(asked(image[None])[0]), asked, asked, np.zeros((1, 1), np.float32)
    )


def spotted() -> np.ndarray:
    values = np.zeros((SIDE, SIDE), np.float32)
    values[16:24, 40:48] = 1.0
    return values


def test_stops_hold_the_first_the_hundredth_and_the_last() -> None:
    assert stops(307).tolist()[:3] == [1, 16, 32]
    assert {96, 100, 112, 304, 307} <= set(stops(307).tolist())
    assert stops(1).tolist() == [1]
    assert [patch_side(side, side) for side in (224, 64, 16)] == [7, 2, 1]


def test_merged_patches_give_the_scores_of_one_patch_at_a_time() -> None:
    one = subject()
    values = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    patch = squares(SIDE, SIDE, 2)
    order = ranked(values, patch)
    at = stops(100)
    filling = np.zeros_like(one.unit)
    fine = vanishing(one.unit, patch, order[:100], one.predict, filling, one.before)
    coarse = vanishing(one.unit, merged(patch, order, at), np.arange(len(at)), one.predict, filling, one.before)
    np.testing.assert_allclose(coarse.scores, fine.scores[[0, *at.tolist()]])
    np.testing.assert_allclose(coarse.shares, fine.shares[[0, *at.tolist()]])


def test_aopc_of_a_straight_fall_by_hand() -> None:
    curve = Curve(np.array([1.0, 0.9, 0.8, 0.7, 0.6]), np.array([1, 4]))
    assert curve.aopc() == pytest.approx(0.2)
    assert curve.aopc(2) == pytest.approx(0.1)


@pytest.mark.parametrize("fill", list(METRICS))
def test_a_perfect_map_is_above_a_random_order(fill: str) -> None:
    metric, settings = METRICS[fill], BenchSettings(patch_repeats=2)
    perfect = metric.score(spotted(), subject(), settings).figures
    noise = np.random.default_rng(1).random((SIDE, SIDE)).astype(np.float32)
    random = metric.score(noise, subject(), settings).figures
    for key in (AOPC, "aopc_100", "abpc", PD, "pd_final"):
        assert (perfect[key] or 0.0) > (random[key] or 0.0) + 0.05, key
    assert abs(perfect["lerf"] or 0.0) < 0.05
    assert set(perfect) == {figure.key for figure in metric.figures}


def test_the_estimate_of_passes_is_what_is_asked() -> None:
    for metric in METRICS.values():
        asked: list[int] = []

        def counted(images: np.ndarray, asked: list[int] = asked) -> np.ndarray:
            asked.append(len(images))
            return np.full(len(images), 0.5)

        settings = BenchSettings(patch_repeats=2)
        metric.score(spotted(), subject(counted), settings)
        assert sum(asked) - 1 == metric.passes(settings)  # one more made the subject
