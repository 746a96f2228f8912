"""Exact nearest cases of many queries at once: plain cosine, or weighted by anything on both sides.

The same rules as ``casebase query``: ``1 - cosine`` in float64 rounded to 1e-9, ties by id; exact copies of the query
and its group (one animal, one patient) never answer. One difference: near-duplicates are not folded into one row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.images import Images, Rows
from casebase.ports import Matrix

CELLS = 4_000_000
"""Numbers held at once in one block: bounds memory, whatever the size of the base."""
SPARE = 16
"""Candidates beyond k that are looked at exactly; where ties reach further, the whole row is."""
SLACK = 2e-5
"""Candidates within this similarity of the k-th stay in: float32 sums differ by about 1e-6."""

Weigh = Callable[[slice], Matrix]
"""Rows of queries ``b`` to their weights ``(b, D) float32``, applied to query and cases alike."""
Allowed = Callable[[slice], NDArray[np.bool_]]
"""Rows of queries ``b`` to ``(b, n)``: which cases may answer."""


@dataclass(frozen=True, eq=False)
class Lists:
    """One list per query, in order of (distance, id).

    ``index (m, k)`` points into the cases; where a list is shorter than ``k`` it holds -1 and ``distance (m, k)``
    float64 holds infinity. Read both through ``size`` or ``filled``.
    """

    index: NDArray[np.intp]
    distance: NDArray[np.float64]

    @property
    def filled(self) -> NDArray[np.bool_]:
        """``(m, k)``: where there is a neighbour."""
        return np.asarray(self.index >= 0)

    @property
    def first(self) -> NDArray[np.float64]:
        """``(m,)`` distances of the first of each list; infinity where it is empty."""
        return self.distance[:, 0]


def same_predicted(cases: Images, queries: Images) -> Allowed:
    """Twins: cases with the query's predicted class."""
    return lambda part: queries.predicted[part, None] == cases.predicted[None]


def other_predicted(cases: Images, queries: Images) -> Allowed:
    """Unlike cases: those with any other predicted class."""
    return lambda part: queries.predicted[part, None] != cases.predicted[None]


def labelled_as_predicted(cases: Images, queries: Images) -> Allowed:
    """Cases whose *label* is the query's predicted class."""
    return lambda part: queries.predicted[part, None] == cases.labels[None]


def labelled_otherwise(cases: Images, queries: Images) -> Allowed:
    """Cases whose *label* is another class than the query's predicted one."""
    return lambda part: queries.predicted[part, None] != cases.labels[None]


def by_class(head: Matrix, classes: NDArray[np.intp]) -> Weigh:
    """The head's row of one class per query: ``head (C, D)``, ``classes (m,)``."""
    return lambda part: head[classes[part]]


def nearest(cases: Images, queries: Images, k: int, *, weigh: Weigh | None = None) -> Lists:
    """The ``k`` nearest cases of each query, whatever their class."""
    return search(cases, queries, {"": (k, None)}, weigh=weigh)[""]


def search(
    cases: Images, queries: Images, wanted: Mapping[str, tuple[int, Allowed | None]], *, weigh: Weigh | None = None
) -> dict[str, Lists]:
    """Several lists of every query from one pass over the similarities.

    ``wanted`` maps a name to (k, which cases may answer; None for all). Memory: some blocks of ``CELLS`` numbers.
    """
    n, m = len(cases), len(queries)
    scan = _Scan(cases, queries, weigh)
    found = {
        name: Lists(np.full((m, min(k, n)), -1, np.intp), np.full((m, min(k, n)), np.inf))
        for name, (k, _) in wanted.items()
    }
    step = max(1, CELLS // max(1, n))
    for start in range(0, m, step):
        part = slice(start, min(start + step, m))
        similar = scan.similar(part)  # (b, n) float32
        for name, (_, allowed) in wanted.items():
            lists = found[name]
            near = similar if allowed is None else np.where(allowed(part), similar, np.float32(-np.inf))
            lists.index[part], lists.distance[part] = scan.best(part, near, lists.index.shape[1])
    return found


class _Scan:
    """One space of cases and queries, prepared for blocks of queries."""

    def __init__(self, cases: Images, queries: Images, weigh: Weigh | None) -> None:
        self._rows, self._asked, self._weigh = cases.features, queries.features, weigh
        self._unit_rows, self._unit_asked = _unit(cases.features), _unit(queries.features)
        self._squares = None if weigh is None else np.square(self._unit_rows)
        self._barred = barred(cases, queries)
        self._place = np.empty(len(cases), np.intp)  # of each case in the order of ids
        self._place[np.argsort(np.array([case.id for case in cases.cases], dtype=object))] = np.arange(len(cases))

    def similar(self, part: slice) -> NDArray[np.float32]:
        asked = self._unit_asked[part]
        if self._weigh is None or self._squares is None:
            found = asked @ self._unit_rows.T
        else:
            weights = self._weigh(part).astype(np.float32)
            squared = np.square(weights)
            lengths = np.linalg.norm(weights * asked, axis=1)[:, None] * np.sqrt(squared @ self._squares.T)
            products = (squared * asked) @ self._unit_rows.T
            found = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
        for row, query in enumerate(range(part.start, part.stop)):
            if query in self._barred:
                found[row, self._barred[query]] = -np.inf
        return np.asarray(found, np.float32)

    def best(self, part: slice, near: NDArray[np.float32], k: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The first ``k`` of each row of ``near (b, n)``: candidates by float32, their order by exact distance."""
        n = near.shape[1]
        wide = min(n, k + SPARE)
        if wide < n:
            picked = np.argpartition(near, n - wide, axis=1)[:, n - wide :]
        else:
            picked = np.broadcast_to(np.arange(n), near.shape)
        held = np.take_along_axis(near, picked, axis=1)  # (b, wide)
        index, distance = self._ranked(part, picked, np.isfinite(held), k)
        if wide < n:
            kth = np.partition(held, wide - k, axis=1)[:, wide - k]
            for row in np.flatnonzero(np.isfinite(kth) & (held.min(axis=1) >= kth - SLACK)).tolist():
                whole = np.flatnonzero(near[row] >= kth[row] - SLACK)[None]  # ties reach beyond the candidates
                alone = slice(part.start + row, part.start + row + 1)
                one = self._ranked(alone, whole, np.ones(whole.shape, bool), k)
                index[row], distance[row] = one[0][0], one[1][0]
        return index, distance

    def _ranked(
        self, part: slice, picked: NDArray[np.intp], real: NDArray[np.bool_], k: int
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        distance = np.where(real, self._exact(part, picked), np.inf)
        order = np.lexsort((self._place[picked], distance), axis=1)[:, :k]
        distance = np.take_along_axis(distance, order, axis=1)
        index = np.where(np.isfinite(distance), np.take_along_axis(picked, order, axis=1), -1)
        return index, distance

    def _exact(self, part: slice, picked: NDArray[np.intp]) -> NDArray[np.float64]:
        """``1 - cosine`` in float64 of the picked cases ``(b, w)``; 1 where a side has no direction."""
        found = np.empty(picked.shape)
        step = max(1, CELLS // max(1, picked.shape[1] * self._rows.shape[1]))
        for start in range(0, len(picked), step):
            rows = slice(start, min(start + step, len(picked)))
            queries = slice(part.start + rows.start, part.start + rows.stop)
            right = self._asked[queries].astype(np.float64)  # (b, D)
            left = self._rows[picked[rows]].astype(np.float64)  # (b, w, D)
            if self._weigh is not None:
                weights = self._weigh(queries).astype(np.float64)
                right, left = right * weights, left * weights[:, None]
            lengths = np.linalg.norm(left, axis=2) * np.linalg.norm(right, axis=1)[:, None]
            products = np.einsum("bwd,bd->bw", left, right)
            found[rows] = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
        return np.maximum(1.0 - found, 0.0).round(9)


def barred(cases: Images, queries: Images) -> dict[int, Rows]:
    """By query: the cases that must not answer it, exact copies of its pixels and everything of its group.

    The groups of those copies count as its own too, as in ``casebase query``.
    """
    by_pixels: defaultdict[str, list[int]] = defaultdict(list)
    by_group: defaultdict[str, list[int]] = defaultdict(list)
    for row, case in enumerate(cases.cases):
        by_pixels[case.pixel_hash].append(row)
        if case.group is not None:
            by_group[case.group].append(row)
    found: dict[int, Rows] = {}
    for row, query in enumerate(queries.cases):
        copies = by_pixels.get(query.pixel_hash, [])
        groups = {query.group, *(cases.cases[i].group for i in copies)} - {None}
        own = {*copies, *(i for group in groups if group is not None for i in by_group.get(group, []))}
        if own:
            found[row] = np.array(sorted(own), np.intp)
    return found


def _unit(features: Matrix) -> Matrix:
    """Rows of unit length; a row of zeros stays one, and is like nothing."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    found: Matrix = np.zeros_like(features, np.float32)
    np.divide(features, lengths, out=found, where=lengths > 0)
    return found
