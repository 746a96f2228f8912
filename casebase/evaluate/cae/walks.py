"""Walks to the runner-up along both routes, and the flip frame against the case that a base can retrieve instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase import manifold
from casebase.association import ROUTES, Bytes, Walk
from casebase.cases import Case
from casebase.errors import UsageError
from casebase.evaluate.cae.looking import Looked, Places, Sight, evenly, view_of
from casebase.explain.cae.walking import FRAMES, End, Start, Walker, runner_up, starts
from casebase.networks.cae import checks
from casebase.ports import CaseBase, Vector, Where
from casebase.spaces import NETWORK_SPACE

USUAL = 0.95
"""Share of the cases' codes that lie nearer to another case's than what counts as *on the manifold*."""


@dataclass(frozen=True, eq=False)
class Retrieved:
    """The nearest case of the rival class in the network's features: what retrieval has to offer.

    ``small (S, S, 3)`` is its image as the embedding would be fed, ``code (code,)`` its class code.
    """

    case: Case
    small: Bytes
    code: Vector


@dataclass(frozen=True, eq=False)
class Walked:
    """``rows (w,)`` of the images, each with its rival, its retrieved case (None: not readable), a walk by route.

    ``coverage`` is the share of each walk's points ``(w,)`` that lie no farther from a case's code than 95 % of the
    cases' codes do from another's.
    """

    rows: Places
    rivals: Sequence[str]
    retrieved: Sequence[Retrieved | None]
    walks: Mapping[str, Sequence[Walk]]
    coverage: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Proximity:
    """How far ``m`` images are from what stands against them: ``(m,)`` in pixels (L1, 0..1) and features (1 - cos).

    ``rows (m,)`` are places among the walked ones, those with a flip and a retrieved case.
    """

    rows: Places
    flip_pixels: NDArray[np.float64]
    retrieved_pixels: NDArray[np.float64]
    flip_features: NDArray[np.float64]
    retrieved_features: NDArray[np.float64]


def walk(base: CaseBase, looked: Looked, most: int, seed: int, sight: Sight) -> Walked:
    """Walks of at most ``most`` images, as many of every class, each to its most probable other class."""
    view = sight.view
    rows = np.array(evenly(looked.called.tolist(), most, seed), np.intp)
    names = [sight.classes[one] for one in looked.called[rows].tolist()]
    begun = starts(view, looked.views[rows], names) if len(rows) else []
    rivals = [runner_up(view, start) for start in begun]
    against = [
        _retrieved(base, looked.views[row], rival, sight) for row, rival in zip(rows.tolist(), rivals, strict=True)
    ]
    found = {route: _walks(Walker(view, route), begun, rivals, against, sight) for route in ROUTES}
    usual = _usual(view.nodes.codes)
    covered = {route: np.array([_covered(one, view.nodes.codes, usual) for one in found[route]]) for route in ROUTES}
    return Walked(rows, rivals, against, found, covered)


def proximity(looked: Looked, walked: Walked, route: str, sight: Sight) -> Proximity:
    """The flip frames of one route against the retrieved cases, on the images that have both."""
    pairs = list(zip(walked.walks[route], walked.retrieved, strict=True))
    there = [place for place, (one, other) in enumerate(pairs) if one.flip is not None and other is not None]
    if not there:
        none = np.zeros(0)
        return Proximity(np.zeros(0, np.intp), none, none, none, none)
    flips = np.stack([one.flip.image for one, _ in (pairs[place] for place in there) if one.flip is not None])
    cases = np.stack([other.small for _, other in (pairs[place] for place in there) if other is not None])
    rows = walked.rows[there]
    small, features = looked.small[rows], looked.features[rows]
    apart = [np.diagonal(checks.pixel_l1(images, small)) for images in (flips, cases)]
    felt = [np.diagonal(checks.feature_distance(sight.features(images), features)) for images in (flips, cases)]
    return Proximity(np.array(there, np.intp), apart[0], apart[1], felt[0], felt[1])


def _walks(
    walker: Walker, begun: Sequence[Start], rivals: Sequence[str], against: Sequence[Retrieved | None], sight: Sight
) -> list[Walk]:
    found = []
    for place, (start, rival, other) in enumerate(zip(begun, rivals, against, strict=True)):
        end = None if other is None else End(other.case.id, other.code)
        found.append(walker.walk(start, rival, end))
        sight.progress(place + 1, len(begun), 0)
    return found


def _retrieved(base: CaseBase, view: Bytes, rival: str, sight: Sight) -> Retrieved | None:
    vector = sight.network.read(view[None]).features[0]
    try:
        hits = base.nearest(NETWORK_SPACE, vector, 1, where=Where((rival,))).hits
    except UsageError:  # a vector of zeros has no nearest
        return None
    case = hits[0].case if hits else None
    picture = None if case is None else view_of(case, sight)
    if case is None or picture is None:
        return None
    return Retrieved(case, sight.view.reduced(picture)[0], sight.view.codes(picture)[0])


def _usual(codes: NDArray[np.float32]) -> float:
    _, lengths = manifold.nearest(codes, 1)
    return float(np.quantile(lengths, USUAL)) if lengths.size else 0.0


def _covered(one: Walk, codes: NDArray[np.float32], usual: float) -> float:
    """Of a walk's points the share near some case's code; NaN where there is no walk."""
    if one.refused is not None or not len(codes):
        return float("nan")
    points = manifold.evenly(one.path, FRAMES)
    apart = np.linalg.norm(points[:, None] - codes[None].astype(np.float64), axis=2).min(axis=1)
    return float((apart <= usual).mean())
