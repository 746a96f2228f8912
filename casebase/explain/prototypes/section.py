"""The section ``this looks like that``: what the prototypes say of an image, in pictures and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from casebase import overlay
from casebase.commands import named
from casebase.explain.figures import CASE_SIDE, within
from casebase.explain.prototypes import part_words
from casebase.explanations import Figure, Level, Pixels, Scale, Statement
from casebase.prototype_pages import ClassParts, Match, PartsSection, Source
from casebase.prototypes import Box, PartMatch, Parts
from casebase.reading import printable

TITLE = "Parts: this looks like that"


def section(parts: Parts, sources: Mapping[int, Source], query: Pixels) -> PartsSection:
    """The readable form of parts; ``query (H, W, 3) uint8`` is the network's view of the image, at any size.

    ``sources`` has every prototype that is shown, by its number.
    """
    matches = [one for name in parts.targets for one in parts.matches[name]]
    low, high = _range(matches)
    drawer = _Drawer(parts.profile, within(query, CASE_SIDE), sources, low, high)
    lost = [
        part_words.lost(problem, one.prototype)
        for one in matches
        if (problem := sources[one.prototype.number].problem) is not None
    ]
    grid = matches[0].map.shape if matches else (1, 1)
    return PartsSection(
        title=TITLE,
        lead=part_words.lead(parts),
        seen=part_words.seen(grid, parts.receptive_field, parts.view),
        classes=[
            ClassParts(
                name=printable(name),
                role="rival" if place else "predicted",
                score=part_words.signed(parts.score[name]),
                matches=[drawer.match(one) for one in parts.matches[name]],
                equation=part_words.equation(parts, name),
            )
            for place, name in enumerate(parts.targets)
        ],
        warnings=[Statement(printable(one), Level.CAUTION) for one in dict.fromkeys([*parts.warnings, *lost])],
        scale=_scale(low, high) if matches else None,
    )


def _range(matches: Sequence[PartMatch]) -> tuple[float, float]:
    """The least and the largest similarity of all maps: one scale for them all."""
    if not matches:
        return 0.0, 1.0
    return min(float(one.map.min()) for one in matches), max(float(one.map.max()) for one in matches)


def _scale(low: float, high: float) -> Scale:
    words = part_words.plain(low), f"{part_words.plain(high)}, one scale for all maps of this section"
    return Scale("Similarity per cell", overlay.sequential_bar(), *words)


@dataclass(frozen=True, eq=False)
class _Drawer:
    profile: str
    query: Pixels
    sources: Mapping[int, Source]
    low: float
    high: float

    def match(self, one: PartMatch) -> Match:
        number, source = one.prototype.number, self.sources[one.prototype.number]
        of_class, target = printable(one.prototype.of_class), printable(one.target)
        case = source.case
        similarity = part_words.plain(one.similarity)
        missing = part_words.absent(one, self.profile)
        pictured = source_figure(source, one.prototype.patch.box, f"prototype {number} of {of_class}")
        return Match(
            number=number,
            of_class=of_class,
            query=self._boxed(
                one.box,
                f"The query's patch most like prototype {number} of {of_class}, marked by a box",
                "nearest to it, yet not alike" if missing else "this patch of the query",
            ),
            case=replace(pictured, caption="a patch that is missing here") if missing else pictured,
            map=self._map(one),
            adds=part_words.signed(one.contribution),
            unit=f"to the score of {target}",
            similarity=similarity,
            against=one.contribution < 0,
            case_id=printable(one.prototype.patch.case_id),
            path=None if case is None else printable(named(case)),
            label=None if case is None else printable(case.label),
            predicted=None if case is None else printable(case.predicted),
            said=part_words.check(one, self.profile),
            blurred=part_words.brief(one, self.profile),
            sense=part_words.sense(one, self.profile),
        )

    def _boxed(self, box: Box, alt: str, caption: str) -> Figure:
        return Figure(overlay.marked(self.query, box), f"{alt}: {_where(box)}.", caption)

    def _map(self, one: PartMatch) -> Figure:
        span = max(self.high - self.low, 1e-12)
        values = ((one.map - self.low) / span).astype(np.float32)
        drawn = overlay.marked(overlay.saliency_overlay(self.query, values), one.box)
        alt = (
            f"Similarity of every cell of the query to prototype {one.prototype.number}: "
            f"{part_words.plain(float(one.map.min()))} to {part_words.plain(one.similarity)}, "
            f"strongest {_where(one.box)}."
        )
        return Figure(drawn, alt, "how alike every place is")


def source_figure(source: Source, box: Box, what: str) -> Figure:
    """A prototype's case with its box drawn, or why there is no picture of it."""
    if source.view is None or source.case is None:
        why = source.problem or "no picture was kept"
        return Figure(None, f"No picture of {what}: {printable(why)}.", "that patch of a case")
    label, predicted = printable(source.case.label), printable(source.case.predicted)
    alt = (
        f"The case that {what} is a patch of, labelled {label}, predicted {predicted}, file "
        f"{printable(named(source.case))}; the box marks the patch: {_where(box)}."
    )
    return Figure(overlay.marked(within(source.view, CASE_SIDE), box), alt, "that patch of a case")


def patch_figure(source: Source, box: Box, what: str) -> Figure:
    """A prototype's patch enlarged, with half a cell round it; why there is none, where there is none."""
    if source.view is None:
        return Figure(None, "No picture of it.", "the patch")
    height, width = source.view.shape[:2]
    left, top, right, bottom = box
    aside, above = (right - left) / 2, (bottom - top) / 2
    rows = slice(max(round((top - above) * height), 0), max(round((bottom + above) * height), 1))
    columns = slice(max(round((left - aside) * width), 0), max(round((right + aside) * width), 1))
    return Figure(source.view[rows, columns], f"The patch of {what}, with half a cell round it.", "the patch")


def _where(box: Box) -> str:
    """The middle of a box in words."""
    across, down = 50 * (box[0] + box[2]), 50 * (box[1] + box[3])
    return f"{across:.0f} % from the left, {down:.0f} % from the top"
