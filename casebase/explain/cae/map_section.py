"""The map of the class codes in words and places: who stands where, where the network errs, and how much is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.association import Manifold
from casebase.association_pages import MapSection, Spot
from casebase.explain.cae.manifolds import PCA
from casebase.explain.sentences import counted
from casebase.reading import percent, printable, some

DRAWN = 2000
"""Points drawn at most; of more, so many are drawn at random."""
COLOURS = 6
"""Classes with a colour of their own; the smaller rest shares one."""
OTHERS = "others"
_FLAT = 1e-9
_LEAST, _MOST = 0.25, 1.0
"""How high a map may be, in widths; a flatter or steeper one is stretched, and its note says so."""


def map_section(
    found: Manifold, predicted: str | None = None, rival: str | None = None, *, seed: int = 0
) -> MapSection:
    """A manifold ready to be drawn; ``predicted`` and ``rival`` wear the colours of their roles where an image is."""
    points = _Placed(found)
    n = len(found.ids)
    drawn = np.arange(n) if n <= DRAWN else np.sort(clock.generator(seed).permutation(n)[:DRAWN])
    spots = _spots(found, points.cases, drawn, predicted, rival)
    wrong = sum(one.errors for one in spots)
    return MapSection(
        title="The map of the class codes",
        lead=_lead(found, wrong),
        note=_note(found, len(drawn), stretched=points.aspect != points.own),
        alt=_alt(found, spots, wrong),
        spots=spots,
        aspect=points.aspect,
        query=points.query,
        path=points.path,
    )


class _Placed:
    """Points in the unit square, the second axis upwards, both axes on one scale where the method is linear."""

    def __init__(self, found: Manifold) -> None:
        everything = [found.points]
        everything += [] if found.query is None else [found.query[None]]
        everything += [] if found.path is None else [found.path]
        stacked = np.concatenate(everything).astype(np.float64) if everything else np.zeros((0, 2))
        low = stacked.min(axis=0) if len(stacked) else np.zeros(2)
        span = np.maximum((stacked.max(axis=0) if len(stacked) else np.ones(2)) - low, _FLAT)
        self.own = float(span[1] / span[0])
        self.aspect = min(_MOST, max(_LEAST, self.own))

        def place(points: NDArray[np.float32]) -> list[tuple[float, float]]:
            at = (points.astype(np.float64) - low) / span
            return [(float(x), 1.0 - float(y)) for x, y in at]

        self.cases = place(found.points)
        self.query = None if found.query is None else place(found.query[None])[0]
        self.path = [] if found.path is None else place(found.path)


def _spots(
    found: Manifold, places: Sequence[tuple[float, float]], drawn: NDArray[np.intp], predicted: str | None,
    rival: str | None,
) -> list[Spot]:  # fmt: skip
    sizes = Counter(found.predicted)
    named = [name for name, _ in sorted(sizes.items(), key=lambda one: (-one[1], one[0]))]
    kinds: dict[str, str] = {}
    if predicted is not None:
        kinds[predicted] = "predicted"
    if rival is not None:
        kinds[rival] = "rival"
    free = iter([f"k{place}" for place in range(2 if kinds else 0, COLOURS)])  # the first two are those of the roles
    for name in named:
        if name not in kinds:
            kinds[name] = next(free, OTHERS)
    errors = Counter(said for said, label in zip(found.predicted, found.labels, strict=True) if said != label)
    right: dict[str, list[tuple[float, float]]] = {}
    wrong: dict[str, list[tuple[float, float]]] = {}
    for row in drawn.tolist():
        said = found.predicted[row]
        (right if said == found.labels[row] else wrong).setdefault(said, []).append(places[row])
    alone = [name for name in named if kinds[name] != OTHERS]
    rest = [name for name in named if kinds[name] == OTHERS]
    spots = [
        Spot(kinds[one], printable(one), right.get(one, []), wrong.get(one, []), sizes[one], errors[one])
        for one in alone
    ]
    if rest:
        spots.append(
            Spot(
                OTHERS, f"{counted(len(rest), 'more class', 'more classes')}: {some(rest, 4)}",
                [at for one in rest for at in right.get(one, [])], [at for one in rest for at in wrong.get(one, [])],
                sum(sizes[one] for one in rest), sum(errors[one] for one in rest),
            )
        )  # fmt: skip
    return spots


def _lead(found: Manifold, wrong: int) -> str:
    text = "Every case at its class code, coloured by what the network says; "
    if wrong:
        text += f"crosses are the {wrong:,} of {counted(len(found.ids), 'case')} where that is not the label."
    else:
        text += f"of {counted(len(found.ids), 'case')} none is called otherwise than labelled."
    if found.query is not None:
        text += " The ring is the image that was asked for, the line its walk, the diamond where the walk ends."
    return text


def _note(found: Manifold, drawn: int, *, stretched: bool) -> str:
    if found.method == PCA:
        share = "" if found.explained is None else f", which hold {percent(found.explained)} of the codes' variance"
        scale = "each on a scale of its own" if stretched else "on one scale"
        text = f"Axes: the first two principal components of the class codes{share}; {scale}."
    else:
        text = "Axes: UMAP of the class codes; distances and directions on it have no unit, only neighbourhood counts."
    if drawn < len(found.ids):
        text += f" {drawn:,} of {len(found.ids):,} cases are drawn, chosen at random."
    return text


def _alt(found: Manifold, spots: Sequence[Spot], wrong: int) -> str:
    parts = "; ".join(f"{one.name}: {counted(one.cases, 'case')}, {one.errors} wrong" for one in spots)
    return f"Map of {counted(len(found.ids), 'case')} by class code, {wrong} of them called wrongly. {parts}."
