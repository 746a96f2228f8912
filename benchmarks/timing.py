"""Contenders run in turns, and what becomes of their times: medians with spread, ratios inside a round, bars."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Contender:
    """Something to time. ``run`` does the work once and may return figures of its own (seconds of a phase, …)."""

    name: str
    run: Callable[[], Mapping[str, float] | None]


@dataclass(frozen=True, slots=True)
class Lap:
    """One contender in one round: wall and CPU seconds (children included), and its own figures."""

    wall: float
    cpu: float
    figures: Mapping[str, float] = field(default_factory=dict)


Laps = Mapping[str, Sequence[Lap]]


def rounds(
    contenders: Sequence[Contender], count: int, *, warm_up: int = 1, tell: Callable[[str], None] = lambda line: None
) -> Laps:
    """Run every contender once per round and return its laps in order; the ``warm_up`` first rounds are dropped.

    The order is turned round from one round to the next, so that no contender always follows the same one.
    """
    laps: dict[str, list[Lap]] = {contender.name: [] for contender in contenders}
    if len(laps) != len(contenders):
        raise ValueError("two contenders have the same name")
    for number in range(warm_up + count):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            lap = timed(contender.run)
            if number >= warm_up:
                laps[contender.name].append(lap)
            label = "warm-up" if number < warm_up else f"round {number - warm_up + 1}/{count}"
            tell(f"  {label}  {contender.name}: {lap.wall:.2f} s, CPU {lap.cpu:.2f} s")
    return laps


def timed(run: Callable[[], Mapping[str, float] | None]) -> Lap:
    """One lap."""
    cpu, wall = _cpu(), time.perf_counter()
    figures = run()
    return Lap(time.perf_counter() - wall, _cpu() - cpu, dict(figures or {}))


@contextmanager
def stopwatch(into: dict[str, float], name: str) -> Iterator[None]:
    """Add the wall seconds of a block to ``into[name]``."""
    started = time.perf_counter()
    try:
        yield
    finally:
        into[name] = into.get(name, 0.0) + time.perf_counter() - started


def _cpu() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the least and the most of ``n`` values."""

    median: float
    low: float
    high: float
    n: int

    def text(self, digits: int = 2, unit: str = "") -> str:
        """For example ``2.41× (2.38–2.47)``; the spread is left out for a single value."""
        shown = f"{self.median:.{digits}f}{unit}"
        return shown if self.n < 2 else f"{shown} ({self.low:.{digits}f}–{self.high:.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Median, least and most; raises ``ValueError`` where there is no value."""
    if not values:
        raise ValueError("no values to take a median of")
    return Spread(statistics.median(values), min(values), max(values), len(values))


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """``over / under`` round by round."""
    return [one / other for one, other in zip(over, under, strict=True)]


def rates(laps: Sequence[Lap], items: int, figure: str | None = None) -> list[float]:
    """Items a second in each round, by wall time or by a phase's own seconds."""
    return [items / (lap.wall if figure is None else lap.figures[figure]) for lap in laps]


def limits(decode: Sequence[float], forward: Sequence[float]) -> list[float]:
    """What two stages that share the cores allow: 1 / (1 / decode + 1 / forward), round by round."""
    return [1.0 / (1.0 / d + 1.0 / f) for d, f in zip(decode, forward, strict=True)]


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile, ``share`` in (0, 1]: an observed value, never one in between."""
    ranked = sorted(values)
    return ranked[max(0, -(-round(share * 1000) * len(ranked) // 1000) - 1)]


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure has to reach: at least ``value``, or at most."""

    value: float
    at_least: bool = True

    def holds(self, found: float) -> bool:
        """Whether a figure reaches it; one that is not a number never does."""
        return found >= self.value if self.at_least else found <= self.value

    def text(self, unit: str = "") -> str:
        """For example ``≥ 2.3×``."""
        return f"{'≥' if self.at_least else '≤'} {self.value:g}{unit}"


@dataclass(frozen=True, slots=True)
class Check:
    """A correctness figure and its bar; it stands in the same row as the time it belongs to."""

    name: str
    found: float
    bar: Bar
    digits: int = 3

    @property
    def holds(self) -> bool:
        """Whether it is right enough."""
        return self.bar.holds(self.found)

    def text(self) -> str:
        """For example ``lowest cosine 0.9997 (≥ 0.9995)``."""
        return f"{self.name} {self.found:.{self.digits}f} ({self.bar.text()})"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the results: the median is held against the bar, and every check has to hold as well."""

    what: str
    figure: Spread
    unit: str = ""
    digits: int = 2
    bar: Bar | None = None
    checks: Sequence[Check] = ()
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the bar and every check hold; None where there is neither."""
        if self.bar is None and not self.checks:
            return None
        return (self.bar is None or self.bar.holds(self.figure.median)) and all(check.holds for check in self.checks)

    @property
    def verdict(self) -> str:
        """``pass``, ``FAIL``, or a dash where nothing is asked."""
        return {True: "pass", False: "**FAIL**", None: "–"}[self.passed]

    def cells(self) -> list[str]:
        """What, figure, bar, correctness, verdict."""
        correctness = "; ".join([*(check.text() for check in self.checks), *([self.note] if self.note else [])])
        bar = "–" if self.bar is None else self.bar.text(self.unit)
        return [self.what, self.figure.text(self.digits, self.unit), bar, correctness or "–", self.verdict]
