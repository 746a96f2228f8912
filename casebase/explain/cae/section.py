"""The section ``walk``: what a walk through the class codes made of an image, in pictures and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from casebase import overlay
from casebase.answers import Neighbour
from casebase.association import Association, Frame, Walk
from casebase.association_pages import Curve, Still, WalkSection
from casebase.commands import named
from casebase.explain.cae import picture, walk_words
from casebase.explain.figures import within
from casebase.explanations import Figure, Pixels, Scale, Statement
from casebase.reading import percent, printable

STRIP = 9
"""Frames of the filmstrip, beside the flip."""


def section(
    walk: Walk, found: Association, query: Pixels, retrieved: Neighbour | None, real: Pixels | None
) -> WalkSection:
    """The readable form of a walk; ``query (H, W, 3) uint8`` is the network's view of the image, at any size.

    ``retrieved`` is the nearest real case that the network calls the rival, and ``real`` its view, where there is one.
    """
    head = WalkSection(
        title=walk_words.title(walk.predicted, walk.rival),
        lead=walk_words.lead(walk, found),
        predicted=printable(walk.predicted),
        rival=printable(walk.rival),
        untrusted=None if found.trustworthy else walk_words.untrusted(found.failed),
    )
    if walk.refused is not None or not walk.frames:
        return replace(head, missing=walk_words.refused(walk))
    mark = picture.MARK if found.trustworthy else picture.UNTRUSTED
    changed = picture.signed(walk.difference)
    bound = max(float(np.abs(changed).max(initial=0.0)), 1 / 255)
    return replace(
        head,
        stills=_stills(walk, found.view, mark),
        curve=_curve(walk),
        flip=walk_words.flip(walk),
        told=walk_words.told(walk),
        compared=[
            Figure(within(query, picture.SIDE), "The image, as the network sees it.", "the image itself"),
            *_made(walk, found, changed, bound, mark),
            _real(walk, retrieved, real),
        ],
        warnings=[*(walk_words.warning(one) for one in walk.warnings), *walk_words.leak(found)],
        scale=Scale(
            "What changed", overlay.diverging_bar(), f"darker by {percent(bound)}",
            f"lighter by {percent(bound)} of the range of values, flip frame against reconstruction",
        ),
    )  # fmt: skip


def absent(why: Statement) -> WalkSection:
    """What stands in the section's place without a walk."""
    return WalkSection("Walk", "", "", "", missing=why)


def ordered(walk: Walk) -> list[Frame]:
    """All judged images in the order of the way, the flip among them."""
    frames = [*walk.frames, *([] if walk.flip is None or _among(walk) else [walk.flip])]
    return sorted(frames, key=lambda one: one.at)


def _among(walk: Walk) -> bool:
    """Whether the flip is one of the evenly spaced frames."""
    return any(one is walk.flip or (walk.flip is not None and one.at == walk.flip.at) for one in walk.frames)


def _stills(walk: Walk, view: tuple[int, int], mark: str) -> list[Still]:
    place = list(walk.classes).index(walk.rival)
    even = {round(at) for at in np.linspace(0, len(walk.frames) - 1, min(STRIP, len(walk.frames)))}
    shown = {walk.frames[one].at for one in even}
    made = []
    for one in ordered(walk):
        flip = walk.flip is not None and one.at == walk.flip.at
        share, where = percent(float(one.probabilities[place])), walk_words.where(one.at)
        figure = Figure(
            picture.synthetic(one.image, view, mark), walk_words.still(walk, one.at, one.called, share), where,
            role="rival" if flip else "plain",
        )  # fmt: skip
        called = printable(one.called)
        made.append(Still(figure, one.image, one.at, where, called, share, flip, flip or one.at in shown))
    return made


def _curve(walk: Walk) -> Curve:
    frames, classes = ordered(walk), list(walk.classes)
    at = [one.at for one in frames]
    of_rival = [float(one.probabilities[classes.index(walk.rival)]) for one in frames]
    return Curve(
        at=at,
        of_predicted=[float(one.probabilities[classes.index(walk.predicted)]) for one in frames],
        of_rival=of_rival,
        predicted=printable(walk.predicted),
        rival=printable(walk.rival),
        flip=None if walk.flip is None else walk.flip.at,
        alt=walk_words.curve(walk, at, of_rival),
    )


def _made(walk: Walk, found: Association, changed: NDArray[np.float32], bound: float, mark: str) -> Sequence[Figure]:
    first, last = walk.frames[0], walk.flip or walk.frames[-1]
    place = list(walk.classes).index(walk.rival)
    at_start, at_end = (percent(float(one.probabilities[place])) for one in (first, last))
    what = "flip" if walk.flip is not None else "end of the walk"
    drawn = picture.difference(first.image, changed, found.view, bound)
    return [
        Figure(
            picture.synthetic(first.image, found.view, mark),
            walk_words.still(walk, 0.0, first.called, at_start),
            f"its reconstruction: called {printable(first.called)}",
        ),
        Figure(
            picture.synthetic(last.image, found.view, mark),
            walk_words.still(walk, last.at, last.called, at_end),
            f"{what}: called {printable(last.called)}",
            "rival",
        ),
        Figure(
            picture.marked(drawn, mark),
            f"What changed between the reconstruction and the {what}, as colours on a grey picture: "
            f"{_share_changed(changed, bound)} of the pixels by more than half of the largest change.",
            "what changed",
        ),
    ]


def _share_changed(changed: NDArray[np.float32], bound: float) -> str:
    return percent(float((np.abs(changed) > bound / 2).mean()))


def _real(walk: Walk, retrieved: Neighbour | None, real: Pixels | None) -> Figure:
    rival = printable(walk.rival)
    if retrieved is None:
        return Figure(None, f"No case of this base is predicted {rival}.", "no real case to compare with")
    case = retrieved.case
    label, where = printable(case.label), printable(named(case))
    caption = f"for comparison a real case: the nearest called {rival}, labelled {label}"
    if real is None:
        return Figure(None, f"No picture of {where}: its file is gone, and no thumbnail was kept.", caption)
    alt = f"A real case, {where}: the nearest that the network calls {rival}, labelled {label}."
    return Figure(within(real, picture.SIDE), alt, caption)
