"""From an image towards another class: decoded step by step, every step judged by the explained network.

The way leads from the query's class code to the code of a case of the rival class, along codes of cases; what is
decoded at every point of it has the query's own individual code. Guided paths over class codes: R. Xie et al., ICDE
2024, https://arxiv.org/abs/2406.07961; the straight line c(a) = c_x + a (c_end - c_x) is theirs as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from casebase.association import GRAPH, ROUTES, STRAIGHT, Bytes, Floats, Frame, Walk
from casebase.errors import ModelError, UnknownClass, UsageError
from casebase.manifold import along, evenly, graph, shortest, way_to
from casebase.ports import AssociationView, Matrix, Vector
from casebase.reading import printable, some

FRAMES = 20
ENDS = 4
"""Of the rival's cases, the nearest that are tried as an end beside the one that was named."""
HALVINGS = 12
CLOSE = 0.01
"""The bisection ends where no class's probability differs by more across what is left of the way."""
Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class End:
    """A case that a walk should end at: its id and class code ``(code,) float32``, centred."""

    case_id: str
    code: Vector


@dataclass(frozen=True, eq=False)
class Start:
    """Where walks of one image begin.

    ``code (code,)`` and ``individual (1, ...)`` are its codes; ``rebuilt`` the reconstruction as the first frame,
    ``error`` its mean absolute difference from the image at the same size, in [0, 1]. ``judged (C,)`` is what the
    network says of the image itself, ``predicted`` the class it was called. ``refused`` says why there is no walk.
    """

    predicted: str
    judged: Floats
    code: Floats
    individual: Floats
    rebuilt: Frame
    error: float
    refused: str | None


@dataclass(frozen=True, eq=False)
class _Route:
    """A way to one end: ``corners (p, code)``; ``passed`` are the cases on it, ``end`` what is decoded there."""

    corners: Points
    route: str
    passed: Sequence[str]
    reference: str | None
    end: Frame
    gap: bool = False
    warnings: Sequence[str] = ()


def walk(
    view: AssociationView,
    views: NDArray[np.uint8],
    rival: str,
    *,
    predicted: str | None = None,
    route: str = GRAPH,
    frames: int = FRAMES,
    end: End | None = None,
) -> Walk:
    """The walk of one image ``(1, H, W, 3) uint8`` to a rival class.

    ``predicted`` is what the network calls the image (None: it is asked), ``end`` the case to try first as an end,
    which should be the nearest unlike one. Raises ``UnknownClass`` for a rival that takes no part, ``UsageError`` for
    one that the image is called already, ``ModelError`` where the network's answer is no number.
    """
    return Walker(view, route, frames).walk(start_of(view, views, predicted), rival, end)


def walks(
    view: AssociationView,
    views: NDArray[np.uint8],
    rivals: Sequence[str],
    *,
    predicted: Sequence[str] | None = None,
    route: str = GRAPH,
    frames: int = FRAMES,
) -> list[Walk]:
    """Walks of images ``(N, H, W, 3) uint8``, each to its rival, with what they share done once; see :func:`walk`."""
    walker = Walker(view, route, frames)
    begun = starts(view, views, predicted)
    return [walker.walk(start, rival) for start, rival in zip(begun, rivals, strict=True)]


def runner_up(view: AssociationView, start: Start) -> str:
    """The most probable class that takes part, other than the image's own: where a walk leads that nobody directed."""
    others = [name for name in view.found.classes if name != start.predicted]
    return max(others, key=lambda name: float(start.judged[list(view.classes).index(name)]))


def start_of(view: AssociationView, views: NDArray[np.uint8], predicted: str | None = None) -> Start:
    """Where the walks of one image ``(1, H, W, 3) uint8`` begin."""
    return starts(view, views, None if predicted is None else [predicted])[0]


def starts(view: AssociationView, views: NDArray[np.uint8], predicted: Sequence[str] | None = None) -> list[Start]:
    """Where the walks of images ``(N, H, W, 3) uint8`` begin; ``predicted`` None asks the network.

    An image is refused where the network calls it otherwise once it is reduced to the embedding's size or rebuilt: a
    walk would show nothing but that error. Raises ``ModelError`` where the network's answer is no number.
    """
    codes, small = view.encode(views), view.reduced(views)
    rebuilt = view.decode(codes.of_class, codes.individual)
    whole = judged(view, views)
    called = [_called(view, row) for row in whole] if predicted is None else predicted
    said = judged(view, np.concatenate([small, rebuilt]))
    rows = zip(called, whole, said[: len(views)], said[len(views) :], small, rebuilt, strict=True)
    return [
        Start(
            predicted=name, judged=at_first, code=codes.of_class[place],
            individual=codes.individual[place : place + 1], rebuilt=Frame(0.0, image, after, _called(view, after)),
            error=float(np.abs(image.astype(np.float32) - source).mean() / 255.0),
            refused=_refusal(view, name, _called(view, before), _called(view, after)),
        )
        for place, (name, at_first, before, after, source, image) in enumerate(rows)
    ]  # fmt: skip


class Walker:
    """Makes walks in one view; ``frames`` counts both ends. Raises ``UsageError`` for what no walk can be made with."""

    def __init__(self, view: AssociationView, route: str = GRAPH, frames: int = FRAMES) -> None:
        if route not in ROUTES:
            raise UsageError(f"--route must be {' or '.join(ROUTES)}, not {route!r}")
        if frames < 2:
            raise UsageError(f"a walk has at least 2 frames, its two ends, not {frames}")
        self._view, self._route, self._frames = view, route, frames

    def walk(self, start: Start, rival: str, end: End | None = None) -> Walk:
        """The walk from a start to a rival class; ``end`` is the case to try first. Raises as :func:`walk` does."""
        self._check(start, rival)
        if start.refused is not None:
            return self._stays(start, rival, start.refused)
        if not (self._view.nodes.called == self._place(rival)).any():
            name = printable(rival)
            return self._stays(start, rival, f"no case that is called {name} keeps that class when it is rebuilt")
        way = self._way(start, rival, end)
        seen = self._seen(start, way)
        flip = self._flip(start, way.corners, seen)
        told = [*way.warnings]
        if end is not None and way.reference not in (None, end.case_id):
            told.append(
                f"with the code of the nearest unlike case the network does not call the image {printable(rival)}; "
                "the way leads to another case"
            )
        if way.gap:
            told.append("the way crosses a stretch between parts of the map of codes that no cases join")
        last = (flip or seen[-1]).image.astype(np.float32)
        return Walk(
            predicted=start.predicted, rival=rival, classes=list(self._view.classes), frames=seen, flip=flip,
            route=way.route, passed=list(way.passed), gap=way.gap, reference=way.reference, code=start.code,
            path=way.corners.astype(np.float32), error=start.error,
            difference=(last - start.rebuilt.image.astype(np.float32)) / np.float32(255.0),
            warnings=(*told, *_told(start.predicted, rival, seen, flip)),
        )  # fmt: skip

    def _check(self, start: Start, rival: str) -> None:
        if rival not in self._view.found.classes:
            raise UnknownClass(
                f"no class {printable(rival)!r} takes part in the class association embedding; "
                f"there is {some(list(self._view.found.classes))}"
            )
        if rival == start.predicted:
            raise UsageError(f"the network calls the image {printable(rival)} already; name another class to walk to")

    def _stays(self, start: Start, rival: str, why: str) -> Walk:
        return Walk(
            predicted=start.predicted, rival=rival, classes=list(self._view.classes), frames=[start.rebuilt],
            flip=None, route=self._route, passed=(), gap=False, reference=None, code=start.code,
            path=start.code[None], error=start.error,
            difference=np.zeros(start.rebuilt.image.shape, np.float32), refused=why,
        )  # fmt: skip

    def _place(self, name: str) -> int:
        return list(self._view.found.classes).index(name)

    def _way(self, start: Start, rival: str, end: End | None) -> _Route:
        """To the first of the rival's codes whose decode the network calls the rival; else to their mean."""
        nodes = self._view.nodes
        held = end is None or end.case_id in nodes.case_ids  # a case that is a node already is not put in twice
        codes = np.concatenate([nodes.codes, start.code[None], *([] if held or end is None else [end.code[None]])])
        names: list[str | None] = [*nodes.case_ids, None, *([] if held or end is None else [end.case_id])]
        own = np.flatnonzero(nodes.called == self._place(rival))
        over, begin = graph(codes), len(nodes.codes)
        lengths, before = shortest(over, begin)
        near = own[np.argsort(lengths[own], kind="stable")][:ENDS].tolist()
        first = [] if end is None else [names.index(end.case_id)]
        tried = list(dict.fromkeys([*first, *near]))
        for part in (tried[:1], tried[1:]):  # the first nearly always does, so that the others need not be decoded
            for node, frame in zip(part, self._decoded(start, codes[part]), strict=True):
                if frame.called == rival:
                    way = [begin, node] if self._route == STRAIGHT else way_to(before, node)
                    return self._along(way, codes, names, frame, gap=self._route == GRAPH and over.crosses(way))
        mean = codes[own].mean(axis=0)
        told = (
            f"with none of the {len(tried)} nearest codes of {printable(rival)} does the network call the image that; "
            "the way is the straight line to their mean"
        )
        line = np.stack([start.code, mean]).astype(np.float64)
        return _Route(line, STRAIGHT, (), None, self._decoded(start, mean[None])[0], warnings=(told,))

    def _along(self, way: list[int], codes: Floats, names: Sequence[str | None], end: Frame, *, gap: bool) -> _Route:
        """The route of a way over nodes; a line passes none of them."""
        named = [names[node] for node in way] if self._route == GRAPH else []
        passed = [name for name in named if name is not None]
        return _Route(codes[way].astype(np.float64), self._route, passed, names[way[-1]], end, gap)

    def _seen(self, start: Start, way: _Route) -> list[Frame]:
        """The frames; both ends are known by now."""
        at = np.linspace(0.0, 1.0, self._frames)
        between = self._decoded(start, evenly(way.corners, self._frames)[1:-1], at[1:-1])
        return [start.rebuilt, *between, way.end]

    def _flip(self, start: Start, corners: Points, seen: Sequence[Frame]) -> Frame | None:
        """The first image called otherwise, by bisection between the two frames where that happens."""
        place = next((place for place, frame in enumerate(seen) if frame.called != start.predicted), None)
        if place is None:
            return None
        before, flip = seen[place - 1], seen[place]
        for _ in range(HALVINGS):
            if float(np.abs(flip.probabilities - before.probabilities).max()) < CLOSE:
                break
            at = (before.at + flip.at) / 2
            (middle,) = self._decoded(start, along(corners, [at]), np.array([at]))
            before, flip = (middle, flip) if middle.called == start.predicted else (before, middle)
        return flip

    def _decoded(self, start: Start, codes: Points, at: NDArray[np.float64] | None = None) -> list[Frame]:
        """Frames of class codes ``(n, code)`` under the image's own individual code; ``at`` None: all at the end."""
        if not len(codes):
            return []
        images = self._view.decode(codes.astype(np.float32), start.individual)
        where = np.ones(len(codes)) if at is None else at
        return [
            Frame(float(place), image, row, _called(self._view, row))
            for place, image, row in zip(where, images, judged(self._view, images), strict=True)
        ]


def judged(view: AssociationView, images: Bytes) -> Matrix:
    """What the explained network says ``(N, C)``; raises ``ModelError`` where that is no number."""
    found = view.judge(images)
    if not np.isfinite(found).all():
        raise ModelError("the network's answer to a synthetic image or its source is no number, so no walk can be made")
    return found


def _called(view: AssociationView, probabilities: Floats) -> str:
    return view.classes[int(probabilities.argmax())]


def _refusal(view: AssociationView, predicted: str, reduced: str, rebuilt: str) -> str | None:
    name = printable(predicted)
    if predicted not in view.found.classes:
        return f"the network calls the image {name}, a class that the embedding has not learnt"
    if reduced != predicted:
        side = view.found.size.side
        return f"reduced to {side} x {side} pixels, the image is called {printable(reduced)} instead of {name}"
    if rebuilt != predicted:
        return (
            f"the reconstruction is called {printable(rebuilt)} instead of {name}, "
            "so that a walk would show nothing but the reconstruction error"
        )
    return None


def _told(predicted: str, rival: str, seen: Sequence[Frame], flip: Frame | None) -> list[str]:
    """What makes a walk weaker than it looks, as sentences."""
    if flip is None:
        return [f"the network calls every image of the way {printable(predicted)}: the class never flips"]
    told = []
    if flip.called != rival:
        told.append(f"the class flips to {printable(flip.called)} before it could become {printable(rival)}")
    calls = [frame.called for frame in seen]
    changes = sum(one != other for one, other in pairwise(calls))
    if predicted in calls[next(place for place, name in enumerate(calls) if name != predicted) :]:
        told.append(f"the class goes back and forth on the way: it changes {changes} times")
    if calls[-1] != rival:
        told.append(f"the way ends with the network calling the image {printable(calls[-1])}")
    return told
