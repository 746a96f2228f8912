"""What every case base promises of a class association embedding; and what only files and SQL can break."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casebase import hashing
from casebase.association import Association
from casebase.cases import Fingerprint, Status
from casebase.errors import FingerprintMismatch, Locked, Moved, StorageFailed, UsageError
from casebase.ports import CaseStore, Vector
from casebase.settings import Settings
from casebase.spaces import CAE_SPACE
from casebase.storage import association_check, association_rows, derived, lock, repair, stats
from casebase.storage.memory import MemoryCaseStore
from casebase.storage.opening import make_store, open_store
from casebase.storage.verify import verify
from casebase.storage.writing import SqlCaseStore
from tests.explain.cae import planted
from tests.fakes import CLASSES, changes, clustered, entry, fill, fingerprint

NAMES = [f"id{number}" for number in range(9)]
HELD_OUT = "id8"
DIM = 4


def filled(store: CaseStore) -> CaseStore:
    vectors, called = clustered(len(NAMES))
    fill(store, [one(name, vectors[row], int(called[row])) for row, name in enumerate(NAMES)])
    return store


def one(name: str, vector: Vector, called: int, **over: object) -> object:
    return entry(name, vector, called, held_out=name == HELD_OUT, **over)


def embedding(weights: bytes = b"weights", **over: object) -> Association:
    """Something to keep whose file of weights would hold these bytes."""
    return replace(planted.association(), digest=hashlib.sha256(weights).hexdigest(), **over)


def of_space(found: Association, dim: int = DIM) -> Fingerprint:
    return Fingerprint("cae:test", found.digest[: hashing.SHORT], "p", "fp32", dim)


def codes(seed: int = 0, names: list[str] = NAMES) -> dict[str, Vector]:
    rows = np.random.default_rng(seed).normal(size=(len(names), DIM)).astype(np.float32)
    return {f"pixels-{name}": row for name, row in zip(names, rows, strict=True)}


def keep(store: CaseStore, found: Association | None = None, given: Mapping[str, Vector] | None = None) -> Association:
    found = found or embedding()
    store.keep_association(found, codes() if given is None else given, of_space(found))
    return found


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled base, which no test changes: building its indexes takes longest."""
    made = make_store(Settings(base=tmp_path_factory.mktemp("once") / "base"))
    filled(made).close()  # type: ignore[attr-defined]  # the port has no such method
    return made.folder


@pytest.fixture
def sql(tmp_path: Path, once: Path) -> Iterator[SqlCaseStore]:
    opened = open_store(Settings(base=Path(shutil.copytree(once, tmp_path / "base"))))
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "sql"])
def store(request: pytest.FixtureRequest) -> CaseStore:
    if request.param == "memory":
        return filled(MemoryCaseStore())
    found: SqlCaseStore = request.getfixturevalue("sql")
    return found


def test_a_base_begins_without_one(store: CaseStore) -> None:
    assert store.association() is None
    assert CAE_SPACE not in store.spaces()
    with pytest.raises(UsageError, match="no space 'cae' in this case base; it has avgpool; `casebase cae train`"):
        store.nearest(CAE_SPACE, codes()["pixels-id0"], 1)


def test_what_is_kept_comes_back_and_its_space_can_be_asked(store: CaseStore) -> None:
    kept, given = keep(store), codes()
    found = store.association()
    assert found is not None
    assert found.to_dict() == kept.to_dict()
    assert store.spaces()[CAE_SPACE] == of_space(kept)
    for name in NAMES[:-1]:
        nearest = store.nearest(CAE_SPACE, given[f"pixels-{name}"], 3)
        assert nearest.hits[0].case.id == name
        assert nearest.hits[0].distance == pytest.approx(0.0, abs=1e-6)
    (held,) = list(store.examined(CAE_SPACE, Status.HELD_OUT))
    np.testing.assert_allclose(held.features[0], given[f"pixels-{HELD_OUT}"], rtol=1e-6)


def test_another_training_replaces_every_code_and_no_answer_mixes_the_two(store: CaseStore) -> None:
    keep(store)
    kept = keep(store, embedding(b"others"), codes(1))
    assert store.spaces()[CAE_SPACE] == of_space(kept)
    oracle = filled(MemoryCaseStore())
    keep(oracle, embedding(b"others"), codes(1))
    for row in codes(1).values():
        found, truth = (each.nearest(CAE_SPACE, row, 8).hits for each in (store, oracle))
        assert [hit.case.id for hit in found] == [hit.case.id for hit in truth]


def test_another_networks_is_refused_and_the_old_one_stays(store: CaseStore) -> None:
    kept = keep(store)
    with pytest.raises(FingerprintMismatch):
        keep(store, embedding(b"others", classifier="0ther"), codes(1))
    stands(store, kept)


def test_an_image_without_a_code_is_refused_and_the_old_one_stays(store: CaseStore) -> None:
    kept = keep(store)
    with pytest.raises(Moved, match="1 images"):
        keep(store, embedding(b"others"), codes(1, NAMES[:-1]))
    stands(store, kept)


def test_a_code_without_a_direction_is_refused_and_the_old_one_stays(store: CaseStore) -> None:
    kept = keep(store)
    with pytest.raises(UsageError, match="zero or not finite"):
        keep(store, embedding(b"others"), {**codes(1), "pixels-id4": np.zeros(DIM, np.float32)})
    stands(store, kept)


def test_an_image_that_comes_later_leaves_the_space_until_it_has_a_code(store: CaseStore) -> None:
    kept = keep(store)
    vectors, _ = clustered(1)
    late = entry("late", vectors[0], 0)
    fill(store, [late])
    assert CAE_SPACE not in store.spaces()
    with store.writing("index") as run:
        store.retain(run, [replace(late, vectors={CAE_SPACE: np.ones(DIM, np.float32)})])
        store.publish(run, changes())
    assert store.spaces()[CAE_SPACE] == of_space(kept)
    assert store.nearest(CAE_SPACE, np.ones(DIM, np.float32), 1).hits[0].case.id == "late"


def test_an_image_that_waits_for_the_end_of_an_index_keeps_no_code_of_the_old_training(store: CaseStore) -> None:
    keep(store)
    vectors, _ = clustered(1)
    with store.writing("index") as run:
        store.retain(run, [entry("late", vectors[0], 0, vectors={"avgpool": vectors[0], CAE_SPACE: vectors[0][:DIM]})])
    assert CAE_SPACE in store.known(["late"])["late"].spaces
    keep(store, embedding(b"others"), codes(1))
    assert CAE_SPACE not in store.known(["late"])["late"].spaces


def test_the_space_is_closed_while_the_predictions_are_another_networks(store: CaseStore) -> None:
    keep(store)
    other = {"fingerprint": "0ther", "classes": list(CLASSES), "fair": True}
    with store.writing("index") as run:
        assert store.publish(run, changes(facts=other))
    assert CAE_SPACE not in store.spaces()
    assert store.association() is not None
    kept = keep(store, embedding(b"others", classifier="0ther"), codes(1))
    assert store.spaces()[CAE_SPACE] == of_space(kept)


def stands(store: CaseStore, kept: Association) -> None:
    """The embedding that was kept with the codes of seed 0 is the one there is, whole."""
    found = store.association()
    assert found is not None
    assert found.to_dict() == kept.to_dict()
    assert store.spaces()[CAE_SPACE] == of_space(kept)
    for name in NAMES[:-1]:
        assert store.nearest(CAE_SPACE, codes()[f"pixels-{name}"], 1).hits[0].case.id == name


# -- files -------------------------------------------------------------------------------------------------------


def written(base: Path, weights: bytes) -> Path:
    """A file of weights, which is any bytes here."""
    place = association_rows.tensor_file(base, hashlib.sha256(weights).hexdigest())
    place.write_bytes(weights)
    return place


def names_in(base: Path) -> set[str]:
    return {path.name for path in (base / "models").iterdir()}


def test_the_old_file_and_what_killed_trainings_left_go_with_the_new_one_and_nothing_else(sql: SqlCaseStore) -> None:
    (sql.folder / "models" / "explained-c0ffee").mkdir()
    (sql.folder / "models" / "prototypes-signed-0123.safetensors").write_bytes(b"prototypes")
    written(sql.folder, b"weights")
    keep(sql)
    association_rows.file_in_the_making(sql.folder).write_bytes(b"half")
    written(sql.folder, b"never kept")
    new = written(sql.folder, b"others")
    keep(sql, embedding(b"others"), codes(1))
    assert names_in(sql.folder) == {"explained-c0ffee", "prototypes-signed-0123.safetensors", new.name}


def broken_in(store: SqlCaseStore) -> list[str]:
    """What is wrong beyond the made-up images and the network, which were never there."""
    return [one.what for one in verify(store).findings if "files are not" not in one.what and "model" not in one.what]


class Killed(BaseException):
    """What a kill looks like from inside."""


def killed(*_given: object, **_named: object) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("place", "name", "new"),
    [
        (association_rows, "_values", False),
        (derived, "write_matrix", True),
        (derived, "build_chroma", True),
        (association_rows, "remove_others", True),
    ],
)
def test_a_kill_leaves_the_old_one_or_the_new_one_whole(
    sql: SqlCaseStore, monkeypatch: pytest.MonkeyPatch, place: object, name: str, *, new: bool
) -> None:
    written(sql.folder, b"weights")
    keep(sql, embedding(), codes(1))
    written(sql.folder, b"others")
    with monkeypatch.context() as broken, pytest.raises(Killed):
        broken.setattr(place, name, killed)
        keep(sql, embedding(b"others"), codes(0))
    sql.close()
    again = open_store(Settings(base=sql.folder))
    found = again.association()
    assert found is not None
    assert found.digest == embedding(b"others" if new else b"weights").digest
    assert association_rows.tensor_file(again.folder, found.digest).exists()
    for image, code in codes(0 if new else 1).items():
        if image != f"pixels-{HELD_OUT}":
            assert again.nearest(CAE_SPACE, code, 1).hits[0].case.pixel_hash == image
    assert again.spaces()[CAE_SPACE].weights == found.digest[: hashing.SHORT]
    assert broken_in(again) == []
    again.close()


def test_a_disk_that_fails_in_the_middle_leaves_the_old_one(sql: SqlCaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keep(sql)

    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(association_rows, "_values", full)
    with pytest.raises(StorageFailed, match="no space left"):
        keep(sql, embedding(b"others"), codes(1))
    stands(sql, kept)


def test_nothing_is_kept_while_somebody_else_writes(sql: SqlCaseStore) -> None:
    with lock.writer(sql.folder, "index"), pytest.raises(Locked, match="index"):
        keep(sql)
    assert sql.association() is None


def test_a_process_that_had_the_base_open_answers_from_the_new_codes(sql: SqlCaseStore) -> None:
    other = open_store(Settings(base=sql.folder))
    keep(sql)
    first = other.nearest(CAE_SPACE, codes()["pixels-id0"], 1)
    keep(sql, embedding(b"others"), codes(1))
    second = other.nearest(CAE_SPACE, codes(1)["pixels-id3"], 1)
    assert (first.hits[0].case.id, second.hits[0].case.id) == ("id0", "id3")
    assert other.association_digest() == embedding(b"others").digest
    other.close()


def test_the_next_publish_builds_on_the_new_codes(sql: SqlCaseStore) -> None:
    """Chroma's next generation is made from the last where few rows changed: the codes changed under the same rows."""
    keep(sql)
    keep(sql, embedding(b"others"), codes(1))
    fill(sql, [], withdrawn=["id7"])
    assert sql.nearest(CAE_SPACE, codes(1)["pixels-id2"], 1).index == "chroma"
    assert [one.what for one in verify(sql, deep=True).findings if "recall" in one.what] == []


def test_how_many_cases_are_narrower(sql: SqlCaseStore) -> None:
    assert (sql.narrower(8), sql.narrower(9)) == (0, len(NAMES) - 1)  # 8 x 8 each; held-out images do not count


# -- verify and stats --------------------------------------------------------------------------------------------


def test_a_whole_one_is_sound_and_told(sql: SqlCaseStore) -> None:
    assert stats(sql).to_dict()["cae"] is None
    written(sql.folder, b"weights")
    keep(sql, embedding(failed=["it copies"]))
    found = verify(sql, deep=True)
    assert [one.what for one in found.findings if "cae" in one.what or "association" in one.what] == []
    assert found.checked["cae"] == "test"
    told = stats(sql).to_dict()["cae"]
    assert (told["preset"], told["trustworthy"], told["failed"], told["classifier"]) == (
        "test", False, ["it copies"], "c0ffee",
    )  # fmt: skip


def test_weights_that_are_gone_or_have_other_bytes_are_damage(sql: SqlCaseStore) -> None:
    place = written(sql.folder, b"weights")
    keep(sql)
    place.write_bytes(b"weightS")
    assert "are damaged" in of_association(sql, harmless=False)
    place.unlink()
    said = of_association(sql, harmless=False)
    assert "are gone" in said
    assert "run `casebase cae train --base " in said


def test_one_of_the_network_before_is_damage_that_says_what_to_type(sql: SqlCaseStore) -> None:
    written(sql.folder, b"weights")
    keep(sql)
    sql.remember("classifier", {**sql.setting("classifier"), "fingerprint": "0ther"})
    said = of_association(sql, harmless=False)
    assert "explains the network c0ffee, not 0ther; run `casebase cae train" in said
    found = verify(sql)
    assert found.damaged
    assert [one.repairable for one in found.findings if one.what == said] == [False]


def test_codes_of_another_training_are_damage(sql: SqlCaseStore) -> None:
    written(sql.folder, b"weights")
    found = embedding()
    sql.keep_association(found, codes(), of_space(embedding(b"others")))
    assert "are not those of the class association embedding" in of_association(sql, harmless=False)


def test_images_without_a_code_are_counted_and_no_damage(sql: SqlCaseStore) -> None:
    written(sql.folder, b"weights")
    keep(sql)
    vectors, _ = clustered(1)
    fill(sql, [entry("late", vectors[0], 0)])
    assert of_association(sql, harmless=True).startswith("1 images have no class code, so the space 'cae' cannot be")


def of_association(store: SqlCaseStore, *, harmless: bool) -> str:
    """The one finding about the embedding."""
    _, ((said, known),) = association_check.check(store)
    assert known == harmless
    return said


def test_repair_keeps_it(sql: SqlCaseStore) -> None:
    written(sql.folder, b"weights")
    kept = keep(sql)
    shutil.rmtree(sql.folder / "matrix")
    shutil.rmtree(sql.folder / "chroma")
    repair(sql)
    stands(sql, kept)
    assert broken_in(sql) == []


def test_a_base_without_one_keeps_the_digest_it_had(sql: SqlCaseStore) -> None:
    """The digest names the space with its fingerprint for ``cae`` alone: bases of before are not told to be damaged."""
    assert [one.what for one in verify(sql).findings if "digest" in one.what] == []
    assert sql.declared("avgpool") == fingerprint()
