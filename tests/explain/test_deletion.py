"""Hiding what a map marks: a network that sees one corner loses its class there and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from casebase.explain.deletion import CELLS, DRAWS, SHARE, measure
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
    assert seen[0].shape == (2 + DRAWS, SIDE, SIDE, 3)
    assert (seen[0] == 99).all()


def test_the_marked_cells_are_hidden_and_no_others() -> None:
    seen: list[NDArray[np.uint8]] = []

    def probability(views: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(views)
        return np.zeros(len(views), np.float32)

    measure(NOISE, corner(0, 1), "cat", probability, seed=0)
    whole, hidden = seen[0][0], seen[0][1]
    changed = (whole != hidden).any(axis=-1)
    assert (whole == NOISE).all()
    assert changed[UPPER_RIGHT].mean() > 0.9
    assert changed.mean() == pytest.approx(10 / 49, abs=0.02)
    random = (seen[0][2:] != NOISE).any(axis=-1).mean(axis=(1, 2))
    assert random == pytest.approx(10 / 49, abs=0.02)  # as much each time


def test_a_map_of_another_size_and_an_oblong_picture() -> None:
    view = np.random.default_rng(1).integers(0, 256, (35, 140, 3), np.uint8)
    values = np.zeros((4, 4), np.float32)
    values[:, 3] = 1  # the right edge
    seen: list[NDArray[np.uint8]] = []

    def probability(views: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(views)
        return np.zeros(len(views), np.float32)

    measure(view, values, "x", probability, seed=0)
    changed = (seen[0][0] != seen[0][1]).any(axis=-1)
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
