"""Retrieve: from ranked candidates to a list a person can trust.

The query itself and its exact copies never count; pictures that are the same photograph fold into one row; equal
distances are ordered by id; a list shorter than asked has its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from casebase import hashing
from casebase.answers import ListSource, Neighbour, Role
from casebase.cases import Case
from casebase.distance import Vector, cosine
from casebase.ports import Ball, CaseBase, Hit, Where

SAME_LOOK_BITS = 6
"""Look hashes this close may be one photograph …"""
SAME_LOOK_DISTANCE = 0.12
"""… and are, if the embeddings are this close too (1 - cosine).

Measured with ResNet-18 features: 50 photographs saved again as JPEG of quality 30 lie up to 4 bits and 0.10 from
themselves; among 1.5 million pairs of other photographs one pair came as close, two pictures of one scene. Crops move
the hash further and are not found this way."""


@dataclass(frozen=True, slots=True)
class Themselves:
    """What must not answer: the query's own case, exact copies of its pixels, and cases of its ``groups``."""

    pixel_hash: str
    look_hash: int
    groups: frozenset[str] = frozenset()

    def owns(self, case: Case) -> bool:
        """Whether a case is the query itself, pixel by pixel, or of its group (one video, one patient, one animal)."""
        return case.pixel_hash == self.pixel_hash or (case.group is not None and case.group in self.groups)

    def resembles(self, hit: Hit) -> bool:
        """Whether a case looks like the query's photograph encoded anew."""
        bits = hashing.look_distance(self.look_hash, hit.case.look_hash)
        return bits <= SAME_LOOK_BITS and hit.distance <= SAME_LOOK_DISTANCE


@dataclass(frozen=True, slots=True)
class Question:
    """One search: a vector of a space, asked of a case base for ``k`` rows."""

    case_base: CaseBase
    space: str
    vector: Vector
    k: int
    themselves: Themselves
    weights: Vector | None = None

    def list(self, role: Role, *, where: Where = Where(), within: Ball | None = None) -> Answer:
        """The first ``k`` distinct photographs, fetching more until there are enough or no more."""
        fetch = 3 * self.k + 8
        while True:
            found = self.case_base.nearest(
                self.space, self.vector, fetch, where=where, within=within, weights=self.weights
            )
            others = [hit for hit in found.hits if not self.themselves.owns(hit.case)]
            groups = fold(others, self._apart)
            if len(groups) >= self.k or len(found.hits) < fetch:
                break
            fetch *= 4
        rows = tuple(
            Neighbour(
                case=group[0].case,
                rank=rank,
                distance=group[0].distance,
                percentile=self.case_base.percentile(self.space, group[0].case.predicted, 1.0 - group[0].distance),
                group_size=len(group),
                role=role,
            )
            for rank, group in enumerate(groups[: self.k], start=1)
        )
        copies = tuple(hit.case for hit in found.hits if self.themselves.owns(hit.case))
        alike = tuple(g[0].case for g in groups[: self.k] if self.themselves.resembles(g[0]))
        return Answer(rows, copies, alike, ListSource(found.index, found.recall), found.warning)

    def _apart(self, one: Case, other: Case) -> float:
        both = self.case_base.vectors(self.space, [one.id, other.id])
        return float(cosine(both[:1], both[1])[0])


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, what was left out as the query's own copies, and rows that look like the query's own photograph."""

    rows: tuple[Neighbour, ...]
    copies: tuple[Case, ...]
    alike: tuple[Case, ...]
    source: ListSource
    warning: str | None


def fold(hits: Sequence[Hit], apart: Callable[[Case, Case], float]) -> list[list[Hit]]:
    """Groups of hits that are the same photograph, in order of each group's nearest hit.

    ``apart`` gives the embedding distance of two cases; it is asked only where the looks are close. A hit joins the
    first group whose representative it matches, so a chain of small changes does not swallow a class.
    """
    groups: list[list[Hit]] = []
    for hit in hits:
        for group in groups:
            first = group[0].case
            if (hit.case.label, hit.case.predicted) != (first.label, first.predicted):
                continue  # one photograph under two names is a contradiction to be seen, not a copy to be folded
            if hit.case.pixel_hash == first.pixel_hash:
                group.append(hit)
                break
            if hashing.look_distance(hit.case.look_hash, first.look_hash) > SAME_LOOK_BITS:
                continue
            if apart(first, hit.case) <= SAME_LOOK_DISTANCE:
                group.append(hit)
                break
        else:
            groups.append([hit])
    return groups


def one_photograph(cases: Sequence[Case], vectors: np.ndarray) -> list[list[int]]:
    """Groups of places that :func:`fold` would make one row, for a whole class with unit ``vectors (n, D)``.

    The first of a group represents it: it has no equal before it. Looks are compared row by row, so memory stays small.
    """
    looks = np.array([case.look_hash for case in cases], dtype=np.uint64)
    pixels = np.unique([case.pixel_hash for case in cases], return_inverse=True)[1]
    names = np.unique([f"{len(case.label)} {case.label} {case.predicted}" for case in cases], return_inverse=True)[1]
    free = np.ones(len(cases), bool)
    groups: list[list[int]] = []
    for place in range(len(cases)):
        if not free[place]:
            continue
        rest = np.flatnonzero(free[place:] & (names[place:] == names[place])) + place
        same = pixels[rest] == pixels[place]
        alike = np.flatnonzero(~same & (np.bitwise_count(looks[rest] ^ looks[place]) <= SAME_LOOK_BITS))
        if len(alike):
            same[alike] = cosine(vectors[rest[alike]], vectors[place]) <= SAME_LOOK_DISTANCE
        group = rest[same]
        free[group] = False
        groups.append(group.tolist())
    return groups


def ordered(cases: Sequence[Case], distances: np.ndarray, k: int) -> list[Hit]:
    """The ``k`` cases of least distance as hits, ties by id."""
    ranked = sorted(zip(distances.tolist(), cases, strict=True), key=lambda pair: (pair[0], pair[1].id))
    return [Hit(case, distance) for distance, case in ranked[:k]]
