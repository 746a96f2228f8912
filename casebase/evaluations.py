"""What an evaluation measured: tables of figures with n and interval, plots, and the settings they were made under."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casebase.answers import finite
from casebase.explanations import Statement
from casebase.reading import percent, printable

if TYPE_CHECKING:
    from casebase.writers import EvaluationWriter


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure and what it rests on: ``low`` and ``high`` are its 95 % interval, ``n`` what it was counted over.

    ``value`` is None where the figure is refused; ``reason`` says why, in a few words.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    ``kind`` says how cells are shown: ``text``, ``count`` (an integer), ``share`` ([0, 1], shown in per cent),
    ``points`` (a signed difference of shares), ``number`` (four significant digits). ``help`` is a plain-language
    reading of the figure.
    """

    key: str
    title: str
    kind: str = "text"
    help: str = ""


Cell = str | int | float | Measured | None


@dataclass(frozen=True, eq=False)
class Table:
    """One table: ``rows`` map column keys to cells; ``lead`` says in one sentence how to read it.

    Rows may have keys that are no column: they are in the files alone. Page and screen show the first ``shown`` rows,
    or all of them; files have every row. A ``detail`` is left to the page. A plot with the key of a table stands
    beside it.
    """

    key: str
    title: str
    lead: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Cell]]
    notes: Sequence[str] = ()
    shown: int | None = None
    detail: bool = False


@dataclass(frozen=True, eq=False)
class Plot:
    """One figure as SVG text and PNG bytes; ``alt`` says in words what it shows.

    It stands with the table of its own key, or with the one that ``table`` names. A ``wide`` one keeps its width on a
    narrow screen, where it is moved sideways.
    """

    key: str
    title: str
    alt: str
    svg: str
    png: bytes
    table: str | None = None
    wide: bool = False


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything one ``casebase evaluate KIND`` measured. ``statements`` are its findings, worst news first.

    ``per_query`` are the rows behind the figures, one per image, written as a CSV of their own.
    """

    kind: str
    title: str
    statements: Sequence[Statement]
    tables: Sequence[Table]
    plots: Sequence[Plot]
    settings: Mapping[str, Any]
    per_query: Sequence[Mapping[str, Any]] = ()
    synthetic: str | None = None
    writer: EvaluationWriter | None = field(default=None, repr=False)

    def rows(self) -> list[dict[str, Any]]:
        """Every row of every table, flat: a measured cell becomes ``key``, ``key_low``, ``key_high``, ``key_n``."""
        return [{"table": table.key, **flat(row)} for table in self.tables for row in table.rows]

    def to_dict(self) -> dict[str, Any]:
        """Schema ``casebase.evaluation/1``."""
        return {
            "schema": "casebase.evaluation/1",
            "kind": self.kind,
            "rows": self.rows(),
            "statements": [{"text": said.text, "level": str(said.level)} for said in self.statements],
            "settings": dict(self.settings),
        }

    def save(self, folder: str | Path) -> Path:
        """Write ``index.html``, ``evaluation.json``, a CSV per table and the plots into a new folder; return it."""
        return _writer(self.writer).write(self, Path(folder))

    def _repr_html_(self) -> str:
        """The page in a notebook cell."""
        return _writer(self.writer).inline(self)


def _writer(held: EvaluationWriter | None) -> EvaluationWriter:
    if held is None:
        raise ValueError("this evaluation came without a writer; get it from casebase.open(…).evaluate(…)")
    return held


def flat(row: Mapping[str, Cell]) -> dict[str, Any]:
    """A table's row as plain JSON values; floats are finite or None."""
    found: dict[str, Any] = {}
    for key, cell in row.items():
        if isinstance(cell, Measured):
            found |= {key: finite(cell.value), f"{key}_low": finite(cell.low), f"{key}_high": finite(cell.high)}
            found[f"{key}_n"] = cell.n
            if cell.reason is not None:
                found[f"{key}_reason"] = cell.reason
        else:
            found[key] = finite(cell) if isinstance(cell, float) else cell
    return found


def told(cell: Cell, kind: str) -> str:
    """A cell as people read it: ``91.0 % (83.8–95.2)``, with the reason where a figure is refused."""
    if isinstance(cell, Measured):
        return _measured(cell, kind)
    if cell is None:
        return "–"
    return printable(cell) if isinstance(cell, str) else _figure(cell, kind)


def _measured(cell: Measured, kind: str) -> str:
    if cell.value is None or not math.isfinite(cell.value):
        return f"– ({printable(cell.reason)})" if cell.reason else "–"
    if cell.low is None or cell.high is None:
        return _figure(cell.value, kind)
    low, high = (_figure(edge, kind).removesuffix(" %") for edge in (cell.low, cell.high))
    between = " to " if kind == "points" or cell.low < 0 else "–"
    return f"{_figure(cell.value, kind)} ({low}{between}{high})"


def _figure(value: float, kind: str) -> str:
    if not math.isfinite(value):
        return "–"
    if kind == "share":
        return percent(value).replace("-", "−")
    if kind == "points":
        return f"{100 * value:+.1f}".replace("-", "−")
    if kind == "number" or (kind == "text" and isinstance(value, float)):
        return f"{value:.4g}".replace("-", "−")
    return str(int(value)) if kind == "count" else str(value)
