"""Controls that need pixels: the same architecture with random weights, and the pixels themselves.

What neighbours agree on in a network that has learnt nothing, or in 16x16 thumbnails, is owed to how easy the images
are and not to the explained network. Both are measured on a sample, and so is the trained network beside them: fidelity
grows with the number of cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase import clock
from casebase.evaluate.images import Images, Sides
from casebase.evaluate.neighbours import nearest
from casebase.evaluate.pictures import Disk, Missing, Views, again, read
from casebase.evaluate.stability import sampled
from casebase.evaluate.twin_fidelity import SHUFFLES, Votes, shuffled, votes
from casebase.ports import Embedder, Matrix

QUERIES = 200
MORE_ERRORS = 100
THUMBNAIL = 16
CHUNK = 32


@dataclass(frozen=True, eq=False)
class Drawn:
    """Which rows take part: ``cases``; ``queries``, of which ``evenly`` marks those drawn without regard to errors.

    Figures over all queries are taken over the evenly drawn ones; figures over errors over all errors among them.
    """

    cases: NDArray[np.intp]
    queries: NDArray[np.intp]
    evenly: NDArray[np.bool_]

    @classmethod
    def of(cls, sides: Sides, cases: int, seed: int) -> Drawn:
        """At most ``cases`` cases and 200 queries, and up to 100 more queries that are errors."""
        even = sampled(len(sides.queries), QUERIES, seed)
        others = np.setdiff1d(np.flatnonzero(sides.queries.wrong), even)
        random = clock.generator(seed + 1)
        more = random.choice(others, size=min(len(others), MORE_ERRORS), replace=False).astype(np.intp)
        queries = np.sort(np.concatenate([even, more]))
        return cls(sampled(len(sides.cases), cases, seed), queries, np.isin(queries, even))

    @property
    def passes(self) -> int:
        """Images to be embedded."""
        return len(self.cases) + len(self.queries)


@dataclass(frozen=True, eq=False)
class Control:
    """One way to find neighbours on the sample, and how they vote."""

    key: str
    title: str
    votes: Votes


@dataclass(frozen=True, eq=False)
class Controls:
    """All on the same images ``rows (m,)`` of the queries; ``evenly`` and ``wrong (m,)`` as in :class:`Drawn`."""

    several: Sequence[Control]
    cases: int
    rows: NDArray[np.intp]
    evenly: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    missing: Missing

    def of(self, key: str) -> Control | None:
        """The control of that key."""
        return next((control for control in self.several if control.key == key), None)


def measure(sides: Sides, k: int, embedder: Embedder, drawn: Drawn, seed: int, disk: Disk) -> Controls | None:
    """Embed a sample anew and vote: trained, shuffled, pixels, untrained. None where no image could be read."""
    cases, queries = sides.cases.take(drawn.cases), sides.queries.take(drawn.queries)
    missing = Missing()
    case_rows, case_features, case_pixels = _through(cases, embedder, missing, disk)
    query_rows, query_features, query_pixels = _through(queries, embedder, missing, disk)
    if not len(case_rows) or not len(query_rows):
        return None
    here = Sides(cases.take(case_rows), queries.take(query_rows))
    mean = case_pixels.mean(axis=0)
    untrained = here.seen_as(case_features, query_features)
    pixels = here.seen_as(case_pixels - mean, query_pixels - mean)
    dealt = [votes(shuffled(here, k, seed * SHUFFLES + n), here.cases, here.queries) for n in range(SHUFFLES)]
    several = [
        Control("trained", "the explained network", _votes(here, k)),
        Control("untrained", "the same architecture, random weights", _votes(untrained, k)),
        Control("pixels", f"pixels ({THUMBNAIL} × {THUMBNAIL})", _votes(pixels, k)),
        Control("shuffled", "features dealt to other images", Votes.mean(dealt)),
    ]
    rows = drawn.queries[query_rows]
    return Controls(several, len(here.cases), rows, drawn.evenly[query_rows], here.queries.wrong, missing)


def _votes(sides: Sides, k: int) -> Votes:
    return votes(nearest(sides.cases, sides.queries, k), sides.cases, sides.queries)


def _through(
    images: Images, embedder: Embedder, missing: Missing, disk: Disk
) -> tuple[NDArray[np.intp], Matrix, Matrix]:
    """Rows that could be read, their features ``(n, D)`` and their thumbnails ``(n, 768)`` in [0, 1]."""
    rows: list[int] = []
    features: list[Matrix] = []
    pixels: list[Matrix] = []
    held: list[Views] = []

    def flush() -> None:
        if held:
            features.append(read(embedder, held).features)
            disk.tally.add(len(held))
        held.clear()

    for row, picture in again(images.cases, disk.megapixels, missing):
        if picture is None:
            disk.tally.add(1, skipped=1)
            continue
        rows.append(row)
        held.append(embedder.preprocess.pixels(picture.image))
        pixels.append(thumbnail(held[-1]))
        if len(held) == CHUNK:
            flush()
    flush()
    nothing = np.zeros((0, 1), np.float32)
    return (
        np.array(rows, np.intp),
        np.concatenate(features) if features else nothing,
        np.stack(pixels) if pixels else nothing,
    )


def thumbnail(view: Views) -> Matrix:
    """A view ``(H, W, 3)`` as ``(768,) float32`` in [0, 1]: 16 x 16 mean colours."""
    small = Image.fromarray(view).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    found: Matrix = (np.asarray(small, np.float32) / 255.0).ravel()
    return found
