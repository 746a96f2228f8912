"""The maps of walks against those of other methods and against maps that know nothing: by deletion, and by masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from casebase.evaluate.cae.removal import AOPC, METRICS, PD
from casebase.evaluate.cae.study import Study
from casebase.evaluate.saliency.marks import Row
from casebase.evaluate.saliency.metric import Metric
from casebase.evaluate.saliency.summary import Summary
from casebase.evaluations import Cell, Column, Measured, Table

CAE, PUBLISHED = "cae", "cae-published"
AGAINST = ("gradcam", "lime", "shap")
MASKED = ("auc", "pointing")
"""Metrics of the saliency bench that need a mask."""


def map_tables(found: Study) -> Iterator[Table]:
    """One table for each filling, and one against masks; none where no map was made."""
    if found.maps is None:
        return
    for metric in found.maps.outcome.metrics:
        if metric in METRICS.values():
            yield from _removal(found.maps, metric, found)
    if any(metric.name in MASKED for metric in found.maps.outcome.metrics):
        yield _masked(found.maps)


def own(summary: Summary) -> Row | None:
    """The row of the embedding's own maps; None where it has none."""
    return next((row for row in summary.outcome.rows if row.method == CAE and row.refused is None), None)


def ahead(summary: Summary, row: Row, metric: Metric, figure: str) -> Measured | None:
    """How much more the embedding's maps have of a figure than another row's, on the same images."""
    mine = own(summary)
    if mine is None or row.refused is not None or row is mine:
        return None
    (column,) = [one for one in metric.figures if one.key == figure]
    return summary.against(mine, row, metric, column).difference


MAIN = (AOPC, PD)
"""Figures that the first table of a filling shows; a second one has the others."""


def _removal(summary: Summary, metric: Metric, found: Study) -> Iterator[Table]:
    rows = [_row(summary, metric, row) for row in summary.outcome.rows]
    columns = {figure.key: Column(figure.key, figure.title, figure.kind, figure.help) for figure in metric.figures}
    less = "paired difference on the same images; above 0: CAE is better"
    draws = f", the mean of {found.options.draws} fillings" if metric is METRICS["uniform"] else ""
    yield Table(
        metric.name,
        f"What does the answer rest on? {metric.title}",
        f"Patches of a 32nd of the side are taken away, most relevant first{draws}; a good map makes the probability "
        "of the predicted class drop early.",
        [
            Column("method", "map"), *(columns[key] for key in MAIN),
            Column(f"{AOPC}_less", "CAE ahead", "points", f"in AOPC; {less}"),
        ],
        rows,
        [*_refused(summary), f"{metric.title}: {metric.source}."],
    )  # fmt: skip
    yield Table(
        f"{metric.name}_more",
        f"The same, in other figures: {metric.title.lower()}",
        "Only the first patches, least relevant first, and the drop by itself.",
        [
            Column("method", "map"), *(one for key, one in columns.items() if key not in MAIN),
            Column(f"{PD}_less", "CAE ahead, PD max", "points", less),
        ],
        rows,
        detail=True,
    )  # fmt: skip


def _row(summary: Summary, metric: Metric, row: Row) -> Mapping[str, Cell]:
    cells: dict[str, Cell] = {
        "method": _titled(row), "key": row.method, "kind": "baseline" if row.baseline else "method",
        "refused": row.refused,
    }  # fmt: skip
    if row.refused is None:
        cells |= {figure.key: summary.mean(row, metric, figure) for figure in metric.figures}
        cells |= {f"{figure}_less": ahead(summary, row, metric, figure) for figure in MAIN}
    return cells


def _masked(summary: Summary) -> Table:
    metrics = [metric for metric in summary.outcome.metrics if metric.name in MASKED]
    figures = [(metric, figure) for metric in metrics for figure in metric.figures]
    rows: list[Mapping[str, Cell]] = []
    for row in summary.outcome.rows:
        cells: dict[str, Cell] = {"method": _titled(row), "key": row.method, "refused": row.refused}
        if row.refused is None:
            cells |= {figure.key: summary.mean(row, metric, figure) for metric, figure in figures}
        rows.append(cells)
    return Table(
        "masks",
        "Do the maps lie on the evidence that people drew?",
        "The map of the published code is the flip frame less the image, which holds the reconstruction error; ours is "
        "the flip frame less the reconstruction.",
        [
            Column("method", "map"),
            *(Column(figure.key, figure.title, figure.kind, figure.help) for _, figure in figures),
        ],
        rows,
        list(_refused(summary)),
    )


def _titled(row: Row) -> str:
    return f"{row.title} (baseline)" if row.baseline else row.title


def _refused(summary: Summary) -> Iterator[str]:
    for row in summary.outcome.rows:
        if row.refused is not None:
            yield f"{row.title} has no map here: {row.refused}"
