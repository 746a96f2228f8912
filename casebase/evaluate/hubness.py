"""Hubs: cases that are shown again and again, whatever is asked; and cases that are never shown.

M. Radovanović, A. Nanopoulos, M. Ivanović, 2010, "Hubs in Space: Popular Nearest Neighbors in High-Dimensional Data",
https://www.jmlr.org/papers/v11/radovanovic10a.html. ``N_k(i)`` counts the queries with case i among their k nearest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.images import Images
from casebase.evaluate.neighbours import Lists
from casebase.evaluate.ratios import ratio

OFTEN = 5.0
"""A hub is shown more than this many times as often as expected …"""
FEWEST = 5
"""… and at least this often, so that two showings in a large base are no finding."""
SHOWN = 10

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Hubness:
    """``counts (n,)`` are N_k; ``expected`` is ``kQ/n``, Q the number of queries.

    Skewness and the antihub share stand beside what k cases drawn blindly for each query would give (a binomial with
    p = k/n): few queries leave most of a large base unseen, which is no fault of the space. ``per_case`` is the share
    of cases that are shown at all, ``per_slot`` distinct cases per shown case; ``hubs`` are rows, most frequent first.
    """

    counts: NDArray[np.int64]
    expected: float
    skewness: float | None
    skewness_by_chance: float | None
    antihubs: float
    antihubs_by_chance: float
    per_case: float
    per_slot: float
    hubs: NDArray[np.intp]
    slots_of_hubs: float


def measure(lists: Lists, cases: int) -> Hubness:
    """Of the nearest lists of Q >= 1 queries among ``cases`` >= 1 cases."""
    shown = lists.index[lists.filled]
    counts = np.bincount(shown, minlength=cases)
    queries = len(lists.index)
    expected = len(shown) / cases
    chance = min(1.0, expected / queries)
    hubs = np.flatnonzero((counts > OFTEN * expected) & (counts >= FEWEST))
    hubs = hubs[np.argsort(-counts[hubs], kind="stable")]
    spread = math.sqrt(queries * chance * (1 - chance))
    return Hubness(
        counts=counts,
        expected=expected,
        skewness=skewness(counts.astype(np.float64)),
        skewness_by_chance=(1 - 2 * chance) / spread if spread > 0 else None,
        antihubs=float((counts == 0).mean()),
        antihubs_by_chance=(1 - chance) ** queries,
        per_case=float((counts > 0).mean()),
        per_slot=float((counts > 0).sum() / len(shown)) if len(shown) else 0.0,
        hubs=hubs,
        slots_of_hubs=float(counts[hubs].sum() / len(shown)) if len(shown) else 0.0,
    )


def skewness(counts: Values) -> float | None:
    """``E[(N - mean)^3] / sigma^3``; None where all are equal."""
    apart = counts - counts.mean()
    spread = math.sqrt(float((apart**2).mean()))
    return float((apart**3).mean()) / spread**3 if spread > 1e-12 else None


def distinct_sources(lists: Lists, cases: Images) -> Values:
    """Distinct groups (else images) per list, as a share of its length ``(m,)``; NaN for an empty list."""
    groups: Sequence[str | None] = cases.groups
    place: dict[object, int] = {}
    code = np.array([place.setdefault(i if g is None else (g,), len(place)) for i, g in enumerate(groups)], np.intp)
    shown = np.where(lists.filled, code[np.maximum(lists.index, 0)], -1)
    ordered = np.sort(shown, axis=1)
    fresh = (ordered[:, 1:] != ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    distinct = fresh.sum(axis=1) + (ordered[:, 0] >= 0)
    number = lists.filled.sum(axis=1)
    return ratio(distinct, number)
