"""The figures and gates of a class association embedding, on editors whose faults are planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from casebase.association import Direction, Standing
from casebase.networks.cae import checks

N = 40
Bytes = NDArray[np.uint8]


def planted(editor: str) -> Standing:
    """How an editor stands on N images of two classes.

    An image is its own noise with a class stripe, bright for class 1. A ``copier`` hands out the lender's image, a
    ``no-op`` the source's, an ``honest`` one exchanges the stripe, a ``careless`` one ignores both.
    """
    random = np.random.default_rng(0)
    classes = np.arange(N) % 2
    images = random.integers(0, 160, (N, 8, 8, 3), np.uint8)
    images[:, :1] = np.where(classes == 1, 230, 20)[:, None, None, None]
    own, donor = np.arange(N), (np.arange(N) + 1) % N
    edits = {
        "copier": images[donor], "no-op": images.copy(), "honest": images.copy(),
        "careless": np.full_like(images, 90),
    }[editor]  # fmt: skip
    if editor == "honest":
        edits[:, :1] = images[donor, :1]
    apart = checks.pixel_l1(edits, images)
    lenders = classes[None, :] == classes[donor][:, None]
    copy = checks.donor_copy(apart, apart, own, donor, lenders)
    called = (edits[:, :1].mean(axis=(1, 2, 3)) > 125).astype(np.intp)
    return Standing(
        iteration=1, n=N, directions=checks.reassigned(called, classes[donor], classes, ["clear", "lesion"]),
        resized=1.0, rebuilt=1.0, error=0.0, nearer_source=copy.nearer_source, own_rank1=copy.own_rank1,
        donor_rank1=copy.donor_rank1, rebuilt_rank1=1.0, chance_own=copy.chance_own, chance_donor=copy.chance_donor,
    )  # fmt: skip


def test_an_honest_editor_passes_every_gate() -> None:
    standing = planted("honest")
    assert [one.reassigned for one in standing.directions] == [1.0, 1.0]
    assert standing.own_rank1 == 1.0
    assert checks.gates(standing) == []


def test_a_copier_is_reassigned_in_full_and_still_fails() -> None:
    standing = planted("copier")
    assert standing.worst is not None
    assert standing.worst.reassigned == 1.0
    nearer, copies = checks.gates(standing)
    assert nearer.startswith("0% of the edits are nearer, in pixels, to the image they were made from")
    assert copies.startswith("100% of the edits are nearest")
    assert copies.endswith("the decoder copies the lender")


def test_an_editor_that_changes_nothing_fails_reassignment_alone() -> None:
    assert checks.gates(planted("no-op")) == [
        "only 0% of 20 edits from clear to lesion are called lesion; 80% are needed"
    ]


def test_an_editor_that_ignores_both_is_nearer_to_neither() -> None:
    standing = planted("careless")
    assert standing.nearer_source == pytest.approx(0.5, abs=0.1)
    assert standing.own_rank1 <= 0.1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"rebuilt": 0.79}, "79% of the reconstructions"),
        ({"resized": 0.5}, "50% of the images at the embedding's size"),
        ({"monotone": 0.7}, "rises on 70% of the steps"),
        ({"nearer_source": 0.5}, "50% of the edits are nearer"),
        ({"rebuilt": float("nan")}, "reconstructions"),
        ({"directions": ()}, "no edit from one class to another"),
        ({"directions": (Direction("a", "b", 0.9, 9), Direction("b", "a", 0.7, 10))}, "only 70% of 10 edits"),
    ],
)  # fmt: skip
def test_each_gate_says_figure_and_bound(changed: dict[str, object], says: str) -> None:
    (said,) = checks.gates(replace(planted("honest"), **changed))  # type: ignore[arg-type]
    assert says in said


def test_bounds_themselves_pass() -> None:
    at = replace(planted("honest"), rebuilt=0.8, resized=0.8, monotone=0.75, directions=[Direction("a", "b", 0.8, 10)])
    assert checks.gates(at) == []


def test_ties_count_half_and_lenders_of_the_class_alone_are_ranked() -> None:
    same = np.zeros((2, 2))
    copy = checks.donor_copy(same, same, np.array([0, 1]), np.array([1, 0]))
    assert (copy.nearer_source, copy.own_rank1, copy.donor_rank1) == (0.5, 0.5, 0.5)
    assert (copy.chance_own, copy.chance_donor, copy.n) == (0.5, 0.5, 2)
    to_lenders = np.array([[0.1, 0.3, 0.2]])
    among = np.array([[False, True, True]])
    copy = checks.donor_copy(np.array([[0.25]]), to_lenders, np.array([0]), np.array([2]), among)
    assert (copy.nearer_source, copy.donor_rank1, copy.chance_donor) == (0.0, 1.0, 0.5)
    with pytest.raises(ValueError, match="no edits"):
        checks.donor_copy(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, np.intp), np.zeros(0, np.intp))


def test_many_classes_are_pooled_by_target() -> None:
    wanted, sources = np.array([1, 1, 0, 4]), np.array([0, 2, 3, 0])
    called = np.array([1, -1, 0, 3])
    found = checks.reassigned(called, wanted, sources, list("abcde"))
    assert [(one.source, one.towards, one.reassigned, one.n) for one in found] == [
        ("any", "a", 1.0, 1), ("any", "b", 0.5, 2), ("any", "e", 0.0, 1),
    ]  # fmt: skip
    few = checks.reassigned(called[:3], wanted[:3], sources[:3], list("abcd"))
    assert [one.source for one in few] == ["a", "c", "d"]


def test_pixel_distances_equal_a_plain_loop() -> None:
    random = np.random.default_rng(1)
    left, right = (random.integers(0, 256, (n, 3, 3, 3), np.uint8) for n in (4, 5))
    plain = [[np.abs(a.astype(float) - b.astype(float)).mean() / 255 for b in right] for a in left]
    np.testing.assert_allclose(checks.pixel_l1(left, right), plain, atol=1e-12)


def test_feature_distances() -> None:
    left = np.array([[1, 0], [0, 0]], np.float32)
    right = np.array([[2, 0], [0, 3], [-1, 0]], np.float32)
    assert checks.feature_distance(left, right).tolist() == [[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]]


def test_monotone_share_forgives_a_hundredth() -> None:
    assert checks.monotone(np.array([[0.1, 0.095, 0.5, 0.4, 0.9]])) == 0.75


def test_a_reader_is_balanced_and_needs_two_classes() -> None:
    random = np.random.default_rng(2)
    classes = np.array([0] * 90 + [1] * 10)
    codes = random.normal(size=(100, 3)).astype(np.float32)
    chance = checks.reader_accuracy(codes, classes, random.normal(size=(100, 3)).astype(np.float32), classes)
    assert chance == pytest.approx(0.5, abs=0.2)
    codes[:, 0] += 6 * classes
    assert checks.reader_accuracy(codes, classes, codes, classes) == pytest.approx(1.0, abs=0.03)
    assert checks.reader_accuracy(codes[:90], classes[:90], codes, classes) is None


def test_pooled_maps_keep_what_instance_norm_leaves() -> None:
    maps = np.stack([np.array([[[-1.0, 1.0]]]), np.array([[[-3.0, 3.0]]])]).astype(np.float32)
    assert checks.pooled(maps).tolist() == [[0.0, 1.0], [0.0, 3.0]]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"error": 0.11}, "reconstructions miss the image by 11.0%"),
        ({"donor_rank1": 0.5}, "in pixels; at most"),
        ({"donor_rank1_features": 0.5}, "in its features; at most"),
    ],
)
def test_each_gate_is_missed_by_itself(changed: dict[str, float], said: str) -> None:
    good = Standing(
        iteration=1, n=100, directions=[Direction("a", "b", 1.0, 50), Direction("b", "a", 1.0, 50)], resized=1.0,
        rebuilt=1.0, error=0.05, nearer_source=1.0, own_rank1=1.0, donor_rank1=0.02, rebuilt_rank1=1.0, chance_own=0.01,
        chance_donor=0.02, donor_rank1_features=0.02, monotone=1.0,
    )  # fmt: skip
    assert checks.gates(good) == []
    (only,) = checks.gates(replace(good, **changed))  # type: ignore[arg-type]
    assert said in only
