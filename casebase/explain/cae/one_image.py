"""A walk from one picture to a rival class, as a page of its own, with the map it goes along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from casebase import clock, reading
from casebase.answers import Retrieval
from casebase.association import GRAPH
from casebase.association_pages import WalkPage
from casebase.commands import spoken
from casebase.errors import GateFailed
from casebase.explain.album import Album
from casebase.explain.cae import walk_words
from casebase.explain.cae.manifolds import PCA, Coded, manifold
from casebase.explain.cae.map_section import map_section
from casebase.explain.cae.section import section
from casebase.explain.cae.walking import FRAMES, End, Walker, runner_up, start_of
from casebase.explain.figures import whole_figure
from casebase.ports import AssociationView


@dataclass(frozen=True, slots=True)
class WalkWanted:
    """How to walk: the rival (None: the runner-up), the route, frames with both ends, the map, and at whose risk.

    ``untrusted`` shows what an embedding makes that failed its gates.
    """

    rival: str | None = None
    route: str = GRAPH
    frames: int = FRAMES
    projection: str = PCA
    untrusted: bool = False
    seed: int = 0


def of_picture(
    name: str, picture: reading.Picture, retrieval: Retrieval, view: AssociationView, album: Album, coded: Coded,
    wanted: WalkWanted, facts: Mapping[str, str],
) -> WalkPage:  # fmt: skip
    """The walk of one picture; ``retrieval`` is its answer, whose nearest case of the rival class stands beside it.

    Raises ``GateFailed`` for an embedding that failed its gates unless ``untrusted``, ``UnknownClass``,
    ``UsageError`` for the class the image has already, ``MissingExtra`` for a map that cannot be drawn.
    """
    trusted(view, untrusted=wanted.untrusted)
    started = clock.seconds()
    walker = Walker(view, wanted.route, wanted.frames)
    whole, seen = album.of_query(picture)
    start = start_of(view, np.stack([seen.view]), retrieval.prediction.predicted)
    rival = wanted.rival or runner_up(view, start)
    row = next(iter(retrieval.of_rival(rival)), None)
    found = None if row is None else album.looks([row.case]).looks.get(row.case.id)
    end = None if row is None or found is None else End(row.case.id, view.codes(np.stack([found.view]))[0])
    walk = walker.walk(start, rival, end)
    real = None if found is None else found.display
    if row is not None and real is None:
        small = album.small(row.case.id, row.case)
        real = None if small is None else small.view
    placed = manifold(coded, wanted.projection, query=walk.code, path=np.asarray(walk.path), seed=wanted.seed)
    return WalkPage(
        path=name, sha256=picture.sha256, prediction=retrieval.prediction, found=view.found, walk=walk, retrieved=row,
        section=section(walk, view.found, whole.view, row, real), whole=whole_figure(whole),
        map=map_section(placed, walk.predicted, walk.rival, seed=wanted.seed), manifold=placed, facts=facts,
        seconds=clock.seconds() - started,
    )  # fmt: skip


def trusted(view: AssociationView, *, untrusted: bool) -> None:
    """Raise ``GateFailed`` where a view may be shown only to those who asked for it."""
    failed = view.found.failed
    if failed and not untrusted:
        raise GateFailed(
            f"no trustworthy generated view can be had for this set: {walk_words.gates(failed)}; "
            f"`{spoken('query', 'IMAGE')}` shows retrieved counterfactuals, which are real cases, and --untrusted "
            "shows the walk all the same, marked"
        )
