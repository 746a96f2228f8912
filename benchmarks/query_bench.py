"""(b) A warm query without its forward pass: all lists, rows, percentiles, trust, and each list's recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.made_up import SaidClassifier, Sayings, World, filled
from benchmarks.options import Options, tell
from benchmarks.results import Section
from benchmarks.timing import Bar, Check, Lap, Row, percentile, ratios, spread, timed
from casebase import clock
from casebase.answers import Retrieval
from casebase.distance import unit
from casebase.ports import Where
from casebase.query import Ask, Networks, ask
from casebase.spaces import NETWORK_SPACE
from casebase.storage.writing import SqlCaseStore

K = 5
CLASSES = (2, 10)
BARS = {10_000: 10.0, 100_000: 60.0}
AGAINST_CHROMA = 20
NE_FASTER = 10.0
TIE = 1e-6
LISTS = ("nearest", "twins", "counterfactuals")


@dataclass(eq=False)
class Asked:
    """What a series of queries took and how right it was."""

    seconds: list[float] = field(default_factory=list)
    recalls: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in LISTS})
    margins_off: float = 0.0
    served: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in LISTS})


class Oracle:
    """Brute force in float64 over the stored vectors, sharing no code with the indexes."""

    def __init__(self, world: World, store: SqlCaseStore) -> None:
        ids = list(store.ids_of(1))
        self.units = np.concatenate([store.vectors(NETWORK_SPACE, ids[i : i + 5000]) for i in range(0, len(ids), 5000)])
        cases = [case for i in range(0, len(ids), 5000) for case in store.get(ids[i : i + 5000]).values()]
        self.called = np.array([world.classes.index(case.predicted) for case in cases])

    def distances(self, query: NDArray[np.float32]) -> NDArray[np.float64]:
        """``1 - cos`` to every case ``(n,)``."""
        direction = query.astype(np.float64) / np.linalg.norm(query.astype(np.float64))
        found = np.empty(len(self.units))
        for start in range(0, len(found), 8192):
            block = self.units[start : start + 8192].astype(np.float64)
            found[start : start + 8192] = 1.0 - block @ direction / np.linalg.norm(block, axis=1)
        return found


def recall(found: Sequence[float], truth: NDArray[np.float64]) -> float:
    """Share of the K least distances of ``truth`` that were found; equal distances count as found."""
    least = np.sort(truth)[:K]
    return 1.0 if not len(least) else sum(d <= least[-1] + TIE for d in found) / len(least)


def judge(into: Asked, answer: Retrieval, distances: NDArray[np.float64], called: int, oracle: Oracle,
          classes: Sequence[str]) -> None:  # fmt: skip
    """Add one answer's recalls, and how far its margin is from the true one (that holds the nearest unlike case)."""
    own = oracle.called == called
    into.recalls["nearest"].append(recall([n.distance for n in answer.nearest], distances))
    into.recalls["twins"].append(recall([n.distance for n in answer.twins], distances[own]))
    for rival in answer.rivals:
        if rival.available:
            found = [n.distance for n in answer.counterfactuals if n.case.predicted == rival.name]
            into.recalls["counterfactuals"].append(recall(found, distances[oracle.called == classes.index(rival.name)]))
    true = float(distances[~own].min() - distances[own].min())
    told = answer.trust.margin
    into.margins_off = max(into.margins_off, np.inf if told is None else abs(told - true))
    for name, source in answer.search.lists.items():
        into.served[name].add(source.index)


def series(store: SqlCaseStore, world: World, oracle: Oracle, queries: int) -> Asked:
    """Ask one query after another; the first tenth, ten at least, is warm-up and dropped."""
    warm_up = max(10, queries // 10)
    vectors, called = world.draw(warm_up + queries, 999_999_937)
    said = Sayings(world, vectors, called)
    networks = Networks(said, SaidClassifier(world.classes), {})
    asked = Asked()
    for number in range(len(vectors)):
        question = ("query", said.picture(number))
        started = clock.seconds()
        (answer,) = ask([question], Ask(K), networks, store)
        seconds = clock.seconds() - started
        if number >= warm_up:
            asked.seconds.append(seconds)
            judge(asked, answer, oracle.distances(vectors[number]), int(called[number]), oracle, world.classes)
    return asked


def against_chroma(store: SqlCaseStore, world: World, oracle: Oracle, queries: int) -> tuple[list[float], float, float]:
    """Any class but one, exact search against Chroma's ``$ne`` in turns: ratios, recall of both."""
    snapshot = store.snapshot()
    index = snapshot.chroma()
    if index is None:
        raise RuntimeError("Chroma cannot be opened")
    codes = {name: i for i, name in enumerate(sorted(world.classes))}
    vectors, called = unit(world.draw(queries + 2, 31)[0])[0], world.draw(queries + 2, 31)[1]
    exact, ne, right, wrong = list[Lap](), list[Lap](), list[float](), list[float]()
    for number, (vector, own) in enumerate(zip(vectors, called.tolist(), strict=True)):
        others = tuple(name for i, name in enumerate(world.classes) if i != own)
        held: dict[str, list[float]] = {}

        def searched(v: NDArray[np.float32] = vector, o: tuple[str, ...] = others, h: dict = held) -> None:  # type: ignore[type-arg]
            h["exact"] = [hit.distance for hit in snapshot.nearest(NETWORK_SPACE, v, K, where=Where(o)).hits]

        def walked(v: NDArray[np.float32] = vector, own: int = own, h: dict = held) -> None:  # type: ignore[type-arg]
            where: Mapping[str, object] = {"predicted": {"$ne": codes[world.classes[own]]}}
            h["ne"] = [distance for _, distance in index.search_where(NETWORK_SPACE, v, K, where)]

        order = ((exact, searched), (ne, walked))
        for laps, call in order if number % 2 == 0 else reversed(order):
            laps.append(timed(call))
        if number >= 2:
            truth = oracle.distances(vector)[oracle.called != own]
            right.append(recall(held["exact"], truth))
            wrong.append(recall(held["ne"], truth))
    found = ratios([lap.wall for lap in ne[2:]], [lap.wall for lap in exact[2:]])
    return found, float(np.mean(right)), float(np.mean(wrong))


def run(options: Options) -> Section:
    """Every size with two and with ten classes."""
    rows: list[Row] = []
    for size in options.sizes:
        for classes in CLASSES:
            tell(f"(b) query: {size} cases of {classes} classes")
            rows += _measured(options, size, classes)
    about = (
        f"Made-up vectors, 512 numbers, {', '.join(map(str, CLASSES))} classes of clusters each; one query at a time "
        "in a warm process: `casebase.query.ask` with all of its lists (nearest, twins, the nearest of any other "
        "class, each rival's list, semi-factuals), rows from SQL, percentiles and trust, without decoding and without "
        f"the forward pass. Recall@{K} of every list against brute force in float64, n = {options.queries} queries; "
        "'margin off' is the largest error of the distance to the nearest unlike case."
    )
    return Section("(b) A warm query's retrieval", about, rows)


def _measured(options: Options, size: int, classes: int) -> list[Row]:
    world = World.of(classes)
    store, seconds = filled(options.scratch / f"query-{size}-{classes}", world, size)
    try:
        oracle = Oracle(world, store)
        asked = series(store, world, oracle, options.queries)
        found, right, wrong = against_chroma(store, world, oracle, min(AGAINST_CHROMA, options.queries))
        width = store.view().audits[NETWORK_SPACE].get("ef_search")
    finally:
        store.close()
    milliseconds = [1000 * s for s in asked.seconds]
    checks = [
        Check(f"{name} recall", float(np.mean(asked.recalls[name])), Bar(0.99 if name == "nearest" else 1.0), 4)
        for name in LISTS
    ]
    checks.append(Check("margin off", asked.margins_off, Bar(1e-6, at_least=False), 9))
    bar = next((Bar(most, at_least=False) for limit, most in sorted(BARS.items()) if size <= limit), None)
    served = "; ".join(f"{name} by {'/'.join(sorted(asked.served[name]))}" for name in LISTS)
    what = f"{size:,} cases, {classes} classes"
    return [
        Row(f"{what}: p50", spread(milliseconds), " ms", 2, bar, checks, f"{served}; ef_search {width}"),
        Row(f"{what}: p95", spread([percentile(milliseconds, 0.95)]), " ms"),
        Row(f"{what}: Chroma `$ne` ÷ exact, any class but one", spread(found), "×", 1,
            Bar(NE_FASTER) if size >= max(BARS) else None, [Check("recall exact", right, Bar(1.0))],
            f"recall of `$ne` {wrong:.3f}, n = {len(found)}"),
        Row(f"{what}: storing, cases/s", spread([size / seconds["retain"]]), "/s", 0),
        Row(f"{what}: publishing", spread([seconds["publish"]]), " s", 1),
    ]  # fmt: skip
