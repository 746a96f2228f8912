"""Exact neighbours of many queries: as a plain loop, and as the case base itself answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casebase.cases import Status
from casebase.distance import cosine, weighted_cosine
from casebase.evaluate import neighbours
from casebase.evaluate.images import Images, load
from casebase.evaluate.neighbours import barred, by_class, nearest, other_predicted, same_predicted, search
from casebase.parts import Part
from casebase.ports import Where
from casebase.settings import Settings
from casebase.storage import make_store
from casebase.storage.memory import MemoryCaseStore
from tests.evaluate.made_up import images, noise
from tests.fakes import CLASSES, clustered, entry, fill


def by_hand(cases: Images, queries: Images, k: int, weights: np.ndarray | None, allowed: np.ndarray) -> list[list[int]]:
    """The definition, one query at a time."""
    found = []
    for row, query in enumerate(queries.cases):
        distance = (
            cosine(cases.features, queries.features[row])
            if weights is None
            else weighted_cosine(cases.features, queries.features[row], weights[row])
        )
        ok = [
            i
            for i, case in enumerate(cases.cases)
            if allowed[row, i]
            and case.pixel_hash != query.pixel_hash
            and (case.group is None or case.group != query.group)
        ]
        found.append(sorted(ok, key=lambda i: (distance[i], cases.cases[i].id))[:k])
    return found


def test_three_points_by_hand() -> None:
    cases = images([[1, 0], [0, 1], [1, 1]], [0, 1, 0])
    found = nearest(cases, images([[2, 0]], [0], prefix="q", classes=2), 3)
    assert found.index.tolist() == [[0, 2, 1]]
    assert found.distance[0] == pytest.approx([0, 1 - np.sqrt(0.5), 1])


def test_the_query_itself_its_copies_and_its_group_never_answer() -> None:
    cases = images(np.eye(5), [0] * 5, groups=["g", None, "h", "h", None], pixels=["p0", "copy", "p2", "p3", "p4"])
    asked = images(np.ones((3, 5)), [0] * 3, groups=["g", None, None], pixels=["x", "copy", "p2"], prefix="q")
    assert {row: found.tolist() for row, found in barred(cases, asked).items()} == {0: [0], 1: [1], 2: [2, 3]}
    found = nearest(cases, asked, 5)
    assert found.filled.sum(axis=1).tolist() == [4, 4, 3]
    assert 0 not in found.index[0]
    assert 1 not in found.index[1]
    assert not {2, 3} & set(found.index[2].tolist())
    assert np.isinf(found.distance[2, 3:]).all()


def test_ties_beyond_the_candidates_are_ordered_by_id() -> None:
    n = 60
    ids = [f"{(i * 37) % n:03d}" for i in range(n)]
    cases = images(np.ones((n, 4)), [0] * n, ids=ids)
    found = nearest(cases, images(np.ones((2, 4)), [0, 0], prefix="q"), 5)
    for row in range(2):
        assert [cases.cases[i].id for i in found.index[row]] == ["000", "001", "002", "003", "004"]


@settings(max_examples=40)
@given(
    n=st.integers(1, 60), m=st.integers(1, 6), k=st.integers(1, 8), seed=st.integers(0, 10_000), coarse=st.booleans(),
    weighted=st.booleans(), grouped=st.booleans(),
)  # fmt: skip
def test_every_list_is_that_of_a_plain_loop(
    n: int, m: int, k: int, seed: int, coarse: bool, weighted: bool, grouped: bool
) -> None:
    random = np.random.default_rng(seed)
    shape = (n + m, 6)
    rows = random.integers(0, 3, shape) + 0.5 if coarse else random.normal(size=shape)  # coarse ones tie
    labels, said = random.integers(0, 3, n + m), random.integers(0, 3, n + m)
    groups = [f"g{g}" if grouped and g < 4 else None for g in random.integers(0, 8, n + m)]
    cases = images(rows[:n], labels[:n].tolist(), said[:n].tolist(), groups=groups[:n], classes=3)
    asked = images(rows[n:], labels[n:].tolist(), said[n:].tolist(), groups=groups[n:], classes=3, prefix="q")
    head = random.normal(size=(3, 6)).astype(np.float32)
    weigh = by_class(head, asked.predicted) if weighted else None
    weights = head[asked.predicted] if weighted else None
    found = search(
        cases,
        asked,
        {"all": (k, None), "like": (k, same_predicted(cases, asked)), "unlike": (k, other_predicted(cases, asked))},
        weigh=weigh,
    )
    same = asked.predicted[:, None] == cases.predicted[None]
    for name, allowed in (("all", np.ones_like(same)), ("like", same), ("unlike", ~same)):
        lists = found[name]
        given_ = [lists.index[row][lists.filled[row]].tolist() for row in range(m)]
        assert given_ == by_hand(cases, asked, k, weights, allowed)


def test_small_blocks_give_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    cases, asked = noise(200, 16, 3, 0, "c"), noise(50, 16, 3, 1, "q")
    whole = nearest(cases, asked, 7)
    monkeypatch.setattr(neighbours, "CELLS", 600)
    small = nearest(cases, asked, 7)
    np.testing.assert_array_equal(whole.index, small.index)
    np.testing.assert_allclose(whole.distance, small.distance)


def test_a_case_without_direction_is_like_nothing() -> None:
    cases = images([[0, 0], [1, 0.1], [-1, 0]], [0, 0, 0])
    found = nearest(cases, images([[1, 0]], [0], prefix="q"), 3)
    assert found.index.tolist() == [[1, 0, 2]]
    assert found.distance[0, 1:].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("memory", [True, False])
def test_lists_agree_with_those_of_the_case_base(tmp_path: Path, memory: bool) -> None:
    vectors, called = clustered(260, dim=32, seed=3)
    random = np.random.default_rng(4)
    entries = []
    for i, (vector, code) in enumerate(zip(vectors, called, strict=True)):
        made = entry(f"{i:03d}", vector, int(code), label=CLASSES[int(random.integers(3))], held_out=i >= 200)
        entries.append(made)
    store = MemoryCaseStore() if memory else make_store(Settings(base=tmp_path / "base"))
    fill(store, entries)
    both = load(store, Part(Status.HELD_OUT, None, 60))
    assert (len(both.cases), len(both.queries)) == (200, 60)
    head = random.normal(size=(3, 32)).astype(np.float32)
    for weigh in (None, by_class(head, both.queries.predicted)):
        found = search(
            both.cases,
            both.queries,
            {"nearest": (9, None), "twins": (9, same_predicted(both.cases, both.queries))},
            weigh=weigh,
        )
        for row in range(60):
            weights = None if weigh is None else head[both.queries.predicted[row]]
            for name, where in (
                ("nearest", Where()),
                ("twins", Where((both.queries.cases[row].predicted,))),
            ):
                hits = store.nearest("avgpool", both.queries.features[row], 9, where=where, weights=weights).hits
                assert [both.cases.cases[i].id for i in found[name].index[row]] == [hit.case.id for hit in hits]
                assert found[name].distance[row] == pytest.approx([hit.distance for hit in hits], abs=1e-6)
    if not memory:
        store.close()  # type: ignore[attr-defined]
