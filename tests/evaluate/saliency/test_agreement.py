"""Agreement with a mask: squares worked out by hand, ties, borders that do not count, and masks that are an error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebase.errors import DataError, UsageError
from casebase.evaluate.saliency import agreement
from casebase.evaluate.saliency.agreement import auc, best_iou, energy, iou, iou_curve, pointing, rank_accuracy
from casebase.evaluate.saliency.metric import BenchSettings, Scored
from tests.evaluate.saliency.subjects import TOY_MAP, subject

METRICS = {one.name: one for one in agreement.METRICS}
LEFT = np.array([[1, 0], [1, 0]], bool)


def score(name: str, values: np.ndarray, mask: np.ndarray | None, **over: object) -> Scored:
    settings = BenchSettings(**over.pop("settings", {}))  # type: ignore[arg-type]
    return METRICS[name].score(values.astype(np.float32), subject(len(values), mask=mask, **over), settings)


def test_iou_by_hand() -> None:
    one, other = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    one[:2], other[:, :2] = True, True
    assert iou(one, other) == pytest.approx(4 / 12)
    assert iou(one, one) == 1.0
    assert iou(one, ~one) == 0.0


def test_the_best_threshold_is_the_best_of_all() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        values = random.integers(0, 5, (5, 5)) / 4  # many ties
        mask = random.random((5, 5)) < 0.3
        mask[2, 2] = True
        every = {cut: iou(values >= cut, mask) for cut in np.unique(values)}
        best, cut = best_iou(values, mask)
        assert best == pytest.approx(max(every.values()))
        assert every[cut] == pytest.approx(best)


def test_all_ones_reach_the_masks_area() -> None:
    mask = np.zeros((4, 4), bool)
    mask[0, :3] = True
    assert best_iou(np.ones((4, 4)), mask)[0] == pytest.approx(3 / 16)
    cuts, found = iou_curve(np.ones((4, 4)), mask)
    assert cuts[0] == 0.0
    assert cuts[-1] == 1.0
    assert found == pytest.approx([3 / 16] * len(cuts))


def test_iou_at_the_recorded_threshold() -> None:
    """TV2's mask, the toy's map above its 75th percentile: cells 2, 5, 12 and 15."""
    mask = np.zeros(16, bool)
    mask[[2, 5, 12, 0]] = True
    settings = {"threshold": "percentile", "level": 0.75}
    found = score("iou", TOY_MAP, mask.reshape(4, 4), settings=settings)
    assert found.figures["iou"] == pytest.approx(3 / 5)
    assert found.figures["iou_max"] is not None
    assert found.figures["iou_max"] >= 3 / 5
    settings = {"threshold": "relative_to_max", "level": 0.99}
    assert score("iou", TOY_MAP, mask.reshape(4, 4), settings=settings).figures["iou"] == pytest.approx(1 / 4)


def test_pointing_counts_row_and_column_the_right_way_round() -> None:
    values = np.zeros((8, 12), np.float32)
    values[2, 9] = 1.0
    mask = np.zeros((8, 12), bool)
    mask[2, 9] = True
    assert pointing(values, mask, 1) == 1.0
    mask[2, 9], mask[7, 2] = False, True  # 5 rows and 7 columns away
    assert pointing(values, mask, 8) == 0.0
    assert pointing(values, mask, 9) == 1.0


def test_the_disc_is_strict() -> None:
    values, mask = np.zeros((40, 40)), np.zeros((40, 40), bool)
    values[5, 5], mask[5, 20] = 1.0, True  # exactly 15 away
    assert pointing(values, mask, 15) == 0.0
    assert pointing(values, mask, 15.01) == 1.0
    mask[5, 20], mask[5 + 9, 5 + 12] = False, True  # also 15 away, across
    assert pointing(values, mask, 15) == 0.0


def test_equal_maxima_count_as_a_fraction() -> None:
    values, mask = np.zeros((50, 50)), np.zeros((50, 50), bool)
    values[0, 0] = values[49, 49] = values[0, 49] = values[49, 0] = 1.0
    mask[0, 0] = True
    assert pointing(values, mask, 15) == pytest.approx(1 / 4)
    assert pointing(np.ones((2, 2)), LEFT, 0) == pytest.approx(1 / 2)


def test_energy_takes_the_positive_mass() -> None:
    values = np.array([[3.0, 1.0], [-5.0, 0.0]])
    assert energy(values, LEFT) == pytest.approx(3 / 4)
    assert energy(np.zeros((2, 2)), LEFT) is None
    assert energy(-np.ones((2, 2)), LEFT) is None


def test_pixel_auc_by_hand_with_ties_and_of_a_full_mask() -> None:
    assert auc(np.array([[4.0, 1.0], [3.0, 2.0]]), LEFT) == 1.0
    assert auc(np.array([[4.0, 3.0], [2.0, 1.0]]), LEFT) == pytest.approx(3 / 4)
    assert auc(np.ones((2, 2)), LEFT) == 0.5
    assert auc(np.ones((2, 2)), np.ones((2, 2), np.bool_)) is None


def test_rank_accuracy_by_hand_and_with_ties() -> None:
    assert rank_accuracy(np.array([[4.0, 3.0], [2.0, 1.0]]), LEFT) == pytest.approx(1 / 2)
    assert rank_accuracy(np.array([[4.0, 2.0], [3.0, 1.0]]), LEFT) == 1.0
    assert rank_accuracy(np.ones((2, 2)), LEFT) == pytest.approx(1 / 2)
    assert rank_accuracy(np.array([[1.0, 0.0], [0.0, 0.0]]), LEFT) == pytest.approx((1 + 1 / 3) / 2)


@given(st.integers(0, 10_000))
def test_noise_agrees_by_chance_only(seed: int) -> None:
    """Rank accuracy and energy of noise lie about the mask's area."""
    random = np.random.default_rng(seed)
    values, mask = random.random((30, 30)), np.zeros((30, 30), bool)
    mask[5:20, 5:20] = True
    found = energy(values, mask)
    assert found == pytest.approx(0.25, abs=0.08)
    assert rank_accuracy(values, mask) == pytest.approx(0.25, abs=0.15)


def test_pixels_left_open_count_neither_way() -> None:
    mask, ignored = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    mask[:, 0], ignored[:, 1] = True, True
    values = np.zeros((4, 4))
    values[:, 0], values[:, 1] = 0.5, 1.0
    settings = {"threshold": "relative_to_max", "level": 0.4}
    with_border = {name: score(name, values, mask, settings=settings).figures for name in METRICS}
    without = {name: score(name, values, mask, ignored=ignored, settings=settings).figures for name in METRICS}
    assert with_border["energy"]["energy"] == pytest.approx(1 / 3)
    assert with_border["iou"]["iou"] == pytest.approx(1 / 2)
    assert with_border["rank"]["rank"] == 0.0
    for name in METRICS:
        assert list(without[name].values()) == pytest.approx([1.0] * len(without[name])), name
    nearby = {"pointing_tolerance": 1}
    assert score("pointing", values, mask, settings=nearby).figures["pointing"] == 0.0
    assert score("pointing", values, mask, ignored=ignored, settings=nearby).figures["pointing"] == 1.0


@pytest.mark.parametrize("name", METRICS)
def test_a_mask_that_cannot_be_scored_is_an_error_with_its_name(name: str) -> None:
    with pytest.raises(DataError, match=r"birds/1\.png has no pixel of the object"):
        score(name, TOY_MAP, np.zeros((4, 4), bool))
    with pytest.raises(DataError, match=r"birds/1\.png has no pixel of the object"):
        score(name, TOY_MAP, np.eye(4, dtype=bool), ignored=np.ones((4, 4), bool))
    with pytest.raises(UsageError, match=r"mask of birds/1\.png has 5x3 pixels, its map 4x4"):
        score(name, TOY_MAP, np.ones((3, 5), bool))
    with pytest.raises(UsageError, match=r"no mask for birds/1\.png"):
        score(name, TOY_MAP, None)


@pytest.mark.parametrize("name", METRICS)
def test_the_columns_are_those_announced_and_nothing_is_written_into(name: str) -> None:
    values, mask = TOY_MAP.copy(), np.eye(4, dtype=bool)
    values.setflags(write=False)
    mask.setflags(write=False)
    found = score(name, values, mask).figures
    assert list(found) == [figure.key for figure in METRICS[name].figures]
    assert all(0 <= value <= 1 for value in found.values() if value is not None)
    assert METRICS[name].passes(BenchSettings()) == 0
    assert METRICS[name].needs == {"mask"}


def test_quantus_agrees_on_rank_and_energy() -> None:
    localisation = pytest.importorskip("quantus.metrics.localisation", exc_type=ImportError)
    values, mask = np.random.default_rng(0).random((1, 9, 9)), np.zeros((1, 9, 9), bool)
    mask[0, 2:6, 3:8] = True
    quiet = {"disable_warnings": True, "display_progressbar": False}
    given = {"a_batch": values.reshape(1, -1), "s_batch": mask.reshape(1, -1), "x_batch": values[None]}
    ranked = localisation.RelevanceRankAccuracy(**quiet).evaluate_batch(**given)
    massed = localisation.RelevanceMassAccuracy(**quiet).evaluate_batch(**given)
    assert rank_accuracy(values[0], mask[0]) == pytest.approx(float(ranked[0]))
    assert energy(values[0], mask[0]) == pytest.approx(float(massed[0]))


def test_a_map_of_zeros_has_no_part_above_a_threshold() -> None:
    for settings in ({"threshold": "percentile"}, {"threshold": "otsu"}, {"threshold": "relative_to_max"}):
        assert score("iou", np.zeros((4, 4)), np.eye(4, dtype=bool), settings=settings).figures["iou"] == 0.0
