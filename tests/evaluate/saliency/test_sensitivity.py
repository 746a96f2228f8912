"""Max-sensitivity: by hand, repeatable, refused where it costs too much, and captum as oracle. Networks: untrained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from casebase.evaluate.saliency.metric import BenchSettings
from casebase.evaluate.saliency.sensitivity import METRICS, max_sensitivity, noisy
from casebase.explain.saliency.catalogue import make
from casebase.explain.saliency.method import scaled
from casebase.networks import backbones
from casebase.networks.explained import ExplainedNetwork
from tests.evaluate.saliency.subjects import subject

(METRIC,) = METRICS
IMAGE = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)


def test_by_hand() -> None:
    map_ = np.array([[3.0, 4.0]])  # of length 5
    moved = np.array([[[3.0, 5.0]], [[0.0, 0.0]], [[6.0, 8.0]], [[3.0, 4.5]]])
    assert max_sensitivity(map_, moved[:1]) == pytest.approx(1 / 5)
    assert max_sensitivity(map_, moved) == pytest.approx(1.0)
    assert max_sensitivity(map_, moved[3:]) == pytest.approx(0.1)


def test_what_has_no_length_has_no_figure() -> None:
    assert max_sensitivity(np.zeros((2, 2)), np.ones((1, 2, 2))) is None
    assert max_sensitivity(np.ones((2, 2)), np.full((1, 2, 2), np.nan)) is None
    assert max_sensitivity(np.full((2, 2), np.nan), np.ones((1, 2, 2))) is None


def test_noise_stays_within_the_radius_on_both_sides_and_leaves_the_image_alone() -> None:
    before = IMAGE.copy()
    found = noisy(IMAGE, 0.02, 50, np.random.default_rng(1)) - IMAGE
    assert found.shape == (50, 3, 8, 8)
    assert np.abs(found).max() <= 0.02 + 1e-6
    assert found.min() < -0.019
    assert found.max() > 0.019
    np.testing.assert_array_equal(IMAGE, before)


def test_the_same_image_and_seed_draw_the_same_noise() -> None:
    seen: list[np.ndarray] = []

    def again(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return np.abs(images).mean(1)

    one = subject(8, fed=IMAGE, again=again)
    settings = BenchSettings(draws=3)
    map_ = np.abs(IMAGE).mean(0)
    found = [METRIC.score(map_, one, settings).figures["max_sensitivity"] for _ in range(2)]
    assert found[0] == found[1]
    np.testing.assert_array_equal(seen[0], seen[1])
    METRIC.score(map_, replace(one, key="another"), settings)
    METRIC.score(map_, one, replace(settings, seed=1))
    assert not np.array_equal(seen[0], seen[2])
    assert not np.array_equal(seen[0], seen[3])
    assert len(seen[0]) == METRIC.passes(settings) == 3


def test_a_larger_radius_moves_the_map_farther() -> None:
    one = subject(8, fed=IMAGE, again=lambda images: np.abs(images).mean(1))
    map_ = np.abs(IMAGE).mean(0)
    found = [METRIC.score(map_, one, BenchSettings(radius=r)).figures["max_sensitivity"] for r in (0.01, 0.1)]
    assert found[0] is not None
    assert found[1] is not None
    assert 0 < found[0] < found[1]


def test_a_map_that_ignores_the_image_has_nought_and_a_baseline_none() -> None:
    ones = np.ones((8, 8), np.float32)
    one = subject(8, fed=IMAGE, again=lambda images: np.ones((len(images), 8, 8), np.float32))
    assert METRIC.score(ones, one, BenchSettings()).figures == {"max_sensitivity": 0.0}
    assert METRIC.score(ones, subject(8, fed=IMAGE), BenchSettings()).figures == {"max_sensitivity": None}


def test_captum_finds_the_same_with_the_same_noise_on_real_maps() -> None:
    captum = pytest.importorskip("captum.metrics", exc_type=ImportError)
    import torch

    network = ExplainedNetwork(backbones.load(backbones.Wanted("casebase:resnet10", pretrained=False, seed=0)))
    fed = np.random.default_rng(2).normal(size=(3, 104, 104)).astype(np.float32)
    target = int(network.scores(fed[None])[0].argmax())
    maker = make("gradcam", network)

    def again(images: np.ndarray) -> np.ndarray:
        found = maker.raw(images, [target] * len(images))
        return np.stack([scaled(one.values, "gradcam", "", "", {}, size=(104, 104)).values for one in found])

    one, settings = subject(104, fed=fed, again=again), BenchSettings(draws=4, radius=0.1)
    ours = METRIC.score(again(fed[None])[0], one, settings).figures["max_sensitivity"]
    given = noisy(
        fed, settings.radius, settings.draws, one.generator(settings.seed, "max-sensitivity", settings.radius)
    )
    theirs = captum.sensitivity_max(
        lambda images: (torch.from_numpy(again((images[0] if isinstance(images, tuple) else images).numpy())),),
        torch.from_numpy(fed[None]),
        perturb_func=lambda images, radius: torch.from_numpy(given),
        n_perturb_samples=settings.draws,
    )
    assert ours is not None
    assert ours > 0
    assert ours == pytest.approx(float(theirs[0]), rel=1e-5)
