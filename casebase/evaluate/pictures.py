"""Images of a base read again from the disk, for what stored vectors cannot tell: other networks, changed pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase import reading
from casebase.cases import Case
from casebase.errors import ImageError
from casebase.ports import Embedder, Reading

Views = NDArray[np.uint8]
Progress = Callable[[int, int, int], None]
"""Called with (done, total, skipped) forward passes."""


@dataclass
class Missing:
    """Images that could not be read again: ``gone`` have no readable file, ``altered`` hold other pixels now."""

    gone: int = 0
    altered: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.gone + self.altered

    def told(self) -> str | None:
        """The counts as a half sentence, or None where nothing is missing."""
        parts = [f"{self.gone} without a readable file"] if self.gone else []
        parts += [f"{self.altered} whose pixels have changed since they were indexed"] if self.altered else []
        return " and ".join(parts) or None


@dataclass
class Tally:
    """Counts forward passes towards ``total`` and tells ``progress``."""

    total: int
    progress: Progress
    done: int = 0
    skipped: int = 0

    def add(self, passes: int, skipped: int = 0) -> None:
        """``passes`` more are done, ``skipped`` of them without a network."""
        self.done += passes
        self.skipped += skipped
        self.progress(min(self.done, self.total), self.total, self.skipped)


@dataclass(frozen=True, slots=True)
class Disk:
    """How images are read again: of how many megapixels at most, and what counts the forward passes."""

    megapixels: float
    tally: Tally


def again(cases: Sequence[Case], megapixels: float, missing: Missing) -> Iterator[tuple[int, reading.Picture | None]]:
    """The images in order, each with its place; None, counted in ``missing``, where it is no longer what it was."""
    for row, case in enumerate(cases):
        try:
            picture = reading.read(case.file, megapixels=megapixels)
        except ImageError:
            missing.gone += 1
            yield row, None
            continue
        if picture.pixel_hash != case.pixel_hash:
            missing.altered += 1
            yield row, None
            continue
        yield row, picture


def read(embedder: Embedder, views: Sequence[Views]) -> Reading:
    """All views ``(H, W, 3)`` through the network, in batches of its own size."""
    parts = [
        embedder.read(np.stack(views[start : start + embedder.batch_size]))
        for start in range(0, len(views), embedder.batch_size)
    ]
    said = [part.probabilities for part in parts if part.probabilities is not None]
    return Reading(
        np.concatenate([part.features for part in parts]), np.concatenate(said) if len(said) == len(parts) else None
    )
