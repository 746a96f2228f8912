"""Explanations: maps, pictures, and the report made of them.

An :class:`Explanation` holds what was measured; a :class:`Report` holds what a person is shown, already in words and
pixels, so that page and terminal cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from casebase.answers import Neighbour, Retrieval, finite
from casebase.association import Association, Walk
from casebase.errors import UsageError
from casebase.prototypes import Parts
from casebase.writers import Renderer

if TYPE_CHECKING:
    from casebase.association_pages import WalkSection
    from casebase.prototype_pages import PartsSection, Source

QUERY_ID = "query"
SEGMENTS = "segments"
"""The fact of a saliency map that is an array ``(H, W) int32``: which superpixel each pixel belongs to."""
Pixels = NDArray[np.uint8]


def frozen(values: NDArray[Any]) -> NDArray[Any]:
    """A read-only copy, for arrays inside frozen results."""
    copy = np.array(values)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, eq=False)
class SaliencyMap:
    """Where a network looked for one class: ``values (H, W) float32`` in [0, 1], min-max scaled per image.

    ``degenerate`` names why a map means nothing (constant, not finite), or is None. ``facts`` say how it was made:
    library and version, layer, samples, seed, and what was measured on the way.
    """

    values: NDArray[np.float32]
    method: str
    target: str
    image_id: str
    layer: str
    degenerate: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON of what is known of the map; its values are not in it."""
        return {
            "class": self.target,
            "method": self.method,
            "layer": self.layer or None,
            "size": list(self.values.shape),
            "degenerate": self.degenerate,
            "facts": {
                name: finite(value) if isinstance(value, float) else value
                for name, value in self.facts.items()
                if name != SEGMENTS
            },
        }


@dataclass(frozen=True, eq=False)
class WhereMap:
    """Which cells carry the similarity of one pair; signed.

    ``query_values`` and ``case_values`` are ``(h, w) float32``; each sums to the cosine of the pair:
    S_p = a_p . h' / (P |h| |h'|) (Stylianou, Souvenir & Pless 2019, "Visualizing Deep Similarity Networks",
    https://arxiv.org/abs/1901.00536). ``residual`` is the larger of the two sums' distances from ``similarity``.
    """

    query_values: NDArray[np.float32]
    case_values: NDArray[np.float32]
    case_id: str
    similarity: float
    residual: float


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture as it is shown: ``view (S, S, 3)`` is what the network saw, ``whole (h, w, 3)`` the upright image.

    ``box`` (left, top, right, bottom) is the view's place in the whole, as fractions of its width and height. Of a
    case only the view is kept; its ``whole`` is None.
    """

    image_id: str
    view: Pixels
    whole: Pixels | None
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Deletion:
    """What hiding the marked part does to the class probability, against hiding as much at random.

    ``share`` of the cells is replaced by a blurred picture; ``marked`` is the drop of the probability (in [-1, 1]) for
    the map's top cells, ``random`` the mean drop over ``draws`` random choices, ``as_much`` the number of those that
    lowered it at least as much.

    The curve: at ``shares`` (rising from 0) the probability that is left, ``marked_curve`` in the map's order and
    ``random_curve`` on average over ``random_draws`` random orders, whose least and most are ``random_low`` and
    ``random_high``. All are empty where only the one share was tried.
    """

    target: str
    share: float
    marked: float
    random: float
    as_much: int
    draws: int
    method: str = "gradcam"
    shares: tuple[float, ...] = ()
    marked_curve: tuple[float, ...] = ()
    random_curve: tuple[float, ...] = ()
    random_low: tuple[float, ...] = ()
    random_high: tuple[float, ...] = ()
    random_draws: tuple[int, ...] = ()

    @property
    def convincing(self) -> bool:
        """Whether the marked part matters, and more than nearly every random one (at most 1 in 20)."""
        return self.marked > 0.01 and self.as_much <= self.draws // 20

    def to_dict(self) -> dict[str, Any]:
        """JSON of one check; a number that is not finite is null."""
        return {
            "class": self.target,
            "method": self.method,
            "share": self.share,
            "marked": finite(self.marked),
            "random": finite(self.random),
            "as_much": self.as_much,
            "draws": self.draws,
            "convincing": self.convincing,
            "shares": list(self.shares),
            "marked_curve": [finite(value) for value in self.marked_curve],
            "random_curve": [finite(value) for value in self.random_curve],
            "random_low": [finite(value) for value in self.random_low],
            "random_high": [finite(value) for value in self.random_high],
            "random_draws": list(self.random_draws),
        }


@dataclass(frozen=True, eq=False)
class Explanation:
    """A retrieval and what can be seen of it. Keys of ``saliency`` are (image id, class), of ``where`` case ids."""

    retrieval: Retrieval
    shown: Mapping[str, Shown]
    saliency: Mapping[tuple[str, str], SaliencyMap]
    where: Mapping[str, WhereMap]
    deletions: Sequence[Deletion]
    warnings: Sequence[str]
    facts: Mapping[str, str]
    seconds: Mapping[str, float]
    overlays: Mapping[str, Path | None] = field(default_factory=dict)
    report: Report | None = None
    renderer: Renderer | None = None
    panel: bool = False
    """Whether the classes are shown side by side before everything else."""
    map_note: str | None = None
    """Why the cases have no saliency map, where the query has one."""
    parts: Parts | None = None
    """What the prototypes say, where the base has some."""
    sources: Mapping[int, Source] = field(default_factory=dict)
    """The cases of the prototypes shown, by the prototypes' numbers."""
    walk: Walk | None = None
    """The way to the first rival in synthetic images, where the base has a class association embedding."""
    association: Association | None = None
    """The embedding that the walk is of, or that is not trustworthy enough for one."""
    no_walk: str | None = None
    """Why there is no walk, in a sentence, where there could be one."""

    def checked(self, target: str) -> Deletion | None:
        """The check of the query's map for a class, if one was made."""
        return next((one for one in self.deletions if one.target == target), None)

    def to_dict(self) -> dict[str, Any]:
        """The object of schema ``casebase.query/1`` with overlays, maps' figures and all warnings."""
        value = self.retrieval.to_dict()
        value["overlays"] = {name: None if path is None else str(path) for name, path in self.overlays.items()}
        value["where"] = {
            case: {"similarity": finite(m.similarity), "residual": finite(m.residual)} for case, m in self.where.items()
        }
        value["deletion"] = [check.to_dict() for check in self.deletions]
        value["maps"] = [one.to_dict() for (image, _), one in self.saliency.items() if image == QUERY_ID]
        value["prototypes"] = None if self.parts is None else _parts_to_dict(self.parts, self.sources)
        value["walk"] = None if self.walk is None else self.walk.to_dict()
        value["no_walk"] = self.no_walk
        value["warnings"] = list(self.warnings)
        value["seconds"] = {name: finite(seconds) for name, seconds in self.seconds.items()}
        return value

    def save(self, target: str | Path) -> Path:
        """Write the report as one self-contained HTML page and return its path."""
        if self.report is None or self.renderer is None:
            raise UsageError("this explanation was made without a report")
        return self.renderer.render(self.report, Path(target))

    def _repr_html_(self) -> str:
        return "" if self.report is None or self.renderer is None else self.renderer.inline(self.report)


class Level(StrEnum):
    """How much a sentence should worry the reader."""

    ALARM = "alarm"
    CAUTION = "caution"
    PLAIN = "plain"
    CALM = "calm"


@dataclass(frozen=True, slots=True)
class Statement:
    """One plain sentence, with its weight."""

    text: str
    level: Level = Level.PLAIN


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture to be shown: ``pixels (H, W, 3) uint8``, what it is evidence for (alt text), and a short caption.

    Without ``pixels`` the alt text stands in the picture's place and says what is missing. ``role`` is ``plain``,
    ``predicted``, ``rival`` or ``where``. A map of the query brings its ``check``, what that says in one sentence
    (``said``), ``notes`` on how it was made, and all of it as one ``line`` for a terminal.
    """

    pixels: Pixels | None
    alt: str
    caption: str
    role: str = "plain"
    check: Deletion | None = None
    said: Statement | None = None
    notes: Sequence[Statement] = ()
    line: str | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A number in [0, 1] drawn as a bar: its name, its reading in words, and a note on where it comes from.

    ``figure`` is the number as printed beside the bar, which may have another unit than ``value``. ``low`` and ``high``
    are an interval on the bar's own scale, ``tick`` a place on it; ``mark`` says what both mean where the bar is drawn.
    """

    name: str
    value: float | None
    figure: str
    reading: str
    note: str
    low: float | None = None
    high: float | None = None
    tick: float | None = None
    mark: str = ""


@dataclass(frozen=True, eq=False)
class Card:
    """One neighbour as shown. ``contradicts`` holds the reason it speaks against the answer, or None.

    ``case_id``, ``path``, ``label`` and ``predicted`` are the case's own, made safe to print. ``alike`` is the
    percentile as shown large, ``reading`` its words, ``detail`` the distance and the near-duplicates folded in.
    """

    neighbour: Neighbour
    case_id: str
    path: str
    label: str
    predicted: str
    contradicts: str | None
    alike: str
    reading: str
    detail: str
    picture: Figure | None
    maps: Sequence[Figure]
    missing: str | None = None


@dataclass(frozen=True, eq=False)
class Section:
    """A row of cards under a heading. ``empty`` says what stands there when there is no card."""

    key: str
    title: str
    lead: str
    cards: Sequence[Card]
    empty: str | None
    role: str


@dataclass(frozen=True, eq=False)
class Side:
    """One class of the panel: its name and probability, the case that stands for it, or why there is none.

    ``nearer`` is a case still nearer that is predicted so and labelled otherwise; ``role`` is ``predicted`` or
    ``rival``.
    """

    name: str
    probability: str
    role: str
    card: Card | None
    empty: str | None
    nearer: Card | None


@dataclass(frozen=True, eq=False)
class Panel:
    """The probable classes side by side, the answer first."""

    title: str
    lead: str
    sides: Sequence[Side]


@dataclass(frozen=True, eq=False)
class Scale:
    """A colour bar that is true to the maps drawn with it: ``pixels (h, w, 3)`` and the text at its two ends."""

    name: str
    pixels: Pixels
    low: str
    high: str


@dataclass(frozen=True, eq=False)
class Grid:
    """A table of text: column heads, rows, and the note that stands with it."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


@dataclass(frozen=True, slots=True)
class Link:
    """A way to another page of the same folder."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Around:
    """Where a page stands among others: its position in words, the index, its neighbours, pages to hold beside it."""

    position: str
    index: str
    previous: Link | None
    next: Link | None
    beside_title: str = ""
    beside: Sequence[Link] = ()


@dataclass(frozen=True, eq=False)
class Report:
    """The readable form of one explanation, in reading order. Everything here is text and pixels.

    ``verdict`` is the worst news, ``also`` what follows it, in falling weight. ``label`` is what the query is, where
    that is known, ``notes`` what to know before reading on. ``next_commands`` may be typed next; ``page_command`` makes
    a page of the explanation, and is not said where there is one. All text is safe to print.
    """

    title: str
    file_name: str
    called: str
    confidence: float
    runner_up: str | None
    runner_up_probability: float | None
    base: str
    network: str
    date: str
    verdict: Statement
    also: Sequence[Statement]
    bars: Sequence[Bar]
    query_figures: Sequence[Figure]
    sections: Sequence[Section]
    scales: Sequence[Scale]
    checks: Sequence[Statement]
    warnings: Sequence[Statement]
    provenance: Sequence[tuple[str, str]]
    synthetic: str | None
    explanation: Explanation
    next_commands: Sequence[str] = ()
    page_command: str | None = None
    panel: Panel | None = None
    reranked: Statement | None = None
    label: str | None = None
    label_probability: float | None = None
    notes: Sequence[Statement] = ()
    around: Around | None = None
    map_note: str | None = None
    parts: PartsSection | None = None
    walk: WalkSection | None = None


def _parts_to_dict(parts: Parts, sources: Mapping[int, Source]) -> dict[str, Any]:
    from casebase.prototype_pages import parts_to_dict  # which is made of the figures of this file

    return parts_to_dict(parts, sources)
