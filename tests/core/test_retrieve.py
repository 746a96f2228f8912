"""From candidates to a list: near-duplicates fold, the query never answers itself, ties go by id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebase.answers import Role
from casebase.cases import Case
from casebase.ports import Ball, Hit, Where
from casebase.retrieve import SAME_LOOK_BITS, Answer, Question, Themselves, fold, ordered
from casebase.storage.memory import MemoryCaseStore
from tests.fakes import entry, fill

STRANGER = Themselves("nobody's pixels", 0xAAAAAAAAAAAAAAAA)
QUERY = np.array([1, 0], np.float32)


def case(name: str, *, look: int = 0, pixels: str | None = None) -> Case:
    return Case(name, name, Path(name), "cat", "cat", 0.9, None, None, pixels or f"pixels-{name}", look)


def at(degrees: float) -> np.ndarray:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


def names(groups: Sequence[Sequence[Hit]]) -> list[list[str]]:
    return [[hit.case.id for hit in group] for group in groups]


def near(one: Case, other: Case) -> float:
    return 0.0


def far(one: Case, other: Case) -> float:
    return 0.2


def test_exact_copies_fold_whatever_their_look() -> None:
    hits = [Hit(case("a", look=0, pixels="same"), 0.1), Hit(case("b", look=2**64 - 1, pixels="same"), 0.1)]
    assert names(fold(hits, far)) == [["a", "b"]]


def test_a_look_alone_is_no_proof() -> None:
    hits = [Hit(case("a"), 0.1), Hit(case("b"), 0.2)]
    assert names(fold(hits, near)) == [["a", "b"]]
    assert names(fold(hits, far)) == [["a"], ["b"]]


def test_six_bits_are_close_and_seven_are_not() -> None:
    assert SAME_LOOK_BITS == 6
    assert names(fold([Hit(case("a"), 0.1), Hit(case("b", look=0b111111), 0.1)], near)) == [["a", "b"]]
    assert names(fold([Hit(case("a"), 0.1), Hit(case("b", look=0b1111111), 0.1)], near)) == [["a"], ["b"]]


def test_embeddings_are_asked_for_only_where_looks_are_close() -> None:
    asked: list[tuple[str, str]] = []

    def apart(one: Case, other: Case) -> float:
        asked.append((one.id, other.id))
        return 0.0

    fold([Hit(case("a"), 0.1), Hit(case("b", look=2**32 - 1), 0.2), Hit(case("c", look=1), 0.3)], apart)
    assert asked == [("a", "c")]


def test_a_chain_of_small_changes_does_not_swallow_a_class() -> None:
    """Each link is 6 bits from the one before; only what is near the first of a group joins it."""
    links = [Hit(case(f"{i}", look=2 ** (6 * i) - 1), 0.1 * i) for i in range(6)]
    assert names(fold(links, near)) == [["0", "1"], ["2", "3"], ["4", "5"]]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3)), max_size=25))
def test_folding_keeps_every_hit_once_and_their_order(drawn: list[tuple[int, int]]) -> None:
    looks = [0x00, 0x3F, 0xFFF, 0x3FFFF, 0xFFFFFF, 0x3FFFFFFF, 0xFFFFFFFFF, 0x3FFFFFFFFFF]
    hits = [Hit(case(f"{i:02d}", look=looks[a], pixels=f"{b}"), float(i)) for i, (a, b) in enumerate(drawn)]
    groups = fold(hits, near)
    assert sorted(h.distance for g in groups for h in g) == [h.distance for h in hits]
    firsts = [g[0].distance for g in groups]
    assert firsts == sorted(firsts)
    assert all(g == sorted(g, key=lambda h: h.distance) for g in groups)


def test_ties_go_by_id() -> None:
    found = ordered([case("c"), case("a"), case("b")], np.array([0.5, 0.5, 0.1]), 2)
    assert [hit.case.id for hit in found] == ["b", "a"]


# -- whole lists, on the store in memory --------------------------------------------------------------------------


@pytest.fixture
def store() -> MemoryCaseStore:
    return MemoryCaseStore()


def ask(store: MemoryCaseStore, k: int, *, who: Themselves = STRANGER, where: Where = Where()) -> Answer:
    return Question(store, "avgpool", QUERY, k, who).list(Role.NEAREST, where=where)


def ids(answer: Answer) -> list[str]:
    return [row.case.id for row in answer.rows]


def test_a_list_is_ranked_from_1_with_role_and_distance(store: MemoryCaseStore) -> None:
    fill(store, [entry("b", at(60), 0), entry("a", at(90), 1)])
    answer = ask(store, 5)
    assert [(r.rank, r.case.id, r.role, r.group_size) for r in answer.rows] == [
        (1, "b", Role.NEAREST, 1),
        (2, "a", Role.NEAREST, 1),
    ]
    assert [r.distance for r in answer.rows] == pytest.approx([0.5, 1.0], abs=1e-6)
    assert (answer.source.index, answer.source.recall) == ("exact", 1.0)


def test_more_asked_than_there_is_gives_what_there_is(store: MemoryCaseStore) -> None:
    fill(store, [entry("a", at(10), 0), entry("b", at(20), 1)])
    assert ids(ask(store, 50)) == ["a", "b"]
    assert ids(ask(store, 50, where=Where(("owl",)))) == []


def test_the_query_and_its_exact_copies_never_answer(store: MemoryCaseStore) -> None:
    copies = [entry(f"copy{i}", at(0), 0, pixel_hash="me") for i in range(30)]
    fill(store, [*copies, entry("a", at(10), 0), entry("b", at(20), 1)])
    answer = ask(store, 2, who=Themselves("me", 0))
    assert ids(answer) == ["a", "b"]
    assert {c.id for c in answer.copies} == {f"copy{i}" for i in range(30)}


def test_copies_of_others_fold_into_one_row_and_do_not_shorten_the_list(store: MemoryCaseStore) -> None:
    """Forty files of one photograph take one row; the search goes on behind them."""
    copies = [entry(f"x{i:02d}", at(5), 0, pixel_hash="one photograph") for i in range(40)]
    fill(store, [*copies, entry("y", at(20), 0), entry("z", at(30), 1)])
    answer = ask(store, 3)
    assert ids(answer) == ["x00", "y", "z"]
    assert [r.group_size for r in answer.rows] == [40, 1, 1]


def test_a_photograph_encoded_anew_is_named_as_alike(store: MemoryCaseStore) -> None:
    look = 0b1111 << 20
    fill(store, [entry("again", at(2), 0, look=look | 1), entry("other", at(2), 0, look=2**63 - 1)])
    answer = ask(store, 2, who=Themselves("me", look))
    assert [c.id for c in answer.alike] == ["again"]
    assert set(ids(answer)) == {"again", "other"}  # told, not hidden: only exact copies are left out


def test_a_far_case_with_the_same_look_is_not_alike(store: MemoryCaseStore) -> None:
    fill(store, [entry("dark", at(40), 0, look=7)])
    assert ask(store, 1, who=Themselves("me", 7)).alike == ()


def test_equal_distances_are_ordered_by_id(store: MemoryCaseStore) -> None:
    fill(store, [entry(name, at(30), 0) for name in ("c", "a", "b")])
    assert [row.case.id for row in ask(store, 2).rows] == ["a", "b"]


def test_a_ball_keeps_only_what_is_strictly_inside(store: MemoryCaseStore) -> None:
    fill(store, [entry("in", at(59), 0), entry("edge", at(60), 0), entry("out", at(61), 0)])
    radius = store.nearest("avgpool", QUERY, 3).hits[1].distance
    found = Question(store, "avgpool", at(90), 5, STRANGER).list(Role.SEMI_FACTUAL, within=Ball(QUERY, radius))
    assert ids(found) == ["in"]
