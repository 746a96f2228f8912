"""One photograph under two names is a contradiction to be seen; a query's own group is no evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from casebase.answers import Role
from casebase.retrieve import Question, Themselves
from casebase.storage.memory import MemoryCaseStore
from tests.fakes import entry, fill

QUERY = np.array([1, 0, 0, 0], np.float32)


def near(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle), 0, 0], np.float32)


def test_copies_that_disagree_are_two_rows_and_copies_that_agree_are_one() -> None:
    store = MemoryCaseStore()
    same = {"pixel_hash": "photo"}
    fill(store, [entry("a", near(0.1), 0, **same), entry("b", near(0.1), 0, **same), entry("c", near(0.1), 1, **same)])
    rows = Question(store, "avgpool", QUERY, 5, Themselves("query", 0)).list(Role.NEAREST).rows
    assert [(row.case.id, row.case.predicted, row.group_size) for row in rows] == [("a", "cat", 2), ("c", "dog", 1)]


def test_cases_of_the_querys_group_are_left_out_of_every_list() -> None:
    store = MemoryCaseStore()
    frames = [entry(name, near(0.05 * i), 0) for i, name in enumerate("abc", start=1)]
    frames = [replace(e, image=replace(e.image, group="video-7")) for e in frames]
    fill(store, [*frames, entry("d", near(0.5), 0)])
    alone = Question(store, "avgpool", QUERY, 5, Themselves("query", 0)).list(Role.NEAREST).rows
    grouped = (
        Question(store, "avgpool", QUERY, 5, Themselves("query", 0, frozenset({"video-7"}))).list(Role.NEAREST).rows
    )
    assert [row.case.id for row in alone] == ["a", "b", "c", "d"]
    assert [row.case.id for row in grouped] == ["d"]
