"""Pictures of a report: views, maps drawn on them with one scale per page, and the same maps in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase import overlay
from casebase.cases import Case
from casebase.commands import named
from casebase.explain import map_words, sentences
from casebase.explain.album import in_threads
from casebase.explanations import (
    QUERY_ID,
    SEGMENTS,
    Deletion,
    Explanation,
    Figure,
    Pixels,
    SaliencyMap,
    Scale,
    Shown,
    Statement,
    WhereMap,
)
from casebase.reading import percent, printable

QUERY_SIDE = 512
CASE_SIDE = 256
MOST_RAISED = 4.0
"""The faint of a map of single pixels is drawn at most so many times stronger: a lone spot must not fill it."""
GATHERED = 0.35
"""A map with less than this in its fullest quadrant is called spread out; even is a quarter."""
_CORNERS = ("upper left", "upper right", "lower left", "lower right")


def within(pixels: Pixels, side: int) -> Pixels:
    """A picture ``(H, W, 3) uint8`` whose longer side is at most ``side``."""
    height, width = pixels.shape[:2]
    if max(height, width) <= side:
        return pixels
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS), dtype=np.uint8)


def quadrants(values: NDArray[np.float32]) -> tuple[float, float, float, float] | None:
    """Shares of a map's positive mass ``(h, w)`` by quadrant, in reading order; None where there is no such mass."""
    mass = np.clip(np.nan_to_num(values.astype(np.float64)), 0.0, None)
    total = float(mass.sum())
    if total <= 0:
        return None
    height, width = values.shape
    upper, left = _first_half(height), _first_half(width)
    top = float(upper @ mass @ left), float(upper @ mass @ (1.0 - left))
    low = float((1.0 - upper) @ mass @ left), float((1.0 - upper) @ mass @ (1.0 - left))
    return top[0] / total, top[1] / total, low[0] / total, low[1] / total


@cache
def _first_half(length: int) -> NDArray[np.float64]:
    """How much of each cell of a side lies in its first half: a middle cell is shared."""
    return np.clip(length / 2 - np.arange(length), 0.0, 1.0)


def in_words(values: NDArray[np.float32]) -> str:
    """Where a map's positive mass lies: ``upper left 41 %, …``."""
    shares = quadrants(values)
    if shares is None:
        return "no part of the picture"
    return ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in zip(_CORNERS, shares, strict=True))


def sides(values: NDArray[np.float32]) -> str:
    """Where most of a map's positive mass lies: ``upper left 41 %``, or ``spread, upper left 28 %``."""
    shares = quadrants(values)
    if shares is None:
        return "nowhere"
    most = max(range(len(shares)), key=lambda place: shares[place])
    told = f"{_CORNERS[most]} {shares[most]:.0%}".replace("%", " %")
    return told if shares[most] >= GATHERED else f"spread, {told}"


@dataclass(frozen=True, slots=True)
class CasePictures:
    """What a card shows of a case: its picture, or why there is none, and its maps."""

    picture: Figure | None
    maps: tuple[Figure, ...]
    missing: str | None


class Gallery:
    """All pictures of one explanation, each drawn once. ``bound`` is the where value drawn in full colour."""

    def __init__(self, explanation: Explanation) -> None:
        self._explanation = explanation
        self._called = explanation.retrieval.called
        self._cases: dict[tuple[str, str], CasePictures] = {}
        query = explanation.shown.get(QUERY_ID)
        self._query = None if query is None else within(query.view, CASE_SIDE)
        sides = [side for one in self.usable for side in (one.query_values, one.case_values)]
        self.bound = max((float(np.abs(side).max(initial=0.0)) for side in sides), default=0.0)

    @property
    def usable(self) -> list[WhereMap]:
        """The where maps that explain enough of their pair's likeness to be shown."""
        maps = self._explanation.where.values()
        return [one for one in maps if sentences.carried(one) >= sentences.CARRIES]

    def of_query(self, rivals: Sequence[str]) -> list[Figure]:
        """The query whole with the network's crop, its map for the predicted class, and for the first of the rivals."""
        shown = self._explanation.shown.get(QUERY_ID)
        if shown is None:
            return [Figure(None, "The query's picture is not at hand, so no map of it can be shown.", "Query")]
        figures = [whole_figure(shown), self._looked(shown, self._called, "predicted")]
        return [*figures, *(self._looked(shown, rival, "rival") for rival in rivals[:1])]

    def draw(self, cases: Iterable[Case]) -> None:
        """Draw the pictures of cases on as many threads as there are cores; :meth:`of_case` then has them at hand."""
        missing = {(case.id, case.predicted): case for case in cases if (case.id, case.predicted) not in self._cases}
        drawn = in_threads(lambda one: self._draw(one.id, one.predicted, printable(named(one))), list(missing.values()))
        self._cases |= dict(zip(missing, drawn, strict=True))

    def of_case(self, case_id: str, predicted: str, path: str) -> CasePictures:
        """A case's picture and maps; ``predicted`` is the class whose saliency map is shown, raw as in the keys."""
        key = (case_id, predicted)
        if key not in self._cases:
            self._cases[key] = self._draw(case_id, predicted, path)
        return self._cases[key]

    def scales(self) -> list[Scale]:
        """The colour bars of the maps on the page."""
        bars = []
        if any(one.degenerate is None for one in self._explanation.saliency.values()):
            low, high = "looked at least", "looked at most, each map scaled to its own range"
            bars.append(Scale("Where it looked", overlay.sequential_bar(), low, high))
        if self.bound > 0:
            low = f"−{self.bound:.3f} against the likeness"
            high = f"+{self.bound:.3f} for it, in cosine per cell, one scale for all pairs"
            bars.append(Scale("Where the likeness lies", overlay.diverging_bar(), low, high))
        return bars

    def _looked(self, shown: Shown, name: str, role: str) -> Figure:
        spoken, what = printable(name), "the answer" if role == "predicted" else "the rival"
        if role != "predicted" and name == self._explanation.retrieval.query.label:
            what = "the label"
        title = f"Looked at for {spoken}, {what}"
        found = self._explanation.saliency.get((QUERY_ID, name))
        if found is None:
            return Figure(None, f"No map was made for {spoken}.", title, role)
        if found.degenerate is not None:
            return Figure(None, f"The map for {spoken} means nothing: {printable(found.degenerate)}.", title, role)
        check = self._explanation.checked(name)
        said = None if check is None else map_words.said(check)
        return map_figure(shown.view, found, f"{title} · {map_words.title(found.method)}", role, check, said)

    def _draw(self, case_id: str, predicted: str, path: str) -> CasePictures:
        shown = self._explanation.shown.get(case_id)
        if shown is None:
            return CasePictures(None, (), f"No picture of {path}: its file is gone, and no thumbnail was kept.")
        view = within(shown.view, CASE_SIDE)
        maps: list[Figure] = []
        where = self._explanation.where.get(case_id)
        if where is not None and sentences.carried(where) >= sentences.CARRIES:
            maps += self._where(where, view)
        saliency = self._explanation.saliency.get((case_id, predicted))
        if saliency is not None and saliency.degenerate is None:
            drawn = overlay.saliency_overlay(view, saliency.values)
            maps.append(Figure(drawn, saliency_alt("this case", saliency), f"looked at for {printable(predicted)}"))
        return CasePictures(Figure(view, "", "case"), tuple(maps), None)

    def _where(self, where: WhereMap, view: Pixels) -> list[Figure]:
        share = f"the map explains {percent(sentences.carried(where))} of the likeness"
        sides = [(view, where.case_values, "in the case")]
        if self._query is not None:
            sides.insert(0, (self._query, where.query_values, "in the query"))
        return [
            Figure(
                overlay.where_overlay(pixels, values, self.bound),
                f"Where the likeness of this pair lies {side}: {in_words(values)}; {share}.",
                f"alike {side}",
                "where",
            )
            for pixels, values, side in sides
        ]


def whole_figure(shown: Shown) -> Figure:
    """The query, whole, with the part that the network saw."""
    cropped = shown.box != (0.0, 0.0, 1.0, 1.0)
    seen = "the network saw what lies inside the white line" if cropped else "the network saw all of it"
    pixels = overlay.boxed(within(shown.view if shown.whole is None else shown.whole, QUERY_SIDE), shown.box)
    return Figure(pixels, f"The query, whole; {seen}.", f"The query; {seen}")


def map_figure(
    view: Pixels, found: SaliencyMap, caption: str, role: str, check: Deletion | None, said: Statement | None
) -> Figure:
    """A map of the query on its view ``(H, W, 3) uint8``, with its check and what to know of how it was made."""
    drawn = saliency_drawn(within(view, QUERY_SIDE), found)
    notes = map_words.notes(found)
    line = "; ".join([sides(found.values), *([] if check is None else [map_words.figures(check)])])
    return Figure(drawn, saliency_alt("the query", found), caption, role, check, said, notes, line)


def saliency_drawn(view: Pixels, found: SaliencyMap) -> Pixels:
    """A map on a picture; superpixels, where the map is made of such, are outlined."""
    segments = found.facts.get(SEGMENTS)
    if segments is not None:
        return overlay.outlined(overlay.saliency_overlay(view, found.values), segments)
    return overlay.saliency_overlay(view, legible(found.values) if map_words.speckled(found) else found.values)


def legible(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map of single pixels ``(H, W)`` as it is drawn: means over coarser cells, in full colour from a percentile on.

    A few pixels hold most of such a map, and each is too small to be seen. Only the picture is made so; what is
    measured and saved is the map itself.
    """
    cells = overlay.enlarge(values, map_words.DRAWN_CELLS)
    cells = cells - cells.min()
    full = max(float(np.percentile(cells, map_words.DRAWN_PERCENTILE)), float(cells.max()) / MOST_RAISED)
    drawn: NDArray[np.float32] = np.minimum(cells / max(full, 1e-12), 1.0).astype(np.float32)
    return drawn


def saliency_alt(whose: str, found: SaliencyMap) -> str:
    """A map in words."""
    source = ", ".join(filter(None, [map_words.title(found.method), printable(found.layer)]))
    return f"Where the network looked in {whose} for {printable(found.target)} ({source}): {in_words(found.values)}."
