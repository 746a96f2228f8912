"""What one set of prototypes shows of one block of images after another, each looked at in every way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from casebase import hashing
from casebase.cases import Case
from casebase.evaluate.pictures import Disk
from casebase.evaluate.prototypes import annotated, hidden
from casebase.evaluate.prototypes.aim import Aim, aims
from casebase.evaluate.prototypes.part_file import PartPlaces
from casebase.evaluate.prototypes.regions import peak
from casebase.evaluate.prototypes.sights import Candidate, Sight, joined
from casebase.evaluate.prototypes.steadiness import Steady, noisy, steady
from casebase.explain.prototypes.checking import checked
from casebase.explain.prototypes.matching import parts as parts_of
from casebase.ports import Embedder
from casebase.prototypes import Activation, Floats, PartCheck
from casebase.reading import Picture

CHECKED = 40
"""Images whose matches are checked by occlusion, at most: each costs some twenty passes."""
Bits = NDArray[np.bool_]
Views = NDArray[np.uint8]
MaskOf = Callable[[Case, Picture], tuple[Bits, Bits | None] | None]
"""The object and the pixels left open, ``(H, W)`` of the view; None without a mask."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What is looked at. ``sampled`` are places among the cases; ``network`` is the explained network."""

    network: Embedder
    sampled: NDArray[np.intp]
    seed: int
    disk: Disk
    mask_of: MaskOf | None = None
    parts: PartPlaces | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """What one set showed of n images, s of them sampled.

    Of all: ``sight``, ``peaks (n, P, 2)`` where parts are known, ``aims`` of the strongest match. Of the sampled ones:
    ``steady``, ``hits_kept``, ``swaps`` by quality, ``drops``; of fewer still ``checks``, those of one image together.
    ``earlier`` are the classes ``(n,)`` that the set chose after earlier stages of its training.
    """

    sight: Sight
    peaks: NDArray[np.float64] | None
    aims: Sequence[Mapping[str, Aim] | None]
    steady: Sequence[Steady | None]
    hits_kept: Sequence[float | None]
    swaps: Mapping[int | None, Sight]
    drops: Sequence[hidden.Drop | None]
    checks: Sequence[Sequence[PartCheck]]
    earlier: Mapping[str, NDArray[np.intp]]


@dataclass(frozen=True, eq=False)
class Item:
    """One image that was read."""

    row: int
    case: Case
    picture: Picture
    view: Views
    points: NDArray[np.float64] | None
    mask: tuple[Bits, Bits | None] | None


@dataclass(eq=False)
class Gathering:
    """What one set has shown so far."""

    candidate: Candidate
    asked: Asked
    sights: list[Sight] = field(default_factory=list)
    peaks: list[NDArray[np.float64]] = field(default_factory=list)
    aims: list[Mapping[str, Aim] | None] = field(default_factory=list)
    steady: list[Steady | None] = field(default_factory=list)
    kept: list[float | None] = field(default_factory=list)
    swaps: dict[int | None, list[Sight]] = field(default_factory=dict)
    drops: list[hidden.Drop | None] = field(default_factory=list)
    checks: list[Sequence[PartCheck]] = field(default_factory=list)
    earlier: dict[str, list[NDArray[np.intp]]] = field(default_factory=dict)

    def whole(self, said: Sequence[Activation], block: Sequence[Item], earlier: Mapping[str, Floats]) -> None:
        """All images of a block, and their class scores after earlier stages."""
        for name, scores in earlier.items():
            self.earlier.setdefault(name, []).append(np.asarray(scores.argmax(axis=1), np.intp))
        self.sights.append(self._sight(said))
        for one, item in zip(said, block, strict=True):
            if item.points is not None:
                self.peaks.append(self._peaks(one, item))
            elif self.asked.parts is not None:
                self.peaks.append(np.full((len(one.similarity), 2), np.nan))
            top = int(self._sight([one]).top[0])
            self.aims.append(None if item.mask is None else aims(one.maps[top], *item.mask))

    def again(self, said: Sequence[Activation], block: Sequence[Item], encoded: Mapping[int | None, Views]) -> None:
        """The sampled images of a block, changed; ``encoded`` are their views by quality."""
        view, owners = self.candidate.view, self.candidate.owners
        for quality, views in encoded.items():
            self.swaps.setdefault(quality, []).append(self._sight(view.read(views)))
        std = self.asked.network.preprocess.std
        shaken = view.read(np.stack([noisy(item.view, std, _random(item, self.asked.seed, "noise")) for item in block]))
        sight = self._sight(said)
        for place, (before, after, item) in enumerate(zip(said, shaken, block, strict=True)):
            own = np.flatnonzero(owners == sight.called[place])
            size = (item.view.shape[0], item.view.shape[1])
            self.steady.append(steady(before, after, own, int(sight.top[place]), size))
            self.kept.append(self._hits_kept(before, after, item))
            self.drops.append(self._drop(before, item, int(sight.called[place])))
        left = max(0, CHECKED - len(self.checks))
        names = self.candidate.found.classes
        found = [
            parts_of(view, one, [names[called]])
            for one, called in zip(said[:left], sight.called.tolist(), strict=False)
        ]
        for one in checked(view, [item.view for item in block[:left]], found, self.asked.seed):
            matches = [
                match
                for target, several in one.matches.items()
                for match in several
                if match.contribution > 0.0 and match.prototype.of_class == target  # absence has no place
            ]
            self.checks.append([match.check for match in matches if match.check is not None])

    def result(self) -> Look:
        """Everything gathered."""
        empty = Sight.of([], self.candidate.owners, len(self.candidate.found.classes))
        return Look(
            joined([empty, *self.sights]), np.array(self.peaks) if self.peaks else None, self.aims, self.steady,
            self.kept, {quality: joined(several) for quality, several in self.swaps.items()}, self.drops, self.checks,
            {name: np.concatenate(several) for name, several in self.earlier.items()},
        )  # fmt: skip

    def _sight(self, said: Sequence[Activation]) -> Sight:
        return Sight.of(said, self.candidate.owners, len(self.candidate.found.classes))

    def _peaks(self, one: Activation, item: Item) -> NDArray[np.float64]:
        """Where each prototype of the image's own class is strongest ``(P, 2)``; NaN for the others."""
        found = np.full((len(one.similarity), 2), np.nan)
        for number, prototype in enumerate(self.candidate.found.prototypes):
            if prototype.of_class == item.case.label:
                found[number] = peak(one.maps[number], (item.view.shape[0], item.view.shape[1]))
        return found

    def _hits_kept(self, before: Activation, after: Activation, item: Item) -> float | None:
        """Share of the own class's prototypes whose set of hit parts stayed: EvalProtoPNet's stability."""
        if item.points is None:
            return None
        sets = [annotated.hits(self._peaks(one, item), item.points, annotated.HALF_BOX) for one in (before, after)]
        own = [one.of_class == item.case.label for one in self.candidate.found.prototypes]
        same = (sets[0] == sets[1]).all(axis=1)[np.array(own, np.bool_)]
        return float(same.mean()) if len(same) else None

    def _drop(self, seen: Activation, item: Item, called: int) -> hidden.Drop | None:
        grid = (seen.maps.shape[1], seen.maps.shape[2])
        matched = hidden.matched_cells(seen, called, self.candidate.owners == called)
        others = hidden.random_cells(matched, grid, _random(item, self.asked.seed, "cells"))
        if not len(others):
            return None
        views = np.stack([item.view, *(hidden.hiding(item.view, cells, grid) for cells in (matched, *others))])
        said = probabilities(self.asked.network, views)
        scores = np.array([one.scores[called] for one in self.candidate.view.read(views)], np.float64)
        return hidden.drop(said[:, int(said[0].argmax())], scores)


def probabilities(network: Embedder, views: Views) -> NDArray[np.float64]:
    """Class probabilities ``(N, C)`` of views."""
    said = [
        network.read(views[start : start + network.batch_size]).probabilities
        for start in range(0, len(views), network.batch_size)
    ]
    return np.concatenate([one for one in said if one is not None]).astype(np.float64)


def _random(item: Item, seed: int, about: str) -> np.random.Generator:
    """Random numbers that hang on the image, the seed and ``about`` alone: the order of images changes nothing."""
    digest = hashing.of_bytes(f"{seed}|{about}|{item.case.pixel_hash}".encode())
    return np.random.default_rng(int(digest[:16], 16))
