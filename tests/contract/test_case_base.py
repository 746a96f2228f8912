"""What every case base promises, run against SQL + Chroma and against the in-memory oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casebase.cases import Status
from casebase.errors import FingerprintMismatch, Moved, NotFound, UsageError
from casebase.ports import Ball, CaseStore, Relabel, Where
from casebase.settings import Settings
from casebase.storage.memory import MemoryCaseStore
from casebase.storage.opening import make_store, open_store
from casebase.storage.verify import verify
from tests.fakes import CLASSES, changes, clustered, entry, fill, fingerprint

Make = Callable[[], CaseStore]


@pytest.fixture(params=["memory", "sql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CaseStore]:
    if request.param == "memory":
        yield MemoryCaseStore()
        return
    made = make_store(Settings(base=tmp_path / "base"))
    yield made
    made.close()


def test_nearest_is_ordered_by_distance_then_id(store: CaseStore) -> None:
    vectors, called = clustered(60)
    vectors[1] = vectors[0]
    vectors[2] = 3 * vectors[0]
    fill(store, [entry(f"id{i:02d}", v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))])
    found = store.nearest("avgpool", vectors[0], 10)
    assert [h.case.id for h in found.hits[:3]] == ["id00", "id01", "id02"]
    pairs = [(h.distance, h.case.id) for h in found.hits]
    assert pairs == sorted(pairs)
    assert len(pairs) == 10


def test_distance_is_one_minus_cosine(store: CaseStore) -> None:
    one, other = np.array([3, 4] + [0] * 14, np.float32), np.array([4, 3] + [0] * 14, np.float32)
    fill(store, [entry("a", one, 0), entry("b", other, 0)])
    hits = store.nearest("avgpool", one, 2).hits
    assert hits[0].distance == pytest.approx(0.0, abs=1e-6)
    assert hits[1].distance == pytest.approx(1 - 24 / 25, abs=1e-6)


def test_where_returns_only_the_named_predicted_classes(store: CaseStore) -> None:
    vectors, called = clustered(90)
    fill(store, [entry(f"{i:03d}", v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))])
    for wanted in (("cat",), ("dog", "owl")):
        found = store.nearest("avgpool", vectors[0], 90, where=Where(wanted))
        assert {h.case.predicted for h in found.hits} == set(wanted)
        assert len(found.hits) == sum(store.classes()[c] for c in wanted)
        assert found.recall == 1.0


def test_k_beyond_the_class_gives_what_there_is(store: CaseStore) -> None:
    vectors, called = clustered(5)
    fill(store, [entry(str(i), v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))])
    assert len(store.nearest("avgpool", vectors[0], 100).hits) == 5
    assert store.nearest("avgpool", vectors[0], 5, where=Where(("nobody",))).hits == ()


def test_within_keeps_only_cases_nearer_to_the_centre_than_the_radius(store: CaseStore) -> None:
    vectors, called = clustered(50)
    fill(store, [entry(f"{i:02d}", v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))])
    everything = {h.case.id: h.distance for h in store.nearest("avgpool", vectors[7], 50).hits}
    radius = sorted(everything.values())[20]
    found = store.nearest("avgpool", vectors[3], 50, within=Ball(vectors[7], radius))
    assert {h.case.id for h in found.hits} == {name for name, d in everything.items() if d < radius}


def test_weights_change_the_distance_on_both_sides(store: CaseStore) -> None:
    rows = np.array([[1, 1, 0, 5], [1, 0, 0, -5], [0, 1, 0, 5]], np.float32)
    fill(store, [entry(str(i), v, 0) for i, v in enumerate(rows)])
    weights = np.array([1, 2, 0, 0], np.float32)
    found = store.nearest("contribution", np.array([1, 1, 3, 0], np.float32), 3, weights=weights)
    expected = [
        1
        - np.dot(weights * [1, 1, 3, 0], weights * r)
        / np.linalg.norm(weights * [1, 1, 3, 0])
        / np.linalg.norm(weights * r)
        for r in rows
    ]
    assert {h.case.id: pytest.approx(h.distance, abs=1e-6) for h in found.hits} == dict(
        zip("012", expected, strict=True)
    )


@pytest.mark.parametrize("bad", [np.zeros(16), np.full(16, np.nan), np.full(16, np.inf), np.ones(15)])
def test_zero_nonfinite_and_misshapen_queries_are_refused(store: CaseStore, bad: np.ndarray) -> None:
    vectors, called = clustered(5)
    fill(store, [entry(str(i), v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))])
    with pytest.raises(UsageError):
        store.nearest("avgpool", bad.astype(np.float32), 3)


@pytest.mark.parametrize("bad", [np.zeros(16), np.full(16, np.nan)])
def test_zero_and_nonfinite_rows_are_refused_and_nothing_is_stored(store: CaseStore, bad: np.ndarray) -> None:
    vectors, _ = clustered(3)
    with pytest.raises(UsageError):
        fill(store, [entry("good", vectors[0], 0), entry("bad", bad.astype(np.float32), 0)])
    assert store.known(["good", "bad"]) == {}


def test_pending_images_are_known_but_never_answers(store: CaseStore) -> None:
    vectors, _ = clustered(4)
    fill(store, [entry("a", vectors[0], 0)])
    with store.writing("test") as run:
        store.retain(run, [entry("b", vectors[1], 1)])
        assert store.known(["b"])["b"].spaces == {"avgpool"}
        assert [h.case.id for h in store.nearest("avgpool", vectors[1], 9).hits] == ["a"]
        assert store.count() == 1
        assert store.publish(run, changes())
    assert [h.case.id for h in store.nearest("avgpool", vectors[1], 9).hits] == ["b", "a"]


def test_publishing_nothing_changes_nothing(store: CaseStore) -> None:
    vectors, _ = clustered(4)
    fill(store, [entry("a", vectors[0], 0)])
    with store.writing("test") as run:
        assert not store.publish(run, changes())


def test_a_changed_image_replaces_its_old_version(store: CaseStore) -> None:
    vectors, _ = clustered(4)
    fill(store, [entry("a", vectors[0], 0), entry("b", vectors[1], 1)])
    fill(store, [entry("a", vectors[2], 2, sha256="new", pixel_hash="new")])
    assert store.count() == 2
    hits = store.nearest("avgpool", vectors[2], 1).hits
    assert (hits[0].case.id, hits[0].case.predicted, hits[0].case.pixel_hash) == ("a", "owl", "new")
    assert hits[0].distance == pytest.approx(0, abs=1e-6)


def test_already_known_is_decided_on_id_and_content_together(store: CaseStore) -> None:
    """llm 0.36 dropped a changed row when another row of the batch had the hash of a stored one."""
    vectors, _ = clustered(4)
    fill(store, [entry("1", vectors[0], 0, sha256="alpha")])
    fill(store, [entry("1", vectors[1], 1, sha256="bravo!"), entry("2", vectors[0], 0, sha256="alpha")])
    assert store.known(["1"])["1"].sha256 == "bravo!"
    assert store.known(["2"])["2"].sha256 == "alpha"
    assert store.count() == 2


def test_withdrawn_cases_answer_no_more_but_can_be_looked_at(store: CaseStore) -> None:
    vectors, _ = clustered(4)
    fill(store, [entry(n, v, 0) for n, v in zip("abcd", vectors, strict=True)])
    fill(store, [], withdrawn=["b"])
    assert [h.case.id for h in store.nearest("avgpool", vectors[1], 9).hits if h.case.id == "b"] == []
    assert store.count() == 3
    assert store.get(["b"])["b"].status == "withdrawn"
    assert store.known(["b"]) == {}
    with pytest.raises(NotFound):
        store.vectors("avgpool", ["b"])
    fill(store, [entry("b", vectors[1], 0)])
    assert store.nearest("avgpool", vectors[1], 1).hits[0].case.id == "b"


def test_held_out_images_are_stored_and_never_answer(store: CaseStore) -> None:
    vectors, _ = clustered(4)
    fill(store, [entry("a", vectors[0], 0), entry("h", vectors[1], 0, held_out=True)])
    assert [h.case.id for h in store.nearest("avgpool", vectors[1], 9).hits] == ["a"]
    assert [c.id for c in store.known_pixels("pixels-h")] == ["h"]
    assert store.classes() == {"cat": 1}


def test_a_new_label_is_taken_over_without_new_vectors(store: CaseStore) -> None:
    vectors, _ = clustered(2)
    fill(store, [entry("a", vectors[0], 0)])
    with store.writing("test") as run:
        moved = store.publish(run, changes(relabelled={"a": Relabel("fox", "train", "g1", False, 11, 21)}))
    assert moved
    case = store.get(["a"])["a"]
    assert (case.label, case.split, case.group, case.predicted) == ("fox", "train", "g1", "cat")


def test_another_fingerprint_of_a_space_is_refused(store: CaseStore) -> None:
    vectors, _ = clustered(2)
    fill(store, [entry("a", vectors[0], 0)])
    with store.writing("test"), pytest.raises(FingerprintMismatch):
        store.declare("avgpool", fingerprint(weights="other"), {})


def test_a_second_space_is_added_to_known_images(store: CaseStore) -> None:
    vectors, _ = clustered(2)
    first = entry("a", vectors[0], 0)
    fill(store, [first])
    with store.writing("test") as run:
        store.declare("clip", fingerprint(3), {})
        store.retain(run, [replace(first, vectors={"clip": np.array([1, 2, 2], np.float32)})])
        assert "clip" not in store.spaces()
        assert store.publish(run, changes())
    assert set(store.spaces()) == {"avgpool", "clip"}
    assert store.vectors("clip", ["a"])[0] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert store.count() == 1


def test_predictions_can_be_made_from_stored_features(store: CaseStore) -> None:
    vectors, _ = clustered(3)
    store.source(Path("/nowhere"))
    with store.writing("test") as run:
        store.declare("avgpool", fingerprint(16), {})
        store.retain(run, [entry(str(i), v, 0, probabilities=None) for i, v in enumerate(vectors)])
        blocks = list(store.stored("avgpool"))
        assert np.allclose(np.concatenate([b.features for b in blocks]), vectors, atol=1e-5)

        def classify(features: np.ndarray) -> np.ndarray:
            return np.tile(np.array([0.1, 0.7, 0.2], np.float32), (len(features), 1))

        store.publish(run, changes(classify=classify))
    assert store.classes() == {"dog": 3}


@pytest.mark.parametrize("label", ["", "猫 🐈", "<script>alert(1)</script>", "x" * 1_000_000, "a'b\"c;--", "\x1b[31m"])
def test_any_label_survives(store: CaseStore, label: str) -> None:
    vectors, _ = clustered(2)
    fill(store, [entry("a", vectors[0], 0, label=label or "(none)")])
    assert store.get(["a"])["a"].label == (label or "(none)")


@pytest.mark.parametrize("shares", [None, (0.98, 0.01, 0.01), (0.5, 0.5, 0.0)])
def test_recall_of_all_three_lists_against_brute_force(tmp_path: Path, shares: tuple[float, ...] | None) -> None:
    """nearest >= 0.99, twins and counterfactuals 1.00, two-class and unbalanced sets included."""
    vectors, called = clustered(1500, dim=64, seed=5, shares=shares)
    entries = [entry(f"{i:05d}", v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))]
    sql, oracle = make_store(Settings(base=tmp_path / "b")), MemoryCaseStore()
    fill(sql, entries)
    fill(oracle, entries)
    queries, asked = clustered(40, dim=64, seed=6, shares=shares)
    for name, wanted, bound in (("nearest", None, 0.99), ("twins", True, 1.0), ("counterfactuals", False, 1.0)):
        right = []
        for query, own in zip(queries, asked.tolist(), strict=True):
            same = (CLASSES[own],)
            where = Where(None if wanted is None else same if wanted else tuple(c for c in CLASSES if c not in same))
            truth = {h.case.id for h in oracle.nearest("avgpool", query, 5, where=where).hits}
            found = sql.nearest("avgpool", query, 5, where=where)
            right.append(len(truth & {h.case.id for h in found.hits}) / max(1, len(truth)))
        assert np.mean(right) >= bound, name
    sql.close()


def test_reopening_finds_everything(tmp_path: Path) -> None:
    vectors, called = clustered(40)
    settings = Settings(base=tmp_path / "base")
    made = make_store(settings)
    fill(made, [entry(f"{i:02d}", v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))])
    before = [(h.case.id, h.distance) for h in made.nearest("avgpool", vectors[0], 10).hits]
    made.close()
    again = open_store(settings)
    found = again.nearest("avgpool", vectors[0], 10)
    assert [(h.case.id, h.distance) for h in found.hits] == before
    assert found.index == "chroma"
    again.close()


def test_a_space_that_not_every_case_has_cannot_be_asked_and_stops_no_other(store: CaseStore) -> None:
    vectors, _ = clustered(3)
    first, second = entry("a", vectors[0], 0), entry("b", vectors[1], 1)
    fill(store, [first, second])
    with store.writing("test") as run:
        store.declare("clip", fingerprint(3), {})
        store.retain(run, [replace(first, vectors={"clip": np.array([1, 2, 2], np.float32)})])
        store.publish(run, changes())
    assert set(store.spaces()) == {"avgpool"}
    assert store.nearest("avgpool", vectors[0], 1).hits[0].case.id == "a"
    with store.writing("test") as run:
        store.retain(run, [replace(second, vectors={"clip": np.array([2, 1, 2], np.float32)})])
        assert store.publish(run, changes())
    assert set(store.spaces()) == {"avgpool", "clip"}
    fill(store, [entry("c", vectors[2], 2)])
    assert set(store.spaces()) == {"avgpool"}
    assert store.count() == 3


def test_a_file_that_went_back_to_its_old_bytes_keeps_its_old_version(store: CaseStore) -> None:
    """A, then B in a run that was interrupted, then A again: the pending B must not be published."""
    vectors, _ = clustered(3)
    old = entry("a", vectors[0], 0, sha256="A", pixel_hash="A")
    fill(store, [old])
    with store.writing("test") as run:
        store.retain(run, [entry("a", vectors[1], 1, sha256="B", pixel_hash="B")])
    fill(store, [old])
    assert store.get(["a"])["a"].pixel_hash == "A"
    assert store.known(["a"])["a"].sha256 == "A"
    assert store.nearest("avgpool", vectors[0], 1).hits[0].distance == pytest.approx(0, abs=1e-6)


def test_an_answer_is_of_one_generation_whatever_is_published_meanwhile(tmp_path: Path) -> None:
    vectors, called = clustered(40)
    settings = Settings(base=tmp_path / "base")
    writer = make_store(settings)
    fill(writer, [entry(f"{i:02d}", v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))])
    reader = open_store(settings)
    early, late = reader.snapshot(), reader.snapshot()
    before = [h.case.id for h in early.nearest("avgpool", vectors[0], 40).hits]
    fill(writer, [], withdrawn=["00", "01"])
    assert [h.case.id for h in early.nearest("avgpool", vectors[0], 40).hits] == before
    with pytest.raises(Moved):
        late.known_pixels("pixels-00")
    assert {h.case.id for h in reader.nearest("avgpool", vectors[0], 40).hits} == set(before) - {"00", "01"}
    assert not [finding for finding in verify(writer).findings if finding.repairable]
    writer.close()
    reader.close()


def test_a_reader_behind_builds_nothing_under_its_old_generation(tmp_path: Path) -> None:
    vectors, called = clustered(40)
    settings = Settings(base=tmp_path / "base")
    writer = make_store(settings)
    fill(writer, [entry(f"{i:02d}", v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))])
    reader = open_store(settings)
    behind = reader.snapshot()
    fill(writer, [], withdrawn=["00"])
    with pytest.raises(Moved):
        behind.nearest("avgpool", vectors[0], 5)
    assert not [finding for finding in verify(writer).findings if finding.repairable]
    assert len(reader.nearest("avgpool", vectors[0], 40).hits) == 39
    writer.close()
    reader.close()


def test_more_cases_than_are_remembered_lose_no_hit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casebase.storage.snapshot.MOST_REMEMBERED", 4)
    vectors, called = clustered(40)
    store = make_store(Settings(base=tmp_path / "base"))
    fill(store, [entry(f"{i:02d}", v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))])
    snapshot = store.snapshot()
    for query in vectors[:6]:
        assert len(snapshot.nearest("avgpool", query, 10).hits) == 10
    store.close()


def test_examined_images_come_with_what_the_network_saw_and_said(store: CaseStore) -> None:
    vectors, called = clustered(12)
    entries = []
    for i, (vector, c) in enumerate(zip(vectors, called, strict=True)):
        made = entry(f"{i:02d}", vector, int(c), label="owl", held_out=i % 3 == 0)
        split = "train" if i % 3 else ("val", "test")[i % 2]
        entries.append(replace(made, image=replace(made.image, split=split)))
    fill(store, entries)
    assert list(store.class_names()) == list(CLASSES)
    assert store.parts() == {
        (Status.ACTIVE, "train"): 8, (Status.HELD_OUT, "test"): 2, (Status.HELD_OUT, "val"): 2,
    }  # fmt: skip
    for status, split, wanted in [
        (Status.HELD_OUT, None, [0, 3, 6, 9]),
        (Status.HELD_OUT, "test", [3, 9]),
        (Status.ACTIVE, "train", [i for i in range(12) if i % 3]),
        (Status.ACTIVE, "nobody", []),
    ]:
        blocks = list(store.examined("avgpool", status, split=split))
        seen = [case for block in blocks for case in block.cases]
        assert [case.id for case in seen] == [f"{i:02d}" for i in wanted]
        if wanted:
            assert {case.status for case in seen} == {status}
            features = np.concatenate([block.features for block in blocks])
            np.testing.assert_allclose(features, vectors[wanted], rtol=1e-5, atol=1e-5)
            said = np.concatenate([block.probabilities for block in blocks])
            assert said.argmax(1).tolist() == [int(called[i]) for i in wanted]
    with pytest.raises(UsageError):
        next(iter(store.examined("clip", Status.ACTIVE)))


def test_an_empty_base_has_no_class_and_no_part(store: CaseStore) -> None:
    assert list(store.class_names()) == []
    assert store.parts() == {}
