"""Do the neighbours stay when the picture hardly changes? Re-encoding, one pixel of shift, a mirror.

An explanation that turns over when an image is saved again as JPEG says little about the image. Overlap@k is the share
of a list that is still there; whether the network changes its mind is shown beside it, for then twins must change.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase import clock
from casebase.evaluate.images import Sides
from casebase.evaluate.neighbours import Lists, same_predicted, search
from casebase.evaluate.pictures import Disk, Missing, Views, again, read
from casebase.ports import Embedder
from casebase.reading import Preprocess

Values = NDArray[np.float64]
CHUNK = 16
"""Images held at once, in all their variants."""


@dataclass(frozen=True, slots=True)
class Change:
    """One harmless change: what it makes of a decoded image under a network's preprocessing."""

    key: str
    title: str
    view: Callable[[Image.Image, Preprocess], Views]


def _as_it_is(image: Image.Image, preprocess: Preprocess) -> Views:
    return preprocess.pixels(image)


def _encoded(quality: int, image: Image.Image, preprocess: Preprocess) -> Views:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    with Image.open(io.BytesIO(out.getvalue())) as opened:
        return preprocess.pixels(opened.convert("RGB"))


def _shifted(down: int, right: int, image: Image.Image, preprocess: Preprocess) -> Views:
    """The network's view moved by whole pixels; the border repeats."""
    seen = preprocess.pixels(image)
    rows = np.clip(np.arange(seen.shape[0]) - down, 0, seen.shape[0] - 1)
    columns = np.clip(np.arange(seen.shape[1]) - right, 0, seen.shape[1] - 1)
    return np.ascontiguousarray(seen[rows][:, columns])


def _mirrored(image: Image.Image, preprocess: Preprocess) -> Views:
    return np.ascontiguousarray(preprocess.pixels(image)[:, ::-1])


CHANGES: Sequence[Change] = (
    Change("again", "read again, unchanged", _as_it_is),
    Change("jpeg90", "JPEG, quality 90", partial(_encoded, 90)),
    Change("jpeg75", "JPEG, quality 75", partial(_encoded, 75)),
    Change("jpeg30", "JPEG, quality 30", partial(_encoded, 30)),
    Change("left", "one pixel to the left", partial(_shifted, 0, -1)),
    Change("right", "one pixel to the right", partial(_shifted, 0, 1)),
    Change("up", "one pixel up", partial(_shifted, -1, 0)),
    Change("down", "one pixel down", partial(_shifted, 1, 0)),
    Change("flip", "mirrored left to right", _mirrored),
)


@dataclass(frozen=True, eq=False)
class Turnover:
    """One change over ``s`` images: overlap@k of nearest and twins in [0, 1], new answers, right answers under it."""

    change: Change
    nearest: Values
    twins: Values
    answer_changed: NDArray[np.bool_]
    right: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Stability:
    """Every change over the sampled images ``rows`` (positions among the queries)."""

    rows: NDArray[np.intp]
    turnovers: Sequence[Turnover]
    missing: Missing
    right: NDArray[np.bool_]


def sampled(n: int, most: int, seed: int) -> NDArray[np.intp]:
    """At most ``most`` of ``n`` positions, drawn without replacement, in order."""
    random = clock.generator(seed)
    found: NDArray[np.intp] = np.sort(random.choice(n, size=min(n, most), replace=False)).astype(np.intp)
    return found


def measure(sides: Sides, k: int, embedder: Embedder, chosen: NDArray[np.intp], disk: Disk) -> Stability:
    """Read the ``chosen`` queries from the disk, change each, and compare its lists with those of the stored vectors.

    Twins are those of what the network now says, as a person would be shown them.
    """
    asked = sides.queries.take(chosen)
    missing, tally = Missing(), disk.tally
    features: list[list[NDArray[np.float32]]] = [[] for _ in CHANGES]
    said: list[list[NDArray[np.float32]]] = [[] for _ in CHANGES]
    kept: list[int] = []
    held: list[list[Views]] = []

    def flush() -> None:
        for number in range(len(CHANGES) if held else 0):
            found = read(embedder, [views[number] for views in held])
            features[number].append(found.features)
            if found.probabilities is not None:
                said[number].append(found.probabilities)
            tally.add(len(held))
        held.clear()

    for row, picture in again(asked.cases, disk.megapixels, missing):
        if picture is None:
            tally.add(len(CHANGES), skipped=1)
            continue
        kept.append(row)
        held.append([change.view(picture.image, embedder.preprocess) for change in CHANGES])
        if len(held) == CHUNK:
            flush()
    flush()
    rows = np.array(kept, np.intp)
    before = asked.take(rows)
    if not len(rows):
        return Stability(chosen[rows], [], missing, ~before.wrong)
    lists = _lists(Sides(sides.cases, before), k)
    turnovers = []
    for number, change in enumerate(CHANGES):
        probabilities = np.concatenate(said[number]) if said[number] else before.probabilities
        after = replace(
            before,
            features=np.concatenate(features[number]),
            probabilities=probabilities,
            predicted=probabilities.argmax(axis=1) if said[number] else before.predicted,
        )
        new = _lists(Sides(sides.cases, after), k)
        turnovers.append(
            Turnover(
                change,
                overlap(lists["nearest"], new["nearest"]),
                overlap(lists["twins"], new["twins"]),
                np.asarray(after.predicted != before.predicted),
                ~after.wrong,
            )
        )
    return Stability(chosen[rows], turnovers, missing, ~before.wrong)


def overlap(before: Lists, after: Lists) -> Values:
    """Share of each list ``(m,)`` that is still in it, in [0, 1]; 1 where it was empty and is so again."""
    still = (before.index[:, :, None] == after.index[:, None, :]).any(axis=2) & before.filled
    number = before.filled.sum(axis=1)
    empty = np.where(after.filled.any(axis=1), 0.0, 1.0)
    return np.where(number > 0, still.sum(axis=1) / np.maximum(number, 1), empty)


def _lists(sides: Sides, k: int) -> dict[str, Lists]:
    twins = same_predicted(sides.cases, sides.queries)
    return search(sides.cases, sides.queries, {"nearest": (k, None), "twins": (k, twins)})
