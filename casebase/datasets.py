"""What ``casebase data`` makes: a folder of generated images, and a two-class set through one pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any


@dataclass(frozen=True, eq=False)
class Generated:
    """A folder of generated images; ``to_dict`` is schema ``casebase.generated/1``.

    ``images`` are the rows of its manifest, ``made`` how many of them this call made. ``settings`` is what they have
    in common. ``seconds`` is the time this call took to make its images, ``expected`` what it said before.
    """

    folder: Path
    manifest: Path
    images: Sequence[Mapping[str, Any]]
    made: int
    settings: Mapping[str, Any]
    seconds: float
    expected: float | None = None
    warnings: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """The object of schema ``casebase.generated/1``."""
        return {
            "schema": "casebase.generated/1",
            "synthetic": True,
            "folder": str(self.folder),
            "manifest": str(self.manifest),
            "count": len(self.images),
            "made": self.made,
            "settings": dict(self.settings),
            "images": [dict(row) for row in self.images],
            "seconds": self.seconds,
            "expected_seconds": self.expected,
            "warnings": list(self.warnings),
        }

    def _repr_html_(self) -> str:
        return _table({"folder": str(self.folder), "images": f"{len(self.images)}, {self.made} made now"})


@dataclass(frozen=True, eq=False)
class Paired:
    """A two-class set whose images all went through one pipeline; ``to_dict`` is schema ``casebase.pair/1``.

    ``counts`` are images by part and class, ``found`` and ``smaller`` by class how many images there were and how many
    of them were smaller than the size; ``left_out`` maps every file that could not be used to the reason.
    """

    folder: Path
    manifest: Path
    counts: Mapping[str, Mapping[str, int]]
    settings: Mapping[str, Any]
    found: Mapping[str, int]
    smaller: Mapping[str, int]
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """The object of schema ``casebase.pair/1``."""
        return {
            "schema": "casebase.pair/1",
            "folder": str(self.folder),
            "manifest": str(self.manifest),
            "counts": {part: dict(by_class) for part, by_class in self.counts.items()},
            "settings": dict(self.settings),
            "found": dict(self.found),
            "smaller": dict(self.smaller),
            "left_out": [{"path": path, "reason": reason} for path, reason in self.left_out.items()],
            "warnings": list(self.warnings),
        }

    def _repr_html_(self) -> str:
        told = {part: ", ".join(f"{n} {label}" for label, n in of.items()) for part, of in self.counts.items()}
        return _table({"folder": str(self.folder), **told})


def _table(rows: Mapping[str, str]) -> str:
    cells = "".join(f"<tr><th scope='row'>{escape(name)}<td>{escape(value)}" for name, value in rows.items())
    return f"<table>{cells}</table>"
