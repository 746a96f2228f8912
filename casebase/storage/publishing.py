"""What ``publish`` does inside its one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from casebase.cases import Fingerprint, Status
from casebase.distance import Matrix
from casebase.ports import Changes
from casebase.spaces import CAE_SPACE, NETWORK_SPACE
from casebase.storage import association_rows, rows
from casebase.storage.schema import cases, probabilities, spaces, vectors


def apply(connection: Connection, changes: Changes) -> bool:
    """Carry out everything a run found; True where an answer could now differ."""
    moved = _relabel(connection, changes)
    moved |= _classify(connection, changes)
    _drop_unfinished(connection)
    pending = connection.execute(
        select(func.count()).select_from(cases).where(cases.c.status == Status.PENDING)
    ).scalar_one()
    if pending:
        replaced = select(cases.c.case_id).where(cases.c.status == Status.PENDING).scalar_subquery()
        connection.execute(delete(cases).where(cases.c.case_id.in_(replaced), cases.c.status != Status.PENDING))
        for held, status in ((True, Status.HELD_OUT), (False, Status.ACTIVE)):
            waiting = (cases.c.status == Status.PENDING) & (cases.c.held_out == held)
            connection.execute(update(cases).where(waiting).values(status=status))
    for part in rows.parts(changes.withdrawn):
        chosen = cases.c.case_id.in_(part)
        connection.execute(delete(cases).where(chosen, cases.c.status == Status.WITHDRAWN))
        gone = select(cases.c.row).where(chosen).scalar_subquery()
        connection.execute(delete(vectors).where(vectors.c.row.in_(gone)))
        connection.execute(delete(probabilities).where(probabilities.c.row.in_(gone)))
        connection.execute(update(cases).where(chosen).values(status=Status.WITHDRAWN))
    ready = set_ready(connection)
    return moved or bool(pending or changes.withdrawn or ready)


def _drop_unfinished(connection: Connection) -> None:
    """Remove pending rows that could not answer: without a prediction, or without a vector of the network's own space.

    They are what a file leaves that was changed behind the same size and time; the next run reads it again.
    """
    held = select(vectors.c.row).where(vectors.c.row == cases.c.row, vectors.c.space == NETWORK_SPACE)
    unfinished = (cases.c.status == Status.PENDING) & (cases.c.predicted.is_(None) | ~held.exists())
    connection.execute(delete(cases).where(unfinished))


def next_generation(connection: Connection) -> None:
    """Give what is visible now a number and a digest of its own."""
    generation, _ = rows.stamp(connection)
    rows.put_setting(connection, "generation", generation + 1)
    rows.put_setting(connection, "digest", digest_of(connection))


def set_ready(connection: Connection) -> bool:
    """A space can be asked when every case and held-out image has a vector in it; True where that changed for one.

    The space ``cae`` moreover only while its embedding explains the network whose predictions are stored.
    """
    changed = False
    stale = association_rows.stale(connection)
    for name, ready in connection.execute(select(spaces.c.name, spaces.c.ready)).all():
        held = select(vectors.c.row).where(vectors.c.row == cases.c.row, vectors.c.space == name)
        lacking = select(cases.c.row).where(cases.c.status.in_(rows.LIVE), ~held.exists()).limit(1)
        whole = connection.execute(lacking).first() is None and not (stale and name == CAE_SPACE)
        if whole != ready:
            connection.execute(update(spaces).where(spaces.c.name == name).values(ready=whole))
            changed = True
    return changed


def _relabel(connection: Connection, changes: Changes) -> bool:
    visible = False
    for name, new in changes.relabelled.items():
        chosen = (cases.c.case_id == name) & cases.c.status.in_(rows.STORED)
        old = connection.execute(
            select(cases.c.label, cases.c.split, cases.c.group, cases.c.held_out).where(chosen)
        ).first()
        if old is None:
            continue
        visible |= (old.label, old.split, old.group, old.held_out) != (new.label, new.split, new.group, new.held_out)
        connection.execute(
            update(cases).where(chosen).values(
                label=new.label, split=new.split, group=new.group, held_out=new.held_out,
                file_size=new.file_size, file_mtime=new.file_mtime,
            )
        )  # fmt: skip
        if old.held_out != new.held_out:
            status = Status.HELD_OUT if new.held_out else Status.ACTIVE
            connection.execute(update(cases).where(chosen, cases.c.status.in_(rows.LIVE)).values(status=status))
    return visible


def _classify(connection: Connection, changes: Changes) -> bool:
    classes = list(changes.facts["classes"])
    name = str(changes.facts["fingerprint"])
    if rows.setting(connection, "classifier") != dict(changes.facts):
        rows.put_setting(connection, "classifier", dict(changes.facts))
    done = False
    row = connection.execute(select(spaces.c.fingerprint).where(spaces.c.name == NETWORK_SPACE)).scalar_one()
    dim = Fingerprint.from_dict(row).dim
    if changes.classify is not None and (changes.reclassify or _any_unread(connection)):
        for numbers, block, norms in rows.stream_vectors(connection, NETWORK_SPACE, dim, rows.STORED):
            wanted = numbers.tolist() if changes.reclassify else _unread(connection, numbers.tolist())
            keep = np.isin(numbers, np.array(wanted, dtype=np.int64))
            if keep.any():
                softmax = changes.classify(block[keep] * norms[keep][:, None])
                connection.execute(delete(probabilities).where(probabilities.c.row.in_(numbers[keep].tolist())))
                values = [
                    {"row": r, "softmax": rows.blob(p)} for r, p in zip(numbers[keep].tolist(), softmax, strict=True)
                ]
                connection.execute(insert(probabilities), values)
                _predict(connection, numbers[keep].tolist(), softmax, classes, name)
                done = True
    _read_back(connection, classes, name)
    return done and changes.reclassify


def _any_unread(connection: Connection) -> bool:
    have = select(probabilities.c.row).where(probabilities.c.row == cases.c.row)
    lacking = select(cases.c.row).where(cases.c.status.in_(rows.STORED), ~have.exists()).limit(1)
    return connection.execute(lacking).first() is not None


def _unread(connection: Connection, numbers: Sequence[int]) -> list[int]:
    have = select(probabilities.c.row).where(probabilities.c.row.in_(numbers))
    found = set(connection.execute(have).scalars())
    return [n for n in numbers if n not in found]


def _read_back(connection: Connection, classes: Sequence[str], name: str) -> None:
    """Predictions of rows whose probabilities came with their vectors, in one forward pass."""
    chosen = (
        select(probabilities.c.row, probabilities.c.softmax)
        .join(cases, cases.c.row == probabilities.c.row)
        .where(cases.c.status == Status.PENDING, cases.c.predicted.is_(None))
        .order_by(probabilities.c.row)
        .limit(2048)
    )
    while found := connection.execute(chosen).all():
        softmax = np.stack([rows.unblob(r.softmax, len(classes)) for r in found])
        _predict(connection, [r.row for r in found], softmax, classes, name)


def _predict(
    connection: Connection, numbers: Sequence[int], softmax: Matrix, classes: Sequence[str], name: str
) -> None:
    best = softmax.argmax(axis=1)
    values = [
        {"b_row": row, "predicted": classes[b], "confidence": float(softmax[i, b]), "classifier": name}
        for i, (row, b) in enumerate(zip(numbers, best.tolist(), strict=True))
    ]
    connection.execute(update(cases).where(cases.c.row == bindparam("b_row")), values)


def digest_of(connection: Connection) -> str:
    """32 hexadecimal digits over all active cases, whatever their order: the sum of a hash of each, modulo 2**128.

    A row's number changes with its pixels and its network, so it stands for the vectors. Those of ``cae`` are made
    anew under the same rows: there the fingerprint stands for them.
    """
    total = 0
    chosen = select(cases.c.row, cases.c.case_id, cases.c.predicted, cases.c.label).where(
        cases.c.status == Status.ACTIVE
    )
    for row in connection.execute(chosen):
        text = f"{row.row}\0{row.case_id}\0{row.predicted}\0{row.label}".encode("utf-8", "surrogateescape")
        total += int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big")
    held = connection.execute(select(spaces.c.name, spaces.c.fingerprint).where(spaces.c.ready)).all()
    ready = ",".join(sorted(_told(row.name, row.fingerprint) for row in held))
    total += int.from_bytes(hashlib.blake2b(ready.encode(), digest_size=16).digest(), "big")
    return f"{total % 2**128:032x}"


def _told(space: str, fingerprint: dict[str, Any]) -> str:
    return f"{space} {Fingerprint.from_dict(fingerprint).short}" if space == CAE_SPACE else space
