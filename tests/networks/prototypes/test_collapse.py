"""The detector on arrays made by hand: every alarm fires where it should, alone, and nothing fires on a sound set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from casebase.errors import ModelError
from casebase.networks.prototypes.collapse import balanced_accuracy, distinct_rows, stage

TARGETS = np.array([0, 0, 1, 1])
SOUND: dict[str, Any] = {
    # margins of class 1 against class 0: -2, -1, +1, +2; mean 0, SD sqrt(2.5)
    "scores": np.array([[1, -1], [0.5, -0.5], [-0.5, 0.5], [-1, 1]], np.float32),
    "similarities": np.array([[0.9, 0.1], [0.7, 0.3], [0.3, 0.7], [0.1, 0.9]], np.float32),
    "targets": TARGETS,
    "network_predicted": TARGETS,
    "vectors": np.array([[1.0, 0.0], [0.0, 1.0]], np.float32),
    "of_class": np.array([0, 1]),
    "patches": [("a", 0, 0), ("b", 1, 2)],
    "classes": ("cat", "dog"),
}
FIVE = {
    "vectors": np.eye(5, dtype=np.float32), "of_class": np.array([0, 0, 1, 1, 1]),
    "patches": [(i, 0, 0) for i in range(5)],
    "similarities": np.tile(SOUND["similarities"][:, :1], (1, 5)),
}  # fmt: skip


def seen(**other: Any):
    return stage("after push", **(SOUND | other))


def test_a_sound_set_raises_no_alarm_and_its_figures_are_those_worked_out_by_hand() -> None:
    found = seen(steps=7, seconds=1.5)
    assert found.alarms == []
    assert (found.name, found.steps, found.seconds) == ("after push", 7, 1.5)
    figures = dict(found.figures)
    assert figures.pop("margin_sd") == pytest.approx(2.5**0.5)
    assert figures.pop("least_spread") == pytest.approx(0.1**0.5)  # 0.4, 0.2, -0.2, -0.4 round the mean
    assert figures == {
        "accuracy": 1.0, "balanced_accuracy": 1.0, "network_balanced_accuracy": 1.0, "gap": 0.0, "agreement": 1.0,
        "largest_share": 0.5, "largest_share_class": 0, "prior": 0.5, "margin_mean": pytest.approx(0, abs=1e-7),
        "margin_ratio": pytest.approx(0, abs=1e-7), "prototypes": 2, "distinct": 2, "sources": 2,
        "least_per_class": 1, "most_per_class": 1, "cosine_within": None,
    }  # fmt: skip
    assert found.to_dict()["figures"]["accuracy"] == 1.0


def test_accuracy_is_balanced_and_the_gap_is_against_the_network_on_the_same_images() -> None:
    targets = np.array([0, 0, 0, 1])
    figures = seen(targets=targets, network_predicted=np.array([0, 0, 1, 1])).figures  # answers are 0 0 1 1
    assert figures["accuracy"] == 0.75
    assert figures["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert figures["gap"] == 0.0
    assert figures["agreement"] == 1.0
    assert balanced_accuracy(np.array([2, 2]), np.array([2, 2])) == 1.0


def test_a_class_that_takes_more_than_its_share() -> None:
    # three of four called dog; the margins -1, 1, 1, 2 have mean 0.75 and SD 1.09, and the network errs as often
    scores = np.tile(np.array([[1, 0], [0, 1], [0, 1], [0, 2]], np.float32), (25, 1))
    many = {"targets": np.tile([0, 0, 1, 1], 25), "similarities": np.tile(SOUND["similarities"], (25, 1))}
    same = np.tile([0, 1, 1, 1], 25)
    found = seen(scores=scores, network_predicted=same, **many)
    assert len(found.alarms) == 1
    told = "75.0% of the images are called 'dog', which 50.0% are; 68.2% is the most allowed on 100 images"
    assert told in found.alarms[0]
    assert found.figures["largest_share"] == 0.75
    assert found.figures["largest_share_class"] == 1
    assert seen(scores=scores, network_predicted=same, share_limit=0.25, **many).alarms == []
    few = {name: value[:4] for name, value in many.items()}  # of four images three may be called so by chance
    assert seen(scores=scores[:4], network_predicted=same[:4], **few).alarms == []


def test_an_offset_that_decides() -> None:
    # +2 on margins of -2, -1, 1, 2 with the answers' shares inside a generous limit: mean 3, SD 1.58
    scores = SOUND["scores"] + np.array([0, 3], np.float32)
    found = seen(scores=scores, network_predicted=np.ones(4, int), share_limit=0.5)
    assert len(found.alarms) == 1
    assert "the score of 'dog' against the others is +3 on average and its SD over images only 1.58" in found.alarms[0]
    assert found.figures["margin_ratio"] == pytest.approx(3 / 2.5**0.5)
    less = seen(
        scores=SOUND["scores"] + np.array([2, 0], np.float32), network_predicted=np.zeros(4, int), share_limit=1
    )
    assert less.alarms == []
    assert less.figures["margin_mean"] == pytest.approx(-2)
    flat = seen(scores=np.tile(np.float32([0, 1]), (4, 1)), network_predicted=np.ones(4, int), share_limit=1)
    assert len(flat.alarms) == 1
    assert flat.to_dict()["figures"]["margin_ratio"] is None  # infinite, and JSON knows no such number


def test_few_images_of_a_class_are_no_offset() -> None:
    targets = np.array([0] * 19 + [1])
    scores = np.where(targets[:, None] == np.arange(2), 1.0, -1.0).astype(np.float32)
    rare = {"scores": scores, "similarities": (scores + 1) / 2, "targets": targets, "network_predicted": targets}
    found = seen(**rare)
    assert found.alarms == []
    assert found.figures["margin_mean"] == pytest.approx(0)
    alone = seen(targets=np.zeros(4, int), network_predicted=np.zeros(4, int))
    assert alone.figures["margin_ratio"] is None


def test_an_offset_among_many_classes_is_that_of_the_worst_class_with_images() -> None:
    targets = np.array([0, 1, 2])
    scores = np.eye(3, 4, dtype=np.float32) * 6
    classes = ("a", "b", "c", "d")
    more = {"similarities": scores[:, :2], "targets": targets, "network_predicted": targets, "classes": classes}
    fair = seen(scores=scores, **more, share_limit=0.1)
    # class a: 6 - 0 once and 0 - 2 twice: mean 2/3, SD sqrt(128/9)
    assert fair.figures["margin_mean"] == pytest.approx(2 / 3)
    assert fair.figures["margin_sd"] == pytest.approx((128 / 9) ** 0.5)
    assert [a for a in fair.alarms if "offset" in a] == []
    shifted = seen(scores=scores + np.float32([0, 0, 50, 0]), **more)
    assert any("'c' against the others" in a for a in shifted.alarms)


def test_a_similarity_that_is_the_same_on_every_image() -> None:
    dull = SOUND["similarities"].copy()
    dull[:, 1] = 0.5 + np.float32([0.01, 0, 0, -0.01])
    found = seen(similarities=dull)
    assert len(found.alarms) == 1
    assert "prototype 1 hardly differs between images: its SD is 0.0071" in found.alarms[0]
    wide = SOUND["similarities"].copy()
    wide[:, 1] = 0.5 + np.float32([0.03, 0, 0, -0.03])  # SD 0.0212
    assert seen(similarities=wide).alarms == []


def test_prototypes_that_repeat_each_other() -> None:
    assert seen(**FIVE).alarms == []
    one_patch = FIVE | {"patches": [(0, 0, 0), (0, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0)]}
    assert seen(**one_patch).alarms == []  # 4 of 5 is 80 %
    two = FIVE | {"patches": [(0, 0, 0), (0, 0, 0), (2, 0, 0), (3, 0, 0), (3, 0, 0)]}
    found = seen(**two)
    assert found.alarms == ["only 3 of 5 prototypes are distinct; 80% should be"]
    assert found.figures["sources"] == 3
    vectors = np.eye(5, dtype=np.float32)
    vectors[1], vectors[4] = vectors[0] * 1.0005, vectors[3]
    assert seen(**FIVE | {"vectors": vectors, "patches": None}).figures["distinct"] == 3
    assert seen(**FIVE | {"vectors": vectors, "patches": None}).figures["sources"] is None
    assert distinct_rows(vectors).tolist() == [0, 2, 3]
    vectors[1] = vectors[0] * 1.002  # further apart than the tolerance
    assert distinct_rows(vectors).tolist() == [0, 1, 2, 3]


def test_likeness_within_a_class_is_the_mean_over_its_pairs() -> None:
    vectors = np.array([[1, 0], [0, 2], [1, 1], [3, 0], [0, 0]], np.float32)
    found = seen(**FIVE | {"vectors": vectors, "of_class": np.array([0, 0, 0, 1, 1])}).figures
    assert found["cosine_within"] == pytest.approx((0 + 0.5**0.5 + 0.5**0.5 + 0) / 4)
    assert (found["least_per_class"], found["most_per_class"]) == (2, 3)


def test_an_accuracy_far_below_the_network() -> None:
    # one of eight wrong (balanced 0.875) is allowed, two of eight with fair shares (0.75) are not
    targets = np.tile([0, 0, 0, 0, 1, 1, 1, 1], 50)
    sharp = np.where(targets[:, None] == np.arange(2), 1.0, -1.0).astype(np.float32)
    wrong = sharp.copy()
    wrong[0::4] *= -1
    more = {"similarities": (sharp + 1) / 2, "targets": targets, "network_predicted": targets}
    assert seen(scores=sharp, **more).alarms == []
    found = seen(scores=wrong, **more)
    assert found.alarms == [
        "the balanced accuracy 0.750 lies 0.250 below the network's 1.000; 0.14 is the most allowed on 400 images"
    ]
    both = seen(scores=wrong, **more | {"network_predicted": wrong.argmax(1)})
    assert both.alarms == []
    ten = np.repeat([0, 1], 10)
    edge = np.where(ten[:, None] == np.arange(2), 1.0, -1.0).astype(np.float32)
    edge[[0, 10]] *= -1  # exactly 0.10 below is no more than 0.10
    assert seen(scores=edge, similarities=(edge + 1) / 2, targets=ten, network_predicted=ten).alarms == []


def test_what_is_no_number_is_told_and_shapes_that_do_not_fit_are_refused() -> None:
    broken = SOUND["scores"].copy()
    broken[2] = np.nan
    assert "1 of 4 images have scores or similarities that are not finite" in seen(scores=broken).alarms[0]
    with pytest.raises(ModelError, match="do not fit"):
        seen(similarities=np.zeros((4, 3), np.float32))
    with pytest.raises(ModelError, match="not on 0, 2"):
        seen(scores=np.zeros((0, 2), np.float32))
