"""Hiding what a map marks: a network that sees one corner loses its class there and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from casebase.explain.deletion import CELLS, CURVE_DRAWS, DRAWS, SHARE, SHARES, outcome, trial
from casebase.explanations import Deletion

SIDE = 70  # ten pixels to a cell
NOISE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def contrast(part: tuple[slice, slice]) -> object:
    """A class probability that is the contrast of one part of the picture, which blurring takes away."""

    def probability(views: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen = views[:, part[0], part[1]].astype(np.float32)
        whole = NOISE[part[0], part[1]].astype(np.float32).std()
        return np.clip(seen.reshape(len(views), -1).std(axis=1) / whole, 0, 1)

    return probability


def corner(row: int, column: int) -> NDArray[np.float32]:
    """A map of 7 x 7 that marks the 3 x 3 cells at one corner, the outermost most."""
    values = np.zeros((CELLS, CELLS), np.float32)
    rows = slice(0, 3) if row == 0 else slice(4, 7)
    columns = slice(0, 3) if column == 0 else slice(4, 7)
    values[rows, columns] = 1.0
    values[0 if row == 0 else 6, 0 if column == 0 else 6] = 2.0
    return values


UPPER_RIGHT = (slice(0, 30), slice(40, 70))
Probability = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def measure(
    view: NDArray[np.uint8], values: NDArray[np.float32], target: str, probability: Probability, seed: int
) -> Deletion:
    """The check of one map, the intact picture asked first."""
    tried = trial(view, [values], seed)
    scores = probability(np.concatenate([view[None], tried.views]))
    return outcome(tried, 0, float(scores[0]), scores[1:], target=target)


def test_a_map_on_what_counts_is_convincing() -> None:
    found = measure(NOISE, corner(0, 1), "cat", contrast(UPPER_RIGHT), seed=0)  # type: ignore[arg-type]
    assert found.target == "cat"
    assert found.share == pytest.approx(10 / 49)  # a fifth of 49 cells, whole cells
    assert round(SHARE * 49) == 10
    assert found.marked > 0.5
    assert found.random < 0.5 * found.marked
    assert (found.as_much, found.draws) == (0, DRAWS)
    assert found.convincing


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 0), (1, 1)])
def test_a_map_on_another_corner_is_not(row: int, column: int) -> None:
    found = measure(NOISE, corner(row, column), "cat", contrast(UPPER_RIGHT), seed=0)  # type: ignore[arg-type]
    assert found.marked < 0.15
    assert found.as_much > 0
    assert not found.convincing


def test_a_network_that_sees_nothing_moves_nothing() -> None:
    found = measure(NOISE, corner(0, 1), "cat", lambda views: np.full(len(views), 0.7, np.float32), seed=0)
    assert (found.marked, found.random, found.as_much) == (0.0, 0.0, DRAWS)
    assert not found.convincing


def test_a_picture_without_detail_has_nothing_to_hide() -> None:
    seen: list[NDArray[np.uint8]] = []

    def probability(views: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(views)
        return np.zeros(len(views), np.float32)

    flat = np.full((SIDE, SIDE, 3), 99, np.uint8)
    measure(flat, corner(0, 1), "cat", probability, seed=0)
    assert len(seen) == 1  # one call
    assert seen[0].shape == (1 + DRAWS + 2 * CURVE_DRAWS + len(SHARES), SIDE, SIDE, 3)
    assert (seen[0] == 99).all()


def test_the_marked_cells_are_hidden_and_no_others() -> None:
    seen: list[NDArray[np.uint8]] = []

    def probability(views: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(views)
        return np.zeros(len(views), np.float32)

    measure(NOISE, corner(0, 1), "cat", probability, seed=0)
    whole, little, hidden, much = seen[0][0], *seen[0][-3:]
    changed = (whole != hidden).any(axis=-1)
    assert (whole == NOISE).all()
    assert changed[UPPER_RIGHT].mean() > 0.9
    assert changed.mean() == pytest.approx(10 / 49, abs=0.02)
    fewer, more = (whole != little).any(axis=-1), (whole != much).any(axis=-1)
    assert fewer.mean() == pytest.approx(5 / 49, abs=0.02)
    assert more.mean() == pytest.approx(20 / 49, abs=0.02)
    assert fewer[0, -1], "the cell that the map marks most"
    assert not (fewer & ~changed).any()
    assert not (changed & ~more).any()
    random = (seen[0][1:-3] != NOISE).any(axis=-1).mean(axis=(1, 2))
    expected = [5 / 49] * CURVE_DRAWS + [10 / 49] * DRAWS + [20 / 49] * CURVE_DRAWS
    assert random == pytest.approx(expected, abs=0.02)  # as much each time


def test_random_orders_are_nested_too() -> None:
    tried = trial(NOISE, [], seed=3)
    little, fifth, much = (
        (tried.views[start : start + CURVE_DRAWS] != NOISE).any(axis=-1)
        for start in (0, CURVE_DRAWS, CURVE_DRAWS + DRAWS)
    )
    assert not (little & ~fifth).any()
    assert not (fifth & ~much).any()


def test_several_maps_are_held_against_the_same_random_pictures() -> None:
    """Three maps cost 39 passes, and each check is the one it would be alone."""
    maps = [corner(0, 1), corner(1, 0), corner(1, 1)]
    together = trial(NOISE, maps, seed=0)
    assert len(together.views) == 39
    seen = contrast(UPPER_RIGHT)(together.views)  # type: ignore[operator]
    for place, values in enumerate(maps):
        alone = trial(NOISE, [values], seed=0)
        found = outcome(together, place, 1.0, seen, target="cat")
        assert found == outcome(alone, 0, 1.0, contrast(UPPER_RIGHT)(alone.views), target="cat")  # type: ignore[operator]


def test_the_curve_is_what_was_put_to_the_network() -> None:
    tried = trial(NOISE, [corner(0, 0), corner(0, 1)], seed=0)
    after = np.arange(len(tried.views), dtype=np.float32) / 100
    found = outcome(tried, 1, 0.9, after, target="cat", method="lime")
    assert (found.target, found.method) == ("cat", "lime")
    assert found.shares == pytest.approx((0.0, 5 / 49, 10 / 49, 20 / 49))
    assert found.random_draws == (0, 5, 20, 5)
    assert found.marked_curve == pytest.approx((0.9, 0.33, 0.34, 0.35))
    assert found.random_curve == pytest.approx((0.9, 0.02, 0.145, 0.27))
    assert found.random_low == pytest.approx((0.9, 0.0, 0.05, 0.25))
    assert found.random_high == pytest.approx((0.9, 0.04, 0.24, 0.29))
    assert found.marked == pytest.approx(0.9 - 0.34)  # judged at a fifth
    assert found.random == pytest.approx(0.9 - 0.145)
    assert (found.as_much, found.draws) == (20, DRAWS)


def test_cells_that_a_map_values_alike_are_taken_at_random() -> None:
    """A map of zeros but for one cell must not hide the upper left corner, where counting starts."""
    values = np.zeros((CELLS, CELLS), np.float32)
    values[6, 6] = 1
    hidden = [(trial(NOISE, [values], seed).views[-3] != NOISE).any(axis=-1) for seed in range(6)]
    assert all(one[-1, -1] for one in hidden)
    assert len({one.tobytes() for one in hidden}) > 1


def test_a_map_of_another_size_and_an_oblong_picture() -> None:
    view = np.random.default_rng(1).integers(0, 256, (35, 140, 3), np.uint8)
    values = np.zeros((4, 4), np.float32)
    values[:, 3] = 1  # the right edge
    seen: list[NDArray[np.uint8]] = []

    def probability(views: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(views)
        return np.zeros(len(views), np.float32)

    measure(view, values, "x", probability, seed=0)
    changed = (seen[0][0] != seen[0][-2]).any(axis=-1)
    assert changed[:, 100:].any()
    assert not changed[:, :70].any()


def test_one_seed_gives_one_answer_and_the_global_generator_is_left_alone() -> None:
    np.random.seed(5)  # noqa: NPY002  # the global generator is what must not move
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    results = [measure(NOISE, corner(0, 1), "c", contrast(UPPER_RIGHT), seed) for seed in (1, 1, 2)]  # type: ignore[arg-type]
    assert results[0] == results[1]
    assert results[0].random != results[2].random
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.parametrize(
    ("marked", "as_much", "convincing"),
    [(0.5, 0, True), (0.5, 1, True), (0.5, 2, False), (0.01, 0, False), (-0.2, 0, False)],
)
def test_what_counts_as_convincing(marked: float, as_much: int, *, convincing: bool) -> None:
    assert Deletion("cat", 0.2, marked, 0.0, as_much, 20).convincing is convincing
