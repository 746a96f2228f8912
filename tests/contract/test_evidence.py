"""The evidence of held-out images: the same from SQL and from memory, and kept with its generation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casebase.evidence import ARRAYS, TEXTS, EvidenceTable
from casebase.ports import CaseStore, Entry, Relabel
from casebase.settings import Settings
from casebase.storage.memory import MemoryCaseStore
from casebase.storage.opening import make_store, open_store
from casebase.storage.verify import verify
from tests.fakes import CLASSES, changes, clustered, entry, fill, fingerprint


@pytest.fixture(params=["memory", "sql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CaseStore]:
    if request.param == "memory":
        yield MemoryCaseStore()
        return
    made = make_store(Settings(base=tmp_path / "base"))
    yield made
    made.close()


def grouped(made: Entry, group: str | None, split: str = "val") -> Entry:
    return replace(made, image=replace(made.image, group=group, split=split))


def images(cases: int = 120, held: int = 40) -> list[Entry]:
    """Cases and held-out images; every third held-out one shares a group with some cases, one the pixels of a case."""
    vectors, called = clustered(cases + held, seed=3)
    found = []
    for i, (vector, c) in enumerate(zip(vectors, called, strict=True)):
        made = entry(f"{i:04d}", vector, int(c), label=CLASSES[(int(c) + (i % 7 == 0)) % 3], held_out=i >= cases)
        found.append(grouped(made, f"g{i % 13}" if i % 3 == 0 else None, ("val", "test")[i % 2]))
    found[-1] = replace(found[-1], pixel_hash="pixels-0000", vectors=found[0].vectors)
    return found


def same(one: EvidenceTable | None, other: EvidenceTable | None) -> None:
    assert one is not None
    assert other is not None
    order = [list(other.ids).index(name) for name in one.ids]
    for name in TEXTS:
        assert list(getattr(one, name)) == [getattr(other, name)[i] for i in order], name
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name)[order], atol=1e-6, err_msg=name)


def test_a_base_without_held_out_images_has_no_evidence(store: CaseStore) -> None:
    vectors, called = clustered(30)
    fill(store, [entry(f"{i:02d}", v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))])
    assert store.evidence("avgpool") is None
    assert store.evidence("contribution") is None
    assert store.evidence("clip") is None


def test_an_empty_base_has_no_evidence(store: CaseStore) -> None:
    assert store.evidence("avgpool") is None


def test_evidence_by_hand(store: CaseStore) -> None:
    """Cats at 0 and 60 degrees, a dog at 90; a held-out image at 20, its group mate among the cats left out."""

    def at(degrees: float) -> np.ndarray:
        return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)

    held = entry("h", at(20), 0, label="dog", held_out=True)
    fill(
        store,
        [grouped(entry("near", at(0), 0), "twins"), entry("far", at(60), 0), entry("dog", at(90), 1),
         grouped(held, "twins", "test"), entry("i", at(20), 0, held_out=True)],
    )  # fmt: skip
    table = store.evidence("avgpool")
    assert table is not None
    assert list(table.ids) == ["h", "i"]
    assert (list(table.groups), list(table.splits)) == (["twins", None], ["test", None])
    assert table.twin.tolist() == pytest.approx([1 - np.cos(np.radians(a)) for a in (40, 20)], abs=1e-7)
    assert table.unlike.tolist() == pytest.approx([1 - np.cos(np.radians(70))] * 2, abs=1e-7)
    assert table.right.tolist() == [False, True]
    assert table.softmax.tolist() == pytest.approx([0.8, 0.8])


def test_both_adapters_measure_the_same(tmp_path: Path) -> None:
    sql, memory = make_store(Settings(base=tmp_path / "b")), MemoryCaseStore()
    for one in (sql, memory):
        fill(one, images())
    same(sql.evidence("avgpool"), memory.evidence("avgpool"))
    table = sql.evidence("avgpool")
    assert table is not None
    assert table.compared is not None
    assert table.compared.n == 40
    sql.close()


def test_what_is_measured_once_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_store(Settings(base=tmp_path / "b"))
    fill(made, images())
    before = made.evidence("avgpool")
    made.close()
    monkeypatch.setattr("casebase.storage.evidence_file.evidence.measure", lambda *a, **k: pytest.fail("measured anew"))
    again = open_store(Settings(base=tmp_path / "b"))
    found = again.evidence("avgpool")
    same(found, before)
    assert found is not None
    assert before is not None
    assert found.compared == before.compared
    assert again.evidence("avgpool") is found
    again.close()


def test_new_labels_of_held_out_images_are_new_evidence(store: CaseStore) -> None:
    fill(store, images())
    before = store.evidence("avgpool")
    assert before is not None
    with store.writing("test") as run:
        assert store.publish(run, changes(relabelled={before.ids[0]: Relabel("fox", "val", None, True, 10, 20)}))
    after = store.evidence("avgpool")
    assert after is not None
    assert not after.right[0]
    assert after.label[0] == -1


def unsealed(base: Path) -> None:
    """A generation as the last version wrote it."""
    for seal in base.glob("matrix/*/seal.json"):
        sums = {name: value for name, value in json.loads(seal.read_text()).items() if "evidence" not in name}
        seal.write_text(json.dumps(sums))
    for file in base.glob("matrix/*/*.evidence.npz"):
        file.unlink()


def garbage(base: Path) -> None:
    for file in base.glob("matrix/*/*.evidence.npz"):
        file.write_bytes(b"nothing")


def flipped(base: Path) -> None:
    for file in base.glob("matrix/*/*.evidence.npz"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 4
        file.write_bytes(data)


def deleted(base: Path) -> None:
    for file in base.glob("matrix/*/*.evidence.npz"):
        file.unlink()


@pytest.mark.parametrize("harm", [unsealed, garbage, flipped, deleted])
def test_an_old_or_damaged_table_is_measured_anew_and_kept(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    chosen = Settings(base=tmp_path / "b")
    made = make_store(chosen)
    fill(made, images())
    before = made.evidence("avgpool")
    made.close()
    assert list(chosen.base.glob("matrix/*/avgpool.evidence.npz"))
    harm(chosen.base)
    again = open_store(chosen)
    query = images()[0].vectors["avgpool"]
    assert len(again.nearest("avgpool", query, 5).hits) == 5
    same(again.evidence("avgpool"), before)
    assert not [f for f in verify(again, deep=True).findings if f.repairable]
    again.close()
    third = open_store(chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("casebase.storage.evidence_file.evidence.measure", lambda *a, **k: pytest.fail("not kept"))
        same(third.evidence("avgpool"), before)
    third.close()


def test_a_base_that_cannot_be_written_measures_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_store(Settings(base=tmp_path / "b"))
    fill(made, images())
    before = made.evidence("avgpool")
    made.close()
    unsealed(tmp_path / "b")
    again = open_store(Settings(base=tmp_path / "b"))
    monkeypatch.setattr(again, "readonly", True)
    same(again.evidence("avgpool"), before)
    assert not list((tmp_path / "b").glob("matrix/*/*.evidence.npz"))
    again.close()


def test_a_moved_base_keeps_its_evidence(tmp_path: Path) -> None:
    made = make_store(Settings(base=tmp_path / "b"))
    fill(made, images())
    before = made.evidence("avgpool")
    made.close()
    shutil.move(tmp_path / "b", tmp_path / "c")
    again = open_store(Settings(base=tmp_path / "c"))
    same(again.evidence("avgpool"), before)
    again.close()


@pytest.mark.parametrize("held_out", [True, False])
def test_the_yardstick_never_measures_an_image_against_its_own_group(tmp_path: Path, *, held_out: bool) -> None:
    """Every reference has a near-copy of its own group among the cases; a stranger as near would be unheard of."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(60, 16)).astype(np.float32)
    entries = [grouped(entry(f"a{i:02d}", v, 0), f"g{i}", "train") for i, v in enumerate(centres)]
    near = centres + 0.01 * random.normal(size=centres.shape).astype(np.float32)
    entries += [grouped(entry(f"b{i:02d}", v, 0, held_out=held_out), f"g{i}") for i, v in enumerate(near)]
    made = make_store(Settings(base=tmp_path / "b"))
    fill(made, entries)
    gate = made.comparable("avgpool", "cat", 0.01)
    assert gate is not None
    assert gate.share == 1.0
    assert made.percentile("avgpool", "cat", 0.999) == 100.0
    made.close()


def test_two_spaces_have_evidence_of_their_own(tmp_path: Path) -> None:
    made = make_store(Settings(base=tmp_path / "b"))
    entries = images()
    fill(made, entries)
    with made.writing("test") as run:
        made.declare("clip", fingerprint(3), {})
        random = np.random.default_rng(5)
        made.retain(run, [replace(e, vectors={"clip": random.normal(size=3).astype(np.float32)}) for e in entries])
        assert made.publish(run, changes())
    one, other = made.evidence("avgpool"), made.evidence("clip")
    assert one is not None
    assert other is not None
    assert one.softmax.tolist() == other.softmax.tolist()
    assert one.trust.tolist() != other.trust.tolist()
    made.close()
