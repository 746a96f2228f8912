"""What is derived from SQL: the exact matrix with its yardstick, and the Chroma index. Rebuilt without the network."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select, update

from casebase import clock
from casebase.cases import Status
from casebase.errors import Locked, Moved, StorageFailed
from casebase.evidence import EvidenceTable
from casebase.storage import chroma, chroma_server, evidence_file, files, lock, matrix, rows, yardstick
from casebase.storage.generation import Truth, View, matrix_place
from casebase.storage.schema import cases, spaces
from casebase.storage.translate import file_errors, sql_errors

SMALL_CHANGE = 0.2
AUDITED = 200
AUDIT_K = 5
WIDEST = 1600
ENOUGH = 0.99


def keys_of(connection: Connection) -> matrix.Keys:
    """Row numbers, ids and classes of all active cases."""
    chosen = select(cases.c.row, cases.c.case_id, cases.c.predicted, cases.c.label).where(
        cases.c.status == Status.ACTIVE
    )
    numbers: list[int] = []
    ids: list[bytes] = []
    predicted: list[str] = []
    labels: list[str] = []
    for row in connection.execute(chosen):
        numbers.append(row.row)
        ids.append(row.case_id.encode())
        predicted.append(row.predicted)
        labels.append(row.label)
    classes = sorted({*predicted, *labels})
    code = {name: number for number, name in enumerate(classes)}
    return matrix.Keys(
        np.array(numbers, np.int64),
        np.array(ids, "S16"),
        np.array([code[p] for p in predicted], np.int32),
        np.array([code[y] for y in labels], np.int32),
        classes,
    )


def build_matrix(base: Truth, view: View) -> Path:
    """Write the matrix of the view's generation: beside the base if it may be written, else for this process only."""
    place = matrix_place(base.folder, view.generation, view.digest)
    if not base.readonly:
        try:
            with lock.writer(base.folder, "rebuild the exact index"):
                write_matrix(base, view, place)
            return place
        except (Locked, StorageFailed):
            pass  # somebody else writes, or the disk is full: an answer needs the matrix all the same
    scratch = Path(tempfile.mkdtemp(prefix="casebase-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    place = scratch / place.name
    write_matrix(base, view, place)
    return place


def write_matrix(base: Truth, view: View, place: Path) -> None:
    """Fill ``place`` with every ready space of a generation; older generations beside it are removed."""
    with files.new_folder(place) as aside, sql_errors(str(base.folder)), base.engine.connect() as connection:
        check_stamp(connection, view)
        keys = keys_of(connection)
        facts = rows.setting(connection, "classifier", {})
        matrix.write_keys(aside, keys)
        relatives = evidence_file.relatives_of(connection, keys.rows[keys.order()].tolist())
        for space, fingerprint in view.fingerprints.items():
            blocks = rows.stream_vectors(connection, space, fingerprint.dim, [Status.ACTIVE])
            matrix.write(aside, space, keys, ((numbers, block) for numbers, block, _ in blocks), fingerprint.dim)
            index = matrix.ExactIndex(aside, space, fingerprint.dim)
            outside = _held_out(connection, space, fingerprint.dim)
            seed = int(rows.setting(connection, "seed", 0))
            measured = yardstick.measure(index, relatives, outside, cases_are_fair=bool(facts.get("fair")), seed=seed)
            yardstick.save(aside, space, measured, keys.classes)
            table = evidence_file.measure(connection, view, space, index, relatives)
            if table is not None:
                evidence_file.save(aside, space, table)
        matrix.seal(aside)
    files.remove_others(place.parent, lambda name: name == place.name)


def build_evidence(base: Truth, view: View, space: str, index: matrix.ExactIndex) -> EvidenceTable | None:
    """The evidence table of a generation that was written without one, or whose file is damaged.

    It is kept beside the matrix where the base may be written; else it serves this process only. None without held-out
    images.
    """
    with sql_errors(str(base.folder)), base.engine.connect() as connection:
        check_stamp(connection, view)
        numbers = matrix.rows_of(view.matrix)
        table = evidence_file.measure(connection, view, space, index, evidence_file.relatives_of(connection, numbers))
    if table is not None and not base.readonly:
        try:
            with lock.writer(base.folder, "store the evidence of held-out images"):
                evidence_file.save(view.matrix, space, table)
                matrix.add_to_seal(view.matrix, evidence_file.name_of(space))
        except (Locked, StorageFailed):
            pass  # somebody else writes, or the disk is full: the answer has its table all the same
    return table


def check_stamp(connection: Connection, view: View) -> None:
    """Raise ``Moved`` where SQL no longer holds this generation: nothing is built under its name from other rows."""
    if rows.stamp(connection) != (view.generation, view.digest):
        raise Moved("the case base was changed while it was asked; ask again")


def _held_out(connection: Connection, space: str, dim: int) -> dict[str, yardstick.Outside]:
    """Held-out images by predicted class, at most as many as the yardstick uses."""
    chosen = select(cases.c.row, cases.c.predicted, cases.c.pixel_hash, cases.c.group).where(
        cases.c.status == Status.HELD_OUT, cases.c.predicted.is_not(None)
    )
    seen = {row.row: row for row in connection.execute(chosen)}
    found: dict[str, list[tuple[Any, NDArray[np.float32]]]] = {}
    for numbers, block, _ in rows.stream_vectors(connection, space, dim, [Status.HELD_OUT]):
        for number, vector in zip(numbers.tolist(), block, strict=True):
            kept = found.setdefault(seen[number].predicted, [])
            if len(kept) < yardstick.MOST_REFERENCES:
                kept.append((seen[number], vector))
    return {
        name: yardstick.Outside(
            np.stack([vector for _, vector in kept]),
            [row.pixel_hash for row, _ in kept],
            [row.group for row, _ in kept],
        )
        for name, kept in found.items()
    }


def stamp_for(base: Truth, view: View) -> chroma.Stamp:
    """The stamp that a Chroma index of this view must carry."""
    total = sum(view.classes.values())
    owner = str(base.setting("id"))
    return chroma.Stamp(owner, view.generation, view.digest, dict.fromkeys(view.fingerprints, total), {})


def open_chroma(base: Truth, view: View, folder: Path | None = None) -> chroma.ChromaIndex:
    """Open the index of the view's generation; ``StorageFailed`` where it is missing, damaged or of another base.

    ``folder`` is a copy of the base's ``chroma/``, for where that cannot be written: Chroma opens nothing else.
    """
    wanted = stamp_for(base, view)
    folder = folder or base.folder / "chroma"
    found = chroma.Stamp.read(folder / f"{wanted.name}.json")
    if found is None:
        raise StorageFailed("the Chroma index is missing, or behind the database")
    if (found.base, found.generation, found.digest, dict(found.counts)) != (
        wanted.base, wanted.generation, wanted.digest, dict(wanted.counts),
    ):  # fmt: skip
        raise StorageFailed("the Chroma index belongs to another case base")
    if base.chroma_url is not None:
        return chroma_server.open_index(chroma_server.client(base.chroma_url), found, view.fingerprints)
    return chroma.ChromaIndex.open(folder, found, view.fingerprints)


def heal_chroma(base: Truth, view: View) -> None:
    """Rebuild the Chroma index from SQL under the writer lock."""
    with lock.writer(base.folder, "rebuild the Chroma index"):
        build_chroma(base, view, None)


def build_chroma(base: Truth, view: View, before: tuple[chroma.Stamp, Path] | None) -> None:
    """Build the Chroma index of a generation, from the one before where little has changed, else afresh.

    ``before`` is that generation's stamp and its matrix folder, which tells what it held. The matrix of ``view`` must
    be there. Afterwards the audit's figures are stored with each space.
    """
    folder = base.folder / "chroma"
    with file_errors(folder):
        folder.mkdir(exist_ok=True)
    stamp = stamp_for(base, view)
    with sql_errors(str(base.folder)), base.engine.connect() as connection:
        check_stamp(connection, view)
        keys = keys_of(connection)
        change = None if before is None or base.chroma_url is not None else _difference(before, keys, view)
        if before is None or change is None or not _extended(connection, before[0], stamp, change, keys, view, folder):
            content = {s: _rows(connection, s, f.dim, keys, None) for s, f in view.fingerprints.items()}
            if base.chroma_url is not None:
                chroma_server.build(base.chroma_url, folder, stamp, content)
            else:
                chroma.build(folder, stamp, content)
    audit_all(base, view)


def _extended(
    connection: Connection, old: chroma.Stamp, new: chroma.Stamp, change: tuple[list[str], frozenset[int]],
    keys: matrix.Keys, view: View, folder: Path,
) -> bool:  # fmt: skip
    """Whether the next generation could be made from the last; a damaged one is no reason to fail."""
    removed, fresh = change
    changes = {
        space: chroma.Change(removed, _rows(connection, space, f.dim, keys, fresh))
        for space, f in view.fingerprints.items()
    }
    try:
        chroma.extend(folder, old, new, changes)
    except StorageFailed:
        return False
    return True


def _rows(
    connection: Connection, space: str, dim: int, keys: matrix.Keys, only: frozenset[int] | None
) -> Iterator[chroma.Rows]:
    order = np.argsort(keys.rows)
    for numbers, block, _ in rows.stream_vectors(connection, space, dim, [Status.ACTIVE]):
        keep = np.array([only is None or n in only for n in numbers.tolist()], dtype=bool)
        if keep.any():
            at = order[np.searchsorted(keys.rows, numbers[keep], sorter=order)]
            yield chroma.Rows([i.decode() for i in keys.ids[at].tolist()], block[keep], keys.predicted[at])


def _difference(
    before: tuple[chroma.Stamp, Path], keys: matrix.Keys, view: View
) -> tuple[list[str], frozenset[int]] | None:
    """Ids to remove and row numbers to add, or None where building afresh is the better way."""
    stamp, place = before
    if set(stamp.counts) != set(view.fingerprints):
        return None
    try:
        with np.load(place / "keys.npz", allow_pickle=False) as stored:
            old_rows, old_ids, old_predicted = stored["rows"], stored["ids"], stored["predicted"]
        old_classes = matrix.classes_of(place)
    except (OSError, ValueError, KeyError):
        return None
    if old_classes != list(keys.classes):
        return None
    old = dict(zip(old_rows.tolist(), zip(old_ids.tolist(), old_predicted.tolist(), strict=True), strict=True))
    new = dict(zip(keys.rows.tolist(), zip(keys.ids.tolist(), keys.predicted.tolist(), strict=True), strict=True))
    removed = [old[row][0].decode() for row in old if old[row] != new.get(row)]
    added = frozenset(row for row in new if new[row] != old.get(row))
    if len(removed) + len(added) > SMALL_CHANGE * max(1, len(old)):
        return None
    return removed, added


def audit_all(base: Truth, view: View) -> None:
    """Measure recall@5 of each space's unfiltered list through Chroma and widen its graph walk until it is enough."""
    for space in view.fingerprints:
        figures = audit(base, view, space)
        width = chroma.EF_SEARCH
        while figures["nearest"] < ENOUGH and width < WIDEST:
            width *= 2
            widened = open_chroma(base, view)
            widened.set_ef_search(width)
            widened.close()  # the new width shows only after reopening
            figures = {**audit(base, view, space), "ef_search": width}
        with sql_errors(str(base.folder)), base.engine.begin() as connection:
            facts = connection.execute(select(spaces.c.facts).where(spaces.c.name == space)).scalar_one()
            connection.execute(update(spaces).where(spaces.c.name == space).values(facts={**facts, "audit": figures}))


def audit(base: Truth, view: View, space: str, *, sample: int = AUDITED) -> dict[str, Any]:
    """Recall@5 of Chroma's unfiltered list against exact search on stored vectors, each left out of its own answer.

    ``nearest`` is the mean, ``worst`` the least recall of one query, ``missed`` the share of queries whose single
    nearest case was not returned.
    """
    index = open_chroma(base, view)
    try:
        exact = matrix.ExactIndex(view.matrix, space, view.fingerprints[space].dim)
        picked = clock.generator(view.generation).permutation(len(exact))[:sample]
        recalls, missed = [], 0
        for position in sorted(picked.tolist()):
            own = exact.ids[position].decode()
            vector = np.asarray(exact.rows[position])
            truth = [pair for pair in exact.search(vector, AUDIT_K + 1, None, None, None) if pair[0] != own][:AUDIT_K]
            if not truth:
                continue
            found = [pair for pair in index.search(space, vector, AUDIT_K + 1) if pair[0] != own][:AUDIT_K]
            near = sum(distance <= truth[-1][1] + 1e-5 for _, distance in found)
            recalls.append(min(near, len(truth)) / len(truth))
            missed += not found or found[0][1] > truth[0][1] + 1e-5
    finally:
        index.close()
    if not recalls:
        return {"nearest": 1.0, "worst": 1.0, "missed": 0.0, "queries": 0, "ef_search": chroma.EF_SEARCH}
    return {
        "nearest": float(np.mean(recalls)),
        "worst": float(np.min(recalls)),
        "missed": missed / len(recalls),
        "queries": len(recalls),
        "ef_search": chroma.EF_SEARCH,
    }


def previous(base: Truth, view: View) -> tuple[chroma.Stamp, Path] | None:
    """The stamp and matrix folder of a view that is about to be replaced, where both are whole."""
    name = chroma.folder_name(view.generation, view.digest)
    stamp = chroma.Stamp.read(base.folder / "chroma" / f"{name}.json")
    place = matrix_place(base.folder, view.generation, view.digest)
    if stamp is None or (base.chroma_url is None and chroma.damage(base.folder / "chroma", stamp) is not None):
        return None
    try:
        for space in view.fingerprints:
            matrix.check(place, space)
    except StorageFailed:
        return None
    return stamp, place
