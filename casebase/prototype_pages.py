"""Prototypes as a person reads them: the parts of one image beside their source cases, and the prototypes of a network.

The numbers are those of :mod:`casebase.prototypes`; here they stand in words and pictures, so that page and terminal
cannot disagree. All text is safe to print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casebase.answers import Prediction, finite
from casebase.cases import Case
from casebase.errors import UsageError
from casebase.explanations import Figure, Grid, Pixels, Scale, Statement
from casebase.prototypes import Parts, PrototypeSet

if TYPE_CHECKING:
    from casebase.writers import PrototypeWriter

SCHEMA = "casebase.parts/1"


@dataclass(frozen=True, eq=False)
class Source:
    """Where a prototype comes from: its case, what the network sees of it, and why there is no picture of it.

    ``case`` is None where the base knows it no more; ``view (H, W, 3) uint8`` is None where ``problem`` says why.
    """

    case: Case | None
    view: Pixels | None
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON of what is known of the case; the picture is not in it."""
        case = self.case
        return {
            "path": None if case is None else case.path,
            "label": None if case is None else case.label,
            "predicted": None if case is None else case.predicted,
            "problem": self.problem,
        }


@dataclass(frozen=True, eq=False)
class Match:
    """One match as shown: the query's patch, the case's patch, and where else in the query the prototype is found.

    ``adds`` is the contribution with its sign, ``against`` whether it speaks against the class it is shown for,
    ``sense`` a sentence where it does or where it comes from what is not there. ``label``, ``predicted`` and ``path``
    are the source case's, or None where the base knows it no more. ``said`` is the check in one sentence, ``blurred``
    in two figures: what blurring the box does to the similarity, and blurring elsewhere.
    """

    number: int
    of_class: str
    query: Figure
    case: Figure
    map: Figure
    adds: str
    unit: str
    similarity: str
    against: bool
    case_id: str
    path: str | None
    label: str | None
    predicted: str | None
    said: Statement
    blurred: tuple[str, str]
    sense: Statement | None = None

    @property
    def disputed(self) -> bool:
        """Whether the network calls the source case something other than its label."""
        return self.label != self.predicted


@dataclass(frozen=True, eq=False)
class ClassParts:
    """One class: its score before softmax, the matches shown, and the line in which they add up to the score."""

    name: str
    role: str
    score: str
    matches: Sequence[Match]
    equation: str


@dataclass(frozen=True, eq=False)
class PartsSection:
    """The section "this looks like that": the readable form of ``Parts``, the predicted class first."""

    title: str
    lead: str
    seen: str
    classes: Sequence[ClassParts]
    warnings: Sequence[Statement]
    scale: Scale | None


@dataclass(frozen=True, eq=False)
class PartsPage:
    """What the prototypes say of one image. Nothing is written until :meth:`save`.

    ``path`` names the image, ``whole`` shows it; ``sources`` are by the number of the prototype.
    """

    path: str
    sha256: str
    prediction: Prediction
    parts: Parts
    sources: Mapping[int, Source]
    section: PartsSection
    whole: Figure
    facts: Mapping[str, str]
    seconds: float
    synthetic: str | None = None
    writer: PrototypeWriter | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Schema ``casebase.parts/1``."""
        return {
            "schema": SCHEMA, "image": {"path": self.path, "sha256": self.sha256},
            "prediction": self.prediction.to_dict(), "prototypes": parts_to_dict(self.parts, self.sources),
            "facts": dict(self.facts), "seconds": finite(self.seconds),
        }  # fmt: skip

    def save(self, target: str | Path) -> Path:
        """Write one self-contained HTML page and return its path."""
        return _writer(self.writer).write(self, Path(target))

    def _repr_html_(self) -> str:
        return "" if self.writer is None else self.writer.inline(self)


@dataclass(frozen=True, eq=False)
class PrototypeCard:
    """One prototype as shown: its source with the box, the patch enlarged, and what is known of it."""

    number: int
    picture: Figure
    patch: Figure
    weight: str
    purity: str
    decides: str
    case_id: str
    path: str | None
    label: str | None
    predicted: str | None

    @property
    def disputed(self) -> bool:
        """Whether the network calls the source case something other than its label."""
        return self.label != self.predicted


@dataclass(frozen=True, eq=False)
class ClassPrototypes:
    """The prototypes of one class, the weightiest first; ``empty`` says what stands there without any."""

    name: str
    lead: str
    cards: Sequence[PrototypeCard]
    empty: str | None


@dataclass(frozen=True, eq=False)
class PrototypesPage:
    """The prototypes of a network with their sources. Nothing is written until :meth:`save`."""

    found: PrototypeSet
    sources: Mapping[int, Source]
    title: str
    lead: str
    seen: str
    warnings: Sequence[Statement]
    classes: Sequence[ClassPrototypes]
    stages: Grid
    reading: Sequence[Statement]
    facts: Mapping[str, str]
    synthetic: str | None = None
    writer: PrototypeWriter | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Schema ``casebase.prototypes/1``, each prototype with its ``source``, and the warnings."""
        value = self.found.to_dict()
        for one in value["prototypes"]:
            one["source"] = self.sources[one["id"]].to_dict()
            one["purity"] = finite(one["purity"])
            one["weight"], one["decides"] = finite(one["weight"]), finite(one["decides"])
        value["warnings"] = [one.text for one in self.warnings]
        value["facts"] = dict(self.facts)
        return value

    def save(self, target: str | Path) -> Path:
        """Write one self-contained HTML page and return its path."""
        return _writer(self.writer).write(self, Path(target))

    def _repr_html_(self) -> str:
        return "" if self.writer is None else self.writer.inline(self)


def parts_to_dict(parts: Parts, sources: Mapping[int, Source]) -> dict[str, Any]:
    """The parts of one image as JSON, each match with the ``source`` of its prototype."""
    value = parts.to_dict()
    for one in (match for of_class in value["classes"] for match in of_class["matches"]):
        source = sources.get(one["prototype"])
        one["source"] = None if source is None else source.to_dict()
    return value


def _writer(writer: PrototypeWriter | None) -> PrototypeWriter:
    if writer is None:
        raise UsageError("this was made without a writer of pages; ask a case base for it")
    return writer
