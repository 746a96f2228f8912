"""An evaluation as a folder: a page that loads nothing, JSON, a CSV per table, and the plots."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from casebase.errors import StorageFailed
from casebase.evaluations import Cell, Column, Evaluation, Measured, Plot, Table, flat, told
from casebase.explain import places
from casebase.explain.pages import environment, framed, inert, own, policy, trusted, unbroken
from casebase.explain.places import Kind
from casebase.explain.render_json import dumps
from casebase.folders import replaced
from casebase.reading import percent, printable

SCHEMA = "casebase.evaluation/1"
PAGE, DATA, ROWS = "index.html", "evaluation.json", "per_query.csv"
TABLES, PLOTS = "tables", "plots"
KIND = Kind(
    "evaluation", DATA, SCHEMA, frozenset({PAGE, ROWS}),
    {TABLES: frozenset({".csv"}), PLOTS: frozenset({".svg", ".png"})},
)  # fmt: skip
HEADLINES = 3
_SIGNED = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Headline:
    """A figure that opens the page: ``value``, ``low``, ``high`` in [0, 1] are drawn as a bar with its interval."""

    name: str
    text: str
    between: str
    reading: str
    value: float
    low: float | None
    high: float | None


class EvaluationPages:
    """Evaluations as folders; the page shares style and policy with the report."""

    def page(self, evaluation: Evaluation, *, alone: bool = False) -> str:
        """The page as text; ``alone`` leaves out links to files that lie beside a page in a folder."""
        style, script = own("report.css") + own("evaluation.css"), own("report.js")
        said = evaluation.statements
        tables = {table.key for table in evaluation.tables}
        words = {"told": told, "is_figure": _is_figure, "whole": _whole, "between": _between, "rest_of": rest_of}
        return (
            environment(_shown)
            .get_template("evaluation.html.j2", globals=words)
            .render(
                evaluation=evaluation,
                verdict=said[0] if said else None,
                also=said[1:],
                headlines=list(_headlines(evaluation)),
                sections=[(table, _plots_of(evaluation, table.key)) for table in evaluation.tables],
                others=[plot for plot in evaluation.plots if (plot.table or plot.key) not in tables],
                picture=_picture,
                settings=[(name, _setting(value)) for name, value in evaluation.settings.items()],
                alone=alone,
                style=trusted(style),
                script=trusted(script),
                data=trusted(inert(dumps(evaluation.to_dict(), indent=None))),
                policy=policy(style, script),
            )
        )

    def inline(self, evaluation: Evaluation) -> str:
        """The page in a frame of its own, for a notebook cell."""
        return framed(self.page(evaluation, alone=True), evaluation.title)

    def write(self, evaluation: Evaluation, folder: Path) -> Path:
        """Write everything into a new folder, or in the place of an older evaluation, and return it; all or nothing.

        Raises ``UsageError`` where the folder holds anything else, ``StorageFailed`` where it cannot be written.
        """
        files = dict(self._files(evaluation))
        target = folder.resolve()
        places.check(target, replace(KIND, of=evaluation.kind))
        try:
            with replaced(target) as aside:
                for name, content in files.items():
                    place = aside / name
                    place.parent.mkdir(exist_ok=True)
                    place.write_bytes(content)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            said = f"the evaluation could not be written to {folder} ({reason}); name another folder"
            raise StorageFailed(said) from None
        return folder

    def _files(self, evaluation: Evaluation) -> Iterator[tuple[str, bytes]]:
        yield PAGE, self.page(evaluation).encode("utf-8")
        yield DATA, (dumps(evaluation.to_dict()) + "\n").encode("utf-8")
        for table in evaluation.tables:
            rows = [flat(row) for row in table.rows]
            yield f"{TABLES}/{table.key}.csv", _csv(rows, [column.key for column in table.columns])
        if evaluation.per_query:
            yield ROWS, _csv(evaluation.per_query, [])
        for plot in evaluation.plots:
            yield f"{PLOTS}/{plot.key}.svg", plot.svg.encode("utf-8")
            yield f"{PLOTS}/{plot.key}.png", plot.png


def _csv(rows: Sequence[Mapping[str, Any]], first: Sequence[str]) -> bytes:
    """Rows with the keys ``first`` leading; a text that a spreadsheet would take for a formula gets a ``'``."""
    keys = list(dict.fromkeys([*first, *(key for row in rows for key in row)]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_harmless, keys))
    writer.writerows([_harmless(row.get(key)) for key in keys] for row in rows)
    return out.getvalue().encode("utf-8", "backslashreplace")


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_SIGNED) else value


def _headlines(evaluation: Evaluation) -> Iterator[Headline]:
    """The first measured share of the first rows of the first table."""
    if not evaluation.tables:
        return
    table = evaluation.tables[0]
    names = [column for column in table.columns if column.kind == "text"]
    shares = [column for column in table.columns if column.kind == "share"]
    if not names or not shares:
        return
    for row in list(table.rows[: table.shown])[:HEADLINES]:
        cell = row.get(shares[0].key)
        if isinstance(cell, Measured) and cell.value is not None:
            reading = _read(table, shares[0], row)
            name = told(row.get(names[0].key), "text")
            if any(column.key == "network" for column in names[1:]):
                name = f"{name} on {told(row.get('network'), 'text')}"
            yield Headline(
                name, percent(cell.value), f"{_between(cell, 'share')}, n = {cell.n}", reading, cell.value, cell.low,
                cell.high,
            )  # fmt: skip


def _read(table: Table, share: Column, row: Mapping[str, Cell]) -> str:
    """What is written under a headline's bar; words that belong under a head of their own come with that head."""
    said = str(row.get("reading") or "")
    head = next((column.title for column in table.columns if column.key == "reading"), "reading")
    if head.lower() == "reading":
        return said or share.title
    named = f"{share.title}: {share.help.rstrip('.')}." if share.help else f"{share.title}."
    return f"{named} {head}: {said}." if said else named


def _plots_of(evaluation: Evaluation, key: str) -> list[Plot]:
    return [plot for plot in evaluation.plots if (plot.table or plot.key) == key]


def _shown(value: object) -> object:
    """Any text of a page: nothing in it moves a cursor or turns the reading direction."""
    return unbroken(printable(value)) if type(value) is str else value


def _picture(plot: Plot) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(plot.svg.encode("utf-8")).decode("ascii")


def _is_figure(cell: Cell) -> bool:
    return isinstance(cell, Measured) and cell.value is not None


def _whole(cell: Measured, column: Column) -> str:
    """A measured figure without its interval."""
    return told(Measured(cell.value), column.kind)


def _between(cell: Measured, kind: str) -> str:
    """The interval of a figure in words, or nothing."""
    if cell.low is None or cell.high is None:
        return "no interval"
    low, high = (told(Measured(edge), kind).removesuffix(" %") for edge in (cell.low, cell.high))
    return f"{low} to {high}"


def _setting(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def rest_of(table: Table) -> int:
    """How many rows of a table are in the files alone."""
    return 0 if table.shown is None else max(0, len(table.rows) - table.shown)
