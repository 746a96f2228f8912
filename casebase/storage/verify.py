"""Is the case base whole? A quick look, a deep one, and the repair of what is derived.

Findings say what is wrong and whether ``repair`` mends it. Nothing here touches a source image.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select, text

from casebase import clock, folders
from casebase.cases import Status
from casebase.errors import StorageFailed
from casebase.ports import CaseBase, Where
from casebase.storage import association_check, chroma, derived, lock, prototype_check, publishing, rows
from casebase.storage import matrix as matrices
from casebase.storage.database import FILE
from casebase.storage.generation import View, matrix_place
from casebase.storage.schema import cases, probabilities, vectors
from casebase.storage.translate import file_errors, sql_errors
from casebase.storage.writing import SqlCaseStore

ASKED = 200
K = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be. ``repairable`` ones are mended by ``casebase repair``."""

    what: str
    repairable: bool
    harmless: bool = False


@dataclass(frozen=True)
class Findings:
    """The outcome of ``verify``: schema ``casebase.verify/1``."""

    findings: Sequence[Finding]
    checked: Mapping[str, Any]
    recall: Sequence[Mapping[str, Any]]
    deep: bool
    seconds: float

    @property
    def damaged(self) -> bool:
        """Whether anything found is damage."""
        return any(not finding.harmless for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The findings as JSON."""
        return {
            "schema": "casebase.verify/1", "damaged": self.damaged, "deep": self.deep,
            "findings": [
                {"what": f.what, "repairable": f.repairable, "harmless": f.harmless} for f in self.findings
            ],
            "checked": dict(self.checked), "recall": [dict(row) for row in self.recall], "seconds": self.seconds,
        }  # fmt: skip


@dataclass(eq=False)
class _Notes:
    found: list[Finding] = field(default_factory=list)
    checked: dict[str, Any] = field(default_factory=dict)
    recall: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, what: str, *, repairable: bool = False, harmless: bool = False) -> None:
        self.found.append(Finding(what, repairable, harmless))


def verify(store: SqlCaseStore, *, deep: bool = False) -> Findings:
    """Check schema, counts, stamps and files in seconds; with ``deep`` every vector and every list's recall."""
    started = clock.seconds()
    notes = _Notes()
    if _sqlite(store, notes, deep=deep):
        view = store.view()
        _rows(store, view, notes)
        _files(store, notes)
        count, said = prototype_check.check(store)
        notes.checked |= {"prototypes": count} if count else {}
        known, more = association_check.check(store)
        notes.checked |= {"cae": known} if known else {}
        for what, harmless in [*said, *more]:
            notes.add(what, harmless=harmless)
        if deep:
            _vectors(store, view, notes)
        _derived(store, view, notes, deep=deep)
    return Findings(notes.found, notes.checked, notes.recall, deep, clock.seconds() - started)


def _sqlite(store: SqlCaseStore, notes: _Notes, *, deep: bool) -> bool:
    """Whether the database is sound enough for further questions."""
    if store.engine.dialect.name != "sqlite":
        return True
    check = "integrity_check" if deep else "quick_check"
    try:
        with store.engine.connect() as connection:
            said = [str(row[0]) for row in connection.execute(text(f"PRAGMA {check}"))]
            broken = connection.execute(text("PRAGMA foreign_key_check")).all()
    except (sqlite3.Error, Exception) as error:  # SQLAlchemy wraps some of SQLite's errors and not others
        notes.add(f"{FILE} cannot be read ({str(error).splitlines()[0]}); restore it from a backup")
        return False
    if said != ["ok"]:
        notes.add(f"{FILE} is damaged ({said[0]}); restore it from a backup")
    if broken:
        notes.add(f"{FILE}: {len(broken)} rows refer to rows that are gone; restore it from a backup")
    notes.checked["sqlite"] = check
    return said == ["ok"] and not broken


def _rows(store: SqlCaseStore, view: View, notes: _Notes) -> None:
    with sql_errors(str(store.folder)), store.engine.connect() as connection:
        notes.checked["cases"] = sum(view.classes.values())
        notes.checked["generation"] = view.generation
        pending = connection.execute(
            select(func.count()).select_from(cases).where(cases.c.status == Status.PENDING)
        ).scalar_one()
        if pending:
            notes.add(f"{pending} images wait for `casebase index` to be run to its end", harmless=True)
        if view.generation and publishing.digest_of(connection) != view.digest:
            notes.add("the cases are not those that were published (digest differs)", repairable=True)
        unread = connection.execute(
            select(func.count()).select_from(cases).where(cases.c.status.in_(rows.LIVE), cases.c.predicted.is_(None))
        ).scalar_one()
        if unread:
            notes.add(f"{unread} cases have no prediction; index into a new base")
        for space in view.fingerprints:
            held = select(vectors.c.row).where(vectors.c.row == cases.c.row, vectors.c.space == space)
            lacking = connection.execute(
                select(func.count()).select_from(cases).where(cases.c.status.in_(rows.LIVE), ~held.exists())
            ).scalar_one()
            if lacking:
                notes.add(f"{lacking} cases have no vector in {space!r}; run `casebase index` again")


def _files(store: SqlCaseStore, notes: _Notes) -> None:
    missing = seen = 0
    first = ""
    for case in _every_case(store):
        seen += 1
        if not case.file.exists():
            missing += 1
            first = first or case.path
    notes.checked["files"] = seen
    if missing:
        notes.add(f"{missing} of {seen} image files are not where they were, the first {first!r}", harmless=True)
    known = store.setting("classifier")
    if (
        known is not None
        and not (store.folder / "models" / f"explained-{known['fingerprint']}" / "model.json").exists()
    ):
        notes.add("the model of this base is gone from models/; restore it from a backup")


def _every_case(store: SqlCaseStore) -> Iterator[Any]:
    last = 0
    places = store.view().places
    while True:
        with sql_errors(str(store.folder)), store.engine.connect() as connection:
            chosen = select(cases.c.row, *rows.CASE_COLUMNS).where(cases.c.status.in_(rows.LIVE), cases.c.row > last)
            found = connection.execute(chosen.order_by(cases.c.row).limit(2000)).all()
        if not found:
            return
        for row in found:
            yield rows.to_case(row, places)
        last = found[-1].row


def _vectors(store: SqlCaseStore, view: View, notes: _Notes) -> None:
    count = 0
    with sql_errors(str(store.folder)), store.engine.connect() as connection:
        for space, fingerprint in view.fingerprints.items():
            last = 0
            while True:
                chosen = select(vectors).where(vectors.c.space == space, vectors.c.row > last)
                found = connection.execute(chosen.order_by(vectors.c.row).limit(2000)).all()
                if not found:
                    break
                count += len(found)
                bad = [row.row for row in found if not _sound(row, fingerprint.dim)]
                if bad:
                    notes.add(f"{len(bad)} vectors of {space!r} are damaged, the first of row {bad[0]}; index anew")
                last = found[-1].row
        classes = (store.setting("classifier") or {}).get("classes", [])
        wrong = connection.execute(
            select(func.count())
            .select_from(probabilities)
            .where(func.length(probabilities.c.softmax) != 4 * len(classes))
        ).scalar_one()
        if wrong:
            notes.add(f"{wrong} probability rows do not fit the classes")
    notes.checked["vectors"] = count


def _sound(row: Any, dim: int) -> bool:
    if len(row.vector) != 4 * dim or rows.crc(row.vector) != row.crc:
        return False
    vector = np.frombuffer(row.vector, "<f4")
    return bool(np.isfinite(vector).all()) and abs(float(np.linalg.norm(vector)) - 1.0) < 1e-3


def _derived(store: SqlCaseStore, view: View, notes: _Notes, *, deep: bool) -> None:
    if not view.generation:
        return
    for space, fingerprint in view.fingerprints.items():
        try:
            place = matrix_place(store.folder, view.generation, view.digest)
            matrices.check(place, space, whole=True)
            index = matrices.ExactIndex(place, space, fingerprint.dim)
            if len(index) != sum(view.classes.values()):
                raise StorageFailed(f"the exact index of {space!r} has {len(index)} rows")
        except StorageFailed as error:
            notes.add(str(error).removesuffix("; run `casebase repair`"), repairable=True)
    stamp = derived.stamp_for(store, view)
    try:
        with _chroma_folder(store) as folder:
            derived.open_chroma(store, view, folder).close()
            problem = None if store.chroma_url is not None else chroma.probe(folder / stamp.name, stamp)
        if problem is not None:
            raise StorageFailed(f"the Chroma index does not work: {problem}")
    except StorageFailed as error:
        notes.add(str(error), repairable=True)
        return
    if deep:
        for space in view.fingerprints:
            notes.recall.extend(recall_table(store, view, space))
        for row in notes.recall:
            bound = 0.99 if row["list"] == "nearest" else 1.0
            if row["served"] and row["recall"] < bound:
                notes.add(f"recall@{K} of {row['list']} in {row['space']!r} is {row['recall']:.3f}", repairable=True)


@contextmanager
def _chroma_folder(store: SqlCaseStore) -> Iterator[Path]:
    """Where Chroma's files can be opened: a copy of them if the base is read-only."""
    place = store.folder / "chroma"
    if not store.readonly or store.chroma_url is not None:
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="casebase-") as scratch, file_errors(place):
        copy = Path(scratch) / "chroma"
        for source in sorted(place.rglob("*")):  # without their permissions
            target = copy / source.relative_to(place)
            if source.is_dir():
                target.mkdir(parents=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        yield copy


def recall_table(store: SqlCaseStore, view: View, space: str, asked: int = ASKED) -> list[dict[str, Any]]:
    """Recall@5 of every list against brute force over the vectors in SQL; each query is left out of its own answer.

    Queries are ``asked`` stored cases. Rows marked ``served`` are what answers come from; the others are what Chroma
    would have given with an equality filter, and are why it does not serve those lists.
    """
    names, called, matrix = _truth(store, space, view.fingerprints[space].dim)
    if len(names) < 2:
        return []
    picked = np.sort(clock.generator(view.generation).permutation(len(names))[:asked])
    snapshot = store.snapshot()
    index = snapshot.chroma()
    codes = {name: number for number, name in enumerate(matrices.classes_of(snapshot.matrix_folder()))}
    hits: dict[tuple[str, str, bool], list[float]] = {}
    first: dict[tuple[str, str, bool], list[bool]] = {}
    for position in picked.tolist():
        vector, own = matrix[position], called[position]
        distance = 1.0 - matrix @ vector
        others = np.arange(len(names)) != position
        for name, mask in (
            ("nearest", others), ("twins", others & (called == own)), ("counterfactuals", called != own)
        ):  # fmt: skip
            truth = np.sort(distance[mask])[:K]
            if not len(truth):
                continue
            served, which = _served(snapshot, space, vector, name, own, set(called.tolist()), names[position])
            _score(hits, first, (name, which, True), truth, served)
            if index is not None and name != "nearest":
                where = _filter(name, own, codes, set(called.tolist()))
                if where is not None:
                    raw = [p for p in index.search_where(space, vector, K + 1, where) if p[0] != names[position]][:K]
                    _score(hits, first, (name, "chroma with a filter", False), truth, [d for _, d in raw])
    return [
        {
            "space": space, "list": name, "index": which, "served": served, "recall": float(np.mean(found)),
            "worst": float(np.min(found)), "nearest_missed": float(np.mean(first[name, which, served])),
            "queries": len(found),
        }
        for (name, which, served), found in hits.items()
    ]  # fmt: skip


def _truth(store: SqlCaseStore, space: str, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with sql_errors(str(store.folder)), store.engine.connect() as connection:
        chosen = select(cases.c.row, cases.c.case_id, cases.c.predicted).where(cases.c.status == Status.ACTIVE)
        named = {row.row: (row.case_id, row.predicted) for row in connection.execute(chosen)}
        blocks = list(rows.stream_vectors(connection, space, dim, [Status.ACTIVE]))
    numbers = [n for block in blocks for n in block[0].tolist()]
    matrix = np.concatenate([block[1] for block in blocks]) if blocks else np.empty((0, dim), np.float32)
    return np.array([named[n][0] for n in numbers]), np.array([named[n][1] for n in numbers]), matrix


def _served(
    base: CaseBase, space: str, vector: np.ndarray, name: str, own: str, everything: set[str], itself: str
) -> tuple[list[float], str]:
    wanted = {"nearest": None, "twins": (own,), "counterfactuals": tuple(sorted(everything - {own}))}[name]
    found = base.nearest(space, vector, K + 1, where=Where(wanted))
    return [hit.distance for hit in found.hits if hit.case.id != itself][:K], found.index


def _filter(name: str, own: str, codes: Mapping[str, int], everything: set[str]) -> dict[str, Any] | None:
    if name == "twins":
        return {"predicted": codes[own]}
    rivals = sorted(everything - {own})
    return {"predicted": {"$in": [codes[r] for r in rivals]}} if rivals else None


def _score(
    hits: dict[tuple[str, str, bool], list[float]], first: dict[tuple[str, str, bool], list[bool]],
    key: tuple[str, str, bool], truth: np.ndarray, found: Sequence[float],
) -> None:  # fmt: skip
    near = sum(d <= truth[-1] + 1e-5 for d in found)
    hits.setdefault(key, []).append(min(near, len(truth)) / len(truth))
    first.setdefault(key, []).append(not found or min(found) > truth[0] + 1e-5)


def plan() -> list[str]:
    """What :func:`repair` does, in words."""
    return [
        f"keep a copy of {FILE} as {FILE}.before-repair",
        f"rebuild the exact index from {FILE}",
        f"rebuild the Chroma index from {FILE} and audit its recall",
    ]


def repair(store: SqlCaseStore) -> None:
    """Rebuild what is derived from ``cases.db``, after a backup of it; source images and the network are not needed."""
    with lock.writer(store.folder, "repair"):
        if store.engine.dialect.name == "sqlite":
            _backup(store)
        with sql_errors(str(store.folder)), store.engine.begin() as connection:
            publishing.next_generation(connection)
        view = store.view()
        derived.write_matrix(store, view, view.matrix)
        derived.build_chroma(store, view, None)
        store.close_view()


def _backup(store: SqlCaseStore) -> None:
    target = store.folder / f"{FILE}.before-repair"
    aside = target.with_name(target.name + ".part")
    with file_errors(store.folder), sql_errors(str(store.folder)):
        source = sqlite3.connect(store.folder / FILE)
        copy = sqlite3.connect(aside)
        try:
            source.backup(copy)
        finally:
            copy.close()
            source.close()
        folders.sync(aside)
        aside.replace(target)
