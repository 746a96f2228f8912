"""What every part of the store shares: the database as the truth, and one generation of it as opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any

from sqlalchemy import Engine

from casebase.cases import Case, Fingerprint
from casebase.evidence import EvidenceTable
from casebase.storage import rows
from casebase.storage.chroma import ChromaIndex, folder_name
from casebase.storage.matrix import ExactIndex
from casebase.storage.translate import sql_errors
from casebase.storage.yardstick import Yardstick


class Truth:
    """The database of a case base and where its derived indexes belong."""

    def __init__(self, engine: Engine, folder: Path, *, readonly: bool, chroma_url: str | None = None) -> None:
        self.engine = engine
        self.folder = folder
        self.readonly = readonly
        self.chroma_url = chroma_url

    def setting(self, name: str) -> Any:
        """A stored setting, or None."""
        with sql_errors(str(self.folder)), self.engine.connect() as connection:
            return rows.setting(connection, name)


@dataclass
class View:
    """One generation as opened: what SQL said of it, and its indexes, opened when first needed."""

    generation: int
    digest: str
    fingerprints: Mapping[str, Fingerprint]
    audits: Mapping[str, Mapping[str, Any]]
    classes: Mapping[str, int]
    places: Mapping[int, Path]
    matrix: Path
    exact: dict[str, ExactIndex] = field(default_factory=dict)
    yardsticks: dict[str, Yardstick] = field(default_factory=dict)
    evidence: dict[str, EvidenceTable | None] = field(default_factory=dict)
    chroma: ChromaIndex | None = None
    chroma_problem: str | None = None
    healed: str | None = None
    cases: dict[str, Case] = field(default_factory=dict)
    lock: RLock = field(default_factory=RLock)


def matrix_place(folder: Path, generation: int, digest: str) -> Path:
    """Where the matrix of a generation lies."""
    return folder / "matrix" / folder_name(generation, digest)
