"""Each figure about prototypes, on a few numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from casebase.evaluate.prototypes import aim, annotated, census, formats, hidden, regions, steadiness
from casebase.evaluate.prototypes.figures import free, over_prototypes, picked
from casebase.evaluate.prototypes.sights import Sight, joined
from casebase.evaluate.prototypes.standing import standing
from casebase.evaluate.resampling import Draws
from casebase.prototypes import Patch
from tests.evaluate.prototypes.planted import CELL, GRID, RED, SIDE, a_set, activation, picture

HEAD = np.array([[1.0, -0.5], [-0.5, 1.0]], np.float32)


def _maps(*peaks: tuple[int, int], size: int = 4) -> np.ndarray:
    """Maps that are 1 in one cell each and 0 elsewhere."""
    maps = np.zeros((len(peaks), size, size), np.float32)
    for number, peak in enumerate(peaks):
        maps[number][peak] = 1.0
    return maps


# -- regions -----------------------------------------------------------------------------------------------------


def test_the_peak_of_a_map_lies_in_its_best_cell() -> None:
    x, y = regions.peak(_maps((3, 0))[0], (40, 40))
    assert 0.0 < x < 0.25
    assert 0.75 < y < 1.0


def test_the_top_region_has_its_share_of_pixels_even_where_all_are_alike() -> None:
    assert regions.top_region(np.zeros((2, 2), np.float32), (20, 10)).sum() == 10
    ramp = np.arange(100, dtype=np.float32).reshape(10, 10)
    assert np.flatnonzero(regions.top_region(ramp, (10, 10))).tolist() == [95, 96, 97, 98, 99]


def test_the_overlap_of_two_regions() -> None:
    one, other = np.zeros((1, 4), np.bool_), np.zeros((1, 4), np.bool_)
    assert regions.overlap(one, other) == 1.0
    one[0, :2], other[0, 1:3] = True, True
    assert regions.overlap(one, other) == pytest.approx(1 / 3)


# -- noise -------------------------------------------------------------------------------------------------------


def test_noise_stays_within_its_limit_and_is_spread_as_published() -> None:
    view = np.full((60, 60, 3), 128, np.uint8)
    moved = steadiness.noisy(view, (0.25, 0.25, 0.25), np.random.default_rng(0)).astype(float) - 128
    assert np.abs(moved).max() == 16  # 0.25 * 0.25 * 255 = 15.94, rounded
    # a = 1.25: var = 0.2^2 ((2 Phi(a) - 1) - 2 a phi(a)) + 2 * 0.25^2 (1 - Phi(a)) = 0.16276^2; * 0.25 * 255 = 10.38
    assert moved.std() == pytest.approx(10.38, abs=0.15)


def test_what_does_not_move_is_steady_and_what_jumps_is_not() -> None:
    before = activation(_maps((0, 0), (3, 3)), HEAD)
    same = steadiness.steady(before, before, np.array([0, 1]), 0, (40, 40))
    assert same == steadiness.Steady(1.0, 1.0, True)
    after = activation(_maps((0, 0), (0, 3)), HEAD)
    half = steadiness.steady(before, after, np.array([0, 1]), 1, (40, 40))
    assert half == steadiness.Steady(0.5, 0.5, False)  # the other's top 5 % lies in the other corner
    assert steadiness.steady(before, after, np.array([], np.intp), 0, (40, 40)) is None


# -- right answers -----------------------------------------------------------------------------------------------


def test_a_set_that_calls_everything_one_thing() -> None:
    truth, called = np.array([0, 0, 1, 1]), np.zeros(4, np.intp)
    draws = Draws.of([None] * 4, 0)
    found = standing(truth, called, truth, draws)
    assert (found.accuracy.value, found.balanced.value) == (0.5, 0.5)
    assert found.gap is not None
    assert found.gap.value == -0.5
    assert found.agreement is not None
    assert found.agreement.value == 0.5
    assert found.agreement_on_errors is not None
    assert found.agreement_on_errors.value is None
    assert found.agreement_on_errors.reason == "the network makes no error here"
    assert (found.swallowed, found.excess) == (0, 0.5)


def test_balanced_accuracy_weighs_classes_alike_and_the_gap_is_paired() -> None:
    truth = np.array([0] * 8 + [1] * 2)
    called = np.array([0] * 8 + [0, 1])
    network = np.array([0] * 6 + [1] * 2 + [1, 1])
    found = standing(truth, called, network, Draws.of([None] * 10, 0))
    assert found.accuracy.value == 0.9
    assert found.balanced.value == pytest.approx(0.75)  # (8/8 + 1/2) / 2
    assert found.gap is not None
    assert found.gap.value == pytest.approx(0.75 - (0.75 + 1.0) / 2)
    assert found.agreement is not None
    assert found.agreement.value == 0.7
    assert found.agreement_on_errors is not None
    assert (found.agreement_on_errors.value, found.agreement_on_errors.n) == (0.0, 2)
    alike = standing(truth, called, called, Draws.of([None] * 10, 0))
    assert alike.gap is not None
    assert (alike.gap.value, alike.gap.low) == (0.0, None)  # no draw moves it


# -- what a set consists of --------------------------------------------------------------------------------------


def test_copies_are_counted_once() -> None:
    found = a_set(["red", "red", "blue"])
    patch = found.prototypes[0].patch
    copy = Patch(patch.case_id, patch.pixel_hash, patch.row, patch.column, patch.box)
    first, second, third = found.prototypes
    same = replace(found, prototypes=[first, replace(second, patch=copy), third])
    made = census.census(same, np.array([[1, 0], [1, 1], [0, 1]], np.float32))
    assert (made.count, made.fewest, made.most, made.distinct, made.sources) == (3, 1, 2, 2, 2)
    assert made.cosine == pytest.approx(1 / np.sqrt(2))  # only the pair of class red
    assert made.pairs == 1


def test_one_prototype_has_no_pair_and_a_class_may_have_none() -> None:
    made = census.census(a_set(["red"]), np.ones((1, 2), np.float32))
    assert (made.cosine, made.pairs, made.fewest) == (None, 0, 0)


def test_purity_is_the_share_of_its_class_among_the_ten_most_similar() -> None:
    similarity = np.array([[12 - i] for i in range(12)], np.float32)  # falling: the first ten are the nearest
    sight = Sight(similarity, np.zeros((12, 1, 2), np.intp), np.zeros((12, 2), np.float32), similarity, similarity > 0)
    truth = np.array([0] * 7 + [1] * 5)
    assert census.purity(sight, np.array([0] * 4 + [1] * 2 + [0] * 6), np.array([0])).tolist() == [0.8]
    assert census.purity(sight, truth, np.array([0])).tolist() == [1.0]  # it has seven images: seven are looked at
    assert census.purity(sight, truth, np.array([1])).tolist() == [0.0]
    assert np.isnan(census.purity(sight, truth, np.array([2]))).all()


def test_a_local_explanation_has_the_contributions_above_a_tenth_of_the_largest() -> None:
    support = np.array([[1.0, 0.09, -0.2, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
    sight = Sight(support, np.zeros((2, 4, 2), np.intp), np.zeros((2, 2), np.float32), support, support == support)
    assert sight.local_size().tolist() == [2.0, 0.0]
    assert len(joined([sight, sight]).top) == 4
    assert Sight.of([], np.zeros(4, np.intp), 2).local_size().tolist() == []


# -- encodings ---------------------------------------------------------------------------------------------------


def _sight(similarity: list[list[float]]) -> Sight:
    values = np.array(similarity, np.float32)
    return Sight.of([activation(row.reshape(2, 1, 1), HEAD) for row in values], np.arange(2), 2)


def test_the_same_image_again_changes_nothing() -> None:
    before = _sight([[0.9, 0.1], [0.2, 0.6]])
    found = formats.swap(before, before)
    assert found.same_top.all()
    assert not found.changed.any()
    assert np.abs(found.fall).max() == 0.0
    image = Image.fromarray(picture({(1, 1): RED}))
    assert np.array_equal(np.asarray(formats.encoded(image, None)), np.asarray(image))
    assert not np.array_equal(np.asarray(formats.encoded(image, 30)), np.asarray(image))


def test_a_match_that_falls_is_counted_with_its_fall() -> None:
    found = formats.swap(_sight([[0.9, 0.1], [0.2, 0.6]]), _sight([[0.3, 0.5], [0.2, 0.5]]))
    assert found.same_top.tolist() == [False, True]
    assert found.changed.tolist() == [True, False]
    assert found.fall.tolist() == pytest.approx([0.6, 0.1], abs=1e-6)
    assert found.relative.tolist() == pytest.approx([0.6 / 0.35, 0.1 / 0.25], abs=1e-5)  # SDs of 0.9, 0.2 and 0.1, 0.6


# -- hidden patches ----------------------------------------------------------------------------------------------


def test_matched_cells_are_the_strongest_that_speak_for_the_class_each_once() -> None:
    maps = _maps((0, 0), (0, 0), (2, 3), (1, 1))
    head = np.array([[0.5, 0.9, 0.7, -1.0]], np.float32)
    own = np.ones(4, np.bool_)
    assert hidden.matched_cells(activation(maps, head), 0, own).tolist() == [[0, 0], [2, 3]]
    assert hidden.matched_cells(activation(maps, -np.abs(head)), 0, own).tolist() == []
    rivals = np.array([False, False, True, False])  # what a rival's absence adds has no place
    assert hidden.matched_cells(activation(maps, head), 0, rivals).tolist() == [[2, 3]]


def test_the_strongest_match_is_one_of_the_class_where_it_has_any() -> None:
    support = np.array([[0.1, 0.9], [0.1, 0.9]], np.float32)
    own = np.array([[True, False], [False, False]])
    sight = Sight(support, np.zeros((2, 2, 2), np.intp), np.zeros((2, 2), np.float32), support, own)
    assert sight.top.tolist() == [0, 1]


def test_random_cells_are_as_many_others_or_none_where_there_is_no_room() -> None:
    matched = np.array([[0, 0], [1, 1]])
    drawn = hidden.random_cells(matched, (2, 2), np.random.default_rng(0))
    assert drawn.shape == (5, 2, 2)
    assert {tuple(sorted(map(tuple, one.tolist()))) for one in drawn} == {((0, 1), (1, 0))}
    assert len(hidden.random_cells(np.array([[0, 0], [0, 1]]), (1, 3), np.random.default_rng(0))) == 0
    assert len(hidden.random_cells(np.zeros((0, 2), np.intp), (2, 2), np.random.default_rng(0))) == 0


def test_hiding_blurs_the_cell_and_nothing_else() -> None:
    view = picture({(1, 2): RED})
    out = hidden.hiding(view, np.array([[1, 2]]), (GRID, GRID))
    inside = np.zeros((SIDE, SIDE), np.bool_)
    inside[CELL : 2 * CELL, 2 * CELL : 3 * CELL] = True
    assert np.array_equal(out[~inside], view[~inside])
    assert out[inside][:, 0].max() < 180  # 230 before, grey about it
    assert view[inside][:, 0].min() == 230


def test_a_drop_is_held_against_the_mean_of_the_random_ones() -> None:
    found = hidden.drop(np.array([0.9, 0.3, 0.8, 0.6]), np.array([2.0, -1.0, 2.0, 1.0]))
    assert (found.network, found.network_random) == pytest.approx((0.6, 0.2))
    assert (found.score, found.score_random) == pytest.approx((3.0, 0.5))


# -- masks -------------------------------------------------------------------------------------------------------


def test_a_match_in_the_object_and_what_chance_and_the_centre_would_reach() -> None:
    inside = np.zeros((8, 8), np.bool_)
    inside[:4, :4] = True  # a quarter
    found = aim.aims(_maps((0, 0), size=2)[0], inside, None)
    assert found["cell"] == aim.Aim(1.0, 1.0)
    assert found["random"] == aim.Aim(0.25, 0.25)
    assert found["centre"] == aim.Aim(0.0, 0.25)  # its middle is pixel (4, 4), the first beyond the object
    assert found["map"].pointing == 1.0
    assert 0.25 < (found["map"].energy or 0.0) < 1.0
    away = aim.aims(_maps((1, 1), size=2)[0], inside, None)
    assert away["cell"] == aim.Aim(0.0, 0.0)


def test_pixels_left_open_count_neither_way() -> None:
    inside, ignored = np.zeros((4, 4), np.bool_), np.zeros((4, 4), np.bool_)
    inside[0, 0], ignored[:2, :2] = True, True
    ignored[0, 0] = False
    found = aim.aims(_maps((0, 0), size=2)[0], inside, ignored)["cell"]
    assert found == aim.Aim(None, 1.0)  # the middle is open; the one pixel that counts is the object


# -- parts -------------------------------------------------------------------------------------------------------


def test_a_part_on_the_edge_of_the_box_is_in_it_and_one_that_is_not_seen_is_in_none() -> None:
    found = annotated.hits(np.array([[0.5, 0.5]]), np.array([[0.75, 0.5], [0.5, 0.76], [np.nan, np.nan]]), half=0.25)
    assert found.tolist() == [[True, False, False]]


def test_a_prototype_that_follows_a_part_is_consistent_and_one_that_does_not_is_not() -> None:
    n = 5
    beaks = np.linspace(0.1, 0.9, n)
    parts = np.stack([np.stack([beaks, beaks], axis=1), np.full((n, 2), np.nan)], axis=1)  # beak; a tail nobody sees
    peaks = np.stack([parts[:, 0] + 0.05, np.full((n, 2), 0.9)], axis=1)
    truth, owners = np.zeros(n, np.intp), np.zeros(2, np.intp)
    found = annotated.consistency(peaks, parts, truth, owners)
    assert found.consistent.tolist() == [True, False]
    assert found.share.tolist() == pytest.approx([1.0, 0.2])  # the second meets the beak at 0.9 alone
    assert found.part.tolist() == [0, 0]
    assert found.shown.tolist() == [5, 5]


def test_a_class_with_too_few_images_of_a_part_is_not_judged() -> None:
    parts, peaks = np.full((4, 1, 2), 0.5), np.full((4, 2, 2), 0.5)
    found = annotated.consistency(peaks, parts, np.array([0, 0, 0, 1]), np.array([0, 1]))
    assert found.judged.tolist() == [True, False]
    assert found.consistent.tolist() == [True, False]
    assert found.part.tolist() == [0, -1]


def test_part_purity_looks_at_the_ten_nearest_annotated_images_and_takes_sides_as_one() -> None:
    n = 12
    similarity = np.linspace(1.0, 0.1, n, dtype=np.float32)[:, None]
    sight = Sight(similarity, np.zeros((n, 1, 2), np.intp), np.zeros((n, 1), np.float32), similarity, similarity > 0)
    centres = np.full((n, 1, 2), 0.5)
    parts = np.full((n, 3, 2), np.nan)
    parts[:6, 1] = 0.5  # six left eyes, then two right ones, in the patch
    parts[6:8, 2] = 0.55
    parts[8:, 0] = 0.9  # beaks, elsewhere
    known = np.ones(n, np.bool_)
    names, groups = annotated.sides_joined(["beak", "left eye", "right eye"])
    assert names == ["beak", "eye"]
    assert annotated.part_purity(sight, centres, parts, known, groups).tolist() == pytest.approx([0.8])
    apart = annotated.part_purity(sight, centres, parts, known, [[0], [1], [2]])
    assert apart.tolist() == pytest.approx([0.6])
    known[:3] = False
    assert np.isnan(annotated.part_purity(sight, centres, parts, known, groups)).all()  # nine are too few


# -- intervals ---------------------------------------------------------------------------------------------------


def test_figures_that_are_missing_are_left_out_with_their_images() -> None:
    draws = Draws.of([None] * 4, 0)
    found = picked([1.0, None, 0.0, 0.5], draws, "none")
    assert (found.value, found.n) == (0.5, 3)
    assert picked([None] * 4, draws, "none at all").reason == "none at all"
    same = free(np.full(4, 3.0), draws)
    assert (same.value, same.low) == (3.0, None)
    assert over_prototypes(np.array([np.nan]), 0).value is None
