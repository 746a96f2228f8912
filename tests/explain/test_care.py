"""Which mistakes come first, and which labels are suspected: the rules by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from casebase.answers import Neighbour, Retrieval, Role
from casebase.cases import Case, Status
from casebase.explain.care import agreeing, care, order, suspicions
from tests.explained import Made, row

SURE = {"cat": 0.95, "dog": 0.05}
CATS = tuple(row(name, "cat", "cat") for name in "abc")


def far(one: Neighbour) -> Neighbour:
    """The same row of another photograph: all 64 bits of its look differ."""
    return replace(one, case=replace(one.case, look_hash=2**64 - 1))


def answer(nearest: tuple[Neighbour, ...] = CATS, **over: object) -> Retrieval:
    """A retrieval that calls a dog a cat, with rows that look like nothing else."""
    made = Made(probabilities=over.pop("probabilities", SURE), nearest=tuple(map(far, nearest)), **over)  # type: ignore[arg-type]
    found = made.explanation.retrieval
    return replace(
        found,
        twins=[far(one) for one in found.twins],
        counterfactuals=[far(one) for one in found.counterfactuals],
    )


def query(label: str = "dog") -> Case:
    return replace(row("query", label, "cat").case, status=Status.HELD_OUT)


def test_care_is_the_mean_of_confidence_agreement_and_trust() -> None:
    """(0.95 + 3/3 + 3/(1 + 3)) / 3, and with two of three that disagree (0.6 + 1/3 + 1/(1 + 1)) / 3."""
    assert care(answer(trust=3.0)) == pytest.approx((0.95 + 1.0 + 0.75) / 3)
    mixed = (row("a", "dog", "dog"), row("b", "dog", "cat"), row("c", "cat", "cat"))
    assert care(answer(mixed, trust=1.0, probabilities={"cat": 0.6, "dog": 0.4})) == pytest.approx(
        (0.6 + 1 / 3 + 0.5) / 3
    )


def test_a_case_agrees_only_where_label_and_prediction_are_the_answer() -> None:
    rows = (row("a", "cat", "cat"), row("b", "dog", "cat"), row("c", "cat", "dog"), row("d", "dog", "dog"))
    assert agreeing(answer(rows)) == 1


def test_what_is_missing_neither_warns_nor_reassures() -> None:
    assert care(answer((), trust=None)) == pytest.approx((0.95 + 0.5 + 0.5) / 3)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"probabilities": {"cat": 0.6, "dog": 0.4}}, {"probabilities": {"cat": 0.9, "dog": 0.1}}),
        ({"trust": 0.8}, {"trust": 1.5}),
        ({"nearest": (row("a", "dog", "dog"), *CATS[:2])}, {"nearest": CATS}),
    ],
)
def test_care_rises_with_each_of_its_parts(less: dict[str, object], more: dict[str, object]) -> None:
    assert care(answer(**less)) < care(answer(**more))  # type: ignore[arg-type]


def test_a_label_is_suspected_where_the_network_is_sure_and_every_neighbour_agrees() -> None:
    (found,) = suspicions(query(), answer())
    assert found.kind == "label"
    assert found.text == (
        "The label dog is suspected to be wrong: the network is sure (95.0 %), and all 3 nearest cases are labelled "
        "and predicted cat. Or the cases share its mistake."
    )


@pytest.mark.parametrize(
    "found",
    [
        answer(probabilities={"cat": 0.89, "dog": 0.11}),  # not sure
        answer((row("a", "dog", "cat"), *CATS[:2])),  # one neighbour has the query's label
        answer((row("a", "cat", "dog"), *CATS[:2])),  # one neighbour is called otherwise
        answer(CATS[:2]),  # too few to say anything
    ],
)
def test_a_label_is_not_suspected_without_all_of_that(found: Retrieval) -> None:
    assert suspicions(query(), found) == []


def test_a_right_answer_is_not_suspected() -> None:
    assert suspicions(query("cat"), answer()) == []


def test_a_copy_with_another_label_is_named_and_puts_the_label_in_doubt() -> None:
    unsure = answer(probabilities={"cat": 0.6, "dog": 0.4})
    copies = [query(), replace(query("owl"), id="copy", path="held/copy.png")]
    copy, doubt = suspicions(query(), unsure, copies)
    assert (copy.kind, copy.case_id) == ("copy", "copy")
    assert copy.text == "held/copy.png has exactly these pixels and is held out as well; its label is owl."
    assert doubt.text == "One of two labels is suspected to be wrong: dog here, owl on held/copy.png."
    assert [one.kind for one in suspicions(query(), unsure, [replace(query(), id="copy")])] == ["copy"]


@pytest.mark.parametrize(
    ("bits", "distance", "near"), [(6, 0.12, True), (7, 0.01, False), (0, 0.13, False), (0, 0.0, True)]
)
def test_a_near_copy_looks_alike_and_lies_near(bits: int, distance: float, *, near: bool) -> None:
    rows = (replace(row("twin", "dog", "cat"), distance=distance), *CATS[:2])
    found = answer(rows)
    alike = replace(found.nearest[0], case=replace(found.nearest[0].case, look_hash=2**bits - 1))
    told = suspicions(query(), replace(found, nearest=[alike, *found.nearest[1:]]))
    assert [(one.kind, one.case_id) for one in told] == ([("near-copy", "twin")] if near else [])
    if near:
        assert f"{bits} of 64 bits apart, distance {distance:.3f}" in told[0].text


def test_one_near_copy_in_several_lists_is_named_once() -> None:
    found = answer()
    alike = replace(found.nearest[0], case=replace(found.nearest[0].case, look_hash=0), distance=0.01)
    both = replace(found, nearest=[alike], twins=[replace(alike, role=Role.TWIN)])
    assert [one.kind for one in suspicions(query(), both)] == ["near-copy", "label"]


def test_suspected_labels_come_first_then_care_then_id() -> None:
    cares = {"d": 0.9, "b": 0.5, "a": 0.5, "c": 0.2}
    doubts = {"a": False, "b": False, "c": True, "d": False}
    assert order(cares, doubts) == ["c", "d", "a", "b"]
