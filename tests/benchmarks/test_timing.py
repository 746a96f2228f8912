"""The arithmetic of the benchmarks. Nothing here is timed: a busy machine must not fail a test."""

from __future__ import annotations

import pytest

from benchmarks.results import Section, render
from benchmarks.timing import (
    Bar,
    Check,
    Contender,
    Lap,
    Row,
    limits,
    percentile,
    rates,
    ratios,
    rounds,
    spread,
    stopwatch,
)  # fmt: skip


def test_contenders_take_turns_and_the_order_turns_round() -> None:
    order: list[str] = []
    contenders = [Contender(name, lambda name=name: order.append(name)) for name in "abc"]  # type: ignore[misc]
    rounds(contenders, 2, warm_up=1)
    assert "".join(order) == "abc" + "cba" + "abc"


def test_the_warm_up_is_dropped() -> None:
    calls = iter(range(10))
    laps = rounds([Contender("one", lambda: {"call": float(next(calls))})], 3, warm_up=2)
    assert [lap.figures["call"] for lap in laps["one"]] == [2.0, 3.0, 4.0]


def test_two_contenders_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        rounds([Contender("one", dict), Contender("one", dict)], 1)


def test_a_lap_has_wall_and_cpu_seconds() -> None:
    (lap,) = rounds([Contender("one", lambda: None)], 1, warm_up=0)["one"]
    assert lap.wall >= 0
    assert lap.cpu >= 0
    assert lap.figures == {}


def test_a_stopwatch_adds_up_and_stops_on_errors() -> None:
    seconds = {"part": 100.0}
    with stopwatch(seconds, "part"):
        pass
    with pytest.raises(KeyError), stopwatch(seconds, "broken"):
        raise KeyError
    assert seconds["part"] >= 100.0
    assert "broken" in seconds


def test_median_least_and_most() -> None:
    found = spread([3.0, 1.0, 10.0])
    assert (found.median, found.low, found.high, found.n) == (3.0, 1.0, 10.0, 3)
    assert spread([1.0, 2.0]).median == 1.5
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_a_ratio_is_taken_inside_each_round() -> None:
    # Both got twice as slow in the second round: the ratio has not moved, that of the medians' spread would.
    assert ratios([240.0, 120.0], [100.0, 50.0]) == [2.4, 2.4]
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


def test_rates_by_wall_or_by_a_phase() -> None:
    laps = [Lap(2.0, 1.0, {"embed": 0.5})]
    assert rates(laps, 100) == [50.0]
    assert rates(laps, 100, "embed") == [200.0]


def test_the_limit_of_two_stages_that_share_the_cores() -> None:
    assert limits([970.0], [163.0]) == [pytest.approx(139.55, abs=0.01)]


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.95, 10), (0.9, 9), (1.0, 10), (0.01, 1)])
def test_percentiles_are_observed_values(share: float, value: int) -> None:
    assert percentile([float(v) for v in range(10, 0, -1)], share) == value


def test_bars_at_least_and_at_most() -> None:
    assert Bar(2.3).holds(2.3)
    assert not Bar(2.3).holds(2.29)
    assert Bar(10, at_least=False).holds(10)
    assert not Bar(10, at_least=False).holds(10.1)
    assert not Bar(2.3).holds(float("nan"))
    assert not Bar(10, at_least=False).holds(float("nan"))
    assert Bar(2.3).text("×") == "≥ 2.3×"
    assert Bar(60, at_least=False).text(" ms") == "≤ 60 ms"


def test_fast_and_wrong_fails() -> None:
    right = Check("lowest cosine", 0.9997, Bar(0.9995), 4)
    wrong = Check("same top-5", 0.9, Bar(0.97))
    fast = spread([2.4, 2.5, 2.6])
    assert Row("index", fast, "×", bar=Bar(2.3), checks=[right]).verdict == "pass"
    assert Row("index", fast, "×", bar=Bar(2.3), checks=[right, wrong]).verdict == "**FAIL**"
    assert Row("index", fast, "×", bar=Bar(2.6), checks=[right]).verdict == "**FAIL**"
    assert Row("index", fast, "×").verdict == "–"
    assert Row("only right", fast, checks=[right]).verdict == "pass"


def test_how_a_row_reads() -> None:
    row = Row(
        "index ÷ script", spread([2.5, 2.4, 2.6]), "×", bar=Bar(2.3), checks=[Check("same", 0.98, Bar(0.97))], note="n"
    )
    assert row.cells() == ["index ÷ script", "2.50× (2.40–2.60)", "≥ 2.3×", "same 0.980 (≥ 0.97); n", "pass"]
    assert Row("once", spread([4.0]), " s", 1).cells() == ["once", "4.0 s", "–", "–", "–"]


def test_the_page_names_the_machine_and_counts_the_bars() -> None:
    rows = [Row("one", spread([1.0]), bar=Bar(2)), Row("two", spread([3.0]), bar=Bar(2)), Row("three", spread([1.0]))]
    section = Section("(a) Index", "about | this", rows)
    page = render({"CPU": "A|B"}, [section])
    assert "**1 of 2 bars hold.**" in page
    assert "| CPU | A\\|B |" in page
    assert "| one | 1.00 | ≥ 2 | – | **FAIL** |" in page
    assert not section.passed
    assert Section("(b)", "", rows[1:]).passed
