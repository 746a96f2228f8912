"""Rows <-> domain objects, and the few SQL statements that reading needs."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, bindparam, func, select

from casebase.cases import Case, Status
from casebase.distance import Matrix, Vector, unit
from casebase.errors import StorageFailed
from casebase.ports import Examined, Known
from casebase.storage.schema import cases, probabilities, settings, sources, vectors

LIVE = (Status.ACTIVE, Status.HELD_OUT)
STORED = (Status.PENDING, *LIVE)
MANY = 500
"""Ids per statement: below every database's limit on parameters."""

CASE_COLUMNS = (
    cases.c.case_id, cases.c.path, cases.c.label, cases.c.predicted, cases.c.confidence, cases.c.split,
    cases.c.group, cases.c.pixel_hash, cases.c.look_hash, cases.c.status, cases.c.source,
)  # fmt: skip

_STAMP = select(settings.c.name, settings.c.value).where(
    (settings.c.name == "generation") | (settings.c.name == "digest")
)


def setting(connection: Connection, name: str, default: Any = None) -> Any:
    """A stored setting."""
    value = connection.execute(select(settings.c.value).where(settings.c.name == name)).scalar()
    return default if value is None else value


def stamp(connection: Connection) -> tuple[int, str]:
    """Generation and digest of what is visible, in one statement: it is asked at the start of every question."""
    found = {row.name: row.value for row in connection.execute(_STAMP)}
    return int(found.get("generation", 0)), str(found.get("digest", ""))


def put_setting(connection: Connection, name: str, value: Any) -> None:
    """Store a setting."""
    connection.execute(settings.delete().where(settings.c.name == name))
    connection.execute(settings.insert().values(name=name, value=value))


MANIFESTS = (".csv", ".jsonl", ".ndjson")


def origins(connection: Connection, folder: Path) -> dict[int, Path]:
    """Each source, a folder or a manifest: beside the case base if both were moved together, else where it was."""
    found = {}
    for row in connection.execute(select(sources)):
        beside = Path(os.path.normpath(folder.resolve() / row.relative))
        found[row.number] = beside if beside.exists() else Path(row.absolute)
    return found


def roots(connection: Connection, folder: Path) -> dict[int, Path]:
    """The folder below which each source's paths lie: the source itself, or the folder of a manifest."""
    return {
        number: place.parent if place.suffix.lower() in MANIFESTS and not place.is_dir() else place
        for number, place in origins(connection, folder).items()
    }


def to_case(row: Any, places: Mapping[int, Path]) -> Case:
    """A database row as a Case."""
    return Case(
        id=row.case_id,
        path=row.path,
        file=places.get(row.source, Path()) / row.path,
        label=row.label,
        predicted=row.predicted or "",
        confidence=row.confidence or 0.0,
        split=row.split,
        group=row.group,
        pixel_hash=row.pixel_hash,
        look_hash=int(row.look_hash, 16),
        status=Status(row.status),
    )


def cases_of(connection: Connection, ids: Sequence[str], places: Mapping[int, Path]) -> dict[str, Case]:
    """The newest visible version of each case: active or held out, else pending or withdrawn."""
    order = [Status.WITHDRAWN, Status.PENDING, Status.HELD_OUT, Status.ACTIVE]
    found: dict[str, Case] = {}
    for part in parts(ids):
        for row in connection.execute(select(*CASE_COLUMNS).where(cases.c.case_id.in_(part))):
            case = to_case(row, places)
            if case.id not in found or order.index(case.status) > order.index(found[case.id].status):
                found[case.id] = case
    return found


def cases_with_pixels(connection: Connection, pixel_hash: str, places: Mapping[int, Path]) -> list[Case]:
    """Visible cases with exactly these pixels, by id."""
    chosen = (
        select(*CASE_COLUMNS)
        .where(cases.c.pixel_hash == pixel_hash, cases.c.status.in_(LIVE))
        .order_by(cases.c.case_id)
    )
    return [to_case(row, places) for row in connection.execute(chosen)]


def known(connection: Connection, ids: Sequence[str]) -> dict[str, Known]:
    """What is stored of images: the pending version where there is one, else the visible one."""
    found: dict[str, Known] = {}
    for part in parts(ids):
        chosen = (
            select(cases, vectors.c.space)
            .outerjoin(vectors, vectors.c.row == cases.c.row)
            .where(cases.c.case_id.in_(part), cases.c.status.in_(STORED))
            .order_by(cases.c.case_id, cases.c.status == Status.PENDING)
        )
        spaces: dict[int, set[str]] = {}
        newest: dict[str, Row[Any]] = {}
        for row in connection.execute(chosen):
            spaces.setdefault(row.row, set())
            if row.space is not None:
                spaces[row.row].add(row.space)
            newest[row.case_id] = row
        for name, row in newest.items():
            found[name] = Known(
                row.file_size, row.file_mtime, row.sha256, row.label, row.split, row.group, row.status,
                frozenset(spaces[row.row]), row.held_out,
            )  # fmt: skip
    return found


def parts(ids: Sequence[str]) -> Iterator[list[str]]:
    """Ids in portions that fit one statement."""
    for start in range(0, len(ids), MANY):
        yield list(ids[start : start + MANY])


def counts(connection: Connection, status: str = Status.ACTIVE) -> dict[str, int]:
    """Number of cases by predicted class, in order of names."""
    chosen = (
        select(cases.c.predicted, func.count())
        .where(cases.c.status == status, cases.c.predicted.is_not(None))
        .group_by(cases.c.predicted)
        .order_by(cases.c.predicted)
    )
    return {row[0]: int(row[1]) for row in connection.execute(chosen)}


def parts_of_set(connection: Connection) -> dict[tuple[Status, str | None], int]:
    """Number of active cases and held-out images by (status, split)."""
    chosen = (
        select(cases.c.status, cases.c.split, func.count())
        .where(cases.c.status.in_(LIVE), cases.c.predicted.is_not(None))
        .group_by(cases.c.status, cases.c.split)
    )
    found = [(Status(row[0]), row[1], int(row[2])) for row in connection.execute(chosen)]
    return {(status, split): n for status, split, n in sorted(found, key=lambda part: (part[0], part[1] or ""))}


def blob(vector: NDArray[np.float32]) -> bytes:
    """A vector as it is stored."""
    return vector.astype("<f4").tobytes()


def unblob(data: bytes, dim: int) -> NDArray[np.float32]:
    """A stored vector; one of another length raises ``StorageFailed``."""
    if len(data) != dim * 4:
        raise StorageFailed(f"a stored vector has {len(data)} bytes instead of {dim * 4}; run `casebase verify --deep`")
    return np.frombuffer(data, dtype="<f4")


def crc(data: bytes) -> int:
    """Checksum of a stored vector."""
    return zlib.crc32(data)


def vector_values(row: int, space: str, vector: Vector) -> dict[str, Any]:
    """A vector ``(D,)`` of any length as a row of the table; raises ``UsageError`` where it has no direction."""
    normed, norms = unit(vector[None])
    data = blob(normed[0])
    return {"row": row, "space": space, "vector": data, "norm": float(norms[0]), "crc": crc(data)}


def stream_vectors(
    connection: Connection, space: str, dim: int, status: Sequence[str], block: int = 2048
) -> Iterator[tuple[NDArray[np.int64], Matrix, NDArray[np.float32]]]:
    """Blocks of (row numbers, unit vectors ``(n, D)``, their former lengths) in order of rows; constant memory."""
    last = 0
    chosen = (
        select(vectors.c.row, vectors.c.vector, vectors.c.norm)
        .join(cases, cases.c.row == vectors.c.row)
        .where(vectors.c.space == space, cases.c.status.in_(status), vectors.c.row > bindparam("last"))
        .order_by(vectors.c.row)
        .limit(block)
    )
    while rows := connection.execute(chosen, {"last": last}).all():
        last = rows[-1].row
        numbers = np.fromiter((r.row for r in rows), np.int64, len(rows))
        matrix = np.stack([unblob(r.vector, dim) for r in rows])
        yield numbers, matrix, np.fromiter((r.norm for r in rows), np.float32, len(rows))


def stream_examined(
    connection: Connection, space: str, dim: int, classes: int, status: Status, split: str | None,
    places: Mapping[int, Path], block: int = 1024,
) -> Iterator[Examined]:  # fmt: skip
    """Blocks of images with their features and probabilities, in order of rows; constant memory."""
    last = 0
    chosen = (
        select(cases.c.row, *CASE_COLUMNS, vectors.c.vector, vectors.c.norm, probabilities.c.softmax)
        .join(vectors, vectors.c.row == cases.c.row)
        .join(probabilities, probabilities.c.row == cases.c.row)
        .where(vectors.c.space == space, cases.c.status == status, cases.c.row > bindparam("last"))
        .order_by(cases.c.row)
        .limit(block)
    )
    if split is not None:
        chosen = chosen.where(cases.c.split == split)
    while found := connection.execute(chosen, {"last": last}).all():
        last = found[-1].row
        norms = np.fromiter((row.norm for row in found), np.float32, len(found))
        yield Examined(
            [to_case(row, places) for row in found],
            np.stack([unblob(row.vector, dim) for row in found]) * norms[:, None],
            np.stack([unblob(row.softmax, classes) for row in found]),
        )
