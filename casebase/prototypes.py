"""Prototypes: parts of a class, each a real patch of one case, and how much they say of an image.

A prototype is a vector in the network's map of places. It is projected onto a patch of a training case, so that "this
looks like that" can be shown: C. Chen et al., "This Looks Like That", NeurIPS 2019, https://arxiv.org/abs/1806.10574.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from casebase.answers import finite

SIGNED, CLASSIC = "signed", "classic"
PROFILES = (SIGNED, CLASSIC)
"""``signed``: centred cosine under a signed convex head; ``classic``: ProtoPNet as published."""

LEAST_FALL = 0.05
"""A match rests on its box where blurring that takes at least this share of the similarity away."""
Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Patch:
    """One cell of a case: ``row`` and ``column`` in the map of places, ``box`` as fractions of the network's view.

    The box (left, top, right, bottom) marks the cell; what the cell has seen of the image is its receptive field.
    ``pixel_hash`` is the case's when the patch was taken: of another picture the patch is none.
    """

    case_id: str
    pixel_hash: str
    row: int
    column: int
    box: Box


@dataclass(frozen=True, slots=True)
class Prototype:
    """One part of a class. ``number`` is its place in the set and never changes within it.

    ``weight`` >= 0 is its share in its class's score; ``purity`` the share of class members among the ten images most
    similar to it, ``purity_n`` of those set aside from the training (or, too few for that, of all but its own), None
    where there were none; ``decides`` the share of the
    training images called ``of_class`` in which it is the largest contribution.
    """

    number: int
    of_class: str
    patch: Patch
    weight: float
    purity: float | None
    purity_n: int
    decides: float

    def to_dict(self) -> dict[str, Any]:
        """The prototype as JSON."""
        value = asdict(self)
        value["patch"]["box"] = list(self.patch.box)
        return {"id": self.number, "class": value.pop("of_class"), **{n: v for n, v in value.items() if n != "number"}}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """What :meth:`to_dict` wrote."""
        patch = dict(value["patch"])
        left, top, right, bottom = (float(edge) for edge in patch.pop("box"))
        return cls(
            number=int(value["id"]), of_class=str(value["class"]), patch=Patch(box=(left, top, right, bottom), **patch),
            weight=float(value["weight"]), purity=value["purity"], purity_n=int(value["purity_n"]),
            decides=float(value["decides"]),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Stage:
    """What stood after one stage of the training: figures by name, and the alarms of the collapse detector."""

    name: str
    figures: Mapping[str, float | int | None]
    alarms: Sequence[str] = ()
    steps: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The stage as JSON."""
        told = {name: finite(value) if isinstance(value, float) else value for name, value in self.figures.items()}
        return {
            "name": self.name, "figures": told, "alarms": list(self.alarms), "steps": self.steps,
            "seconds": finite(self.seconds),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """What :meth:`to_dict` wrote."""
        return cls(value["name"], value["figures"], value["alarms"], value["steps"], value["seconds"])


@dataclass(frozen=True, eq=False)
class PrototypeSet:
    """The prototypes of one profile, for one network.

    ``classifier`` is the fingerprint of the network they explain, ``digest`` the SHA-256 of the file with their
    vectors. ``grid`` is (rows, columns) of the map of places at ``layer``; ``receptive_field`` (height, width) in
    pixels of the view is what one cell sees of it, which may be all. ``target`` says what the head was fitted to:
    ``predicted`` or ``labels``. ``settings`` hold recipe, seed and versions, ``stages`` the log of the training.
    """

    profile: str
    classifier: str
    digest: str
    layer: str
    grid: tuple[int, int]
    view: tuple[int, int]
    receptive_field: tuple[int, int]
    classes: Sequence[str]
    target: str
    prototypes: Sequence[Prototype]
    stages: Sequence[Stage]
    settings: Mapping[str, Any]
    created: str

    def of_class(self, name: str) -> list[Prototype]:
        """The prototypes of one class."""
        return [one for one in self.prototypes if one.of_class == name]

    def to_dict(self) -> dict[str, Any]:
        """Schema ``casebase.prototypes/1``."""
        return {
            "schema": "casebase.prototypes/1", "profile": self.profile, "classifier": self.classifier,
            "digest": self.digest, "layer": self.layer, "grid": list(self.grid), "view": list(self.view),
            "receptive_field": list(self.receptive_field), "classes": list(self.classes), "target": self.target,
            "prototypes": [one.to_dict() for one in self.prototypes],
            "stages": [one.to_dict() for one in self.stages], "settings": dict(self.settings), "created": self.created,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """What :meth:`to_dict` wrote."""
        return cls(
            profile=value["profile"], classifier=value["classifier"], digest=value["digest"], layer=value["layer"],
            grid=_pair(value["grid"]), view=_pair(value["view"]), receptive_field=_pair(value["receptive_field"]),
            classes=list(value["classes"]), target=value["target"],
            prototypes=[Prototype.from_dict(one) for one in value["prototypes"]],
            stages=[Stage.from_dict(one) for one in value["stages"]], settings=value["settings"],
            created=value["created"],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Activation:
    """What the prototypes say of one image.

    ``maps (P, h, w)`` are similarities per cell, ``similarity (P,)`` their maxima at ``cells (P, 2)`` (row, column).
    ``contributions (C, P)`` are what each adds to each class's score before softmax, so that
    ``scores (C,) = bias + contributions.sum(axis=1)``.
    """

    maps: Floats
    similarity: Floats
    cells: NDArray[np.intp]
    contributions: Floats
    bias: Floats
    scores: Floats

    def box(self, number: int) -> Box:
        """The cell at which a prototype was found, as fractions of the view."""
        row, column = self.cells[number].tolist()
        return cell_box(row, column, self.maps.shape[1:])


@dataclass(frozen=True, eq=False)
class PartCheck:
    """Whether hiding the matched place lowers the similarity, against hiding as large a box elsewhere.

    ``similarity`` is that of the match, ``hidden`` its fall when the box is blurred, ``elsewhere`` the mean fall over
    ``draws`` boxes placed at random that do not meet it, ``as_much`` how many of those lowered it at least as much.
    """

    hidden: float
    elsewhere: float
    as_much: int
    draws: int
    similarity: float

    @property
    def agrees(self) -> bool:
        """Whether the box matters (5 % of the similarity or more), and more than nearly any other (1 in 8)."""
        enough = self.hidden > 0.0 and self.hidden >= LEAST_FALL * abs(self.similarity)
        return enough and self.as_much <= self.draws // 8

    def to_dict(self) -> dict[str, Any]:
        """The check as JSON."""
        return {
            "hidden": finite(self.hidden), "elsewhere": finite(self.elsewhere), "as_much": self.as_much,
            "draws": self.draws, "similarity": finite(self.similarity), "agrees": self.agrees,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class PartMatch:
    """One prototype found in the query: this patch looks like that patch.

    ``contribution`` is what it adds to the score of ``target``; it may speak against it. ``similarity`` is that of the
    best cell, whose place is ``box``; ``map (h, w) float32`` is the similarity of every cell.
    """

    prototype: Prototype
    target: str
    contribution: float
    similarity: float
    box: Box
    map: Floats
    check: PartCheck | None = None

    def to_dict(self) -> dict[str, Any]:
        """The match as JSON."""
        return {
            "prototype": self.prototype.number, "prototype_class": self.prototype.of_class, "class": self.target,
            "contribution": finite(self.contribution), "similarity": finite(self.similarity), "box": list(self.box),
            "case": self.prototype.patch.case_id, "case_box": list(self.prototype.patch.box),
            "check": None if self.check is None else self.check.to_dict(),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Parts:
    """The prototypes' view of one image: for each class of ``targets`` its score and the matches that make it.

    ``score[c]`` = ``bias[c]`` + the sum over *all* prototypes; ``matches[c]`` are those shown, parts that are there
    before parts that are missing, by the size of their contribution. Of those not shown, ``absent[c]`` is the sum of
    what missing parts add, ``rest[c]`` that of the others. ``called`` is the class the prototypes would choose.
    """

    profile: str
    called: str
    targets: Sequence[str]
    score: Mapping[str, float]
    bias: Mapping[str, float]
    absent: Mapping[str, float]
    rest: Mapping[str, float]
    matches: Mapping[str, Sequence[PartMatch]]
    receptive_field: tuple[int, int]
    view: tuple[int, int]
    warnings: Sequence[str] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """What the prototypes say, as JSON."""
        return {
            "profile": self.profile, "called": self.called, "receptive_field": list(self.receptive_field),
            "classes": [
                {
                    "class": name, "score": finite(self.score[name]), "bias": finite(self.bias[name]),
                    "absent": finite(self.absent[name]), "rest": finite(self.rest[name]),
                    "matches": [one.to_dict() for one in self.matches[name]],
                }
                for name in self.targets
            ],
            "warnings": list(self.warnings),
        }  # fmt: skip


def missing(profile: str, own: NDArray[np.bool_], contributions: NDArray[Any]) -> NDArray[np.bool_]:
    """Which contributions to a class come from what is not there: from parts less alike than usual.

    ``own`` says which prototypes are the class's. Signed prototypes are weighed by how much more alike they are than on
    average over the training images, for their own class never negatively, for others never positively. The classic
    profile has no such centre.

    >>> missing("signed", np.array([True, True, False, False]), np.array([0.4, -0.1, 0.2, -0.3])).tolist()
    [False, True, True, False]
    """
    gone: NDArray[np.bool_] = (contributions != 0) & (own == (contributions < 0)) & (profile == SIGNED)
    return gone


def cell_box(row: int, column: int, grid: Sequence[int]) -> Box:
    """The cell of a (rows, columns) grid as fractions (left, top, right, bottom).

    >>> cell_box(1, 0, (2, 4))
    (0.0, 0.5, 0.25, 1.0)
    """
    rows, columns = grid
    return column / columns, row / rows, (column + 1) / columns, (row + 1) / rows


def _pair(value: Sequence[int]) -> tuple[int, int]:
    first, second = value
    return int(first), int(second)
