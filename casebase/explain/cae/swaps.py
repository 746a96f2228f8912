"""The sample sheet of an embedding: cases, their reconstructions, and edits with another case's class code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.association_pages import Swap
from casebase.cases import Case
from casebase.commands import named
from casebase.explain.album import Album, Look
from casebase.explain.cae import picture
from casebase.explain.figures import within
from casebase.explanations import Figure, Pixels
from casebase.ports import AssociationView, Vector
from casebase.reading import percent, printable

SHOWN = 8
"""Edits on a sheet."""
_SPARE = 4
"""Cases drawn for each that is needed, as files may be gone."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """Edits, and the views ``(n, H, W, 3) uint8`` of their sources."""

    swaps: Sequence[Swap]
    views: NDArray[np.uint8]


def sheet(view: AssociationView, album: Album, cases: Sequence[Case], seed: int) -> Sheet:
    """Edits in both directions between classes, of cases drawn at random whose files are there; fewer where few are."""
    pairs = _pairs(view.found.classes, cases, seed)
    looks = album.looks(list({case.id: case for pair in pairs for side in pair for case in side}.values())).looks
    chosen = []
    for sources, lenders in pairs:
        source = next((one for one in sources if one.id in looks), None)
        lender = next((one for one in lenders if one.id in looks), None)
        if source is not None and lender is not None:
            chosen.append((source, lender))
    if not chosen:
        return Sheet([], np.zeros((0, *view.found.view, 3), np.uint8))
    views = np.stack([looks[source.id].view for source, _ in chosen])
    codes = view.encode(views)
    lent = view.codes(np.stack([looks[lender.id].view for _, lender in chosen]))
    rebuilt, edits = view.decode(codes.of_class, codes.individual), view.decode(lent, codes.individual)
    said = [view.judge(images) for images in (rebuilt, edits)]
    made = [
        _swap(
            _Side(source, looks[source.id]),
            _Side(lender, looks[lender.id]),
            _Made(rebuilt[row], said[0][row]),
            _Made(edits[row], said[1][row]),
            view,
        )
        for row, (source, lender) in enumerate(chosen)
    ]
    return Sheet(made, views)


def _pairs(classes: Sequence[str], cases: Sequence[Case], seed: int) -> list[tuple[list[Case], list[Case]]]:
    """For each edit its candidates as source and as lender: ordered pairs of classes in turn."""
    random = clock.generator(seed)
    of: dict[str, list[Case]] = {}
    for place in random.permutation(len(cases)).tolist():
        of.setdefault(cases[place].predicted, []).append(cases[place])
    ways = [(a, b) for a, b in permutations(classes, 2) if of.get(a) and of.get(b)]
    if len(ways) > SHOWN:
        ways = [ways[place] for place in sorted(random.permutation(len(ways))[:SHOWN].tolist())]
    rounds = max(1, SHOWN // len(ways)) if ways else 0
    found = []
    for turn in range(rounds):
        cut = slice(turn * _SPARE, (turn + 1) * _SPARE)
        found += [(of[a][cut], of[b][::-1][cut]) for a, b in ways]
    return found


@dataclass(frozen=True, eq=False)
class _Side:
    """A case and what is seen of it."""

    case: Case
    look: Look

    def figure(self, what: str) -> Figure:
        label, said = printable(self.case.label), printable(self.case.predicted)
        alt = f"The {what}, a case: {printable(named(self.case))}, labelled {label}, called {said}."
        return Figure(within(self.look.display, picture.SIDE), alt, f"{what}: labelled {label}, called {said}")


@dataclass(frozen=True, eq=False)
class _Made:
    """A synthetic image and what the network says of it."""

    image: Pixels
    said: Vector


def _swap(source: _Side, lender: _Side, rebuilt: _Made, edit: _Made, view: AssociationView) -> Swap:
    classes, wanted = list(view.classes), lender.case.predicted
    first, then = (printable(classes[int(one.said.argmax())]) for one in (rebuilt, edit))
    share, spoken = percent(float(edit.said[classes.index(wanted)])), printable(wanted)
    mark = picture.MARK if view.found.trustworthy else picture.UNTRUSTED

    def made(one: _Made) -> Pixels:
        return picture.synthetic(one.image, view.found.view, mark)

    what = f"the source under the lender's class code, called {then}, {share} for {spoken}"
    return Swap(
        source=source.figure("source"),
        rebuilt=Figure(
            made(rebuilt), f"Synthetic: the source's reconstruction, called {first}.", f"reconstruction: called {first}"
        ),
        edit=Figure(made(edit), f"Synthetic: {what}.", f"edit: called {then}", "rival"),
        lender=lender.figure("lender"),
        said=f"{printable(source.case.predicted)} → {spoken}: the network calls the edit {then}, with {share} for "
        f"{spoken}.",
        image=edit.image,
    )
