"""What every case base promises of prototypes, SQL and memory alike; and what only files and SQL can break."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from casebase.errors import FingerprintMismatch, Locked, StorageFailed
from casebase.ports import CaseStore
from casebase.prototypes import CLASSIC, SIGNED
from casebase.settings import Settings
from casebase.storage import lock, prototype_rows, stats
from casebase.storage.memory import MemoryCaseStore
from casebase.storage.opening import make_store, open_store
from casebase.storage.verify import verify
from casebase.storage.writing import SqlCaseStore
from tests.fakes import clustered, entry, fill, prototype_set

NAMES = ["id0", "id1", "id2"]


def filled(store: CaseStore, names: list[str] = NAMES) -> CaseStore:
    vectors, called = clustered(len(names))
    fill(store, [entry(n, v, int(c)) for n, v, c in zip(names, vectors, called, strict=True)])
    return store


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


def test_a_base_begins_without_prototypes(store: CaseStore) -> None:
    assert store.prototypes() is None
    assert store.prototypes(SIGNED) is None
    assert list(store.prototype_profiles()) == []


def test_what_is_kept_comes_back_to_the_last_number(store: CaseStore) -> None:
    kept = prototype_set(NAMES)
    store.keep_prototypes(kept)
    found = store.prototypes(SIGNED)
    assert found is not None
    assert found.to_dict() == kept.to_dict()
    assert store.prototypes(CLASSIC) is None


def test_signed_answers_where_no_profile_is_named_and_classic_where_it_is_alone(store: CaseStore) -> None:
    store.keep_prototypes(prototype_set(NAMES, CLASSIC))
    assert [one.profile for one in [store.prototypes()] if one] == [CLASSIC]
    store.keep_prototypes(prototype_set(NAMES, SIGNED))
    assert [one.profile for one in [store.prototypes()] if one] == [SIGNED]
    assert list(store.prototype_profiles()) == [SIGNED, CLASSIC]


def test_a_new_set_replaces_that_of_its_profile_only(store: CaseStore) -> None:
    store.keep_prototypes(prototype_set(NAMES, SIGNED))
    store.keep_prototypes(prototype_set(NAMES, CLASSIC))
    store.keep_prototypes(prototype_set(["id2"], SIGNED, digest="e" * 64))
    signed, classic = store.prototypes(SIGNED), store.prototypes(CLASSIC)
    assert signed is not None
    assert classic is not None
    assert (len(signed.prototypes), signed.digest) == (1, "e" * 64)
    assert len(classic.prototypes) == 3


def test_another_networks_prototypes_are_refused_and_the_old_ones_stay(store: CaseStore) -> None:
    store.keep_prototypes(prototype_set(NAMES))
    with pytest.raises(FingerprintMismatch):
        store.keep_prototypes(prototype_set(["id0"], classifier="0ther"))
    found = store.prototypes()
    assert found is not None
    assert len(found.prototypes) == 3


# -- files -------------------------------------------------------------------------------------------------------


def vectors_of(base: Path, profile: str, data: bytes) -> str:
    """A file of vectors, which is any bytes here; its digest."""
    digest = hashlib.sha256(data).hexdigest()
    prototype_rows.tensor_file(base, profile, digest).write_bytes(data)
    return digest


def names_in(base: Path) -> set[str]:
    return {path.name for path in (base / "models").iterdir()}


def test_the_old_file_and_what_killed_trainings_left_go_with_the_new_set_and_nothing_else(sql: SqlCaseStore) -> None:
    models = sql.folder / "models"
    (models / "explained-c0ffee").mkdir()
    classic = vectors_of(sql.folder, CLASSIC, b"classic")
    old = vectors_of(sql.folder, SIGNED, b"old")
    sql.keep_prototypes(prototype_set(NAMES, digest=old))
    left = prototype_rows.file_in_the_making(sql.folder, SIGNED)
    left.write_bytes(b"half")
    vectors_of(sql.folder, SIGNED, b"never kept")
    new = vectors_of(sql.folder, SIGNED, b"new")
    sql.keep_prototypes(prototype_set(NAMES, digest=new))
    assert names_in(sql.folder) == {
        "explained-c0ffee",
        prototype_rows.tensor_file(sql.folder, CLASSIC, classic).name,
        prototype_rows.tensor_file(sql.folder, SIGNED, new).name,
    }


def test_a_set_that_cannot_be_stored_leaves_the_old_one_with_its_file(sql: SqlCaseStore) -> None:
    old = vectors_of(sql.folder, SIGNED, b"old")
    sql.keep_prototypes(prototype_set(NAMES, digest=old))
    twice = prototype_set(NAMES, digest="e" * 64)
    twice.prototypes.append(twice.prototypes[0])  # type: ignore[attr-defined]  # the same number twice
    with pytest.raises(StorageFailed, match="unique constraint"):
        sql.keep_prototypes(twice)
    found = sql.prototypes()
    assert found is not None
    assert found.digest == old
    assert names_in(sql.folder) == {prototype_rows.tensor_file(sql.folder, SIGNED, old).name}


def test_nothing_is_kept_while_somebody_else_writes(sql: SqlCaseStore) -> None:
    with lock.writer(sql.folder, "index"), pytest.raises(Locked, match="index"):
        sql.keep_prototypes(prototype_set(NAMES))
    assert sql.prototypes() is None


# -- verify and stats --------------------------------------------------------------------------------------------


def test_a_whole_set_is_sound_and_counted(sql: SqlCaseStore) -> None:
    sql.keep_prototypes(prototype_set(NAMES, digest=vectors_of(sql.folder, SIGNED, b"all")))
    found = verify(sql)
    assert [one.what for one in found.findings if "prototype" in one.what] == []
    assert found.checked["prototypes"] == 3
    (row,) = stats(sql).to_dict()["prototypes"]
    assert (row["profile"], row["prototypes"], row["classes"], row["classifier"]) == (SIGNED, 3, 2, "c0ffee")


def test_a_file_that_is_gone_or_has_other_bytes_is_damage(sql: SqlCaseStore) -> None:
    digest = vectors_of(sql.folder, SIGNED, b"all")
    sql.keep_prototypes(prototype_set(NAMES, digest=digest))
    place = prototype_rows.tensor_file(sql.folder, SIGNED, digest)
    place.write_bytes(b"alL")
    assert "are damaged" in of_prototypes(sql, harmless=False)
    place.unlink()
    assert "are gone" in of_prototypes(sql, harmless=False)


def test_prototypes_of_the_network_before_are_damage_that_says_what_to_type(sql: SqlCaseStore) -> None:
    sql.keep_prototypes(prototype_set(NAMES, CLASSIC, digest=vectors_of(sql.folder, CLASSIC, b"all")))
    sql.remember("classifier", {**sql.setting("classifier"), "fingerprint": "0ther"})
    said = of_prototypes(sql, harmless=False)
    assert "explain the network c0ffee, not 0ther; run `casebase prototypes train --profile classic --base " in said


def test_cases_that_are_gone_or_changed_are_counted_and_no_damage(sql: SqlCaseStore) -> None:
    sql.keep_prototypes(prototype_set(NAMES, digest=vectors_of(sql.folder, SIGNED, b"all")))
    vectors, _ = clustered(1)
    fill(sql, [entry("id1", vectors[0], 0, sha256="new", pixel_hash="new")], withdrawn=["id0"])
    assert of_prototypes(sql, harmless=True).startswith("2 of 3 signed prototypes show cases that are withdrawn or")


def of_prototypes(store: SqlCaseStore, *, harmless: bool) -> str:
    """The one finding about prototypes."""
    (found,) = [one for one in verify(store).findings if "prototypes" in one.what]
    assert found.harmless == harmless
    assert not found.repairable
    return found.what


# -- a base of before --------------------------------------------------------------------------------------------


def to_0001(path: Path) -> None:
    """A ``cases.db`` as the first schema left it."""
    connection = sqlite3.connect(path)
    for line in ("DROP TABLE prototypes", "DROP TABLE prototype_sets", "UPDATE alembic_version SET version_num='0001'"):
        connection.execute(line)
    connection.commit()
    connection.close()


def tables(path: Path) -> dict[str, str]:
    connection = sqlite3.connect(path)
    found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE '%prototype%'").fetchall())
    connection.close()
    return found


@pytest.fixture
def old(tmp_path: Path, once: Path) -> Settings:
    return Settings(base=Path(shutil.copytree(once, tmp_path / "base")))


def test_a_base_of_the_first_schema_is_upgraded_after_a_copy_and_loses_nothing(old: Settings) -> None:
    fresh = tables(old.base / "cases.db")
    to_0001(old.base / "cases.db")
    assert tables(old.base / "cases.db") == {}
    opened = open_store(old)
    assert opened.count() == 3
    assert opened.prototypes() is None
    opened.keep_prototypes(prototype_set(NAMES))
    assert opened.prototypes() is not None
    opened.close()
    assert tables(old.base / "cases.db") == fresh
    copy = old.base / "cases.db.before-0002"
    assert tables(copy) == {}
    assert sqlite3.connect(copy).execute("SELECT count(*) FROM cases").fetchone() == (3,)


def test_an_old_base_is_not_upgraded_under_a_writer(old: Settings) -> None:
    to_0001(old.base / "cases.db")
    with lock.writer(old.base, "index"), pytest.raises(Locked, match="index"):
        open_store(old)
    assert tables(old.base / "cases.db") == {}


def test_the_tables_are_those_the_code_names(tmp_path: Path) -> None:
    """A column that revision and schema spell differently would only be met by a query."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from casebase.storage import schema

    made = make_store(Settings(base=tmp_path / "base"))
    with made.engine.connect() as connection:
        differs = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    made.close()
    assert [one for one in differs if "prototype" in str(one)] == []
