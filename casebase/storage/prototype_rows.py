"""Rows <-> sets of prototypes, and the names of the files that hold their vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from casebase.prototypes import PROFILES, Patch, Prototype, PrototypeSet
from casebase.storage import files
from casebase.storage.schema import prototype_sets, prototypes

PREFIX = "prototypes-"
"""Every file of prototypes in ``models/`` is called so; one in the making has a dot in front."""
_COLUMNS = ("profile", "classifier", "digest", "created")


def tensor_file(base: Path, profile: str, digest: str) -> Path:
    """Where the vectors of a set lie: named by their own digest, so that a new set never writes over an old one."""
    return base / "models" / f"{PREFIX}{profile}-{digest[:16]}.safetensors"


def file_in_the_making(base: Path, profile: str) -> Path:
    """Where the vectors of a set are written before their digest is known."""
    return base / "models" / f".{PREFIX}{profile}-new.safetensors"


def of_prototypes(name: str) -> bool:
    """Whether a name in ``models/`` is that of a file of prototypes, whole or in the making."""
    return name.lstrip(".").startswith(PREFIX)


def remove_others(base: Path, found: PrototypeSet) -> None:
    """Remove every other file of this profile: the set before, and what killed trainings left behind."""
    own = tensor_file(base, found.profile, found.digest).name
    mine = f"{PREFIX}{found.profile}-"
    files.remove_others(base / "models", lambda name: name == own or not name.lstrip(".").startswith(mine))


def profiles(connection: Connection) -> list[str]:
    """Profiles that have a set, in the order in which one is chosen."""
    held = set(connection.execute(select(prototype_sets.c.profile)).scalars())
    return sorted(held, key=preference)


def preference(profile: str) -> tuple[int, str]:
    """``signed`` before ``classic``; what another version of casebase may know comes last."""
    return (PROFILES.index(profile) if profile in PROFILES else len(PROFILES), profile)


def read(connection: Connection, profile: str | None) -> PrototypeSet | None:
    """The set of a profile, of the first there is where none is named, or None."""
    chosen = profile or next(iter(profiles(connection)), None)
    row = connection.execute(select(prototype_sets).where(prototype_sets.c.profile == chosen)).one_or_none()
    if row is None:
        return None
    mine = select(prototypes).where(prototypes.c.profile == chosen).order_by(prototypes.c.number)
    held = [_prototype(one).to_dict() for one in connection.execute(mine)]
    return PrototypeSet.from_dict({**row.facts, **{name: row._mapping[name] for name in _COLUMNS}, "prototypes": held})


def replace(connection: Connection, found: PrototypeSet) -> None:
    """Put a set in the place of its profile's one."""
    facts = {n: v for n, v in found.to_dict().items() if n not in ("schema", "prototypes", *_COLUMNS)}
    for table in (prototypes, prototype_sets):  # not left to the cascade: a server may have none
        connection.execute(delete(table).where(table.c.profile == found.profile))
    connection.execute(insert(prototype_sets).values(**{name: getattr(found, name) for name in _COLUMNS}, facts=facts))
    if found.prototypes:
        connection.execute(insert(prototypes), [_values(found.profile, one) for one in found.prototypes])


def outline(connection: Connection) -> list[dict[str, Any]]:
    """What there is, in short: profile, classifier, number of prototypes and of classes that have any, created."""
    counted = select(
        prototypes.c.profile, func.count().label("n"), func.count(prototypes.c.of_class.distinct()).label("classes")
    ).group_by(prototypes.c.profile)
    held = {row.profile: row for row in connection.execute(counted)}
    rows = [dict(row._mapping) for row in connection.execute(select(*(prototype_sets.c[n] for n in _COLUMNS)))]
    for row in rows:
        own = held.get(row["profile"])
        row |= {"prototypes": 0 if own is None else own.n, "classes": 0 if own is None else own.classes}
    return sorted(rows, key=lambda row: preference(row["profile"]))


def _values(profile: str, one: Prototype) -> dict[str, Any]:
    patch = one.patch
    left, top, right, bottom = patch.box
    return {
        "profile": profile, "number": one.number, "of_class": one.of_class, "case_id": patch.case_id,
        "pixel_hash": patch.pixel_hash, "row": patch.row, "column": patch.column, "box_left": left, "box_top": top,
        "box_right": right, "box_bottom": bottom, "weight": one.weight, "purity": one.purity,
        "purity_n": one.purity_n, "decides": one.decides,
    }  # fmt: skip


def _prototype(row: Any) -> Prototype:
    box = (row.box_left, row.box_top, row.box_right, row.box_bottom)
    patch = Patch(row.case_id, row.pixel_hash, row.row, row.column, box)
    return Prototype(row.number, row.of_class, patch, row.weight, row.purity, row.purity_n, row.decides)
