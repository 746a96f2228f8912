"""Pages made of a planted embedding: a walk from plain to bright, and a map of cases round its nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from casebase.answers import Neighbour, Prediction, Role
from casebase.association import Association, Manifold, Walk
from casebase.association_pages import WalkPage
from casebase.explain.cae.manifolds import Coded, manifold
from casebase.explain.cae.map_section import map_section
from casebase.explain.cae.section import section
from casebase.explain.cae.walking import Walker, start_of
from casebase.explain.figures import whole_figure
from casebase.explanations import QUERY_ID, Shown
from tests.explain.cae.planted import BRIGHT, Planted, association, seen, three
from tests.explained import row

FACTS = {"base": "there", "network": "resnet10", "date": "2026-11-22"}
FAILED = "only 40% of 20 edits from plain to bright are called bright; 80% are needed"


def named(names: Sequence[str]) -> Planted:
    """The planted view with other names for plain, bright and blue."""
    return three(classes=tuple(names), found=association(names))


def walk_of(view: Planted | None = None, rival: str = BRIGHT, frames: int = 12) -> Walk:
    """The walk of an image that is nearly bright."""
    view = three() if view is None else view
    return Walker(view, frames=frames).walk(start_of(view, seen(red=120)), rival)


def neighbour(label: str = BRIGHT, predicted: str = BRIGHT, name: str = "real1") -> Neighbour:
    """A real case of the rival class."""
    return row(name, label, predicted, Role.COUNTERFACTUAL)


def coded(view: Planted, n: int = 90, wrong: int = 6) -> Coded:
    """``n`` cases near the nodes of a view, the first ``wrong`` of them with another label than prediction."""
    random = np.random.default_rng(0)
    near = random.integers(0, len(view.nodes.codes), n)
    codes = (view.nodes.codes[near] + random.normal(0, 0.05, (n, 2))).astype(np.float32)
    said = [view.classes[int(view.nodes.called[one])] for one in near]
    labels = [
        view.classes[(list(view.classes).index(name) + 1) % len(view.classes)] if place < wrong else name
        for place, name in enumerate(said)
    ]
    made = [row(f"c{place}", label, name).case for place, (label, name) in enumerate(zip(labels, said, strict=True))]
    return Coded(made, codes)


def map_of(view: Planted, walk: Walk | None = None, **over: int) -> Manifold:
    """The map of those cases, with a walk on it."""
    if walk is None:
        return manifold(coded(view, **over))
    return manifold(coded(view, **over), query=walk.code, path=walk.path)


def page_of(
    view: Planted | None = None,
    rival: str = BRIGHT,
    *,
    path: str = "query.png",
    failed: Sequence[str] = (),
    **over: object,
) -> WalkPage:
    """A walk as a page."""
    view = three() if view is None else view
    walk = replace(walk_of(view, rival), **over)  # type: ignore[arg-type]  # fields of a walk
    found: Association = replace(view.found, failed=list(failed))
    image = seen(red=120)[0]
    near = neighbour(rival, rival)
    placed = map_of(view, walk)
    return WalkPage(
        path=path, sha256="ab" * 32,
        prediction=Prediction(dict(zip(view.classes, (0.9, 0.08, 0.02), strict=True))),
        found=found, walk=walk, retrieved=near, section=section(walk, found, image, near, seen((4, 1), 190)[0]),
        whole=whole_figure(Shown(QUERY_ID, image, image, (0.0, 0.0, 1.0, 1.0))),
        map=map_section(placed, walk.predicted, walk.rival), manifold=placed, facts=FACTS, seconds=0.5,
    )  # fmt: skip
