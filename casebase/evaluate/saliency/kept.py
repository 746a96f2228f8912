"""What was computed before, on disk: maps and scores, so that a stopped run goes on and maps are scored anew for free.

A map is known by everything that decides it: the image's pixels, the network with its head and preprocessing, the
method, its settings and the versions of casebase and the method's library; a score also by the metric, its settings
and the mask. Torch's version is not among it, nor a change of our code between two releases: ``fresh`` is for that.
Every file is written aside and renamed, and carries a checksum: one that was cut short or altered is made anew, never
trusted. Nothing else hangs on this folder; it may be deleted at any time.

A map is kept as the method gave it, float32 and not resized: 4 bytes for each cell, so 200 bytes for a CAM of 7 x 7 and
200 kB for an attribution of 224 x 224. Scores of one map are one JSON value of a few kB.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase import hashing
from casebase.answers import finite

MAGIC = b"casebase saliency 1\n"
_DIGEST = 64
_MARK = ".part"


@dataclass(frozen=True, eq=False)
class KeptMap:
    """A raw map ``values (h, w) float32`` with what its method said of it, and how long it took."""

    values: NDArray[np.float32]
    facts: Mapping[str, Any]
    seconds: float


def plain(value: Any) -> Any:
    """A value as JSON knows it: arrays become lists, what is not finite becomes None, the rest is told as text."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    return str(value)


class Kept:
    """A folder of maps and scores. ``folder`` None keeps nothing; ``fresh`` reads nothing and replaces what is there.

    ``problem`` says why nothing can be written, or is None: a full or read-only disk stops no measurement.
    """

    def __init__(self, folder: Path | None, *, fresh: bool = False) -> None:
        self.folder = folder
        self.problem: str | None = None
        self.damaged = 0
        self._fresh = fresh

    def find_map(self, key: Mapping[str, Any]) -> KeptMap | None:
        """The map made under exactly this key, or None."""
        found = self._read(self._path(key, "map"), key)
        if found is None:
            return None
        head, data = found
        try:
            height, width = head["shape"]
            values = np.frombuffer(data, "<f4").reshape(height, width).astype(np.float32)
            return KeptMap(values, head["facts"], float(head["seconds"]))
        except (KeyError, ValueError, TypeError):
            self.damaged += 1
            return None

    def keep_map(self, key: Mapping[str, Any], found: KeptMap) -> None:
        """Remember a map; NaN stays NaN."""
        head = {"shape": list(found.values.shape), "facts": plain(found.facts), "seconds": found.seconds}
        self._write(self._path(key, "map"), key, head, np.ascontiguousarray(found.values, "<f4").tobytes())

    def find_scores(self, key: Mapping[str, Any]) -> dict[str, Any]:
        """The scores under this key by their names; empty where there are none."""
        found = self._read(self._path(key, "scores"), key)
        scores = {} if found is None else found[0].get("scores")
        return scores if isinstance(scores, dict) else {}

    def keep_scores(self, key: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
        """Remember all scores of one map; those that were there are replaced."""
        self._write(self._path(key, "scores"), key, {"scores": plain(scores)}, b"")

    def _path(self, key: Mapping[str, Any], kind: str) -> Path | None:
        if self.folder is None:
            return None
        name = hashing.of_json({"kind": kind, "key": plain(key)})
        return self.folder / name[:2] / f"{name}.{kind}"

    def _read(self, path: Path | None, key: Mapping[str, Any]) -> tuple[dict[str, Any], bytes] | None:
        if path is None or self._fresh:
            return None
        try:
            whole = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            self.damaged += 1
            return None
        body = whole[len(MAGIC) + _DIGEST + 1 :]
        digest = whole[len(MAGIC) : len(MAGIC) + _DIGEST]
        if not whole.startswith(MAGIC) or hashlib.sha256(body).hexdigest().encode() != digest:
            self.damaged += 1
            return None
        line, _, data = body.partition(b"\n")
        try:
            head = json.loads(line)
        except ValueError:
            self.damaged += 1
            return None
        return (head, data) if isinstance(head, dict) and head.get("key") == plain(key) else None

    def _write(self, path: Path | None, key: Mapping[str, Any], head: Mapping[str, Any], data: bytes) -> None:
        if path is None or self.problem is not None:
            return
        line = json.dumps({"key": plain(key), **head}, separators=(",", ":"), allow_nan=False).encode()
        body = line + b"\n" + data
        aside = path.with_name(f".{path.name}.{os.getpid()}{_MARK}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            os.replace(aside, path)
        except OSError as error:
            self.problem = f"nothing is remembered in {self.folder} ({error.strerror or type(error).__name__})"
            aside.unlink(missing_ok=True) if aside.parent.is_dir() else None
