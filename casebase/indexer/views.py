"""Images as a network is to see them, for training: kept in memory up to a limit, beyond it decoded when asked for.

Every image is decoded once at the start: that finds the unreadable ones, names the exact copies, and fills the memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casebase import reading
from casebase.errors import DataError, ImageError
from casebase.indexer.batches import chunked, in_order
from casebase.indexer.service import Progress
from casebase.indexer.sources import Listed, Source
from casebase.reading import Preprocess, printable

PIECE = 8
"""Images a thread decodes before it hands them over."""


@dataclass(frozen=True, slots=True)
class Seeing:
    """How to look: ``megabytes`` of views are kept in memory, ``workers`` threads decode, as ``preprocess`` says."""

    preprocess: Preprocess
    workers: int = 1
    megabytes: int = 1024
    megapixels: float = reading.DEFAULT_MEGAPIXELS


class Views:
    """Views ``(H, W, 3) uint8`` by row number: the first ``len(kept)`` from memory, the others decoded when asked for.

    A file that has vanished or changed since it was looked through raises ``DataError``.
    """

    def __init__(
        self, files: Sequence[Path], hashes: Sequence[str], kept: NDArray[np.uint8], seeing: Seeing,
        rows: NDArray[np.intp] | None = None,
    ) -> None:  # fmt: skip
        self._files, self._hashes, self._kept, self._seeing = files, hashes, kept, seeing
        self._rows = np.arange(len(files)) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: NDArray[np.intp], /) -> NDArray[np.uint8]:
        """The views ``(n, H, W, 3) uint8`` of these rows, in their order."""
        wanted = self._rows[rows]
        out = np.empty((len(wanted), *self._seeing.preprocess.crop, 3), np.uint8)
        here = wanted < len(self._kept)
        out[here] = self._kept[wanted[here]]
        if not here.all():
            out[~here] = self._decoded(wanted[~here])
        return out

    @property
    def in_memory(self) -> int:
        """How many of these views are kept in memory."""
        return int((self._rows < len(self._kept)).sum())

    def only(self, rows: Sequence[int]) -> Views:
        """Some of these views, as views of their own; nothing is copied."""
        return Views(self._files, self._hashes, self._kept, self._seeing, self._rows[np.asarray(rows, np.intp)])

    def _decoded(self, wanted: NDArray[np.intp]) -> NDArray[np.uint8]:
        pieces = in_order(
            lambda piece: [self._view(place) for place in piece], chunked(wanted.tolist(), PIECE), self._seeing.workers
        )
        return np.stack([view for piece in pieces for view in piece])

    def _view(self, place: int) -> NDArray[np.uint8]:
        path = self._files[place]
        try:
            picture = reading.read(path, megapixels=self._seeing.megapixels)
        except ImageError as error:
            raise DataError(
                f"{printable(str(path))} could be read when training began, and now not ({error}); "
                "put it back, or train anew"
            ) from None
        if picture.pixel_hash != self._hashes[place]:
            raise DataError(f"{printable(str(path))} has changed since training began; put it back, or train anew")
        return self._seeing.preprocess.pixels(picture.image)


@dataclass(frozen=True, eq=False)
class Looked:
    """What a look through a source found: usable images in their order, what each one's pixels are called, the rest."""

    listed: Sequence[Listed]
    hashes: Sequence[str]
    views: Views
    refused: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Decoded:
    """Files that were decoded once: the rows of those that can be used, the names of their pixels, and their views.

    ``refused`` says of the other rows why.
    """

    rows: Sequence[int]
    hashes: Sequence[str]
    views: Views
    refused: Mapping[int, str]


def decode(
    files: Sequence[Path], seeing: Seeing, progress: Progress = lambda done, total, skipped: None,
    expected: Sequence[str] | None = None,
) -> Decoded:  # fmt: skip
    """Decode every file once; with ``expected`` names of pixels, those that show others now are refused too."""
    height, width = seeing.preprocess.crop
    most = min(len(files), seeing.megabytes * 1_000_000 // (height * width * 3))
    kept = np.empty((most, height, width, 3), np.uint8)  # the system gives memory only where something is written
    good: list[int] = []
    hashes: list[str] = []
    refused: dict[int, str] = {}
    done = 0

    def seen(piece: Sequence[int]) -> list[tuple[int, str, NDArray[np.uint8] | None]]:
        """Each row with the name of its pixels and its view; or with the reason why there is none."""
        found: list[tuple[int, str, NDArray[np.uint8] | None]] = []
        for row in piece:
            try:
                picture = reading.read(files[row], megapixels=seeing.megapixels)
                if expected is not None and picture.pixel_hash != expected[row]:
                    raise ImageError("changed since it was indexed; run `casebase index` again")
                found.append((row, picture.pixel_hash, seeing.preprocess.pixels(picture.image)))
            except ImageError as error:
                found.append((row, str(error), None))
        return found

    for piece in in_order(seen, chunked(range(len(files)), PIECE), seeing.workers):
        for row, name, view in piece:
            if view is None:
                refused[row] = name
                continue
            if len(good) < most:
                kept[len(good)] = view
            good.append(row)
            hashes.append(name)
        done += len(piece)
        progress(done, len(files), len(refused))
    return Decoded(good, hashes, Views([files[row] for row in good], hashes, kept[: len(good)], seeing), refused)


def look_through(
    source: Source, listed: Sequence[Listed], seeing: Seeing, progress: Progress = lambda done, total, skipped: None
) -> Looked:
    """Decode every image once; raises ``DataError`` if none can be used."""
    found = decode([source.root / image.relative for image in listed], seeing, progress)
    refused = {listed[row].relative: reason for row, reason in found.refused.items()}
    if not found.rows:
        path, reason = next(iter(refused.items()))
        raise DataError(f"none of {len(listed)} images can be used; the first, {printable(path)}: {reason}")
    return Looked([listed[row] for row in found.rows], found.hashes, found.views, refused)
