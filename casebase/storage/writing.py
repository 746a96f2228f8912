"""The writing side of the case base: everything waits as pending until one transaction makes it visible."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select, tuple_, update

from casebase import clock
from casebase.association import Association
from casebase.cases import Fingerprint, Status
from casebase.commands import spoken
from casebase.distance import Vector
from casebase.errors import FingerprintMismatch, StorageFailed
from casebase.ports import Changes, Entry, Known, Stored
from casebase.prototypes import PrototypeSet
from casebase.storage import (
    association_rows,
    chroma,
    database,
    derived,
    lock,
    pictures,
    prototype_rows,
    publishing,
    rows,
    skeleton,
)
from casebase.storage.joined import SqlCaseBase
from casebase.storage.schema import cases, probabilities, runs, skipped, sources, spaces, vectors
from casebase.storage.translate import file_errors, sql_errors


class SqlCaseStore(SqlCaseBase):
    """The ``CaseStore`` port: one writer at a time, held by :meth:`writing`."""

    @contextmanager
    def writing(self, command: str) -> Iterator[int]:
        """Hold the writer lock and record a run; its number is what ``retain`` and ``publish`` take.

        A first run that fails before anything is stored takes the folder it made away again.
        """
        with lock.writer(self.folder, command):
            if self.engine.dialect.name == "sqlite" and not (self.folder / database.FILE).exists():
                raise StorageFailed(f"{self.folder} was removed in the meantime; run again")
            with self._begin() as connection:
                if rows.setting(connection, "id") is None:
                    rows.put_setting(connection, "id", secrets.token_hex(8))
                result = connection.execute(insert(runs).values(command=command, started=clock.now()))
                number = int(result.inserted_primary_key[0])  # type: ignore[index]  # an INSERT has one
            try:
                yield number
            except BaseException:
                if self.engine.dialect.name == "sqlite" and self._nothing_stored():
                    self.close()
                    skeleton.remove(self.folder)
                raise

    def _nothing_stored(self) -> bool:
        """Whether no run has got as far as a network; False where that cannot be told."""
        try:
            with self.engine.connect() as connection:
                known = connection.execute(select(sources.c.number).limit(1)).first() is not None
            return not known and not any((self.folder / "models").iterdir())
        except Exception:  # a damaged or full disk: the reason of the failure itself is what counts
            return False

    def remember(self, name: str, value: Any) -> None:
        """Store a setting."""
        with self._begin() as connection:
            rows.put_setting(connection, name, value)

    def source(self, root: Path) -> int:
        """The number of a root; the place it has now is recorded, relative to the base and absolute."""
        root = root.resolve()
        relative = os.path.relpath(root, self.folder.resolve())
        with self._begin() as connection:
            for number, place in rows.origins(connection, self.folder).items():
                if place.resolve() == root:
                    chosen = sources.c.number == number
                    connection.execute(update(sources).where(chosen).values(relative=relative, absolute=str(root)))
                    return number
            number = (connection.execute(select(func.max(sources.c.number))).scalar() or 0) + 1
            connection.execute(insert(sources).values(number=number, relative=relative, absolute=str(root)))
            return number

    def source_number(self, root: Path) -> int:
        """The number a root has or would get; nothing is written."""
        root = root.resolve()
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            for number, place in rows.origins(connection, self.folder).items():
                if place.resolve() == root:
                    return number
            return int(connection.execute(select(func.max(sources.c.number))).scalar() or 0) + 1

    def declare(self, space: str, fingerprint: Fingerprint, facts: Mapping[str, Any]) -> None:
        """Announce a space, or check that it is the one that is there."""
        with self._begin() as connection:
            row = connection.execute(select(spaces).where(spaces.c.name == space)).one_or_none()
            if row is None:
                connection.execute(
                    insert(spaces).values(name=space, fingerprint=fingerprint.to_dict(), ready=False, facts=dict(facts))
                )
                return
            stored = Fingerprint.from_dict(row.fingerprint)
            if stored != fingerprint:
                raise FingerprintMismatch(
                    f"this case base was made otherwise ({'; '.join(stored.differences(fingerprint))}: here / now); "
                    f"index with the same network, or into another --base"
                )

    def known(self, ids: Sequence[str]) -> Mapping[str, Known]:
        """What is stored of these images."""
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            return rows.known(connection, ids)

    def ids_of(self, source: int) -> Iterator[str]:
        """Ids of a source's images that are not withdrawn; duplicates (pending beside active) once."""
        last = ""
        while True:
            with sql_errors(str(self.folder)), self.engine.connect() as connection:
                chosen = (
                    select(cases.c.case_id)
                    .distinct()
                    .where(cases.c.source == source, cases.c.status.in_(rows.STORED), cases.c.case_id > last)
                    .order_by(cases.c.case_id)
                    .limit(5000)
                )
                found = [row.case_id for row in connection.execute(chosen)]
            if not found:
                return
            yield from found
            last = found[-1]

    def retain(self, run: int, entries: Sequence[Entry]) -> None:
        """Store a batch: new or changed images as pending rows, further spaces of known ones as vectors."""
        if not entries:
            return
        with self._begin() as connection:
            self._drop_outdated(connection, {e.image.id: e.sha256 for e in entries})
            present = self._rows_of(connection, [e.image.id for e in entries])
            fresh = [e for e in entries if (e.image.id, e.sha256) not in present]
            if fresh:
                adding = insert(cases).returning(cases.c.row, sort_by_parameter_order=True)
                numbers = connection.execute(adding, [_values(run, e) for e in fresh]).scalars().all()
                present |= {(e.image.id, e.sha256): int(n) for e, n in zip(fresh, numbers, strict=True)}
                said = [
                    (n, e.probabilities) for n, e in zip(numbers, fresh, strict=True) if e.probabilities is not None
                ]
                if said:
                    values = [{"row": n, "softmax": rows.blob(softmax)} for n, softmax in said]
                    connection.execute(insert(probabilities), values)
            values = [value for e in entries for value in _vectors(present[e.image.id, e.sha256], e)]
            again = [(v["row"], v["space"]) for v in values]
            for part in range(0, len(again), rows.MANY):
                chosen = tuple_(vectors.c.row, vectors.c.space).in_(again[part : part + rows.MANY])
                connection.execute(delete(vectors).where(chosen))
            if values:
                connection.execute(insert(vectors), values)

    def _drop_outdated(self, connection: Connection, read: Mapping[str, str]) -> None:
        """Remove pending versions whose bytes are no longer those on the disk, the file having gone back included."""
        chosen = select(cases.c.row, cases.c.case_id, cases.c.sha256).where(cases.c.status == Status.PENDING)
        for part in rows.parts(list(read)):
            waiting = connection.execute(chosen.where(cases.c.case_id.in_(part))).all()
            stale = [row.row for row in waiting if row.sha256 != read[row.case_id]]
            if stale:
                connection.execute(delete(cases).where(cases.c.row.in_(stale)))

    def _rows_of(self, connection: Connection, ids: Sequence[str]) -> dict[tuple[str, str], int]:
        chosen = select(cases.c.case_id, cases.c.sha256, cases.c.row).where(cases.c.status.in_(rows.STORED))
        return {
            (row.case_id, row.sha256): row.row
            for part in rows.parts(ids)
            for row in connection.execute(chosen.where(cases.c.case_id.in_(part)))
        }

    def stored(self, space: str) -> Iterator[Stored]:
        """All images that are not withdrawn and not about to be replaced, in blocks, with unnormalised features."""
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            row = connection.execute(select(spaces.c.fingerprint).where(spaces.c.name == space)).scalar_one()
            dim = Fingerprint.from_dict(row).dim
            for numbers, block, norms in rows.stream_vectors(connection, space, dim, rows.STORED):
                chosen = select(cases.c.row, cases.c.label, cases.c.group, cases.c.held_out).where(
                    cases.c.row.in_(numbers.tolist()), ~_replaced()
                )
                found = {r.row: r for r in connection.execute(chosen)}
                keep = np.array([n in found for n in numbers.tolist()], dtype=bool)
                kept = [found[n] for n in numbers[keep].tolist()]
                yield Stored(
                    numbers[keep],
                    [r.label for r in kept],
                    [r.group for r in kept],
                    np.array([r.held_out for r in kept], dtype=bool),
                    block[keep] * norms[keep][:, None],
                )

    def publish(self, run: int, changes: Changes) -> bool:
        """One transaction: classify, activate, replace, withdraw, relabel; then rebuild what is derived."""
        view = self.view()
        before = derived.previous(self, view)
        with self._begin() as connection:
            moved = publishing.apply(connection, changes)
            if moved:
                publishing.next_generation(connection)
        if moved or before is None:
            self._derive(before)
        if moved and view.generation:  # a first run has replaced and withdrawn nothing
            pictures.forget(self.folder, self._pixels_in_use)
        return moved

    def _derive(self, before: tuple[chroma.Stamp, Path] | None) -> None:
        """Build what is derived of the newest generation, from that of ``before`` where its vectors still stand."""
        fresh = self.view()
        derived.write_matrix(self, fresh, fresh.matrix)
        derived.build_chroma(self, fresh, before)
        self.close_view()  # the audit's figures are part of a view

    def _pixels_in_use(self, hashes: Sequence[str]) -> set[str]:
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            chosen = select(cases.c.pixel_hash).where(cases.c.status.in_(rows.STORED))
            return {
                found
                for part in rows.parts(hashes)
                for found in connection.execute(chosen.where(cases.c.pixel_hash.in_(part))).scalars()
            }

    def keep_prototypes(self, found: PrototypeSet) -> None:
        """Put a set in the place of its profile's one, in one transaction; then remove the files of the old one."""
        with lock.writer(self.folder, "prototypes train"):
            with self._begin() as connection:
                known = rows.setting(connection, "classifier", {}).get("fingerprint")
                if known != found.classifier:
                    raise FingerprintMismatch(
                        f"these prototypes explain the network {found.classifier}, and this base's is {known}; "
                        f"run `{spoken('prototypes', 'train', '--profile', found.profile, base=self.folder)}` again"
                    )
                prototype_rows.replace(connection, found)
            prototype_rows.remove_others(self.folder, found)

    def keep_association(self, found: Association, codes: Mapping[str, Vector], fingerprint: Fingerprint) -> None:
        """Put an embedding in the place of the one before, in one transaction; then rebuild what is derived.

        The files of the old one go last: until then either embedding is whole.
        """
        with lock.writer(self.folder, "cae train"):
            with self._begin() as connection:
                known = rows.setting(connection, "classifier", {}).get("fingerprint")
                if known != found.classifier:
                    raise FingerprintMismatch(
                        f"this class association embedding explains the network {found.classifier}, and this base's "
                        f"is {known}; run `{spoken('cae', 'train', base=self.folder)}` again"
                    )
                association_rows.replace(connection, found, codes, fingerprint)
                publishing.set_ready(connection)
                publishing.next_generation(connection)
            self._derive(None)  # the same rows have other vectors now, which a difference of rows would not show
            association_rows.remove_others(self.folder, found.digest)

    def skip(self, run: int, refused: Mapping[str, str]) -> None:
        """Record files that could not be used, in one transaction."""
        if not refused:
            return
        with self._begin() as connection:
            for part in rows.parts(list(refused)):
                connection.execute(delete(skipped).where(skipped.c.run == run, skipped.c.path.in_(part)))
            connection.execute(insert(skipped), [{"run": run, "path": p, "reason": r} for p, r in refused.items()])

    def finish(self, run: int, summary: Mapping[str, Any]) -> None:
        """Record how a run ended."""
        with self._begin() as connection:
            connection.execute(
                update(runs).where(runs.c.number == run).values(finished=clock.now(), summary=dict(summary))
            )

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with file_errors(self.folder), sql_errors(str(self.folder)), self.engine.begin() as connection:
            yield connection


def _replaced() -> Any:
    """Whether a live row has a pending successor."""
    newer = cases.alias()
    successor = select(newer.c.row).where(newer.c.case_id == cases.c.case_id, newer.c.status == Status.PENDING)
    return cases.c.status.in_(rows.LIVE) & successor.exists()


def _values(run: int, entry: Entry) -> dict[str, Any]:
    image = entry.image
    return {
        "case_id": image.id, "status": Status.PENDING, "held_out": entry.held_out, "source": entry.source,
        "path": image.relative, "label": image.label, "split": image.split, "group": image.group,
        "file_size": entry.file_size, "file_mtime": entry.file_mtime, "width": entry.width, "height": entry.height,
        "sha256": entry.sha256, "pixel_hash": entry.pixel_hash, "look_hash": f"{entry.look_hash:016x}", "run": run,
    }  # fmt: skip


def _vectors(row: int, entry: Entry) -> list[dict[str, Any]]:
    return [rows.vector_values(row, space, vector) for space, vector in entry.vectors.items()]
