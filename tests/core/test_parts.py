"""Which images a measurement is made on."""

from __future__ import annotations

import pytest

from casebase.cases import Status
from casebase.errors import EmptyCaseBase, UsageError
from casebase.explanations import Level
from casebase.parts import Part, choose

HELD, CASES = Status.HELD_OUT, Status.ACTIVE
THREE = {(CASES, "train"): 800, (HELD, "test"): 100, (HELD, "val"): 50}


def test_the_test_part_is_taken_where_there_is_one() -> None:
    assert choose(THREE) == Part(HELD, "test", 100)
    assert choose(THREE).statements() == []


def test_without_a_test_part_it_is_the_validation_part_with_a_caution() -> None:
    found = choose({(CASES, "train"): 800, (HELD, "validation"): 50, (HELD, "extra"): 9})
    assert (found.status, found.split, found.n) == (HELD, "validation", 50)
    (said,) = found.statements()
    assert said.level is Level.CAUTION
    assert "optimistic" in said.text


def test_without_either_it_is_everything_held_out() -> None:
    found = choose({(CASES, "train"): 800, (HELD, "a"): 20, (HELD, None): 9})
    assert (found.status, found.split, found.n, found.name) == (HELD, None, 29, "all held-out images")
    assert found.note is not None


def test_a_split_is_found_by_its_name_before_another_of_the_same_meaning() -> None:
    parts = {(CASES, "training"): 8, (HELD, "Test"): 2, (HELD, "testing"): 3, (HELD, "dev"): 4}
    assert choose(parts, "testing").n == 3
    assert choose(parts, "test").split == "Test"
    assert choose(parts, "val").split == "dev"
    assert choose(parts).split == "Test"


@pytest.mark.parametrize(
    ("parts", "split", "n"),
    [
        ({(CASES, "train"): 800, (HELD, "test"): 9}, "train", 800),
        ({(CASES, "Training"): 7, (HELD, "test"): 9}, "train", 7),
        ({(CASES, None): 30}, "train", 30),
        ({(CASES, "a"): 5, (CASES, "b"): 6}, "a", 5),
    ],
)
def test_cases_may_be_measured_on_with_an_alarm(
    parts: dict[tuple[Status, str | None], int], split: str, n: int
) -> None:
    found = choose(parts, split)
    assert found.training
    assert found.n == n
    (said,) = found.statements()
    assert said.level is Level.ALARM
    assert "training images" in said.text


def test_nothing_held_out_says_how_to_get_some() -> None:
    with pytest.raises(UsageError, match=r"no image of this base is held out.*folder test beside train.*--split train"):
        choose({(CASES, None): 30})


def test_an_unknown_split_names_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"no split 'tset' in this base; it has train \(800 cases\), test \(100 held-"):
        choose(THREE, "tset")
    with pytest.raises(UsageError, match=r"no split 'train' in this base; it has a \(5 cases\), no split \(2 cases\)"):
        choose({(CASES, "a"): 5, (CASES, None): 2}, "train")


def test_an_empty_base_is_said_to_be_empty() -> None:
    with pytest.raises(EmptyCaseBase, match="casebase index"):
        choose({})


def test_a_name_that_would_move_the_cursor_is_made_visible() -> None:
    assert "\x1b" not in choose({(HELD, "a\x1b[2J"): 3}, "a\x1b[2J").name
    with pytest.raises(UsageError) as caught:
        choose({(HELD, "a\x1b[2J"): 3}, "b\x1b[2J")
    assert "\x1b" not in str(caught.value)
