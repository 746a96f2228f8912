"""What a run of the bench leaves behind: one mark for each map, gathered in rows of one network and one method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.saliency.metric import Figure, Metric
from casebase.explanations import Pixels

NO_MASK = "no mask of this image, or none of it in the part that the network sees"
NO_MAPS = "a map that no network made cannot change with it"
"""Why a map lacks a figure: the image has no mask; a baseline has no network to ask again."""
Values = NDArray[np.float64]
Curve = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True, eq=False)
class Mark:
    """One map: of which image (its place in the run), of which class, how long it took, what every metric says.

    ``figures`` and ``curves`` are by metric and key; a figure is None where this map has none, and ``problems`` says
    why by metric. ``degenerate`` names why the map says nothing. ``remembered``: it was not made anew.
    """

    place: int
    image: str
    target: str
    before: float
    degenerate: str | None = None
    seconds: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[tuple[str, str], float | None] = field(default_factory=dict)
    curves: Mapping[tuple[str, str], Curve] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    remembered: bool = False


@dataclass(eq=False)
class Row:
    """One method, or one baseline, on one network. ``refused`` says why it has no map at all."""

    network: str
    method: str
    title: str
    baseline: bool = False
    refused: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)

    def values(self, metric: str, figure: str, images: int, *, whole: bool = False) -> Values:
        """A figure by image ``(images,)``, NaN where there is none; ``whole`` leaves out maps that say nothing."""
        found = np.full(images, np.nan)
        for mark in self.marks:
            value = mark.figures.get((metric, figure))
            if value is not None and not (whole and mark.degenerate is not None):
                found[mark.place] = value
        return found

    @property
    def degenerate(self) -> list[Mark]:
        """Marks of maps that say nothing."""
        return [mark for mark in self.marks if mark.degenerate is not None]

    @property
    def seconds(self) -> Values:
        """Seconds of each map that a method made."""
        return np.array([mark.seconds for mark in self.marks if mark.seconds is not None], np.float64)


@dataclass(frozen=True, eq=False)
class Strip:
    """One image of the contact sheet: what the network saw and the scaled maps by method (small, as they are).

    ``fine`` names those whose maps are of single pixels.
    """

    image: str
    target: str
    before: float
    view: Pixels
    maps: Mapping[str, NDArray[np.float32]]
    silent: Mapping[str, str]
    fine: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Outcome:
    """All rows of a run, network by network, methods before baselines, with what is needed to read them.

    ``groups`` has one entry for each image; ``skipped`` maps images that could not be read to the reason; ``facts``
    are of the networks by name.
    """

    rows: Sequence[Row]
    metrics: Sequence[Metric]
    images: Sequence[str]
    groups: Sequence[str | None]
    skipped: Mapping[str, str]
    facts: Mapping[str, Mapping[str, Any]]
    strips: Mapping[str, Sequence[Strip]] = field(default_factory=dict)
    damaged: int = 0
    problem: str | None = None

    @property
    def unmasked(self) -> set[str]:
        """Images without a mask, where masks were given."""
        return {mark.image for row in self.rows for mark in row.marks if NO_MASK in mark.problems.values()}

    @property
    def networks(self) -> list[str]:
        """The networks in their order."""
        return list(dict.fromkeys(row.network for row in self.rows))

    def of(self, network: str) -> list[Row]:
        """The rows of one network that have maps."""
        return [row for row in self.rows if row.network == network and row.refused is None]

    def figures(self) -> list[tuple[Metric, Figure]]:
        """Every column with its metric."""
        return [(metric, figure) for metric in self.metrics for figure in metric.figures]
