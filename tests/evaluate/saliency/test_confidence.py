"""Average drop, increase, and the four occlusion columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from casebase.errors import UsageError
from casebase.evaluate.saliency.confidence import METRICS, drop, increase, kept, occluded
from casebase.evaluate.saliency.hiding import percentile
from casebase.evaluate.saliency.metric import FILLS, BenchSettings
from tests.evaluate.saliency.toy import BEFORE, IMAGE, MAP, Watched, picture, sigmoid, smooth, subject

CONFIDENCE, OCCLUSION = METRICS


def test_the_toy_is_the_handbooks():
    assert pytest.approx(0.630260, abs=1e-6) == BEFORE
    assert sigmoid(np.zeros((1, 3, 4, 4), np.float32))[0] == 0.5


def test_vector_tv1_one_image():
    after = kept(MAP, IMAGE, sigmoid)
    assert after == pytest.approx(0.372852, abs=1e-6)
    assert after - BEFORE == pytest.approx(-0.257408, abs=1e-6)
    found = CONFIDENCE.score(MAP, subject(), BenchSettings()).figures
    assert found["average_drop"] == pytest.approx(0.408415, abs=1e-6)
    assert found["increase"] == 0
    assert found["map_mean"] == pytest.approx(0.5, abs=1e-6)


def test_vector_tv1_a_set_of_images():
    pairs = ((0.8, 0.6), (0.5, 0.7), (0.2, 0.1))
    assert 100 * np.mean([drop(*pair) for pair in pairs]) == pytest.approx(25.0, abs=1e-6)
    assert 100 * np.mean([increase(*pair) for pair in pairs]) == pytest.approx(33.333333, abs=1e-6)


def test_vector_tv2_the_four_columns():
    mask = percentile(MAP, 0.75)
    b, s = sigmoid(np.stack(occluded(IMAGE, mask, "normalised_zero")))
    assert (b, s) == (pytest.approx(0.310026, abs=1e-6), pytest.approx(0.791391, abs=1e-6))
    found = OCCLUSION.score(MAP, subject(), BenchSettings(threshold="percentile", level=0.75)).figures
    assert found["increase_b"] == 0
    assert found["drop_b"] == pytest.approx(0.508099, abs=1e-6)
    assert found["increase_s"] == 1
    assert found["drop_s"] == 0
    assert found["mask_share"] == 0.25


def test_a_map_of_ones_scores_perfectly_and_its_mean_tells():
    found = CONFIDENCE.score(np.ones((4, 4), np.float32), subject(), BenchSettings()).figures
    assert found == {"average_drop": 0.0, "increase": 0.0, "map_mean": 1.0}


def test_figures_are_plain_floats_that_json_takes():
    assert type(drop(np.float64(0.8), np.float64(0.6))) is float
    assert type(increase(np.float64(0.8), np.float64(0.6))) is float


def test_a_tie_is_no_rise():
    assert increase(0.5, 0.5) == 0
    assert increase(0.5, 0.5 + 1e-7) == 0  # what batches make of the same image
    assert increase(0.5, 0.51) == 1


@pytest.mark.parametrize("fill", FILLS)
def test_every_fill_asks_in_its_own_space(fill):
    unit = picture()
    fed, in_unit, in_fed = (unit - 0.5) / 0.25, Watched(keep=True), Watched(keep=True)
    one = replace(subject(unit, fed, predict=in_fed), predict_unit=in_unit)
    in_fed.calls.clear()
    in_fed.seen.clear()
    found = OCCLUSION.score(smooth(), one, BenchSettings(fill=fill, level=0.3)).figures
    assert None not in found.values()
    asked, other, image = (in_fed, in_unit, fed) if fill in ("normalised_zero", "blur") else (in_unit, in_fed, unit)
    assert (asked.images, other.images) == (2, 0)
    mask = smooth() >= np.sort(smooth().ravel())[-int(0.3 * 1024)]
    b, s = asked.seen
    np.testing.assert_array_equal(b[:, mask], image[:, mask])
    np.testing.assert_array_equal(s[:, ~mask], image[:, ~mask])


def test_where_a_mask_is_empty_everything_is_hidden_and_road_has_no_figures():
    flat = np.zeros((32, 32), np.float32)
    one = subject(picture(), predict=Watched())
    found = OCCLUSION.score(flat, one, BenchSettings(threshold="otsu")).figures
    assert found["mask_share"] == 0
    assert found["drop_s"] == pytest.approx(0, abs=1e-9)  # nothing was hidden
    found = OCCLUSION.score(flat, one, BenchSettings(threshold="otsu", fill="road")).figures
    assert found == {"increase_b": None, "drop_b": None, "increase_s": None, "drop_s": None, "mask_share": 0.0}


@pytest.mark.parametrize("metric", METRICS, ids=lambda one: one.name)
def test_maps_that_are_not_finite_or_of_another_size_are_refused(metric):
    with pytest.raises(UsageError, match="not finite"):
        metric.score(np.full((4, 4), np.nan, np.float32), subject(), BenchSettings())
    with pytest.raises(UsageError, match="one value per pixel"):
        metric.score(np.zeros((2, 2), np.float32), subject(), BenchSettings())


def test_average_drop_and_increase_agree_with_torchcam():
    """torchcam's metric takes its own extractors, so it gets one that knows the map beforehand."""
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchcam.metrics")
    from contextlib import nullcontext

    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16, 3))

    class Known:
        def __init__(self) -> None:
            self.model = model

        def __call__(self, *_: object) -> list[object]:
            return [torch.from_numpy(MAP)[None]]

        def fuse_cams(self, cams):
            return cams[0]

        def _hooks_off(self):
            return nullcontext()

    def predict(images):
        with torch.inference_mode():
            return torch.softmax(model(torch.from_numpy(images)), dim=-1)[:, 1].numpy()

    theirs = metrics.ClassificationMetric(Known(), lambda scores: torch.softmax(scores, dim=-1))
    theirs.update(torch.from_numpy(IMAGE)[None], 1)
    ours = CONFIDENCE.score(MAP, subject(predict=predict), BenchSettings()).figures
    assert ours["average_drop"] == pytest.approx(theirs.summary()["avg_drop"], abs=1e-5)
    assert ours["increase"] == theirs.summary()["conf_increase"]
