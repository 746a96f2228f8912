"""Exact search: a memory-mapped matrix of unit vectors derived from SQL, sorted by (predicted, label, id).

A predicted class is one slice, so a class-filtered list costs only its own rows. One product of matrix and query
serves every list of an answer. The folder's name carries generation and digest; any other name is never answered from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casebase.distance import Matrix as Rows
from casebase.distance import Vector, cosine, weighted_cosine
from casebase.errors import StorageFailed
from casebase.storage import files
from casebase.storage.translate import file_errors

SLACK = np.float32(4e-6)
"""Candidates within this similarity of the k-th stay in: float32 sums differ by about 1e-7, exact order follows."""
BLOCK = 8192
FEW = 4
"""Rows picked one by one cost a few times a row of a scan; above this share of a list it is scanned."""
SHARED = ("keys.npz", "classes.json")
SEAL = "seal.json"
_ID = np.dtype("S16")


@dataclass(frozen=True, eq=False)
class Keys:
    """Row numbers, ids and class codes of all active cases, in any order; ``classes`` in sorted order."""

    rows: NDArray[np.int64]
    ids: NDArray[np.bytes_]
    predicted: NDArray[np.int32]
    labels: NDArray[np.int32]
    classes: Sequence[str]

    def order(self) -> NDArray[np.int64]:
        """The sorting permutation: predicted, then label, then id."""
        return np.lexsort((self.ids, self.labels, self.predicted))


def write(folder: Path, space: str, keys: Keys, vectors: Iterable[tuple[NDArray[np.int64], Rows]], dim: int) -> None:
    """Write one space's matrix into ``folder``; ``vectors`` yields (row numbers, unit vectors (n, D)) in any order.

    Memory: the keys and one chunk; vectors go straight to their place in the file.
    """
    order = keys.order()
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    by_row = np.argsort(keys.rows)
    width = dim * 4
    with file_errors(folder):
        handle = os.open(folder / f"{space}.f32", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.ftruncate(handle, len(order) * width)
            written = 0
            for rows, chunk in vectors:
                at = by_row[np.searchsorted(keys.rows, rows, sorter=by_row)]
                for position, vector in zip(place[at].tolist(), chunk, strict=True):
                    os.pwrite(handle, vector.astype("<f4").tobytes(), position * width)
                written += len(rows)
        finally:
            os.close(handle)
    if written != len(order):
        raise StorageFailed(
            f"{written} of {len(order)} vectors of {space!r} are in cases.db; run `casebase verify --deep`"
        )


def write_keys(folder: Path, keys: Keys) -> None:
    """Write what all spaces of a generation share: ids and class codes in matrix order."""
    order = keys.order()
    with file_errors(folder):
        np.savez(
            folder / "keys.npz",
            rows=keys.rows[order],
            ids=keys.ids[order].astype(_ID),
            predicted=keys.predicted[order],
            labels=keys.labels[order],
            by_id=np.argsort(keys.ids[order], kind="stable"),
        )
        (folder / "classes.json").write_text(json.dumps(list(keys.classes)), encoding="utf-8")


def seal(folder: Path) -> None:
    """Record the checksums of a finished folder in it: bits that turn over later are found before an answer."""
    with file_errors(folder):
        sums = {path.name: files.checksum(path) for path in sorted(folder.iterdir())}
        (folder / SEAL).write_text(json.dumps(sums), encoding="utf-8")


def sealed(folder: Path, name: str) -> bool:
    """Whether a file is in the folder's seal and as it was written."""
    try:
        size, crc = json.loads((folder / SEAL).read_text(encoding="utf-8"))[name]
        return files.checksum(folder / name) == (size, crc)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def add_to_seal(folder: Path, name: str) -> None:
    """Seal one more file of a sealed folder; what the others should be stays as it was recorded."""
    with file_errors(folder):
        sums = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        files.write(folder / SEAL, json.dumps({**sums, name: files.checksum(folder / name)}).encode("utf-8"))


def check(folder: Path, space: str, *, whole: bool = False) -> None:
    """Compare a space's files with the seal; the vectors only by size, unless ``whole``. Raises ``StorageFailed``."""
    vectors = f"{space}.f32"
    try:
        sums = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        for name in (*SHARED, f"{space}.yardstick.npz", vectors):
            size, crc = sums[name]
            path = folder / name
            if path.stat().st_size != size or ((whole or name != vectors) and files.checksum(path) != (size, crc)):
                raise ValueError(f"{name} is not as it was written")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageFailed(
            f"the exact index at {folder} is damaged ({_plainly(error)}); run `casebase repair`"
        ) from error


def _plainly(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{Path(str(error.filename)).name} is missing"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)


def classes_of(folder: Path) -> list[str]:
    """Class names of a written generation; their places are the codes in its keys."""
    return [str(name) for name in json.loads((folder / "classes.json").read_text(encoding="utf-8"))]


def rows_of(folder: Path) -> list[int]:
    """Row numbers of a written generation, in the order of its matrix."""
    with np.load(folder / "keys.npz", allow_pickle=False) as stored:
        return [int(number) for number in stored["rows"]]


class ExactIndex:
    """One space of one generation, opened for search."""

    def __init__(self, folder: Path, space: str, dim: int) -> None:
        try:
            with np.load(folder / "keys.npz", allow_pickle=False) as keys:
                self.ids: NDArray[np.bytes_] = keys["ids"]
                self._predicted = keys["predicted"]
                self._by_id = keys["by_id"]
            names = classes_of(folder)
            size = (folder / f"{space}.f32").stat().st_size
            if size != len(self.ids) * dim * 4:
                raise ValueError(f"{size} bytes for {len(self.ids)} rows")
            self.rows: Rows = (
                np.memmap(folder / f"{space}.f32", dtype="<f4", mode="r", shape=(len(self.ids), dim))
                if len(self.ids)
                else np.empty((0, dim), dtype=np.float32)
            )
        except (OSError, ValueError, KeyError) as error:
            raise StorageFailed(f"the exact index at {folder} is damaged ({error}); run `casebase repair`") from error
        starts = np.searchsorted(self._predicted, np.arange(len(names) + 1))
        self.slices = {name: slice(int(starts[i]), int(starts[i + 1])) for i, name in enumerate(names)}
        self._last: tuple[bytes, bytes, NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def positions(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Row positions of ids; -1 where there is none."""
        wanted = np.array([i.encode() for i in ids], dtype=_ID)
        if not len(self.ids):
            return np.full(len(wanted), -1, dtype=np.int64)
        at = np.searchsorted(self.ids, wanted, sorter=self._by_id)
        found = self._by_id[np.minimum(at, len(self.ids) - 1)]
        return np.where(self.ids[found] == wanted, found, -1)

    def search(
        self,
        query: Vector,
        k: int,
        classes: Sequence[str] | None,
        inside: tuple[Vector, float] | None,
        weights: Vector | None,
    ) -> list[tuple[str, float]]:
        """The ``k`` nearest (id, distance) in order of (distance, id); ``classes`` by predicted class, None for all.

        ``inside`` keeps only rows strictly nearer to a second vector than a radius. ``query`` is (D,) of any length.
        """
        slices = [self.slices[c] for c in classes if c in self.slices] if classes is not None else [slice(0, len(self))]
        positions = np.concatenate([np.arange(s.start, s.stop) for s in slices] or [np.empty(0, np.int64)])
        if not len(positions):
            return []
        if inside is None:
            near = self._similar(query, weights, slices)
        else:
            held = self._inside(positions, self._similar(inside[0], weights, slices), *inside, weights)
            few = FEW * np.count_nonzero(held) < len(positions)
            positions = positions[held]
            near = (
                _scores(np.asarray(self.rows[positions]), query, weights)
                if few
                else self._similar(query, weights, slices)[held]
            )
        if k < len(positions):
            kth = np.partition(near, len(near) - k)[len(near) - k]
            positions = positions[near >= kth - SLACK]
        distances = self._exact(positions, query, weights)
        ranked = sorted(zip(distances.tolist(), self.ids[positions].tolist(), strict=True))[:k]
        return [(name.decode(), distance) for distance, name in ranked]

    def _exact(self, positions: NDArray[np.int64], query: Vector, weights: Vector | None) -> NDArray[np.float64]:
        rows = np.asarray(self.rows[positions])
        return cosine(rows, query) if weights is None else weighted_cosine(rows, query, weights)

    def _inside(
        self, positions: NDArray[np.int64], similar: NDArray[np.float32], centre: Vector, radius: float,
        weights: Vector | None,
    ) -> NDArray[np.bool_]:  # fmt: skip
        """Which rows are strictly nearer to ``centre`` than ``radius``; those at the edge are looked at exactly."""
        held: NDArray[np.bool_] = similar > 1.0 - radius + SLACK
        edge = np.flatnonzero(~held & (similar > 1.0 - radius - SLACK))
        if len(edge):
            held[edge] = self._exact(positions[edge], centre, weights) < radius
        return held

    def _similar(self, query: Vector, weights: Vector | None, slices: Sequence[slice]) -> NDArray[np.float32]:
        """Similarities to the query in the rows of ``slices``, one after the other.

        Those of all rows are remembered, since one answer asks for several lists of them; another query's slices are
        read alone and do not push them out.
        """
        key = (query.tobytes(), b"" if weights is None else weights.tobytes())
        if self._last is not None and self._last[:2] == key:
            return np.concatenate([self._last[2][part] for part in slices])
        if sum(part.stop - part.start for part in slices) < len(self):
            return np.concatenate([_scores(self.rows[part], query, weights) for part in slices])
        self._last = (*key, _scores(self.rows, query, weights))
        return np.concatenate([self._last[2][part] for part in slices])


def _scores(rows: Rows, query: Vector, weights: Vector | None) -> NDArray[np.float32]:
    """Similarities ``(n,)`` of rows ``(n, D)`` to a query, as quick as they can be had."""
    if weights is None:
        direction = query / np.float32(max(float(np.linalg.norm(query)), 1e-30))
        return np.asarray(rows @ direction.astype(np.float32))
    squared = weights.astype(np.float32) ** 2
    weighted = query.astype(np.float32) * squared
    length = np.float32(np.linalg.norm(query * weights))
    out = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), BLOCK):
        block = np.asarray(rows[start : start + BLOCK])
        norms = np.sqrt(np.square(block) @ squared) * length
        out[start : start + BLOCK] = np.divide(block @ weighted, norms, out=np.zeros_like(norms), where=norms > 0)
    return out
