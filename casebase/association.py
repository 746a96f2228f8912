"""Class association: an image as a class code and an individual code, and the walk from one class to another.

An auto-encoder splits an image into what makes it its class (the class code, a few numbers) and what makes it itself
(the individual code, a map). Decoding the individual code under another class code changes the class and, where the
training has succeeded, nothing else: R. Xie et al., "Accurate Explanation Model for Image Classifiers using Class
Association Embedding", ICDE 2024, https://arxiv.org/abs/2406.07961. Every image made so is synthetic and never a case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from casebase.answers import finite

PREDICTED, LABELS = "predicted", "labels"
TARGETS = (PREDICTED, LABELS)
GRAPH, STRAIGHT = "graph", "straight"
COMPLETE = "complete"
"""How a training ended that came to its last step; anything else is a sentence."""
ROUTES = (GRAPH, STRAIGHT)
"""``graph``: the shortest way along codes of cases; ``straight``: the line between two codes."""
Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Size:
    """How large the networks are.

    Images of ``side`` pixels squared, ``width`` channels in the first layer, ``blocks`` residual blocks, ``halvings``
    of the class encoder beyond its first, ``code`` numbers a class code.
    """

    side: int
    width: int
    blocks: int
    halvings: int = 3
    code: int = 8


@dataclass(frozen=True, slots=True)
class Direction:
    """Swaps from one class to another: what share of ``n`` edits the explained network called ``towards``."""

    source: str
    towards: str
    reassigned: float
    n: int


@dataclass(frozen=True, eq=False)
class Standing:
    """What swaps of class codes did to ``n`` images that the training has not learnt from, after ``iteration`` steps.

    Every edit is ``G(class code of a lender, individual code of the source)``. All shares are 0..1:

    ``directions``            reassignment by the explained network, its argmax over *all* classes
    ``resized``, ``rebuilt``  agreement of the network with itself on the image at the networks' side, on the
                              reconstruction
    ``error``                 mean absolute error of the reconstruction, of the range of values
    ``nearer_source``         edits nearer (L1 of pixels) to their source than to their lender
    ``own_rank1``, ``donor_rank1``  edits whose nearest of all sources, of all lenders, is their own; by chance
                              ``chance_own``, ``chance_donor``; ``rebuilt_rank1`` the same of reconstructions
    ``nearer_source_features``, ``donor_rank1_features``  the same in the explained network's features, where an edit
                              *should* come nearer to the lender's class, but not to the lender itself
    ``separable``             balanced accuracy of a linear reader of the class on class codes
    ``leak``                  the same on pooled individual codes; ``chance_class`` is wanted
    ``flips``, ``monotone``   of walks to a rival: the share that ends with the network calling it the rival; the mean
                              share of steps on which the rival's probability does not fall (by more than 0.01)

    None where it was not measured.
    """

    iteration: int
    n: int
    directions: Sequence[Direction]
    resized: float
    rebuilt: float
    error: float
    nearer_source: float
    own_rank1: float
    donor_rank1: float
    rebuilt_rank1: float
    chance_own: float
    chance_donor: float
    nearer_source_features: float | None = None
    donor_rank1_features: float | None = None
    separable: float | None = None
    leak: float | None = None
    chance_class: float | None = None
    flips: float | None = None
    monotone: float | None = None

    @property
    def worst(self) -> Direction | None:
        """The direction in which fewest edits were reassigned."""
        return min(self.directions, key=lambda one: one.reassigned, default=None)

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON."""
        value = asdict(self)
        value["directions"] = [
            {"from": one.source, "to": one.towards, "reassigned": finite(one.reassigned), "n": one.n}
            for one in self.directions
        ]
        return {name: finite(one) if isinstance(one, float) else one for name, one in value.items()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """What :meth:`to_dict` wrote."""
        directions = [
            Direction(one["from"], one["to"], float(one["reassigned"]), int(one["n"])) for one in value["directions"]
        ]
        return cls(**{**value, "directions": directions})


@dataclass(frozen=True, eq=False)
class Association:
    """One trained class association embedding, for one network.

    ``classifier`` is the fingerprint of the network it explains, ``digest`` the SHA-256 of the file with its weights.
    ``view`` is (height, width) of what the network sees, which is brought to ``size.side`` squared. ``target`` says
    whose classes were learnt: ``predicted`` or ``labels``. ``standing`` is that of the checkpoint chosen, ``log`` that
    of all; ``failed`` are the gates it did not pass, as sentences: with any, no view of it may be shown as an
    explanation. ``settings`` hold recipe, seed, versions and how the training ended.
    """

    classifier: str
    digest: str
    preset: str
    size: Size
    view: tuple[int, int]
    classes: Sequence[str]
    target: str
    standing: Standing
    log: Sequence[Standing]
    failed: Sequence[str]
    settings: Mapping[str, Any]
    created: str

    @property
    def trustworthy(self) -> bool:
        """Whether every gate was passed."""
        return not self.failed

    def to_dict(self) -> dict[str, Any]:
        """Schema ``casebase.cae/1``."""
        return {
            "schema": "casebase.cae/1", "classifier": self.classifier, "digest": self.digest, "preset": self.preset,
            "size": asdict(self.size), "view": list(self.view), "classes": list(self.classes), "target": self.target,
            "trustworthy": self.trustworthy, "failed": list(self.failed), "standing": self.standing.to_dict(),
            "log": [one.to_dict() for one in self.log], "settings": dict(self.settings), "created": self.created,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """What :meth:`to_dict` wrote."""
        height, width = value["view"]
        return cls(
            classifier=value["classifier"], digest=value["digest"], preset=value["preset"],
            size=Size(**value["size"]), view=(int(height), int(width)), classes=list(value["classes"]),
            target=value["target"], standing=Standing.from_dict(value["standing"]),
            log=[Standing.from_dict(one) for one in value["log"]], failed=list(value["failed"]),
            settings=value["settings"], created=value["created"],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Codes:
    """What the encoders say of ``n`` images.

    ``of_class (n, code) float32``, centred on the training's mean, and ``individual (n, channels, h, w) float32``.
    """

    of_class: Floats
    individual: Floats


@dataclass(frozen=True, eq=False)
class Nodes:
    """Codes of cases a walk may go along.

    ``codes (m, code) float32``, centred; ``called (m,)`` the network's class of each as a position in the
    association's classes; ``case_ids`` name the cases. Only cases that the network calls on their *reconstruction*
    what it calls them on their image.
    """

    codes: Floats
    called: NDArray[np.intp]
    case_ids: Sequence[str]


@dataclass(frozen=True, eq=False)
class Frame:
    """One synthetic image of a walk, at ``at`` (0 the reconstruction, 1 the end), as the explained network judged it.

    ``image (S, S, 3) uint8``; ``probabilities (C,) float32`` in the order of the network's classes; ``called`` the
    class of the largest.
    """

    at: float
    image: Bytes
    probabilities: Floats
    called: str


@dataclass(frozen=True, eq=False)
class Walk:
    """From a query's class code to a rival's, decoded step by step with the query's own individual code.

    ``frames`` are evenly spaced by length of the way, the first is the reconstruction; ``flip`` is the first image the
    network calls otherwise than the query, found by bisection, None where none was. ``route`` says how the way was
    found, ``passed`` the ids of the cases whose codes lie on it, ``gap`` whether it crosses a stretch between parts of
    the manifold that no cases join. ``reference`` is the id of the rival's case whose code is the end, None for the
    mean code of the rival's cases. ``difference (S, S, 3) float32`` in [-1, 1] is flip frame (without a flip: last
    frame) minus reconstruction. ``refused`` says why there is no walk for this image; then there are no frames beyond
    the first. ``warnings`` are sentences.
    """

    predicted: str
    rival: str
    classes: Sequence[str]
    frames: Sequence[Frame]
    flip: Frame | None
    route: str
    passed: Sequence[str]
    gap: bool
    reference: str | None
    code: Floats
    path: Floats
    error: float
    difference: Floats
    refused: str | None = None
    warnings: Sequence[str] = field(default_factory=tuple)

    @property
    def monotone(self) -> float | None:
        """Share of steps on which the rival's probability does not fall by more than 0.01; None without steps."""
        place = list(self.classes).index(self.rival)
        found = np.array([frame.probabilities[place] for frame in self.frames], np.float64)
        return None if len(found) < 2 else float((np.diff(found) >= -0.01).mean())

    def to_dict(self) -> dict[str, Any]:
        """The walk as JSON; the pictures are not in it."""
        return {
            "synthetic": True, "predicted": self.predicted, "rival": self.rival, "route": self.route,
            "frames": [self._frame(one) for one in self.frames],
            "flip": None if self.flip is None else self._frame(self.flip),
            "passed": list(self.passed), "gap": self.gap, "reference": self.reference,
            "monotone": self.monotone, "reconstruction_error": finite(self.error),
            "code": [finite(float(one)) for one in self.code],
            "refused": self.refused, "warnings": list(self.warnings),
        }  # fmt: skip

    def _frame(self, one: Frame) -> dict[str, Any]:
        values = zip(self.classes, one.probabilities.tolist(), strict=True)
        return {"at": finite(one.at), "called": one.called, "probabilities": {n: finite(v) for n, v in values}}


@dataclass(frozen=True, eq=False)
class Coordinates:
    """What each number of the class code does to what the explained network says, over ``n`` images.

    ``spread (code,) float32`` is the standard deviation of the cases' codes, by which a number is moved; ``below`` and
    ``above (code, C) float32`` are the mean changes of every class's probability against the reconstruction;
    ``flipped (code,)`` the share of images that either makes the network call otherwise. ``classes`` are the network's.
    After AttFind: O. Lang et al., "Explaining in Style", ICCV 2021, https://arxiv.org/abs/2104.13369.
    """

    classes: Sequence[str]
    spread: Floats
    below: Floats
    above: Floats
    flipped: Floats
    n: int

    @property
    def order(self) -> list[int]:
        """The code's numbers, those with the largest effect on any class first."""
        effect = np.abs(self.above - self.below).max(axis=1)
        return [int(place) for place in np.argsort(-effect, kind="stable")]

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON, the largest effect first."""
        return {
            "synthetic": True, "n": self.n,
            "coordinates": [
                {
                    "number": place, "spread": finite(float(self.spread[place])),
                    "below": self._changes(self.below[place]), "above": self._changes(self.above[place]),
                    "flipped": finite(float(self.flipped[place])),
                }
                for place in self.order
            ],
        }  # fmt: skip

    def _changes(self, values: Floats) -> dict[str, float | None]:
        return {name: finite(value) for name, value in zip(self.classes, values.tolist(), strict=True)}


@dataclass(frozen=True, eq=False)
class Manifold:
    """All cases on the map of their class codes.

    ``points (n, 2) float32`` are the first two principal components of the codes (``method`` ``pca``; or ``umap``),
    ``explained`` the share of the codes' variance they hold (None for UMAP). ``ids``, ``labels`` and ``predicted`` are
    of the cases. ``query (2,)`` and ``path (m, 2)`` lie on it where an image was asked for.
    """

    points: Floats
    ids: Sequence[str]
    labels: Sequence[str]
    predicted: Sequence[str]
    method: str
    explained: float | None
    query: Floats | None = None
    path: Floats | None = None

    def to_dict(self) -> dict[str, Any]:
        """The map as JSON."""
        rows = zip(self.ids, self.points.tolist(), self.labels, self.predicted, strict=True)
        return {
            "method": self.method, "explained": None if self.explained is None else finite(self.explained),
            "cases": [{"id": i, "at": at, "label": label, "predicted": said} for i, at, label, said in rows],
            "query": None if self.query is None else self.query.tolist(),
            "path": None if self.path is None else self.path.tolist(),
        }  # fmt: skip
