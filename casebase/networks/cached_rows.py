"""Rows of numbers that were costly to make, in a file: bounded memory, and a killed process goes on where it was.

What is written: ``NAME.rows`` (the numbers, row after row), ``NAME.done`` (one byte a row, 1 once it is there) and
``NAME.json`` (what they were made of). A row's numbers reach the disk before its byte does.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase.errors import ModelError
from casebase.reading import printable

Rows = NDArray[np.intp]


class CachedRows:
    """``shape[0]`` rows of ``shape[1:]`` numbers of ``dtype`` in ``folder``: float16, float32 or uint8.

    ``key`` holds everything that decides the numbers, as JSON: what another key, shape or dtype has left there is
    begun anew. Rows come out as float32 whatever they are kept in; float16 halves the file and keeps 11 bits. One
    process at a time. Raises ``ModelError`` where the folder cannot be written.
    """

    def __init__(
        self, folder: Path, name: str, shape: tuple[int, ...], key: Mapping[str, Any], dtype: str = "float32"
    ) -> None:
        self._folder, self._name, self._shape, self._dtype = folder, name, tuple(shape), np.dtype(dtype)
        self._width = math.prod(self._shape[1:]) * self._dtype.itemsize
        self._read: NDArray[Any] | None = None
        told = json.dumps({"key": dict(key), "shape": list(self._shape), "dtype": self._dtype.name}, sort_keys=True)
        try:
            if not self._whole(told):
                self._begin(told)
            self._done = np.frombuffer(self._path("done").read_bytes(), np.uint8).copy()
        except OSError as error:
            raise self._refused(error) from None

    def __len__(self) -> int:
        return self._shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, and the shape of one."""
        return self._shape

    def missing(self) -> Rows:
        """The rows that are not there yet, in order."""
        return np.flatnonzero(self._done == 0)

    def put(self, rows: Rows, block: NDArray[Any]) -> None:
        """Write ``block (len(rows), *shape[1:])``; once this returns, a kill does not lose it.

        Raises ``ModelError`` where a number is NaN, infinite or beyond what the dtype holds.
        """
        if block.shape != (len(rows), *self._shape[1:]):
            raise ModelError(f"rows of shape {self._shape[1:]} are kept here, not {block.shape[1:]}")
        with np.errstate(over="ignore"):
            kept = np.ascontiguousarray(block, self._dtype)
        if not np.isfinite(kept).all():
            raise ModelError(
                f"the {printable(self._name)} of an image are not finite, or too large for {self._dtype.name}: "
                "leave that image out, or read the network in fp32"
            )
        try:
            with self._path("rows").open("rb+") as file:
                for at, row in zip(rows.tolist(), kept, strict=True):
                    file.seek(at * self._width)
                    file.write(row.tobytes())
                file.flush()
                os.fsync(file.fileno())
            with self._path("done").open("rb+") as file:
                for at in rows.tolist():
                    file.seek(at)
                    file.write(b"\x01")
        except OSError as error:
            raise self._refused(error) from None
        self._done[rows] = 1

    def rows(self, index: Rows) -> NDArray[np.float32]:
        """The rows ``(len(index), *shape[1:])`` as float32, read from the file; raises ``ModelError`` for missing ones.

        ``index`` may repeat rows and be in any order.
        """
        if len(index) and not self._done[index].all():
            raise ModelError(f"{int((self._done[index] == 0).sum())} of the rows asked for were never written")
        if self._read is None:
            if math.prod(self._shape) == 0:
                return np.zeros((len(index), *self._shape[1:]), np.float32)
            try:
                self._read = np.memmap(self._path("rows"), self._dtype, "r", shape=self._shape)
            except OSError as error:
                raise self._refused(error) from None
        return np.asarray(self._read[index], np.float32)

    def remove(self) -> None:
        """Take the files away."""
        self._read = None
        for kind in ("json", "done", "rows"):  # what says that the rest is whole goes first
            self._path(kind).unlink(missing_ok=True)

    def _whole(self, told: str) -> bool:
        try:
            same = self._path("json").read_text("utf-8") == told
            return (
                same
                and self._path("rows").stat().st_size == self._shape[0] * self._width
                and self._path("done").stat().st_size == self._shape[0]
            )
        except (FileNotFoundError, UnicodeDecodeError):
            return False

    def _begin(self, told: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.remove()
        for kind, size in (("rows", self._shape[0] * self._width), ("done", self._shape[0])):
            with self._path(kind).open("wb") as file:
                file.truncate(size)
        aside = self._folder / f".{self._name}.json.{os.getpid()}"
        aside.write_text(told, "utf-8")
        aside.replace(self._path("json"))

    def _path(self, kind: str) -> Path:
        return self._folder / f"{self._name}.{kind}"

    def _refused(self, error: OSError) -> ModelError:
        return ModelError(
            f"the {printable(self._name)} cannot be cached in {printable(str(self._folder))} "
            f"({error.strerror or error}); make room there, and the same command goes on from what was kept"
        )
