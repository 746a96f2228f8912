"""The class association embedding in the store: one setting, the vectors of its space, and the file of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from casebase import hashing
from casebase.association import Association
from casebase.cases import Fingerprint
from casebase.distance import Vector
from casebase.errors import Moved
from casebase.spaces import CAE_SPACE
from casebase.storage import files, rows
from casebase.storage.schema import cases, spaces, vectors

SETTING = "cae"
PREFIX = "cae-"
"""Every file of weights in ``models/`` is called so; one in the making has a dot in front."""


def tensor_file(base: Path, digest: str) -> Path:
    """Where the weights lie: named by their own digest, so that a new training never writes over an old one."""
    return base / "models" / f"{PREFIX}{digest[: hashing.SHORT]}.safetensors"


def file_in_the_making(base: Path) -> Path:
    """Where the weights are written before their digest is known."""
    return base / "models" / f".{PREFIX}new.safetensors"


def of_association(name: str) -> bool:
    """Whether a name in ``models/`` is that of a file of weights, whole or in the making."""
    return name.lstrip(".").startswith(PREFIX)


def remove_others(base: Path, digest: str) -> None:
    """Remove every other file of weights: those before, and what killed trainings left behind."""
    own = tensor_file(base, digest).name
    files.remove_others(base / "models", lambda name: name == own or not of_association(name))


def read(connection: Connection) -> Association | None:
    """What is stored, or None."""
    held = rows.setting(connection, SETTING)
    return None if held is None else Association.from_dict(held)


def outline(connection: Connection) -> dict[str, Any] | None:
    """What there is, in short: preset, classifier, digest, classes, whether it is trustworthy, created."""
    held = rows.setting(connection, SETTING)
    names = ("preset", "classifier", "digest", "classes", "target", "trustworthy", "failed", "created")
    return None if held is None else {name: held[name] for name in names}


def stale(connection: Connection) -> bool:
    """Whether there is an embedding and it explains another network than the one whose predictions are stored."""
    held = rows.setting(connection, SETTING)
    known = rows.setting(connection, "classifier", {}).get("fingerprint")
    return held is not None and held["classifier"] != known


def replace(connection: Connection, found: Association, codes: Mapping[str, Vector], fingerprint: Fingerprint) -> None:
    """Put an embedding with its codes, by the name of an image's pixels, in the place of the one before.

    Raises ``Moved`` where an image has no code.
    """
    live = select(cases.c.row, cases.c.pixel_hash).where(cases.c.status.in_(rows.LIVE)).order_by(cases.c.row)
    held = [(row.row, row.pixel_hash) for row in connection.execute(live)]
    lacking = sum(pixels not in codes for _, pixels in held)
    if lacking:
        raise Moved(f"{lacking} images came or changed while the class association embedding was trained; run again")
    rows.put_setting(connection, SETTING, found.to_dict())
    connection.execute(delete(vectors).where(vectors.c.space == CAE_SPACE))
    connection.execute(delete(spaces).where(spaces.c.name == CAE_SPACE))
    connection.execute(insert(spaces).values(name=CAE_SPACE, fingerprint=fingerprint.to_dict(), ready=False, facts={}))
    for start in range(0, len(held), rows.MANY):
        part = held[start : start + rows.MANY]
        connection.execute(insert(vectors), _values(part, codes))


def _values(part: list[tuple[int, str]], codes: Mapping[str, Vector]) -> list[dict[str, Any]]:
    return [rows.vector_values(row, CAE_SPACE, codes[pixels]) for row, pixels in part]
