"""One look at every file of a set: its header, its hashes and a miniature, from a single read and a single decoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase import file_facts, reading
from casebase.data_audit import MINI_SIDE, Seen, Survey
from casebase.errors import ImageError
from casebase.file_facts import FileFacts
from casebase.indexer.batches import chunked, in_order
from casebase.indexer.service import Progress
from casebase.indexer.sources import Listed, Source

PIECE = 16
"""Files a thread reads before it hands them over."""

Mini = NDArray[np.uint8]


def survey(
    source: Source,
    *,
    workers: int = 1,
    megapixels: float = reading.DEFAULT_MEGAPIXELS,
    progress: Progress = lambda done, total, skipped: None,
) -> Survey:
    """Read and decode every listed file once, on ``workers`` threads, in the source's order.

    Kept of a picture are 1 KB of pixels and its hashes. Files that cannot be read stand there with the reason.
    """
    minis = np.empty((len(source.listed), MINI_SIDE, MINI_SIDE), np.uint8)  # memory comes where something is written
    seen: list[Seen] = []
    rows = 0
    for one, mini in _read(source, workers, megapixels):
        if mini is None:
            seen.append(one)
        else:
            minis[rows] = mini
            seen.append(replace(one, row=rows))
            rows += 1
        if len(seen) % PIECE == 0 or len(seen) == len(source.listed):
            progress(len(seen), len(source.listed), len(seen) - rows)
    return Survey(source.root, seen, minis[:rows], source.refused, source.notes)


def _read(source: Source, workers: int, megapixels: float) -> Iterator[tuple[Seen, Mini | None]]:
    def work(piece: Sequence[Listed]) -> list[tuple[Seen, Mini | None]]:
        return [_look(source, image, megapixels) for image in piece]

    for piece in in_order(work, chunked(source.listed, PIECE), workers):
        yield from piece


def _look(source: Source, image: Listed, megapixels: float) -> tuple[Seen, Mini | None]:
    held: list[FileFacts] = []

    def glance(opened: Image.Image, data: bytes) -> None:
        held.append(file_facts.of_opened(opened, data))

    def listed(refused: str | None = None) -> Seen:
        return Seen(
            image.relative, image.label, image.split, image.group, held[0] if held else None, refused
        )  # fmt: skip

    try:
        picture = reading.read(source.root / image.relative, megapixels=megapixels, glance=glance)
    except ImageError as error:
        return listed(str(error)), None
    found = replace(
        listed(), sha256=picture.sha256, pixel_hash=picture.pixel_hash, look_hash=picture.look_hash
    )  # fmt: skip
    return found, _mini(picture.image)


def _mini(image: Image.Image) -> Mini:
    """``(32, 32) uint8`` in grey, smoothed, so that the same picture in another size gives nearly the same."""
    small = image.resize((MINI_SIDE, MINI_SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small.convert("L"), dtype=np.uint8)
