"""Deletion and insertion: every row of the handbook, shared ends, ties, and torchcam's areas."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebase.errors import UsageError
from casebase.evaluate.saliency.hiding import blurred
from casebase.evaluate.saliency.metric import BenchSettings
from casebase.evaluate.saliency.removal import METRICS, counts, deletion_insertion
from tests.evaluate.saliency.toy import BEFORE, IMAGE, MAP, Watched, close, picture, sigmoid, smooth, subject

(DELETION,) = METRICS
ZERO = np.zeros_like(IMAGE)


def toy(steps: int):
    return deletion_insertion(MAP, IMAGE, sigmoid, float(BEFORE), steps, [ZERO])


def test_vector_tv6_four_blocks_of_four():
    found = toy(4)
    assert close(found.deletion, (0.630260, 0.791391, 0.832018, 0.697059, 0.5))
    assert close(found.insertion, (0.5, 0.310026, 0.256038, 0.425557, 0.630260))
    assert close(found.areas(), (0.721400, 0.389188))
    assert close(found.areas("equal"), (0.721400, 0.389188))  # no block is short


def test_vector_tv6_blocks_of_six_equal_widths():
    assert list(toy(3).counts) == [0, 6, 12, 16]
    assert close(toy(3).areas("equal"), (0.693255, 0.422078))


def test_vector_tv6_blocks_of_six_true_widths():
    assert close(toy(3).areas("true"), (0.705095, 0.408849))


def test_the_metric_derives_its_figures_from_the_stored_curves():
    chosen = BenchSettings(steps=3, insertion_substrate="normalised_zero")
    scored = DELETION.score(MAP, subject(), chosen)
    assert close([scored.figures["deletion"], scored.figures["insertion"]], (0.705095, 0.408849))
    for name in ("deletion", "insertion"):
        x, y = scored.curves[name]
        assert (x[0], x[-1]) == (0, 1)
        assert scored.figures[name] == pytest.approx(np.trapezoid(y, x))
    equal = DELETION.score(
        MAP, subject(), BenchSettings(steps=3, insertion_substrate="normalised_zero", step_widths="equal")
    )
    assert close([equal.figures["deletion"], equal.figures["insertion"]], (0.693255, 0.422078))


def test_insertion_starts_from_the_blurred_image_as_in_rise():
    predict = Watched()
    image = picture()
    scored = DELETION.score(smooth(), subject(image, predict=predict), BenchSettings())
    deletion, insertion = (scored.curves[name][1] for name in ("deletion", "insertion"))
    assert insertion[0] == pytest.approx(predict(blurred(image)[None])[0])
    assert deletion[-1] == pytest.approx(predict(np.zeros_like(image)[None])[0])
    assert deletion[0] == insertion[-1] == pytest.approx(predict(image[None])[0])


@given(st.integers(1, 5000), st.integers(1, 60))
def test_blocks_are_of_one_size_but_the_last_and_never_more_than_asked(pixels, steps):
    found = counts(pixels, steps)
    widths = np.diff(found)
    assert (found[0], found[-1]) == (0, pixels)
    assert len(widths) <= steps
    assert (widths[:-1] == -(-pixels // steps)).all()
    assert 0 < widths[-1] <= -(-pixels // steps)


def test_equal_pixels_go_in_reading_order():
    predict = Watched(keep=True)
    image = picture(4) + 1
    deletion_insertion(np.zeros((4, 4), np.float32), image, predict, 0.5, 4, [np.zeros_like(image)])
    gone = [one[0].ravel() == 0 for one in predict.seen[1::2]]
    assert [list(np.flatnonzero(one)) for one in gone] == [list(range(4)), list(range(8)), list(range(12))]


def test_only_the_order_matters():
    one = subject(picture(), predict=Watched())
    plain, cubed = (DELETION.score(values, one, BenchSettings()).figures for values in (smooth(), smooth() ** 3 / 2))
    assert plain == cubed


def test_a_random_map_deletes_and_inserts_about_alike():
    """On a linear network both areas of a random order lie near the middle of the ends."""
    random = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    found = DELETION.score(
        random, subject(picture(), predict=Watched()), BenchSettings(insertion_substrate="normalised_zero")
    )
    assert abs(found.figures["deletion"] - found.figures["insertion"]) < 0.1


@pytest.mark.parametrize("values", [np.zeros((32, 32)), np.ones((32, 32)), np.eye(32)])
def test_degenerate_maps_have_figures(values):
    found = DELETION.score(values.astype(np.float32), subject(picture(), predict=Watched()), BenchSettings()).figures
    assert all(0 <= value <= 1 for value in found.values())


def test_a_map_that_is_not_finite_is_refused():
    with pytest.raises(UsageError, match="not finite"):
        DELETION.score(np.full((4, 4), np.nan, np.float32), subject(), BenchSettings())


@pytest.mark.parametrize("steps", [3, 7, 20])
def test_areas_agree_with_torchcam(steps):
    """torchcam's metric takes its own extractors, so it gets one that knows the map beforehand."""
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchcam.metrics")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4)).eval()
    image, values = picture(), np.round(smooth(), 2)  # with ties: both sort stably

    class Known:
        def __init__(self) -> None:
            self.model = model

        def __call__(self, *_: object) -> list[object]:
            return [torch.from_numpy(values)[None]]

        def fuse_cams(self, cams):
            return cams[0]

        def _hooks_off(self):
            return nullcontext()

    def predict(images):
        with torch.inference_mode():
            return torch.softmax(model(torch.from_numpy(images)), dim=-1)[:, 1].numpy()

    theirs = metrics.DeletionInsertionMetric(Known(), lambda scores: torch.softmax(scores, dim=-1), steps=steps)
    theirs.update(torch.from_numpy(image)[None], 1)
    chosen = BenchSettings(steps=steps, insertion_substrate="normalised_zero")
    ours = DELETION.score(values, subject(image, predict=predict), chosen).figures
    assert ours["deletion"] == pytest.approx(theirs.summary()["deletion_auc"], abs=1e-5)
    assert ours["insertion"] == pytest.approx(theirs.summary()["insertion_auc"], abs=1e-5)
