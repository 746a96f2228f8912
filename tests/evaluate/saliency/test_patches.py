"""AOPC, ABPC and the three PDs of one curve."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casebase.errors import UsageError
from casebase.evaluate.saliency.metric import BenchSettings
from casebase.evaluate.saliency.patches import METRICS, ranked, squares, vanishing
from tests.evaluate.saliency.toy import BEFORE, IMAGE, MAP, Watched, close, picture, sigmoid, smooth, subject

(AOPC,) = METRICS
TOY = (MAP + np.arange(16).reshape(4, 4) / 1000).astype(np.float32)
BY_TWO = BenchSettings(patch=2)


def test_vector_tv5():
    patch = squares(4, 4, 2)
    order = ranked(TOY, patch)
    assert [divmod(int(one), 2) for one in order] == [(1, 1), (1, 0), (0, 0), (0, 1)]  # in units of patches
    morf = vanishing(IMAGE, patch, order, sigmoid, np.zeros_like(IMAGE), BEFORE)
    lerf = vanishing(IMAGE, patch, order[::-1], sigmoid, np.zeros_like(IMAGE), BEFORE)
    assert close(morf.drops, (-0.231898, 0.080426, 0.171831, 0.130260))
    assert close(lerf.drops, (-0.037928, 0.047690, 0.416095, 0.130260))
    found = AOPC.score(TOY, subject(), BY_TWO)
    wanted = {
        "aopc_morf": 0.030124, "aopc_lerf": 0.111224, "abpc": -0.081100, "pd_max": 0.171831, "pd_final": 0.130260,
        "pd_first": -0.231898,
    }  # fmt: skip
    assert found.figures.keys() == wanted.keys()
    # abpc is printed with the rounding of its two parts
    assert all(found.figures[name] == pytest.approx(value, abs=1e-6) for name, value in wanted.items())
    x, y = found.curves["patches_morf"]
    assert list(x) == [0, 0.25, 0.5, 0.75, 1.0]
    assert close(BEFORE - np.array(y[1:]), morf.drops)


@settings(max_examples=40)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 9), st.integers(0, 1000))
def test_squares_cover_the_image_once_and_go_by_falling_weight(height, width, side, seed):
    patch = squares(height, width, side)
    sizes = np.bincount(patch.ravel())
    assert len(sizes) == -(-height // side) * -(-width // side)
    assert sizes.max() <= side**2
    assert (sizes > 0).all()
    values = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    for rank, weigh in (("sum", np.sum), ("mean", np.mean)):
        order = ranked(values, patch, rank)
        assert sorted(order) == list(range(len(sizes)))
        weights = [weigh(values[patch == one], dtype=np.float64) for one in order]
        assert all(one >= next_ - 1e-9 for one, next_ in itertools.pairwise(weights))


def test_a_sum_puts_small_squares_at_the_edge_last_and_a_mean_does_not():
    values = np.full((5, 5), 0.5, np.float32)
    values[:, 4] = 1.0  # a strip of one pixel, twice as salient
    patch = squares(5, 5, 4)
    assert list(ranked(values, patch, "sum")) == [0, 1, 2, 3]
    assert list(ranked(values, patch, "mean")) == [1, 3, 0, 2]


def test_equal_squares_go_row_by_row():
    assert list(ranked(np.zeros((6, 6), np.float32), squares(6, 6, 2))) == list(range(9))


def test_no_more_than_the_squares_that_are_there_and_no_more_than_asked():
    predict = Watched()
    one = subject(picture(), predict=predict)
    predict.calls.clear()
    scored = AOPC.score(smooth(), one, BenchSettings(patch=8))
    assert predict.images == 2 * 16  # 4 x 4 squares, not 100
    assert scored.curves["patches_morf"][0][-1] == 1.0
    scored = AOPC.score(smooth(), one, BenchSettings(patch=8, patches=4))
    assert list(scored.curves["patches_lerf"][0]) == [0, 1 / 16, 2 / 16, 3 / 16, 4 / 16]


def test_uniform_noise_is_repeated_averaged_and_seeded():
    predict = Watched()
    one = subject(picture(), predict=predict)
    chosen = BenchSettings(patch=8, patches=5, patch_fill="uniform", patch_repeats=3)
    predict.calls.clear()
    first = AOPC.score(smooth(), one, chosen)
    assert predict.images == AOPC.passes(chosen) == 2 * 5 * 3
    assert AOPC.score(smooth(), one, chosen).figures == first.figures
    assert AOPC.score(smooth(), subject(picture(), key="other", predict=predict), chosen).figures != first.figures


@pytest.mark.parametrize("fill", ["normalised_zero", "black", "image_mean", "blur", "uniform"])
def test_only_the_squares_change(fill):
    predict = Watched(keep=True)
    one = subject(picture(), predict=predict)
    predict.seen.clear()
    AOPC.score(smooth(), one, BenchSettings(patch=8, patches=3, patch_fill=fill))
    patch = squares(32, 32, 8)
    order = ranked(smooth(), patch)
    for number, image in enumerate(predict.seen[:3], start=1):
        gone = np.isin(patch, order[:number])
        np.testing.assert_array_equal(image[:, ~gone], picture()[:, ~gone])
        assert not np.allclose(image[:, gone], picture()[:, gone])


@pytest.mark.parametrize("values", [np.zeros((32, 32)), np.ones((32, 32)), np.eye(32)])
def test_degenerate_maps_have_figures(values):
    found = AOPC.score(values.astype(np.float32), subject(picture(), predict=Watched()), BenchSettings()).figures
    assert all(-1 <= value <= 1 for value in found.values())


def test_a_map_that_is_not_finite_is_refused():
    with pytest.raises(UsageError, match="not finite"):
        AOPC.score(np.full((4, 4), np.inf, np.float32), subject(), BY_TWO)


def test_pd_claims_no_parity():
    told = {one.key: one for one in AOPC.figures}
    assert "not the figure of the CAE paper" in told["pd_max"].help


def test_drops_agree_with_quantus_region_perturbation():
    """Its drops for k = 1 ... L are right where no two regions tie and the fill is said."""
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantus = pytest.importorskip("quantus")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 256, 4)).eval()
    image, values = picture(16), smooth(16)

    def predict(images):
        with torch.inference_mode():
            return torch.softmax(model(torch.from_numpy(images)), dim=1)[:, 1].numpy()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = quantus.RegionPerturbation(
            patch_size=4, order="morf", regions_evaluation=6, normalise=False, abs=False, perturb_baseline=0.0,
            disable_warnings=True, display_progressbar=False,
        )  # fmt: skip
        theirs = metric(
            model=model, x_batch=image[None], y_batch=np.array([1]), a_batch=values[None, None], softmax=True
        )
    one = subject(image, predict=predict)
    _, scores = AOPC.score(values, one, BenchSettings(patch=4, patches=6)).curves["patches_morf"]
    np.testing.assert_allclose(one.before - np.array(scores[1:]), np.ravel(theirs)[:6], atol=1e-5)
