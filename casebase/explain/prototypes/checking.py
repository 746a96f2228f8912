"""Does the box mark what the similarity rests on? Blur it and look, against blurring as large a box elsewhere.

The box of a match marks one cell, but a cell of a late layer has seen most of the picture, so that a patch can look
alike for something far from it (A. Hoffmann et al., "This Looks Like That... Does it?", 2021,
https://arxiv.org/abs/2105.02968; M. Sacha et al., "Interpretability benchmark for evaluating spatial misalignment of
prototypical parts explanations", AAAI 2024, https://arxiv.org/abs/2308.08162). Hiding is blurring, as in
:mod:`casebase.explain.deletion`.

One pass gives the similarities of all prototypes, so all matches of an image are held against the same random boxes:
an image costs DRAWS passes and one for each cell that was matched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.explain.deletion import blurred
from casebase.explain.passes import shares, side_by_side
from casebase.explanations import Pixels
from casebase.ports import PrototypeView
from casebase.prototypes import Box, PartCheck, PartMatch, Parts

GROWN = 0.25
"""The hidden box is the cell and this much of a cell on every side of it: 1.5 x 1.5 cells."""
DRAWS = 16
FEWEST = 8
"""With fewer boxes that do not meet the matched one there is no room to check."""
_TRIES = 8

Corner = tuple[int, int]
"""(row, column) of a box's upper left pixel."""


@dataclass(frozen=True, eq=False)
class _Trial:
    """One image's hidden views: the random corners first, then each matched box by its cell's place."""

    size: tuple[int, int]
    random: list[Corner]
    marked: dict[Box, Corner]
    views: NDArray[np.uint8]


def checked(
    view: PrototypeView, picture_views: Sequence[Pixels], parts_list: Sequence[Parts], seed: int
) -> list[Parts]:
    """The same parts with ``PartMatch.check`` filled in; forward passes are shared by all images.

    ``picture_views (H, W, 3) uint8`` are what the network was fed, one for each of ``parts_list``. A match keeps its
    check None where the picture has no room for ``FEWEST`` boxes that do not meet its own.
    """
    trials = [_trial(pixels, one, seed) for pixels, one in zip(picture_views, parts_list, strict=True)]
    if not trials:
        return []
    hidden = np.concatenate([one.views for one in trials])
    told = side_by_side(
        lambda rows: np.stack([one.similarity for one in view.read(hidden[rows[0] : rows[-1] + 1])]),
        shares(range(len(hidden))),
    )
    after = np.concatenate(told)  # (views of all images, P)
    column = {one.number: place for place, one in enumerate(view.found.prototypes)}
    found, start = [], 0
    for trial, one in zip(trials, parts_list, strict=True):
        rows, start = after[start : start + len(trial.views)], start + len(trial.views)
        matches = {
            name: [
                replace(match, check=_outcome(trial, match, rows[:, column[match.prototype.number]]))
                for match in of_class
            ]
            for name, of_class in one.matches.items()
        }
        found.append(replace(one, matches=matches))
    return found


def _trial(pixels: Pixels, one: Parts, seed: int) -> _Trial:
    height, width = pixels.shape[:2]
    boxes = list(dict.fromkeys(match.box for of_class in one.matches.values() for match in of_class))
    if not boxes:
        return _Trial((0, 0), [], {}, np.zeros((0, *pixels.shape), np.uint8))
    left, top, right, bottom = boxes[0]
    grown = 1.0 + 2.0 * GROWN
    size = min(height, round(grown * (bottom - top) * height)), min(width, round(grown * (right - left) * width))
    room = height - size[0], width - size[1]
    marked = {box: _centred(box, (height, width), size) for box in boxes}
    random = clock.generator(seed)

    def met(corner: Corner) -> int:
        return sum(_meets(corner, other, size) for other in marked.values())

    drawn = []
    for _ in range(DRAWS):
        tries = random.integers(0, (room[0] + 1, room[1] + 1), (_TRIES, 2)).tolist()
        drawn.append(min(((int(row), int(column)) for row, column in tries), key=met))
    soft = blurred(pixels)
    views = np.stack([_hidden(pixels, soft, corner, size) for corner in (*drawn, *marked.values())])
    return _Trial(size, drawn, marked, views)


def _centred(box: Box, picture: tuple[int, int], size: tuple[int, int]) -> Corner:
    """The corner of a box of this size round the middle of another, moved into the picture where it stands out."""
    left, top, right, bottom = box
    row = round((top + bottom) / 2 * picture[0] - size[0] / 2)
    column = round((left + right) / 2 * picture[1] - size[1] / 2)
    return min(max(row, 0), picture[0] - size[0]), min(max(column, 0), picture[1] - size[1])


def _meets(one: Corner, other: Corner, size: tuple[int, int]) -> bool:
    return abs(one[0] - other[0]) < size[0] and abs(one[1] - other[1]) < size[1]


def _hidden(pixels: Pixels, soft: Pixels, corner: Corner, size: tuple[int, int]) -> Pixels:
    view = pixels.copy()
    part = slice(corner[0], corner[0] + size[0]), slice(corner[1], corner[1] + size[1])
    view[part] = soft[part]
    return view


def _outcome(trial: _Trial, match: PartMatch, similarity: NDArray[np.float32]) -> PartCheck | None:
    """What hiding did to one prototype; ``similarity`` is that in every view of the trial."""
    own = trial.marked[match.box]
    elsewhere = [place for place, corner in enumerate(trial.random) if not _meets(corner, own, trial.size)]
    if len(elsewhere) < FEWEST:
        return None
    falls = match.similarity - similarity.astype(np.float64)
    hidden = float(falls[len(trial.random) + list(trial.marked).index(match.box)])
    others = falls[elsewhere]
    return PartCheck(hidden, float(others.mean()), int((others >= hidden).sum()), len(elsewhere), match.similarity)
