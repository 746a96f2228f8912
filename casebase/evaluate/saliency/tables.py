"""The bench as tables: one for each metric, then who is ahead of whom, then how every row was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from casebase.evaluate.saliency import baselines
from casebase.evaluate.saliency.marks import Row
from casebase.evaluate.saliency.metric import Metric
from casebase.evaluate.saliency.summary import Summary
from casebase.evaluations import Cell, Column, Table

PAIRS_SHOWN = 24
_TIES = (
    "Where pixels are ranked, a map that is the same everywhere has nothing but ties. ROAD takes them in a random "
    "order, so Ones is a second random map there; thresholds, deletion and patches take them in reading order, so "
    "there Ones is the picture from its upper edge down. In the average drop it hides nothing and scores a perfect 0."
)


def tables(summary: Summary) -> list[Table]:
    """All tables in the order of the page."""
    found = [_metric(summary, metric, first=place == 0) for place, metric in enumerate(summary.outcome.metrics)]
    pairs = list(summary.pairs())
    if pairs:
        found.append(_pairs(pairs, several=len(summary.outcome.networks) > 1))
    return [*found, _made(summary)]


def _metric(summary: Summary, metric: Metric, *, first: bool) -> Table:
    several = len(summary.outcome.networks) > 1
    columns = [
        Column("method", "Method"),
        *([Column("network", "Network")] if several else []),
        *(Column(figure.key, figure.title, figure.kind, figure.help) for figure in metric.figures),
        Column("images", "Images", "count", "how many images the means are over"),
        Column("silent", "Silent", "count", "maps that say nothing: zero, constant, two values, or not finite"),
    ]
    directed = [figure for figure in metric.figures if figure.better is not None]
    if directed:
        columns.append(Column("clear", "Clear", help="figures in which the best baseline is surely beaten"))
        columns.append(Column("reading", "Not clear of", help="the others, and the baseline that is not beaten"))
    rows = [row for one in summary.outcome.rows for row in _rows(summary, metric, one)]
    notes = [*_directions(metric), f"{metric.title}: {metric.source}."]
    if directed and first:
        notes.append(
            "Clear of the best baseline in a figure: the 95 % interval of the paired difference on the same images "
            "lies on the better side of 0."
        )
        notes.append(_TIES)
    return Table(metric.name, metric.title, _lead(metric), columns, rows, notes)


def _lead(metric: Metric) -> str:
    figures = [f"{figure.title}: {figure.help.rstrip('.')}" for figure in metric.figures if figure.help]
    return "; ".join(figures) + "." if figures else "Means over images, each with its 95 % interval."


def _directions(metric: Metric) -> Iterator[str]:
    for better in ("higher", "lower"):
        titles = [figure.title for figure in metric.figures if figure.better == better]
        if titles:
            yield f"{better.capitalize()} is better: {', '.join(titles)}."


def _rows(summary: Summary, metric: Metric, row: Row) -> Iterator[Mapping[str, Cell]]:
    named = {"network": row.network, "key": row.method, "kind": "baseline" if row.baseline else "method"}
    title = f"{row.title} (baseline)" if row.baseline else row.title
    if row.refused is not None:
        yield {**named, "method": title, "images": 0, "silent": 0, "clear": "", "reading": f"no map: {row.refused}"}
        return
    silent = len(row.degenerate)
    judged = [found for figure in metric.figures if (found := summary.cleared(row, metric, figure)) is not None]
    unclear = [f"{found.figure.title}: {found.other.title}" for found in judged if not found.ahead]
    mark = {"clear": f"{len(judged) - len(unclear)} of {len(judged)}" if judged else "", "reading": "; ".join(unclear)}
    cells = {figure.key: summary.mean(row, metric, figure) for figure in metric.figures}
    images = max((cell.n for cell in cells.values()), default=0)
    yield {**named, "method": title, **cells, "images": images, "silent": silent, **mark}
    if silent and silent < len(row.marks):
        whole = {figure.key: summary.mean(row, metric, figure, whole=True) for figure in metric.figures}
        images = max((cell.n for cell in whole.values()), default=0)
        told = f"{title}, without {silent} silent {'map' if silent == 1 else 'maps'}"
        yield {**named, "method": told, **whole, "images": images, "silent": 0, "clear": "", "reading": ""}


def _pairs(pairs: Sequence[Any], *, several: bool) -> Table:
    def name(row: Row) -> str:
        return f"{row.title}, {row.network}" if several else row.title

    surest = sorted(pairs, key=lambda found: found.verdict == "open")
    rows = [
        {
            "figure": f"{found.metric.title}: {found.figure.title}", "one": name(found.one), "other": name(found.other),
            "difference": found.difference, "images": found.difference.n, "verdict": found.verdict,
            "metric": found.metric.name, "key": found.figure.key, "better": found.figure.better,
        }
        for found in surest
    ]  # fmt: skip
    columns = [
        Column("figure", "Figure"), Column("one", "One"), Column("other", "Other"),
        Column("difference", "One minus other", "number", "positive: the one is better, in the figure's direction"),
        Column("images", "Images", "count"), Column("verdict", "The one is"),
    ]  # fmt: skip
    lead = (
        "The difference of two methods on the same images, turned so that more is better for the one. Ahead or behind "
        "only where the 95 % interval lies on one side of 0, over six images or more; each interval stands for "
        "itself, so about one in twenty open pairs looks decided."
    )
    return Table("pairs", "Method against method", lead, columns, rows, shown=PAIRS_SHOWN, detail=True)


def _made(summary: Summary) -> Table:
    rows = []
    for row in summary.outcome.rows:
        facts = {**row.facts, **_shared(row)}
        remembered = sum(mark.remembered for mark in row.marks)
        note = baselines.BASELINES[row.method].note if row.baseline else "; ".join(f"{k} {v}" for k, v in facts.items())
        cells: dict[str, Cell] = {
            "method": row.title, "network": row.network, "kind": "baseline" if row.baseline else "method",
            "key": row.method, "seconds": None if row.baseline else summary.seconds(row), "maps": len(row.marks),
            "remembered": remembered, "silent": len(row.degenerate), "made": row.refused or note,
        }  # fmt: skip
        rows.append({**cells, **{f"fact {name}": _cell(value) for name, value in facts.items()}})
    columns = [
        Column("method", "Method"), Column("network", "Network"), Column("seconds", "Seconds a map", "number"),
        Column("maps", "Maps", "count"), Column("remembered", "Remembered", "count", "made by an earlier run"),
        Column("silent", "Silent", "count"), Column("made", "How"),
    ]  # fmt: skip
    lead = (
        "How every row was made, and how long one map took; a remembered map keeps the time it took when it was made."
    )
    return Table("rows", "How the maps were made", lead, columns, rows, detail=True)


def _shared(row: Row) -> Mapping[str, Any]:
    """What every map of a row says of itself alike, and the mean of figures that differ."""
    if not row.marks:
        return {}
    found: dict[str, Any] = {}
    for name in row.marks[0].facts:
        values: list[Any] = [mark.facts.get(name) for mark in row.marks]
        if all(value == values[0] for value in values):
            found[name] = values[0]
        elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            found[f"mean {name}"] = round(sum(values) / len(values), 6)
    return found


def _cell(value: Any) -> Cell:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def per_map(summary: Summary) -> list[dict[str, Any]]:
    """The rows behind the figures: one for each image, network and method."""
    found = []
    for row in summary.outcome.rows:
        for mark in row.marks:
            figures = {f"{metric}.{key}": value for (metric, key), value in mark.figures.items()}
            found.append(
                {
                    "image": mark.image, "network": row.network, "method": row.method, "class": mark.target,
                    "softmax": mark.before, "seconds": mark.seconds, "silent": mark.degenerate, **figures,
                    "no figure": "; ".join(f"{name}: {why}" for name, why in mark.problems.items()),
                    "facts": "; ".join(f"{name} {value}" for name, value in mark.facts.items()),
                }
            )  # fmt: skip
    return found
