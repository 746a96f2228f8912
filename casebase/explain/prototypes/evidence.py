"""Prototype evidence for many answers together: matches, checks and source cases in shared forward passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.cases import Case, Status
from casebase.commands import named
from casebase.explain.album import Album
from casebase.explain.passes import shares, side_by_side
from casebase.explain.prototypes.checking import checked
from casebase.explain.prototypes.matching import SHOWN, parts
from casebase.explanations import Pixels
from casebase.ports import PrototypeView
from casebase.prototype_pages import Source
from casebase.prototypes import Activation, Parts, Prototype
from casebase.reading import printable

Cases = Callable[[Sequence[str]], Mapping[str, Case]]
"""Cases by their ids, whatever their status; unknown ids are absent: ``CaseBase.get``."""


@dataclass(frozen=True, eq=False)
class Asked:
    """One image to be matched: what the network was fed, its maps of places where they are at hand, what to tell.

    ``targets`` begin with the answer; ``said`` is what the network called it.
    """

    view: Pixels
    maps: NDArray[np.float32] | None
    targets: Sequence[str]
    said: str


class Evidence:
    """The prototypes of one network, asked about many images."""

    def __init__(self, view: PrototypeView, cases: Cases, album: Album) -> None:
        self.view, self._cases, self._album = view, cases, album

    def parts(self, asked: Sequence[Asked], seed: int, shown: int = SHOWN) -> list[Parts]:
        """What the prototypes say of each image, with checks; classes the set has not are left out."""
        known = set(self.view.found.classes)
        found = [
            parts(self.view, said, [name for name in one.targets if name in known], shown, said=one.said)
            for one, said in zip(asked, self._read(asked), strict=True)
        ]
        return checked(self.view, [one.view for one in asked], found, seed)

    def sources(self, prototypes: Sequence[Prototype]) -> dict[int, Source]:
        """The cases of prototypes by the prototypes' numbers, with a picture of each that can be shown."""
        cases = self._cases(list(dict.fromkeys(one.patch.case_id for one in prototypes)))
        problems = {one.number: _problem(one, cases.get(one.patch.case_id)) for one in prototypes}
        wanted = {one.patch.case_id for one in prototypes if problems[one.number] is None}
        looked = self._album.looks([cases[name] for name in sorted(wanted)])
        found = {}
        for one in prototypes:
            name, problem = one.patch.case_id, problems[one.number]
            case = cases.get(name)
            if case is not None and problem is None and name in looked.lost:
                problem = f"case {printable(name)} ({printable(named(case))}): {looked.lost[name]}"
            seen = looked.looks.get(name) if problem is None else None
            found[one.number] = Source(case, None if seen is None else seen.display, problem)
        return found

    def _read(self, asked: Sequence[Asked]) -> list[Activation]:
        ready = [one.maps for one in asked if one.maps is not None]
        if ready and len(ready) == len(asked) and self.view.shares_maps:
            return list(self.view.from_maps(np.stack(ready)))
        views = [one.view for one in asked]
        read = side_by_side(lambda some: self.view.read(np.stack(some)), shares(views))
        return [activation for some in read for activation in some]


def shown(parts_list: Sequence[Parts]) -> list[Prototype]:
    """The prototypes that parts show, each once."""
    found = {
        match.prototype.number: match.prototype
        for one in parts_list
        for of_class in one.matches.values()
        for match in of_class
    }
    return list(found.values())


def _problem(one: Prototype, case: Case | None) -> str | None:
    """Why a source may not be shown, before its file is looked at."""
    name = printable(one.patch.case_id)
    told = f"prototype {one.number} of {printable(one.of_class)} cannot be shown"
    if case is None:
        return f"case {name} is no longer in this base; {told}"
    if case.status == Status.WITHDRAWN:
        return f"case {name} was withdrawn; {told}"
    if case.pixel_hash != one.patch.pixel_hash:
        return f"case {name} has other pixels now than when the prototype was taken; {told}"
    return None
