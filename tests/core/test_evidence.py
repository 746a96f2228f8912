"""The evidence of held-out images against plain loops: who counts, who never does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casebase import evidence
from casebase.cases import Case, Status
from casebase.distance import unit
from casebase.evidence import EvidenceTable, Relatives, Remembered, measure, related, sample
from casebase.ports import Examined
from tests.fakes import CLASSES, clustered


def case(name: str, predicted: int, *, label: int | None = None, group: str | None = None, pixels: str = "") -> Case:
    return Case(
        id=name, path=name, file=Path("/nowhere"), label=CLASSES[predicted if label is None else label],
        predicted=CLASSES[predicted], confidence=0.8, split="val", group=group, pixel_hash=pixels or f"p-{name}",
        look_hash=0, status=Status.HELD_OUT,
    )  # fmt: skip


def setting(cases: int = 90, held: int = 20) -> tuple[np.ndarray, np.ndarray, list[Case], np.ndarray, list[Case]]:
    """Cases sorted by class, and held-out images: three share a group with cases, two the pixels of one."""
    vectors, called = clustered(cases, seed=1)
    order = np.argsort(called, kind="stable")
    vectors, called = unit(vectors[order])[0], called[order]
    remembered = [
        replace(case(f"c{i}", int(c), group=f"g{i % 11}", pixels=f"x{i}"), status=Status.ACTIVE)
        for i, c in enumerate(called)
    ]
    queries, said = clustered(held, seed=2)
    outside = [case(f"h{i}", int(c), label=(int(c) + (i % 4 == 0)) % 3) for i, c in enumerate(said)]
    for i in (3, 4, 5):
        outside[i] = replace(outside[i], group=f"g{i}")
    for i in (7, 8):
        outside[i] = replace(outside[i], pixel_hash=f"x{i}")
        queries[i] = vectors[i]
    return vectors, called, remembered, queries, outside


def table_of(least: int = 90) -> tuple[EvidenceTable, list[tuple[float, float, dict[str, float]]]]:
    vectors, called, remembered, queries, outside = setting(least)
    counts = np.bincount(called, minlength=3)
    stops = np.cumsum(counts)
    slices = {CLASSES[c]: slice(int(stops[c] - counts[c]), int(stops[c])) for c in range(3)}
    relatives = Relatives([c.pixel_hash for c in remembered], [c.group for c in remembered])
    softmax = np.full((len(outside), 3), 0.1, np.float32)
    softmax[np.arange(len(outside)), [CLASSES.index(c.predicted) for c in outside]] = 0.8
    table = measure(Remembered(vectors, slices, relatives), [Examined(outside, queries, softmax)], CLASSES)
    assert table is not None
    plain = []
    for query, image in zip(unit(queries)[0].astype(float), outside, strict=True):
        near = sorted(
            (1 - float(v.astype(float) @ query), c)
            for v, c in zip(vectors, (c for c in remembered), strict=True)
            if c.pixel_hash != image.pixel_hash and (image.group is None or c.group != image.group)
            for c in [c.predicted]
        )
        by = {name: [d for d, c in near if c == name] for name in CLASSES}
        own = image.predicted
        unlike = min(min(by[name]) for name in CLASSES if name != own)
        close = {name: float(np.mean([1 - d for d in by[name][:3]])) for name in CLASSES}
        plain.append((min(by[own]), unlike, close))
    return table, plain


def test_the_table_is_what_plain_loops_find() -> None:
    table, plain = table_of()
    np.testing.assert_allclose(table.twin, [row[0] for row in plain], atol=2e-7)
    np.testing.assert_allclose(table.unlike, [row[1] for row in plain], atol=2e-7)
    for i, (_, _, close) in enumerate(plain):
        named = [CLASSES[c] for c in table.probable[i]]
        np.testing.assert_allclose(table.closeness[i], [close[name] for name in named], atol=1e-6)
    assert table.right.tolist() == [i % 4 != 0 for i in range(20)]
    assert [CLASSES[c] for c in table.label] == [c.label for c in setting()[4]]
    np.testing.assert_allclose(table.trust, [row[1] / row[0] for row in plain], rtol=1e-4)


def test_an_image_is_never_measured_against_its_own_pixels_or_group() -> None:
    table, _ = table_of()
    assert table.twin[7] > 1e-3  # its vector is that of case x7
    assert table.twin[8] > 1e-3


def test_an_image_whose_relatives_are_the_whole_class_has_no_twin() -> None:
    vectors = unit(np.eye(4, dtype=np.float32) + 0.1)[0]
    relatives = Relatives(["a", "b", "c", "d"], ["one", "one", None, None])
    remembered = Remembered(vectors, {"cat": slice(0, 2), "dog": slice(2, 4)}, relatives)
    held = Examined([case("h", 0, group="one")], vectors[:1] + vectors[1:2], np.array([[0.8, 0.1, 0.1]], np.float32))
    table = measure(remembered, [held], CLASSES)
    assert table is not None
    assert np.isnan(table.twin[0])
    assert np.isnan(table.trust[0])
    assert np.isfinite(table.unlike[0])
    assert np.isnan(table.closeness[0, 0])
    assert np.isnan(table.closeness[0, 2])  # owl has no case


def test_without_held_out_images_there_is_no_table() -> None:
    assert measure(Remembered(np.eye(2, dtype=np.float32), {"cat": slice(0, 2)}, Relatives(["a", "b"], [None, None])),
                   [], CLASSES) is None  # fmt: skip


def test_relatives_share_pixels_or_a_group_and_no_group_is_nobodys() -> None:
    known = Relatives(["a", "b", "c", "a"], ["g", None, "g", None])
    codes = known.of_images(["a", "zzz", "b", "zzz"], [None, "g", None, "nobody's"])
    assert [sorted(known.positions(c).tolist()) for c in codes] == [[0, 3], [0, 2], [1], []]
    pairs = related(codes[[0, 0, 1, 3]], known.codes[[0, 1, 2, 1]])
    assert pairs.tolist() == [True, False, True, False]


def small(groups: list[str | None]) -> EvidenceTable:
    n = len(groups)
    return EvidenceTable(
        [f"h{i}" for i in range(n)], [f"p{i}" for i in range(n)], groups, [None] * n, np.linspace(0.5, 1, n),
        np.full(n, 0.1), np.linspace(0.05, 0.5, n), np.arange(n) % 3 > 0, np.zeros(n, int),
        np.zeros((n, 1), int), np.ones((n, 1)), np.full((n, 1), 0.9),
    )  # fmt: skip


def test_a_query_is_left_out_of_its_own_reference_with_its_whole_group() -> None:
    table = small([f"g{i // 4}" for i in range(100)])
    assert table.without("stranger", ()) is table
    assert table.calibrators_for("stranger", ()) is table.calibrators
    own = table.without("p5", ())
    assert own.ids == [f"h{i}" for i in range(100) if i // 4 != 1]
    assert own.trust.tolist() == table.trust[[i // 4 != 1 for i in range(100)]].tolist()
    mates = table.without("unknown pixels", {"g2", "g3"})
    assert mates.ids == [f"h{i}" for i in range(100) if i // 4 not in (2, 3)]
    assert [c.n for c in table.calibrators_for("p5", {"g9"})] == [92, 92]


def test_flipping_what_the_query_was_does_not_change_its_own_reading() -> None:
    table = small([f"g{i // 4}" for i in range(100)])
    flipped = replace(table, right=np.where(np.arange(100) // 4 == 1, ~table.right, table.right))
    for one, other in zip(table.calibrators_for("p5", ()), flipped.calibrators_for("p5", ()), strict=True):
        assert one.at(0.7) == other.at(0.7)
    assert table.calibrators[0].at(0.5) != flipped.calibrators[0].at(0.5)


def test_images_without_a_group_stand_alone() -> None:
    table = small([None] * 60)
    assert len(table.without("p5", ())) == 59
    assert len(set(table.clusters)) == 60


def test_a_large_set_is_sampled_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_IMAGES", 10)
    assert sample(10, 0).tolist() == list(range(10))
    one, other = sample(1000, 0), sample(1000, 1)
    assert len(one) == 10
    assert one.tolist() == sorted(one.tolist())
    assert one.tolist() == sample(1000, 0).tolist() != other.tolist()
