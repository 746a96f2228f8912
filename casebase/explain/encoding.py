"""Pictures of a page as data URIs, encoded on several threads before the page is put together."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from casebase.association_pages import WalkSection
from casebase.explain.album import in_threads
from casebase.explain.figures import within
from casebase.explanations import Figure, Pixels, Report
from casebase.prototype_pages import PartsSection

QUERY_SIDE, PICTURE_SIDE, MAP_SIDE, FILM_SIDE = 512, 288, 224, 160
"""The longest side at which a page shows the query, a case, a map and a frame of a filmstrip, in pixels."""


class Encoded:
    """A function from a picture and its wanted side to a data URI; each picture is encoded once.

    ``prepare`` encodes many at once; what it was not told of is encoded when it is asked for.
    """

    def __init__(self, longest: int, quality: int) -> None:
        self._longest, self._quality = longest, quality
        self._made: dict[tuple[int, int], str] = {}
        self._held: list[Pixels] = []  # keeps their ids from being used again

    def __call__(self, pixels: Pixels, side: int) -> str:
        """The data URI of a picture."""
        key = (id(pixels), side)
        if key not in self._made:
            self.prepare([(pixels, side)])
        return self._made[key]

    def prepare(self, wanted: Iterable[tuple[Pixels, int]]) -> None:
        """Encode pictures at the side they are wanted with, on as many threads as there are cores."""
        missing = {(id(pixels), side): pixels for pixels, side in wanted if (id(pixels), side) not in self._made}
        self._held += missing.values()
        texts = in_threads(lambda job: data_uri(within(job[1], min(job[0][1], self._longest)), self._quality),
                           list(missing.items()))  # fmt: skip
        self._made |= dict(zip(missing, texts, strict=True))


def shown(report: Report) -> Iterator[tuple[Pixels, int]]:
    """Every picture of a report, with the side at which its page shows it."""
    figures: list[tuple[Figure | None, int]] = [(figure, QUERY_SIDE) for figure in report.query_figures]
    cards = [card for section in report.sections for card in section.cards]
    if report.panel is not None:
        cards += [card for side in report.panel.sides for card in (side.card, side.nearer) if card is not None]
    for card in cards:
        figures += [(card.picture, PICTURE_SIDE), *((figure, MAP_SIDE) for figure in card.maps)]
    if report.parts is not None:
        figures += of_parts(report.parts)
        yield from ([] if report.parts.scale is None else [(report.parts.scale.pixels, QUERY_SIDE)])
    if report.walk is not None:
        figures += of_walk(report.walk)
    for figure, side in figures:
        if figure is not None and figure.pixels is not None:
            yield figure.pixels, side
    yield from ((scale.pixels, QUERY_SIDE) for scale in report.scales)


def of_parts(section: PartsSection) -> list[tuple[Figure | None, int]]:
    """The pictures of the section of prototypes, with the side at which a page shows them."""
    matches = [match for one in section.classes for match in one.matches]
    return [(figure, PICTURE_SIDE) for one in matches for figure in (one.query, one.case, one.map)]


def of_walk(section: WalkSection) -> list[tuple[Figure | None, int]]:
    """The pictures of a walk, with the sides at which a page shows them."""
    figures: list[tuple[Figure | None, int]] = [(one.figure, PICTURE_SIDE) for one in section.stills]
    figures += [(one.figure, FILM_SIDE) for one in section.stills if one.strip]
    return figures + [(one, PICTURE_SIDE) for one in section.compared]


def data_uri(pixels: Pixels, quality: int) -> str:
    """A picture encoded anew, so nothing of the file it came from (EXIF, place, comments) is carried along."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(pixels, quality)).decode("ascii")


def jpeg(pixels: Pixels, quality: int) -> bytes:
    """A picture ``(H, W, 3) uint8`` as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
