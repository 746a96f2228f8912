"""Cases: what one remembered image is, where it came from, and under which network it was read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from casebase import hashing


class Status(StrEnum):
    """Where a case stands.

    PENDING is stored and not yet answered from; ACTIVE is a case; HELD_OUT has a vector and a prediction but is never
    an answer (validation and test images: the yardstick of percentiles); WITHDRAWN has vanished from its source.
    """

    PENDING = "pending"
    ACTIVE = "active"
    HELD_OUT = "held_out"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class SourceImage:
    """What a source yields, before any network has seen it. ``relative`` is a POSIX path below the source's root."""

    id: str
    path: Path
    relative: str
    label: str
    split: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One image as remembered. ``label`` is the ground truth, ``predicted`` what the explained network says.

    ``path`` is relative to the root of its source, ``file`` where the pixels are on this machine now.
    ``pixel_hash`` is equal for exact copies, ``look_hash`` close for the same photograph encoded anew.
    """

    id: str
    path: str
    file: Path
    label: str
    predicted: str
    confidence: float
    split: str | None
    group: str | None
    pixel_hash: str
    look_hash: int
    status: Status = Status.ACTIVE

    @property
    def disputed(self) -> bool:
        """Whether the network calls this case something other than its label."""
        return self.label != self.predicted

    def to_dict(self) -> dict[str, Any]:
        """The case as JSON."""
        return {
            "id": self.id,
            "path": self.path,
            "label": self.label,
            "predicted": self.predicted,
            "confidence": self.confidence,
            "split": self.split,
            "group": self.group,
            "status": str(self.status),
            "file_exists": self.file.exists(),
            "pixel_hash": self.pixel_hash,
        }


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Everything that decides a vector: a difference in any field makes two vectors incomparable.

    ``weights`` and ``preprocess`` are hashes; ``precision`` is ``fp32`` or ``bf16``; ``metric`` is ``cosine``.
    """

    backbone: str
    weights: str
    preprocess: str
    precision: str
    dim: int
    metric: str = "cosine"

    @property
    def short(self) -> str:
        """16 hexadecimal digits of all fields."""
        return hashing.of_json(asdict(self))

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """The fingerprint written by :meth:`to_dict`."""
        return cls(**value)

    def differences(self, other: Fingerprint) -> list[str]:
        """The fields in which two fingerprints differ, as readable text."""
        mine, theirs = asdict(self), asdict(other)
        return [f"{name}: {mine[name]} / {theirs[name]}" for name in mine if mine[name] != theirs[name]]
