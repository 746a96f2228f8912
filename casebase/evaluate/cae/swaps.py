"""Swaps of class codes on images that were held out: are they called what they were to become, and whose are they?

Every edit is G(class code of a lender, individual code of its source), and beside it the trivial rival that any base
can offer: the nearest image of the wanted class, pasted over the source. That is called the class for sure, and is
nobody's edit; what reassigns as well as it must also stay nearer to its source.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.association import Bytes
from casebase.evaluate.cae.looking import Looked, Places, Sight
from casebase.networks.cae import checks
from casebase.networks.cae.checks import Whose


@dataclass(frozen=True, eq=False)
class Swaps:
    """``e`` edits: rows of ``source`` and ``lender (e,)`` among the images, the class ``wanted``, what was ``called``.

    ``whose`` holds the donor-copy check by what was edited and measured: ``pixels``, ``features``, ``pasted``.
    ``pasted (e,)`` is what the network calls the pasted images. ``groups`` of the edits belong together.
    """

    source: Places
    lender: Places
    wanted: Places
    called: Places
    pasted: Places
    whose: dict[str, Whose]
    groups: Sequence[Hashable]


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """Reconstructions ``G(c_x, z_x)`` of ``n`` images, what they are called, their error ``(n,)`` in [0, 1].

    ``own_first (n,)``: whether the image nearest to it is its own, the ceiling of what an edit can be.
    """

    images: Bytes
    called: Places
    error: NDArray[np.float64]
    own_first: NDArray[np.float64]


def drawn(called: Places, seed: int) -> tuple[Places, Places]:
    """Sources and lenders ``(e,)``: each image once for every other class, or for one of them where they are many."""
    random = clock.generator(seed)
    present = np.unique(called).tolist()
    pairs: list[tuple[int, int]] = []
    for row, own in enumerate(called.tolist()):
        others = [one for one in present if one != own]
        if len(present) > checks.MOST_PAIRED:
            others = [others[int(random.integers(len(others)))]]
        pairs += [(row, int(random.choice(np.flatnonzero(called == other)))) for other in others]
    found = np.array(pairs, np.intp).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def swap(looked: Looked, seed: int, sight: Sight) -> Swaps:
    """Every image under class codes of other classes."""
    source, lender = drawn(looked.called, seed)
    wanted = looked.called[lender]
    edits = sight.view.decode(looked.codes.of_class[lender], looked.codes.individual[source])
    among = looked.called[None, :] == wanted[:, None]
    in_pixels = checks.pixel_l1(edits, looked.small)
    in_features = checks.feature_distance(sight.features(edits), looked.features)
    near = np.where(among, checks.feature_distance(looked.features, looked.features)[source], np.inf).argmin(axis=1)
    pasted = checks.pixel_l1(looked.small, looked.small)[near]
    return Swaps(
        source=source, lender=lender, wanted=wanted, called=sight.called(edits),
        pasted=sight.called(looked.small)[near],
        whose={
            "pixels": checks.whose(in_pixels, in_pixels, source, lender, among),
            "features": checks.whose(in_features, in_features, source, lender, among),
            "pasted": checks.whose(pasted, pasted, source, near, among),
        },
        groups=[looked.cases[row].group or looked.cases[row].id for row in source.tolist()],
    )  # fmt: skip


def rebuild(looked: Looked, sight: Sight) -> Rebuilt:
    """Every image under its own codes."""
    images = sight.view.decode(looked.codes.of_class, looked.codes.individual)
    apart = checks.pixel_l1(images, looked.small)
    own = np.arange(looked.n)
    return Rebuilt(images, sight.called(images), apart[own, own], checks.first(apart, own))
