"""ROAD: which pixels go, what it costs, and that its values are pytorch-grad-cam's where that is right."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from casebase.errors import UsageError
from casebase.evaluate.saliency.imputation import imputed
from casebase.evaluate.saliency.metric import BenchSettings
from casebase.evaluate.saliency.road import FRACTIONS, METRICS, Removal, removed, road, shuffled_ties
from tests.evaluate.saliency.toy import Watched, picture, smooth, subject

(ROAD,) = METRICS
FIGURES = ("road_morf", "road_lerf", "road_combined")


def generators(*about: object) -> np.random.Generator:
    return np.random.default_rng(0)


@settings(max_examples=60)
@given(
    arrays.arrays(np.float32, (5, 6), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    st.integers(1, 99),
    st.integers(0, 1000),
)
def test_exactly_the_share_goes_whatever_the_ties(values, hundredths, seed):
    order = shuffled_ties(values, np.random.default_rng(seed))
    assert sorted(order) == list(range(30))
    assert (np.diff(values.ravel()[order]) <= 0).all()
    most, least = removed(values, hundredths / 100, order)
    assert most.sum() == least.sum() == hundredths * 30 // 100
    if most.any():
        assert values[most].min() >= values[~most].max()
        assert values[least].max() <= values[~least].min()


def test_one_pixel_is_always_kept():
    most, least = removed(np.eye(3, dtype=np.float32), 0.9999999, np.arange(9))
    assert most.sum() == least.sum() == 8
    most, least = removed(np.eye(3, dtype=np.float32), 1.0, np.arange(9))
    assert most.sum() == least.sum() == 8


def test_both_orders_part_the_image_where_their_shares_add_up():
    values = smooth()
    order = shuffled_ties(values, np.random.default_rng(0))
    most, _ = removed(values, 0.25, order)
    _, least = removed(values, 0.75, order)
    assert (most ^ least).all()


def test_ties_fall_by_chance_and_the_same_again():
    values = np.zeros((8, 8), np.float32)
    one, same, other = (shuffled_ties(values, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_the_percentile_rule_takes_too_many_on_ties_and_refuses_to_take_all():
    """16 pixels, the lower half 0, as after ReLU: what the other library does, and why it is not our rule."""
    values = np.concatenate([np.zeros(8), np.arange(1, 9) / 8]).reshape(4, 4).astype(np.float32)
    gone = removed(values, 0.9, np.arange(16), "percentile")[0]
    assert gone.all()
    assert removed(values, 0.9, np.arange(16))[0].sum() == 14
    assert removed(values, 0.1, np.arange(16), "percentile")[1].sum() == 8
    with pytest.raises(UsageError, match="every pixel"):
        road(values, picture(4), Watched(), Removal((0.9,), "percentile", 0.0), generators)
    scored = ROAD.score(values, subject(picture(4), predict=Watched()), BenchSettings(road_rule="percentile"))
    assert scored.figures == dict.fromkeys(FIGURES)


def test_figures_follow_from_the_curves():
    predict = Watched()
    one = subject(picture(), predict=predict)
    scored = ROAD.score(smooth(), one, BenchSettings())
    found, (x, morf), (_, lerf) = scored.figures, scored.curves["road_morf"], scored.curves["road_lerf"]
    assert list(x) == [0.0, *FRACTIONS]
    assert morf[0] == lerf[0] == one.before
    assert found["road_morf"] == pytest.approx(np.mean(morf[1:]) - one.before)
    assert found["road_lerf"] == pytest.approx(np.mean(lerf[1:]) - one.before)
    assert found["road_combined"] == pytest.approx((found["road_lerf"] - found["road_morf"]) / 2)


def test_values_by_hand_for_one_fraction():
    values, image, predict = smooth(8), picture(8), Watched()
    scored = ROAD.score(values, subject(image, predict=predict), BenchSettings(road_fractions=(0.25,), road_noise=0.0))
    rank = np.argsort(-values.ravel(), kind="stable")
    masks = np.zeros((2, 64), bool)
    masks[0, rank[:16]], masks[1, rank[-16:]] = True, True
    morf, lerf = predict(np.stack([imputed(image, mask.reshape(8, 8), 0.0) for mask in masks]))
    before = predict(image[None])[0]
    assert scored.figures["road_morf"] == pytest.approx(morf - before, abs=1e-9)
    assert scored.figures["road_lerf"] == pytest.approx(lerf - before, abs=1e-9)


def test_two_runs_are_equal_and_another_image_or_seed_has_other_noise():
    one, other = subject(picture(), predict=Watched()), subject(picture(), key="other", predict=Watched())
    first, again = (ROAD.score(smooth(), one, BenchSettings()).figures for _ in range(2))
    assert first == again
    assert ROAD.score(smooth(), other, BenchSettings()).figures != first
    assert ROAD.score(smooth(), one, BenchSettings(seed=1)).figures != first


def test_any_number_of_threads_makes_the_same_figures(monkeypatch):
    one, found = subject(picture(), predict=Watched()), []
    for threads in (1, 5):
        monkeypatch.setattr("casebase.evaluate.saliency.road.cores", lambda threads=threads: threads)
        found.append(ROAD.score(smooth(), one, BenchSettings()).figures)
    assert found[0] == found[1]


def test_many_fractions_are_asked_in_bounded_calls():
    predict = Watched()
    chosen = BenchSettings(road_fractions=[number / 50 for number in range(1, 50)])
    ROAD.score(smooth(), subject(picture(), predict=predict), chosen)
    assert predict.calls == [1, 32, 32, 32, 2]


def test_global_generators_are_left_alone():
    np.random.seed(4)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    ROAD.score(smooth(), subject(picture(), predict=Watched()), BenchSettings())
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_each_space_is_asked_in_its_own_terms():
    unit, in_unit, in_fed = picture(), Watched(keep=True), Watched(keep=True)
    one = replace(subject(unit, (unit - 0.5) * 4, predict=in_fed), predict_unit=in_unit)
    in_fed.calls.clear()
    ROAD.score(smooth(), one, BenchSettings())
    assert (in_unit.images, in_fed.images) == (18, 0)
    assert -0.1 < np.min(in_unit.seen) < np.max(in_unit.seen) < 1.1
    ROAD.score(smooth(), one, BenchSettings(road_space="normalised"))
    assert (in_unit.images, in_fed.images) == (18, 18)


@pytest.mark.parametrize("values", [np.zeros((32, 32)), np.ones((32, 32)), np.eye(32)])
def test_degenerate_maps_have_figures_of_chance(values):
    found = ROAD.score(values.astype(np.float32), subject(picture(), predict=Watched()), BenchSettings()).figures
    assert all(-1 <= found[name] <= 1 for name in FIGURES)


def test_a_map_that_is_not_finite_is_refused():
    with pytest.raises(UsageError, match="not finite"):
        ROAD.score(np.full((32, 32), np.nan, np.float32), subject(picture(), predict=Watched()), BenchSettings())


@pytest.mark.parametrize("seed", [0, 1])
def test_values_equal_pytorch_grad_cam_where_it_is_right(seed, monkeypatch):
    """On a map of floats without ties, without noise, by percentiles, in the space the network is fed."""
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pytest.importorskip("pytorch_grad_cam.metrics.road")
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 15 * 15, 4)
    ).eval()
    image = ((picture(32, seed) - 0.45) / 0.23).astype(np.float32)
    values = np.random.default_rng(seed).random((32, 32)).astype(np.float32) if seed else smooth()
    assert np.unique(values).size == np.unique(1 - values).size == values.size  # no ties, in neither direction

    def predict(images):
        with torch.inference_mode():
            return torch.softmax(model(torch.from_numpy(np.ascontiguousarray(images))), dim=1)[:, 2].numpy()

    original = theirs.NoisyLinearImputer.__init__
    monkeypatch.setattr(theirs.NoisyLinearImputer, "__init__", lambda self: original(self, noise=0.0))
    arguments = (torch.from_numpy(image)[None], values[None], [lambda out: torch.softmax(out, dim=-1)[2]], model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imputer uses what NumPy and SciPy deprecate
        morf = float(theirs.ROADMostRelevantFirstAverage()(*arguments)[0])
        lerf = float(theirs.ROADLeastRelevantFirstAverage()(*arguments)[0])
        combined = float(theirs.ROADCombined()(*arguments)[0])
    chosen = BenchSettings(road_rule="percentile", road_space="normalised", road_noise=0.0)
    found = ROAD.score(values, subject(image, predict=predict), chosen).figures
    assert found["road_morf"] == pytest.approx(morf, abs=1e-5)
    assert found["road_lerf"] == pytest.approx(lerf, abs=1e-5)
    assert found["road_combined"] == pytest.approx(combined, abs=1e-5)
