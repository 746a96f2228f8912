"""What every metric that alters the image costs is what it says, and no call brings more images than one may."""

from __future__ import annotations

import numpy as np
import pytest

from casebase.errors import UsageError
from casebase.evaluate.saliency import confidence, patches, removal, road
from casebase.evaluate.saliency.asking import BATCH, ask
from casebase.evaluate.saliency.metric import BenchSettings
from tests.evaluate.saliency.toy import Watched, picture, smooth, subject

METRICS = {one.name: one for module in (confidence, road, patches, removal) for one in module.METRICS}


@pytest.mark.parametrize(
    ("name", "settings", "passes"),
    [
        ("confidence", BenchSettings(), 1),
        ("occlusion", BenchSettings(), 2),
        ("road", BenchSettings(), 18),
        ("road", BenchSettings(road_fractions=(0.5,)), 2),
        ("aopc", BenchSettings(patch=3), 200),
        ("aopc", BenchSettings(patch=4, patches=10, patch_fill="uniform", patch_repeats=2), 40),
        ("deletion", BenchSettings(), 40),
        ("deletion", BenchSettings(insertion_substrate="normalised_zero"), 39),
    ],
)
def test_forward_passes_are_those_announced(name, settings, passes):
    predict = Watched()
    one = subject(picture(40), predict=predict)
    assert predict.calls == [1]  # p(x), which every metric is given
    predict.calls.clear()
    METRICS[name].score(smooth(40), one, settings)
    assert predict.images == METRICS[name].passes(settings) == passes
    assert max(predict.calls) <= BATCH


def test_road_with_the_image_itself_is_nineteen_passes_in_two_calls():
    predict = Watched()
    METRICS["road"].score(smooth(), subject(picture(), predict=predict), BenchSettings())
    assert predict.calls == [1, 18]


def test_every_setting_that_a_metric_names_exists_and_every_figure_comes_back():
    for metric in METRICS.values():
        assert set(metric.chosen(BenchSettings())) == set(metric.settings)
        scored = metric.score(smooth(), subject(picture(), predict=Watched()), BenchSettings())
        assert scored.figures
        assert set(scored.figures) == {one.key for one in metric.figures}
        assert all(type(value) is float for value in scored.figures.values())
        assert all(type(value) is float for x, y in scored.curves.values() for value in (*x, *y))


@pytest.mark.parametrize("name", list(METRICS))
def test_nothing_that_a_metric_is_given_is_written_to(name):
    values, image = smooth(), picture()
    before = values.copy(), image.copy()
    values.flags.writeable = image.flags.writeable = False
    METRICS[name].score(values, subject(image, predict=Watched()), BenchSettings())
    np.testing.assert_array_equal(values, before[0])
    np.testing.assert_array_equal(image, before[1])


def test_images_are_made_no_further_ahead_than_one_call_takes():
    alive, made = [], 0

    def images():
        nonlocal made
        for _ in range(70):
            made += 1
            yield picture(4)

    def predict(batch):
        alive.append(made)
        return np.zeros(len(batch))

    assert ask(predict, images()).shape == (70,)
    assert alive == [32, 64, 70]
    assert ask(predict, []).shape == (0,)


def test_a_predict_function_that_does_not_answer_each_image_is_refused():
    with pytest.raises(UsageError, match="not one each"):
        ask(lambda images: np.zeros((len(images), 2)), [picture(4)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"road_space": "grey"}, {"road_rule": "all"}, {"step_widths": "odd"}, {"patch_rank": "max"},
        {"patch_fill": "road"}, {"insertion_substrate": "grey"}, {"steps": 0}, {"patch": 0}, {"patches": 0},
        {"patch_repeats": 0}, {"road_fractions": ()}, {"road_fractions": (0.5, 1.0)}, {"road_noise": -0.1},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        BenchSettings(**wrong)
