"""Class association as a person reads it: a walk frame by frame beside a real case, and an embedding with its gates.

The numbers are those of :mod:`casebase.association`; here they stand in words and pictures, so that page and terminal
cannot disagree. All text is safe to print. Every picture that a decoder made says so in its pixels, ``synthetic``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casebase.answers import Neighbour, Prediction, finite
from casebase.association import Association, Coordinates, Manifold, Walk
from casebase.errors import UsageError
from casebase.explanations import Figure, Grid, Pixels, Scale, Statement

if TYPE_CHECKING:
    from casebase.writers import AssociationWriter

SCHEMA = "casebase.walk/1"


@dataclass(frozen=True, eq=False)
class Still:
    """One frame as shown: the picture with its mark, the ``image (S, S, 3) uint8`` alone for terminals.

    ``at`` (0 to 1) is how far along the way, ``where`` the same in words, ``share`` the rival's probability in words.
    ``flip`` marks the first image that is called otherwise, ``strip`` those that make up the filmstrip.
    """

    figure: Figure
    image: Pixels
    at: float
    where: str
    called: str
    share: str
    flip: bool = False
    strip: bool = True


@dataclass(frozen=True, eq=False)
class Curve:
    """What the network says along the way: probabilities of both classes at the places ``at`` (0 to 1), in order.

    ``flip`` is the place of the first image that is called otherwise, None where there is none; ``alt`` says it all in
    a sentence.
    """

    at: Sequence[float]
    of_predicted: Sequence[float]
    of_rival: Sequence[float]
    predicted: str
    rival: str
    flip: float | None
    alt: str


@dataclass(frozen=True, eq=False)
class WalkSection:
    """The section "walk": the readable form of a ``Walk``, or in ``missing`` why none is shown.

    ``stills`` are all frames in order, the flip among them; ``compared`` stand side by side: image, reconstruction,
    flip frame, what changed, and the nearest real case of the rival class. ``untrusted`` is a sentence where the
    embedding failed its gates and is shown all the same.
    """

    title: str
    lead: str
    predicted: str
    rival: str
    missing: Statement | None = None
    untrusted: Statement | None = None
    stills: Sequence[Still] = ()
    curve: Curve | None = None
    flip: Statement | None = None
    told: Sequence[Statement] = ()
    compared: Sequence[Figure] = ()
    warnings: Sequence[Statement] = ()
    scale: Scale | None = None


@dataclass(frozen=True, eq=False)
class Spot:
    """A shape on the map and what it stands for: ``kind`` names its colour, ``wrong`` that the network errs there."""

    kind: str
    name: str
    points: Sequence[tuple[float, float]]
    wrong: Sequence[tuple[float, float]]
    cases: int
    errors: int


@dataclass(frozen=True, eq=False)
class MapSection:
    """The map of the class codes, ready to be drawn: coordinates run from 0 to 1, from left and from top.

    ``spots`` are one for each class, the largest first; ``note`` says what the axes are and how many points are drawn.
    ``query`` and ``path`` lie on it where an image was asked for.
    """

    title: str
    lead: str
    note: str
    alt: str
    spots: Sequence[Spot]
    aspect: float
    query: tuple[float, float] | None = None
    path: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, eq=False)
class WalkPage:
    """A walk from one image to a rival class. Nothing is written until :meth:`save`.

    ``path`` names the image, ``whole`` shows it; ``retrieved`` is the nearest real case that the network calls the
    rival, None where there is none.
    """

    path: str
    sha256: str
    prediction: Prediction
    found: Association
    walk: Walk
    retrieved: Neighbour | None
    section: WalkSection
    whole: Figure
    map: MapSection
    manifold: Manifold
    facts: Mapping[str, str]
    seconds: float
    synthetic: str | None = None
    writer: AssociationWriter | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Schema ``casebase.walk/1``; the pictures are not in it."""
        return {
            "schema": SCHEMA, "image": {"path": self.path, "sha256": self.sha256},
            "prediction": self.prediction.to_dict(), "trustworthy": self.found.trustworthy,
            "failed": list(self.found.failed), "digest": self.found.digest, "walk": self.walk.to_dict(),
            "retrieved": None if self.retrieved is None else self.retrieved.to_dict(),
            "map": {**on_map(self.manifold), "cases": len(self.manifold.ids)},
            "facts": dict(self.facts), "seconds": finite(self.seconds),
        }  # fmt: skip

    def save(self, target: str | Path) -> Path:
        """Write one self-contained HTML page and return its path."""
        return _writer(self.writer).write(self, Path(target))

    def _repr_html_(self) -> str:
        return "" if self.writer is None else self.writer.inline(self)


@dataclass(frozen=True, eq=False)
class Swap:
    """One row of the sample sheet: source, reconstruction, edit with the lender's class code, lender."""

    source: Figure
    rebuilt: Figure
    edit: Figure
    lender: Figure
    said: str
    image: Pixels


@dataclass(frozen=True, eq=False)
class AssociationPage:
    """A class association embedding with its gates. Nothing is written until :meth:`save`.

    ``map`` and ``swaps`` are left out where the gates failed and nobody asked to see them; ``held_back`` says so.
    """

    found: Association
    title: str
    lead: str
    warnings: Sequence[Statement]
    gates: Grid
    directions: Grid
    log: Grid
    map: MapSection | None
    manifold: Manifold | None
    swaps: Sequence[Swap]
    held_back: Statement | None
    reading: Sequence[Statement]
    facts: Mapping[str, str]
    effects: Grid | None = None
    coordinates: Coordinates | None = None
    synthetic: str | None = None
    writer: AssociationWriter | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Schema ``casebase.cae/1`` with the ``map`` of all cases, the ``effects`` of the code, and the facts."""
        value = self.found.to_dict()
        value["map"] = None if self.manifold is None else self.manifold.to_dict()
        value["effects"] = None if self.coordinates is None else self.coordinates.to_dict()
        value["facts"] = dict(self.facts)
        return value

    def save(self, target: str | Path) -> Path:
        """Write one self-contained HTML page and return its path."""
        return _writer(self.writer).write(self, Path(target))

    def _repr_html_(self) -> str:
        return "" if self.writer is None else self.writer.inline(self)


def on_map(found: Manifold) -> dict[str, Any]:
    """What a map tells of the image that was asked for; the cases are not in it."""
    value = found.to_dict()
    return {name: value[name] for name in ("method", "explained", "query", "path")}


def _writer(writer: AssociationWriter | None) -> AssociationWriter:
    if writer is None:
        raise UsageError("this was made without a writer of pages; ask a case base for it")
    return writer
