"""The evidence table of a space as a file beside its matrix: measured from SQL once, sealed, read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select

from casebase import evidence
from casebase.cases import Status
from casebase.correctness import Comparison, Difference
from casebase.evidence import ARRAYS, TEXTS, EvidenceTable, Relatives, Remembered
from casebase.ports import Examined
from casebase.storage import matrix, rows
from casebase.storage.generation import View
from casebase.storage.schema import cases
from casebase.storage.translate import file_errors


def name_of(space: str) -> str:
    """The file's name."""
    return f"{space}.evidence.npz"


def relatives_of(connection: Connection, numbers: list[int]) -> Relatives:
    """Pixels and groups of the active cases whose row numbers these are, in their order."""
    chosen = select(cases.c.row, cases.c.pixel_hash, cases.c.group).where(cases.c.status == Status.ACTIVE)
    found = {row.row: (row.pixel_hash, row.group) for row in connection.execute(chosen)}
    return Relatives([found[n][0] for n in numbers], [found[n][1] for n in numbers])


def measure(
    connection: Connection, view: View, space: str, index: matrix.ExactIndex, relatives: Relatives
) -> EvidenceTable | None:
    """Measure a space's held-out images, or a seeded choice of them, against its index; None without any."""
    classes = list(rows.setting(connection, "classifier", {}).get("classes", ()))
    chosen = select(func.count()).where(cases.c.status == Status.HELD_OUT, cases.c.predicted.is_not(None))
    total = int(connection.execute(chosen).scalar_one())
    if not total or not len(index):
        return None
    seed = int(rows.setting(connection, "seed", 0))
    kept = evidence.sample(total, seed)
    held, first = [], 0
    dim = view.fingerprints[space].dim
    for block in rows.stream_examined(connection, space, dim, len(classes), Status.HELD_OUT, None, view.places):
        at = kept[(kept >= first) & (kept < first + len(block.cases))] - first
        first += len(block.cases)
        if len(at):
            some = [block.cases[i] for i in at.tolist()]
            held.append(Examined(some, block.features[at], block.probabilities[at]))
    return evidence.measure(Remembered(index.rows, index.slices, relatives), held, classes, seed=seed)


def save(folder: Path, space: str, table: EvidenceTable) -> None:
    """Write a table into a folder that is being made, or beside a sealed matrix."""
    texts = {name: list(getattr(table, name)) for name in TEXTS}
    compared = None if table.compared is None else table.compared.to_dict()
    text = json.dumps({**texts, "compared": compared}).encode("ascii")
    arrays: dict[str, Any] = {name: getattr(table, name) for name in ARRAYS}
    with file_errors(folder), (folder / name_of(space)).open("wb") as file:
        np.savez(file, text=np.frombuffer(text, np.uint8), **arrays)


def load(folder: Path, space: str) -> EvidenceTable | None:
    """The table of a sealed folder; None where it is not there, or not as it was written."""
    if not matrix.sealed(folder, name_of(space)):
        return None
    try:
        with np.load(folder / name_of(space), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ARRAYS}
            text = json.loads(stored["text"].tobytes())
        compared = text.pop("compared")
        return EvidenceTable(**text, **arrays, compared=None if compared is None else _comparison(compared))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _comparison(value: dict[str, Any]) -> Comparison:
    both = {name: None if value[name] is None else Difference(**value[name]) for name in ("augrc", "brier")}
    return Comparison(value["n"], value["n_errors"], both["augrc"], both["brier"])
