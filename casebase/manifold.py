"""The manifold that class codes lie on: its main directions, a graph of near codes, the shortest way along it.

The graph joins codes that are among each other's nearest (mutual k-NN). Where it falls apart, the edges of the minimum
spanning tree that join its parts are added as *bridges*: along them lie no cases (Dijkstra, "A note on two problems in
connexion with graphs", Numerische Mathematik 1, 1959; the tree is Prim's, Bell System Technical Journal 36, 1957).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEIGHBOURS = 10
_BLOCK = 256
"""Rows whose distances to all others are in memory at once."""
Points = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Principal:
    """Principal components: ``mean (d,)``, ``axes (count, d)`` of unit length, ``shares (count,)`` of the variance.

    Where there are fewer dimensions than components were asked for, the axes beyond are zero. The largest entry of an
    axis is positive, so that the same codes always give the same map.
    """

    mean: Points
    axes: Points
    shares: Points

    def on(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Codes ``(n, d)`` on the components ``(n, count)``."""
        return ((np.asarray(codes, np.float64) - self.mean) @ self.axes.T).astype(np.float32)


def principal(codes: ArrayLike, count: int = 2) -> Principal:
    """The ``count`` directions in which codes ``(n, d)``, n >= 1, spread most.

    >>> found = principal([[0, 0], [3, 4], [6, 8]])
    >>> found.axes[0].round(3).tolist(), found.shares.round(3).tolist()
    ([0.6, 0.8], [1.0, 0.0])
    >>> found.on([[6, 8]])[:, 0].round(3).tolist()
    [5.0]
    """
    rows = np.asarray(codes, np.float64)
    mean = rows.mean(axis=0)
    variances, vectors = np.linalg.eigh((rows - mean).T @ (rows - mean))
    kept = min(count, rows.shape[1])
    axes, shares = np.zeros((count, rows.shape[1])), np.zeros(count)
    axes[:kept] = vectors[:, ::-1].T[:kept]
    # To seven digits: of two entries as large as each other, rounding must not decide.
    largest = np.abs(axes).round(7).argmax(axis=1)
    axes *= np.where(axes[np.arange(count), largest] < 0, -1.0, 1.0)[:, None]
    if variances.sum() > 0:
        shares[:kept] = np.maximum(variances[::-1][:kept], 0.0) / variances.sum()
    return Principal(mean, axes, shares)


def nearest(codes: ArrayLike, k: int = NEIGHBOURS) -> tuple[Index, Points]:
    """The ``min(k, n - 1)`` nearest others of each code ``(n, d)``: their rows and Euclidean distances, nearest first.

    Of codes equally far the earlier comes first. Memory is that of some hundred rows of distances.

    >>> rows, lengths = nearest([[0.0], [1.0], [3.0]], 1)
    >>> rows.tolist(), lengths.tolist()
    ([[1], [0], [1]], [[1.0], [1.0], [2.0]])
    """
    rows = np.asarray(codes, np.float64)
    wanted = max(0, min(k, len(rows) - 1))
    near, lengths = np.zeros((len(rows), wanted), np.intp), np.zeros((len(rows), wanted))
    for start in range(0, len(rows), _BLOCK):
        squares = _squares(rows[start : start + _BLOCK], rows)
        for row, others in enumerate(squares, start=start):
            others[row] = np.inf
            found = _smallest(others, wanted)
            near[row], lengths[row] = found, np.sqrt(others[found])
    return near, lengths


@dataclass(frozen=True, eq=False)
class Graph:
    """Codes joined to near codes: for each node its (other node, length); ``bridges`` are pairs, the smaller first."""

    joined: Sequence[Sequence[tuple[int, float]]]
    bridges: frozenset[tuple[int, int]]

    def crosses(self, way: Sequence[int]) -> bool:
        """Whether a way goes over a bridge."""
        return any((min(pair), max(pair)) in self.bridges for pair in pairwise(way))


def graph(codes: ArrayLike, k: int = NEIGHBOURS) -> Graph:
    """The mutual ``k``-nearest-neighbour graph of codes ``(n, d)``, its parts joined by bridges.

    Parts that lie on the same spot are joined too, but that is no bridge.

    >>> found = graph([[0.0], [1.0], [5.0], [6.0]], 1)
    >>> found.joined[1], sorted(found.bridges)
    ([(0, 1.0), (2, 4.0)], [(1, 2)])
    """
    rows = np.asarray(codes, np.float64)
    joined: list[list[tuple[int, float]]] = [[] for _ in rows]
    parts = _Parts(len(rows))
    for one, other, length in _mutual(rows, k):
        _join(joined, one, other, length)
        parts.unite(one, other)
    bridges = set()
    for length, one, other in sorted(_tree(rows)) if parts.several else []:
        if parts.unite(one, other):
            _join(joined, one, other, length)
            if length > 0:
                bridges.add((one, other))
    return Graph([sorted(others) for others in joined], frozenset(bridges))


def shortest(over: Graph, start: int) -> tuple[Points, Index]:
    """Dijkstra: the length ``(n,)`` of the shortest way from ``start`` to each node, and the node before it (-1: none).

    Unreachable nodes are infinitely far. Of ways equally long the one by earlier nodes is taken.
    """
    lengths, before = np.full(len(over.joined), np.inf), np.full(len(over.joined), -1, np.intp)
    lengths[start] = 0.0
    waiting = [(0.0, start)]
    while waiting:
        so_far, node = heapq.heappop(waiting)
        if so_far > lengths[node]:
            continue
        for other, step in over.joined[node]:
            if so_far + step < lengths[other]:
                lengths[other], before[other] = so_far + step, node
                heapq.heappush(waiting, (so_far + step, other))
    return lengths, before


def way_to(before: Index, end: int) -> list[int]:
    """The nodes from the start of :func:`shortest` to ``end``, both included.

    >>> way_to(shortest(graph([[0.0], [1.0], [2.0]], 2), 0)[1], 2)
    [0, 2]
    """
    way = [end]
    while before[way[-1]] >= 0:
        way.append(int(before[way[-1]]))
    return way[::-1]


def along(way: ArrayLike, at: ArrayLike) -> Points:
    """The points ``(m, d)`` that lie at fractions ``at (m,)`` of the length of a polyline ``(p, d)``.

    >>> along([[0, 0], [3, 0], [3, 1]], [0.0, 0.5, 1.0]).tolist()
    [[0.0, 0.0], [2.0, 0.0], [3.0, 1.0]]
    """
    corners = np.asarray(way, np.float64)
    reached = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    wanted = np.asarray(at, np.float64) * reached[-1]
    return np.stack([np.interp(wanted, reached, column) for column in corners.T], axis=1)


def evenly(way: ArrayLike, count: int) -> Points:
    """``count`` points ``(count, d)`` of a polyline, evenly spaced by its length, both ends among them."""
    return along(way, np.linspace(0.0, 1.0, count))


def _squares(block: Points, rows: Points) -> Points:
    """Squared distances ``(b, n)``, of differences and not of products, so that codes on one spot are 0 apart."""
    found = np.zeros((len(block), len(rows)))
    for one, other in zip(block.T, rows.T, strict=True):
        found += (one[:, None] - other[None]) ** 2
    return found


def _smallest(values: Points, count: int) -> Index:
    """The places of the ``count`` smallest, smallest first; of ties the earlier."""
    if count == 0:
        return np.zeros(0, np.intp)
    within = np.flatnonzero(values <= np.partition(values, count - 1)[count - 1])
    return within[np.argsort(values[within], kind="stable")[:count]]


class _Parts:
    """Which nodes hang together."""

    def __init__(self, count: int) -> None:
        self._above, self._count = list(range(count)), count

    @property
    def several(self) -> bool:
        return self._count > 1

    def unite(self, one: int, other: int) -> bool:
        """Whether the two hung apart until now."""
        first, second = self._top(one), self._top(other)
        if first == second:
            return False
        self._above[max(first, second)] = min(first, second)
        self._count -= 1
        return True

    def _top(self, node: int) -> int:
        while self._above[node] != node:
            self._above[node] = self._above[self._above[node]]
            node = self._above[node]
        return node


def _mutual(rows: Points, k: int) -> list[tuple[int, int, float]]:
    near, lengths = nearest(rows, k)
    found = {
        (one, other): length
        for one, (others, apart) in enumerate(zip(near.tolist(), lengths.tolist(), strict=True))
        for other, length in zip(others, apart, strict=True)
    }
    return [(*pair, length) for pair, length in found.items() if pair[0] < pair[1] and pair[::-1] in found]


def _tree(rows: Points) -> list[tuple[float, int, int]]:
    """The edges (length, one, other) of a minimum spanning tree, by Prim's rule, without all distances at once."""
    found = []
    to_tree, by = np.full(len(rows), np.inf), np.zeros(len(rows), np.intp)
    outside = np.ones(len(rows), bool)
    node = 0
    for _ in range(len(rows) - 1):
        outside[node] = False
        apart = rows - rows[node]
        squares = np.einsum("nd,nd->n", apart, apart)
        closer = outside & (squares < to_tree)
        to_tree[closer], by[closer] = squares[closer], node
        node = int(np.where(outside, to_tree, np.inf).argmin())
        pair = sorted((node, int(by[node])))
        found.append((float(np.sqrt(to_tree[node])), pair[0], pair[1]))
    return found


def _join(joined: list[list[tuple[int, float]]], one: int, other: int, length: float) -> None:
    joined[one].append((other, length))
    joined[other].append((one, length))
