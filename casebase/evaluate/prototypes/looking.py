"""Reads the images of a part once, and asks every set of prototypes all that needs pixels.

All images go through each set once; a sample of them again with noise, re-encoded, and with matches hidden. Sets that
stand on the network's own map of places share its forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.cases import Case
from casebase.evaluate.pictures import Missing, again
from casebase.evaluate.prototypes import formats
from casebase.evaluate.prototypes.formats import QUALITIES
from casebase.evaluate.prototypes.gathering import Asked, Gathering, Item, Look, probabilities
from casebase.evaluate.prototypes.part_file import PartPlaces
from casebase.evaluate.prototypes.sights import Candidate

CHUNK = 16
"""Images held at once."""
Bits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Looked:
    """``rows (n,)`` are the places of the images that could be read, ``sampled (s,)`` places among those.

    ``parts (n, A, 2)`` are fractions of the view, None without a file; ``answers`` are the network's class numbers
    ``(s,)`` under each quality; ``looks`` stand in the order of the sets.
    """

    rows: NDArray[np.intp]
    sampled: NDArray[np.intp]
    missing: Missing
    parts: NDArray[np.float64] | None
    annotated: Bits
    answers: Mapping[int | None, NDArray[np.intp]]
    looks: Sequence[Look]


def look(cases: Sequence[Case], candidates: Sequence[Candidate], asked: Asked) -> Looked:
    """Every image of ``cases`` that is still what it was; raises ``DataError`` for masks or parts that do not fit."""
    gatherings = [Gathering(one, asked) for one in candidates]
    missing, tally = Missing(), asked.disk.tally
    chosen = set(asked.sampled.tolist())
    rows: list[int] = []
    points: list[NDArray[np.float64] | None] = []
    sampled: list[int] = []
    answers: dict[int | None, list[int]] = {}
    for block in _blocks(cases, asked, missing):
        places = [place for place, item in enumerate(block) if item.row in chosen]
        again_ = [block[place] for place in places]
        sampled += [len(rows) + place for place in places]
        rows += [item.row for item in block]
        points += [item.points for item in block]
        encoded = _encoded(again_, asked) if again_ else {}
        for quality, views in encoded.items():
            answers.setdefault(quality, []).extend(probabilities(asked.network, views).argmax(axis=1).tolist())
        views, shared = np.stack([item.view for item in block]), None
        for one in gatherings:
            view = one.candidate.view
            maps = view.maps(views) if shared is None or not view.shares_maps else shared
            shared = maps if view.shares_maps else shared
            said = view.from_maps(maps)
            one.whole(said, block, view.earlier(maps))
            if again_:
                one.again([said[place] for place in places], again_, encoded)
        tally.add(len(block) + len(again_))
    known = np.array([one is not None for one in points], np.bool_)
    return Looked(
        np.array(rows, np.intp), np.array(sampled, np.intp), missing, _filled(points, asked.parts), known,
        {quality: np.array(several, np.intp) for quality, several in answers.items()},
        [one.result() for one in gatherings],
    )  # fmt: skip


def _blocks(cases: Sequence[Case], asked: Asked, missing: Missing) -> Iterator[list[Item]]:
    preprocess = asked.network.preprocess
    block: list[Item] = []
    for row, picture in again(cases, asked.disk.megapixels, missing):
        if picture is None:
            asked.disk.tally.add(1 + int(row in asked.sampled), skipped=1)
            continue
        case = cases[row]
        points = None if asked.parts is None else asked.parts.seen(case.file, picture.size, preprocess)
        mask = None if asked.mask_of is None else asked.mask_of(case, picture)
        block.append(Item(row, case, picture, preprocess.pixels(picture.image), points, mask))
        if len(block) == CHUNK:
            yield block
            block = []
    if block:
        yield block


def _encoded(block: Sequence[Item], asked: Asked) -> dict[int | None, NDArray[np.uint8]]:
    """The views ``(s, H, W, 3)`` of a block's images in every encoding."""
    pixels = asked.network.preprocess.pixels
    return {
        quality: np.stack([pixels(formats.encoded(item.picture.image, quality)) for item in block])
        for quality in QUALITIES
    }


def _filled(points: Sequence[NDArray[np.float64] | None], parts: PartPlaces | None) -> NDArray[np.float64] | None:
    if parts is None:
        return None
    nothing = np.full((len(parts.names), 2), np.nan)
    return np.array([nothing if one is None else one for one in points]).reshape(-1, len(parts.names), 2)
