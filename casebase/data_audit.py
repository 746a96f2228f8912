"""The words of an audit of a data set before any training: what was seen in its files, and what is wrong with them.

``Survey`` is what one look at every file gives; ``DataAudit`` what was found in it: can the class be told from the
files alone, which pictures stand there twice, what cannot be read, how are classes and groups spread over the splits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from casebase.answers import finite
from casebase.evaluations import Measured, Table
from casebase.explanations import Level, Statement
from casebase.file_facts import FileFacts

SCHEMA = "casebase.data-audit/1"
SURE = 0.88
"""Pictures less alike than this are one photograph only perhaps."""
MINI_SIDE = 32
"""Side of the grey miniature that is kept of every picture, in pixels."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One file as it was listed and read. ``row`` is its miniature's, None where ``refused`` says why there is none."""

    relative: str
    label: str
    split: str | None
    group: str | None
    facts: FileFacts | None
    refused: str | None = None
    sha256: str = ""
    pixel_hash: str = ""
    look_hash: int = 0
    row: int | None = None


@dataclass(frozen=True, eq=False)
class Survey:
    """Every file of a set, each read and decoded once. ``minis (n, 32, 32) uint8`` are the pictures in grey.

    ``unlisted`` are files that belong to no class or have a format that is not read, with the reason.
    """

    root: Path
    seen: Sequence[Seen]
    minis: NDArray[np.uint8]
    unlisted: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def pictures(self) -> list[Seen]:
        """Those that could be decoded, in the order of their miniatures."""
        return [one for one in self.seen if one.row is not None]


@dataclass(frozen=True, slots=True)
class Attribute:
    """How often the class is told by one attribute of the files alone; ``p`` against always naming the largest."""

    name: str
    accuracy: Measured
    p: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name, "accuracy": finite(self.accuracy.value), "accuracy_low": finite(self.accuracy.low),
            "accuracy_high": finite(self.accuracy.high), "p": self.p,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class LeakTest:
    """Can the class be told from the files without looking at the pictures?

    ``accuracy`` and ``balanced`` are those of a tree on images it did not learn from, ``majority`` and ``chance``
    what always naming the largest class gives, ``p`` and ``balanced_p`` how often chance would do as well.
    ``by_density`` says that nothing is left of an ``alarm`` without the bytes per pixel, which content moves too.
    ``impossible`` says why there is no test.
    """

    impossible: str | None = None
    n: int = 0
    classes: Sequence[str] = ()
    folds: int = 0
    grouped: bool = False
    majority: float = 0.0
    accuracy: Measured = field(default_factory=lambda: Measured(None))
    p: float = 1.0
    chance: float = 0.0
    balanced: float = 0.0
    balanced_p: float = 1.0
    alarm: bool = False
    by_density: bool = False
    attributes: Sequence[Attribute] = ()
    without_density: Attribute | None = None
    rules: Sequence[str] = ()
    left_out: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON; only the reason where there is no test."""
        if self.impossible is not None:
            return {"impossible": self.impossible, "alarm": False}
        return {
            "impossible": None,
            "alarm": self.alarm, "by_density": self.by_density, "n": self.n, "classes": list(self.classes),
            "folds": self.folds,
            "grouped": self.grouped, "majority": self.majority, "accuracy": finite(self.accuracy.value),
            "accuracy_low": finite(self.accuracy.low), "accuracy_high": finite(self.accuracy.high), "p": self.p,
            "chance": self.chance, "balanced_accuracy": self.balanced, "balanced_p": self.balanced_p,
            "attributes": [one.to_dict() for one in self.attributes],
            "without_density": None if self.without_density is None else self.without_density.to_dict(),
            "rules": list(self.rules), "left_out": list(self.left_out),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures (places in ``Survey.pictures``) that are one photograph.

    ``kind`` is ``bytes``, ``pixels``, ``near`` or ``crop``; ``bits`` how many of 64 the look hashes differ in;
    ``alike`` the correlation of the aligned pictures in [-1, 1], freed of what all pictures of the set share;
    ``box`` (left, top, right, bottom) the part of ``other`` that ``one`` shows, as shares of its sides;
    ``embedding`` the distance of the embeddings (1 - cosine), where a network was given.
    """

    one: int
    other: int
    kind: str
    bits: int
    alike: float
    box: tuple[float, float, float, float] | None = None
    embedding: float | None = None


@dataclass(frozen=True, eq=False)
class CopyGroup:
    """Pictures of one photograph: everything that pairs join. The first pair is the least alike."""

    members: Sequence[Seen]
    pairs: Sequence[Pair]
    kind: str
    labels: Sequence[str]
    splits: Sequence[str]

    @property
    def across_classes(self) -> bool:
        """Whether one photograph has two labels."""
        return len(self.labels) > 1

    @property
    def sure(self) -> bool:
        """Whether even the least alike pair leaves no doubt."""
        return self.pairs[0].alike >= SURE

    @property
    def across_splits(self) -> bool:
        """Whether one photograph stands in two splits."""
        return len(self.splits) > 1

    def to_dict(self) -> dict[str, Any]:
        """As JSON; pairs name files."""
        return {
            "kind": self.kind, "labels": list(self.labels), "splits": list(self.splits),
            "across_classes": self.across_classes, "across_splits": self.across_splits, "sure": self.sure,
            "images": [{"path": one.relative, "label": one.label, "split": one.split} for one in self.members],
            "pairs": [pair_dict(pair, self.members) for pair in self.pairs],
        }  # fmt: skip


def pair_dict(pair: Pair, members: Sequence[Seen]) -> dict[str, Any]:
    """A pair as JSON, with the paths of its pictures, which are among ``members``."""
    path = {one.row: one.relative for one in members}
    return {
        "one": path[pair.one], "other": path[pair.other], "kind": pair.kind, "bits": pair.bits,
        "alike": finite(pair.alike), "box": None if pair.box is None else list(pair.box),
        "embedding_distance": None if pair.embedding is None else finite(pair.embedding),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One sentence with its figure and what to do. ``serious`` ones fail a pipeline under ``--strict``."""

    key: str
    text: str
    level: Level

    @property
    def serious(self) -> bool:
        """Whether figures of a network trained on this set would mislead."""
        return self.level is Level.ALARM

    @property
    def statement(self) -> Statement:
        """The finding as a sentence of a page."""
        return Statement(self.text, self.level)


class DataAuditWriter(Protocol):
    """An audit as a page somebody can look at."""

    def save(self, audit: DataAudit, target: Path) -> Path:
        """Write one self-contained page and return its path; raises ``StorageFailed``."""
        ...

    def inline(self, audit: DataAudit) -> str:
        """The page as HTML for a notebook cell."""
        ...


@dataclass(frozen=True, eq=False)
class DataAudit:
    """Everything an audit found, worst first; ``groups`` across classes come first, then those across splits."""

    data: str
    root: Path
    n: int
    findings: Sequence[AuditFinding]
    leak: LeakTest
    groups: Sequence[CopyGroup]
    unreadable: Mapping[str, str]
    odd: Mapping[str, Sequence[str]]
    balance: Mapping[str, Mapping[str, int]]
    shared_groups: Mapping[str, Mapping[str, int]]
    tables: Sequence[Table]
    settings: Mapping[str, Any]
    writer: DataAuditWriter | None = field(default=None, repr=False)

    @property
    def serious(self) -> bool:
        """Whether any finding is serious."""
        return any(one.serious for one in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Schema ``casebase.data-audit/1``."""
        return {
            "schema": SCHEMA, "data": self.data, "images": self.n, "serious": self.serious,
            "findings": [
                {"key": one.key, "text": one.text, "level": str(one.level), "serious": one.serious}
                for one in self.findings
            ],
            "leak": self.leak.to_dict(), "copies": [group.to_dict() for group in self.groups],
            "unreadable": [{"path": path, "reason": reason} for path, reason in self.unreadable.items()],
            "odd": {kind: list(paths) for kind, paths in self.odd.items()},
            "balance": {split: dict(counts) for split, counts in self.balance.items()},
            "groups_across_splits": {group: dict(counts) for group, counts in self.shared_groups.items()},
            "settings": dict(self.settings),
        }  # fmt: skip

    def save(self, target: str | Path) -> Path:
        """Write the audit as one self-contained HTML page and return its path."""
        return self._held().save(self, Path(target))

    def _repr_html_(self) -> str:
        """The page in a notebook cell."""
        return self._held().inline(self)

    def _held(self) -> DataAuditWriter:
        if self.writer is None:
            raise ValueError("this audit came without a writer; get it from casebase.audit_data(…)")
        return self.writer
