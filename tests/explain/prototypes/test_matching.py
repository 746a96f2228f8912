"""Matches add up to the score, their boxes lie where the patch is, and the check knows when they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from casebase.errors import UnknownClass
from casebase.explain.prototypes import part_words
from casebase.explain.prototypes.checking import DRAWS, checked
from casebase.explain.prototypes.matching import parts
from casebase.explanations import Level
from casebase.networks.prototypes.model import PrototypeReader
from casebase.ports import PrototypeView
from casebase.prototypes import SIGNED, Activation, PartCheck, PartMatch, cell_box
from tests.explain.prototypes.planted import CLASSES, GRID, a_set, network, picture, reader


class Numbers:
    """A view that is its set alone."""

    def __init__(self, of_class: Sequence[str], classes: Sequence[str]) -> None:
        self.found = a_set(of_class, classes)


def an_activation(contributions: np.ndarray, bias: np.ndarray) -> Activation:
    count = contributions.shape[1]
    maps = np.random.default_rng(3).normal(size=(count, *GRID)).astype(np.float32)
    flat = maps.reshape(count, -1).argmax(1)
    cells = np.stack([flat // GRID[1], flat % GRID[1]], axis=1)
    scores = (bias + contributions.sum(1)).astype(np.float32)
    return Activation(maps, maps.max((1, 2)), cells, contributions, bias, scores)


@pytest.mark.parametrize("shown", [0, 1, 3, 40])
def test_bias_shown_and_rest_are_the_score(shown: int) -> None:
    rng = np.random.default_rng(0)
    view: PrototypeView = Numbers(["a", "b", "c"] * 10, ["a", "b", "c"])  # type: ignore[assignment]  # its set alone
    said = an_activation(rng.normal(size=(3, 30)).astype(np.float32), rng.normal(size=3).astype(np.float32))
    found = parts(view, said, ["b", "a"], shown)
    for name, place in (("b", 1), ("a", 0)):
        made = found.bias[name] + sum(one.contribution for one in found.matches[name]) + found.rest[name]
        made += found.absent[name]
        assert made == pytest.approx(found.score[name], abs=1e-5)
        assert found.score[name] == pytest.approx(float(said.scores[place]), abs=1e-5)
        row = said.contributions[place]
        own = np.array(["a", "b", "c"] * 10) == name
        there = (row > 0) == own  # a part of the class that is found, or one of another that speaks against it
        ordered = [sorted(np.abs(row[which]).tolist(), reverse=True) for which in (there, ~there)]
        assert [abs(one.contribution) for one in found.matches[name]] == (ordered[0] + ordered[1])[:shown]


def test_what_speaks_against_a_class_has_the_same_right_to_be_shown() -> None:
    view: PrototypeView = Numbers(["a", "b", "b"], ["a", "b"])  # type: ignore[assignment]
    said = an_activation(np.array([[0.5, -2.0, 0.1], [0.0, 0.0, 0.0]], np.float32), np.zeros(2, np.float32))
    (first, second) = parts(view, said, ["a"], 2).matches["a"]
    assert (first.prototype.of_class, first.contribution) == ("b", -2.0)
    assert (second.prototype.of_class, second.contribution) == ("a", 0.5)


def test_it_is_said_when_the_prototypes_would_call_another_class() -> None:
    view: PrototypeView = Numbers(["a", "b"], ["a", "b"])  # type: ignore[assignment]
    said = an_activation(np.array([[0.0, 0.0], [0.0, 1.0]], np.float32), np.zeros(2, np.float32))
    assert parts(view, said, ["b", "a"]).warnings == ()
    (warning,) = parts(view, said, ["a", "b"]).warnings
    assert warning == "The prototypes would call this b; this explanation does not speak for the network here."
    assert parts(view, said, ["a"], said="b").warnings == ()
    with pytest.raises(UnknownClass, match="no class 'owl'"):
        parts(view, said, ["owl"])


def test_it_is_said_when_no_part_of_the_answer_is_found() -> None:
    view: PrototypeView = Numbers(["a", "a", "b"], ["a", "b"])  # type: ignore[assignment]

    def warned(own: float, other: float) -> tuple[str, ...]:
        rows = np.array([[own, other, 3.0], [0.0, 0.0, 0.0]], np.float32)
        return tuple(parts(view, an_activation(rows, np.zeros(2, np.float32)), ["a"]).warnings)

    (told,) = warned(-0.1, -0.2)
    assert told.startswith("No part of a is more alike here than on average over the training images")
    assert len(warned(-0.1, 0.0)) == 1  # one that was pruned to nothing does not count
    assert warned(-0.1, 0.2) == ()
    assert warned(0.0, 0.0) == ()


def looked(view: PrototypeReader, pixels: Sequence[np.ndarray], seed: int = 0) -> list[dict[int, PartMatch]]:
    """Checked matches of pictures by the number of their prototype, for class red."""
    found = [parts(view, said, ["red"]) for said in view.read(np.stack(pixels))]
    return [{one.prototype.number: one for one in each.matches["red"]} for each in checked(view, pixels, found, seed)]


@pytest.mark.parametrize("cell", [(0, 0), (2, 5), (6, 6)])
def test_the_box_lies_on_the_planted_patch_and_hiding_it_matters(cell: tuple[int, int]) -> None:
    (found,) = looked(reader(network()), [picture({cell: "red", (3, 3): "green"})])
    assert found[0].box == cell_box(*cell, GRID)
    assert found[1].box == cell_box(3, 3, GRID)
    for number in (0, 1):
        check = found[number].check
        assert check is not None
        assert check.agrees
        assert check.hidden > 0.05
        assert check.elsewhere == pytest.approx(0.0, abs=1e-6)
        said = part_words.check(found[number], SIGNED)
        assert said.level == Level.PLAIN
        assert f"in none of {check.draws} places by as much" in said.text


def test_a_box_beside_what_the_prototype_rests_on_is_a_caution() -> None:
    (found,) = looked(reader(network((3, 3))), [picture({(1, 1): "red"})])
    check = found[0].check
    assert found[0].box == cell_box(4, 4, GRID)
    assert check is not None
    assert not check.agrees
    assert check.hidden == pytest.approx(0.0, abs=1e-6)
    said = part_words.check(found[0], SIGNED)
    assert said.level == Level.CAUTION
    assert said.text.endswith("The box does not mark what the similarity rests on.")
    assert part_words.brief(found[0], SIGNED)[0].startswith("! ")


def test_an_image_costs_sixteen_passes_and_one_for_each_cell_that_was_matched() -> None:
    view = reader(network())
    pixels = [picture({(1, 1): "red", (5, 5): "blue"}), picture({(0, 6): "red", (2, 2): "green", (6, 0): "blue"})]
    found = [parts(view, said, CLASSES) for said in view.read(np.stack(pixels))]
    counted = Counted(view)
    done = checked(counted, pixels, found, 0)
    cells = [{one.box for of_class in each.matches.values() for one in of_class} for each in found]
    assert [len(one) for one in cells] == [3, 3]  # what has no green is most like it somewhere too
    assert counted.views == 2 * DRAWS + sum(len(one) for one in cells)
    alone = [checked(view, [one], [each], 0)[0] for one, each in zip(pixels, found, strict=True)]
    for together, single in zip(done, alone, strict=True):
        for name in CLASSES:
            for one, other in zip(together.matches[name], single.matches[name], strict=True):
                assert one.check is not None
                assert other.check is not None
                assert one.check.to_dict() == pytest.approx(other.check.to_dict(), abs=1e-5)
                assert one.check.draws >= DRAWS // 2


class Counted:
    """A view that counts the views it is shown."""

    def __init__(self, view: PrototypeReader) -> None:
        self._view, self.views = view, 0
        self.found, self.shares_maps = view.found, view.shares_maps
        self.maps, self.from_maps = view.maps, view.from_maps

    def read(self, views: np.ndarray) -> list[Activation]:
        self.views += len(views)
        return self._view.read(views)


def test_what_hangs_on_no_place_is_not_called_checked() -> None:
    """One cell that is the whole picture leaves no room for another box."""
    view = reader(network())
    said = Activation(
        np.ones((3, 1, 1), np.float32), np.ones(3, np.float32), np.zeros((3, 2), np.intp),
        np.ones((2, 3), np.float32), np.zeros(2, np.float32), np.full(2, 3, np.float32),
    )  # fmt: skip
    (found,) = checked(view, [picture({})], [parts(view, said, ["red"])], 0)
    assert [one.check for one in found.matches["red"]] == [None] * 3
    assert part_words.check(found.matches["red"][0], SIGNED).text.startswith("Not checked")


def test_words_of_a_check_that_fails_by_a_hair() -> None:
    assert PartCheck(0.1, 0.0, 2, 16, 0.9).agrees
    assert not PartCheck(0.1, 0.0, 3, 16, 0.9).agrees
    assert not PartCheck(0.0, 0.0, 0, 16, 0.0).agrees
    assert not PartCheck(0.01, 0.0, 0, 16, 0.5).agrees  # more than anywhere else, and yet next to nothing


def test_a_contribution_that_comes_from_what_is_not_there_says_so() -> None:
    """Signed: a part of the class that is less alike than usual, and one of another class."""
    view: PrototypeView = Numbers(["a", "a", "b", "b"], ["a", "b"])  # type: ignore[assignment]
    said = an_activation(np.array([[2.0, -1.5, 1.0, -0.5], [0, 0, 0, 0]], np.float32), np.zeros(2, np.float32))
    told = [part_words.sense(one, "signed") for one in parts(view, said, ["a"], 4).matches["a"]]
    assert [None if one is None else one.text for one in told] == [
        None,
        "Speaks against a: a part of b is more alike than usual.",  # what is there before what is missing
        "Speaks against a: less alike than usual; this part is hardly there.",
        "Speaks for a by its absence: a part of b is less alike than usual.",
    ]
    fewer = parts(view, said, ["a"], 1)
    assert (fewer.rest["a"], fewer.absent["a"]) == (-0.5, -0.5)
    assert part_words.equation(fewer, "a").startswith(
        "bias 0.000, shown +2.000, rest −0.500, other parts that are missing −0.500"
    )
    for one, missing in zip(parts(view, said, ["a"], 4).matches["a"], (False, False, True, True), strict=True):
        failed = replace(one, check=PartCheck(0.0, 0.1, 16, 16, one.similarity))
        assert (part_words.brief(failed, "signed")[0] == "absent") is missing
        assert (part_words.check(failed, "signed").level == Level.PLAIN) is missing  # no box of what is not there
        assert part_words.check(failed, "classic").level == Level.CAUTION
    classic = [part_words.sense(one, "classic") for one in parts(view, said, ["a"], 4).matches["a"]]
    assert [None if one is None else one.text for one in classic] == [
        None, "Speaks against a.", "Speaks against a.", None,
    ]  # fmt: skip


def test_what_a_cell_has_seen_is_always_told() -> None:
    assert part_words.seen((7, 7), (299, 299), (224, 224)) == (
        "One cell of 7 x 7 sees up to 224 x 224 of 224 x 224 pixels, that is the whole view: the box marks where the "
        "match is strongest, not all it rests on."
    )
    assert "up to 56 x 112 of 224 x 224 pixels, 12 % of the view" in part_words.seen((7, 7), (56, 112), (224, 224))


def test_numbers_have_one_sign_and_zero_has_none() -> None:
    assert [part_words.signed(value) for value in (1.234, -0.5, -0.001)] == ["+1.23", "−0.50", "0.00"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
