"""What the prototypes say of one picture, as a page of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from casebase import clock, reading
from casebase.answers import Prediction
from casebase.errors import ModelError, UnknownClass
from casebase.explain.album import Album
from casebase.explain.figures import whole_figure
from casebase.explain.passes import Passes
from casebase.explain.prototypes.evidence import Asked, Evidence, shown
from casebase.explain.prototypes.section import section
from casebase.prototype_pages import PartsPage
from casebase.reading import printable

SHOWN = 5


def of_picture(
    name: str,
    picture: reading.Picture,
    evidence: Evidence,
    passes: Passes,
    album: Album,
    facts: Mapping[str, str],
    seed: int,
    classes: Sequence[str] = (),
    top: int = SHOWN,
) -> PartsPage:
    """Up to ``top`` matches for the predicted class and for ``classes``, by default the runner-up, with their checks.

    Raises ``UnknownClass``, and ``ModelError`` for a network whose answer is no number.
    """
    known = evidence.view.found.classes
    for one in classes:
        if one not in known:
            raise UnknownClass(f"no class {printable(one)!r} here; there is {reading.some(known)}")
    started = clock.seconds()
    whole, seen = album.of_query(picture)
    (read,) = passes.read({picture.pixel_hash: seen.view}).values()
    scores = read.scores.astype(np.float64)
    if not np.isfinite(scores).all():
        raise ModelError(f"the network's scores for {printable(name)} are not finite, so there is no class to explain")
    share = np.exp(scores - scores.max())
    share /= share.sum()
    prediction = Prediction(dict(zip(passes.classes, share.tolist(), strict=True)))
    targets = list(dict.fromkeys([prediction.predicted, *(classes or [one for one, _ in prediction.ranked[1:2]])]))
    maps = read.maps if evidence.view.shares_maps else None
    (found,) = evidence.parts([Asked(seen.view, maps, targets, prediction.predicted)], seed, top)
    sources = evidence.sources(shown([found]))
    return PartsPage(
        path=name, sha256=picture.sha256, prediction=prediction, parts=found, sources=sources,
        section=section(found, sources, whole.view), whole=whole_figure(whole), facts=facts,
        seconds=clock.seconds() - started,
    )  # fmt: skip
