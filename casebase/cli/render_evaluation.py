"""An evaluation on the terminal: findings, tables, where the page is, what to type next. Fits 100 columns and 80."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.console import Console, JustifyMethod
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from casebase.evaluations import Cell, Column, Evaluation, Measured, Table, told
from casebase.explanations import Level, Statement
from casebase.reading import printable

WIDEST, NARROWEST = 100, 40
ROWS = 12
"""Rows of a table on the screen; the page and the files have more."""
GAP = 2
FOLDED, READING, HEAD = 20, 26, 10
"""Columns of words are folded to no less, readings to no less, heads of figures to no more."""
_SIGNS = {Level.ALARM: "✕ ", Level.CAUTION: "! ", Level.PLAIN: "  ", Level.CALM: "  "}
_STYLES = {Level.ALARM: "bold red", Level.CAUTION: "bold", Level.PLAIN: "", Level.CALM: "bold"}
_ASCII = str.maketrans({"✕": "x", "…": "~", "–": "-", "−": "-", "·": "-", "→": ">"})


def terminal(evaluation: Evaluation, console: Console, *, page: Path | None, following: Sequence[str] = ()) -> None:
    """Print an evaluation. Nothing is told by colour alone, and text from data is never read as markup."""
    screen = _Screen(console)
    screen.line(evaluation.title, "bold")
    known = [str(evaluation.settings[name]) for name in ("base", "network", "date") if name in evaluation.settings]
    if known:
        screen.line(" · ".join(known), "dim")
    if evaluation.synthetic is not None:
        screen.line(f"Synthetic. {evaluation.synthetic}", "reverse")
    screen.gap()
    for statement in evaluation.statements:
        screen.statement(statement)
    for table in evaluation.tables:
        if not table.detail:
            screen.table(table)
    screen.gap()
    if page is not None:
        screen.line("The page, with figures and every row:")
        screen.whole(str(page))
    if following:
        screen.line("Next:", "dim")
    for command in following:
        screen.whole(command)


class _Screen:
    def __init__(self, console: Console) -> None:
        self.console = console
        if console.width < NARROWEST:  # a pseudo-terminal may claim to have no columns
            console.width = NARROWEST
        self.width = min(console.width, WIDEST)

    def text(self, text: str, style: str = "") -> Text:
        """Text as it stands: no markup, no control characters, ASCII where that is all there is."""
        shown = "\n".join(map(printable, text.split("\n")))
        if self.console.options.ascii_only:
            shown = shown.translate(_ASCII).encode("ascii", "replace").decode("ascii")
        return Text(shown, style)

    def gap(self) -> None:
        self.console.print()

    def line(self, text: str, style: str = "", indent: int = 0) -> None:
        padded = Padding(self.text(text, style), (0, 0, 0, indent), expand=False)
        self.console.print(padded, width=self.width, overflow="fold")

    def whole(self, text: str) -> None:
        """A path or a command to copy, on one line however long: a command broken in two is two commands."""
        self.console.print(self.text(f"  {text}"), soft_wrap=True)

    def statement(self, said: Statement) -> None:
        grid = Grid.grid()
        grid.add_column(width=2, no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(*(self.text(part, _STYLES[said.level]) for part in (_SIGNS[said.level], said.text)))
        self.console.print(grid, width=self.width)

    def table(self, table: Table) -> None:
        self.gap()
        self.line(table.title, "bold")
        if not table.rows:
            self.line(table.lead, indent=2)
            return
        most = min(ROWS, len(table.rows) if table.shown is None else table.shown)
        rows = list(table.rows)[:most]
        fitting = self._fitting(table.columns, rows)
        if fitting is not None:
            self._grid(fitting, rows)
        else:
            rows = self._by_network(table, most)
        if not rows:
            self.line(f"Too wide for this screen; it is on the page and in tables/{table.key}.csv", indent=2)
        elif len(table.rows) > len(rows):
            more = len(table.rows) - len(rows)
            self.line(f"{more} more {'row is' if more == 1 else 'rows are'} in tables/{table.key}.csv", "dim")

    def _by_network(self, table: Table, most: int) -> list[Mapping[str, Cell]]:
        """A table that is too wide, network by network without that column; the rows shown, none where it is too wide.

        At most ``most`` rows of each: a table cut in the middle would show one network's methods and not the other's.
        """
        columns = [column for column in table.columns if column.key != "network"]
        if len(columns) == len(table.columns):
            return []
        groups: dict[str, list[Mapping[str, Cell]]] = {}
        for row in table.rows:
            groups.setdefault(told(row.get("network"), "text"), []).append(row)
        shown = {name: rows[:most] for name, rows in groups.items()}
        every = [row for rows in shown.values() for row in rows]
        fitting = self._fitting(columns, every)
        if fitting is None:
            return []
        for name, rows in shown.items():
            self.line(name)
            self._grid(fitting, rows)
        return every

    def _grid(self, fitting: tuple[list[Column], list[int], bool], rows: Sequence[Mapping[str, Cell]]) -> None:
        columns, widths, stacked = fitting
        grid = Grid(box=None, padding=(0, GAP, 0, 0), header_style="dim", pad_edge=False)
        heads = [_head(column.title, width) for column, width in zip(columns, widths, strict=True)]
        for column, head, width in zip(columns, heads, widths, strict=True):
            justify: JustifyMethod = "left" if column.kind == "text" else "right"
            grid.add_column(self.text(head), justify=justify, overflow="fold", width=width)
        for row in rows:
            grid.add_row(*(self.text(_cell(row.get(c.key), c.kind, stacked=stacked)) for c in columns))
        self.console.print(grid, width=self.width)
        cut = [f"{h.replace(chr(10), '')} = {c.title}" for c, h in zip(columns, heads, strict=True) if "…" in h]
        if cut:
            self.line(f"Shortened: {', '.join(cut)}", "dim")

    def _fitting(
        self, columns: Sequence[Column], rows: Sequence[Mapping[str, Cell]]
    ) -> tuple[list[Column], list[int], bool] | None:
        """The columns that fit, their widths, and whether intervals must stand below their figures.

        Words are folded, then readings, which the page has too, are left out; figures stay whole, or nothing is shown.
        """
        for chosen, stacked in _attempts(list(columns)):
            widths = [_wide(column, rows, stacked=stacked) for column in chosen]
            room = self.width - GAP * (len(chosen) - 1)
            spare = [wide - _narrowest(column, wide) for column, wide in zip(chosen, widths, strict=True)]
            while sum(widths) > room and any(spare):
                widest = max((place for place in range(len(chosen)) if spare[place]), key=lambda place: widths[place])
                widths[widest] -= 1
                spare[widest] -= 1
            if sum(widths) <= room:
                return chosen, _roomier(chosen, widths, room), stacked
        return None


def _narrowest(column: Column, wide: int) -> int:
    if column.kind != "text":
        return wide
    return min(wide, READING if column.key == "reading" else FOLDED)


def _wide(column: Column, rows: Sequence[Mapping[str, Cell]], *, stacked: bool) -> int:
    cells = (_cell(row.get(column.key), column.kind, stacked=stacked) for row in rows)
    widest = max((cell_len(part) for cell in cells for part in cell.split("\n")), default=0)
    longest = max(map(cell_len, column.title.split()), default=1)
    head = longest if column.kind == "text" else min(longest, HEAD)
    two_lines = (cell_len(column.title) + 1) // 2 + 1
    return max(widest, head, min(two_lines, cell_len(column.title), HEAD))


def _roomier(columns: Sequence[Column], widths: list[int], room: int) -> list[int]:
    """The widths with what is left of ``room`` given to heads of which a word does not fit, evenly."""
    wanted = [max(map(cell_len, column.title.split()), default=1) for column in columns]
    while sum(widths) < room and any(width < want for width, want in zip(widths, wanted, strict=True)):
        short = (place for place, want in enumerate(wanted) if widths[place] < want)
        widths[min(short, key=lambda place: widths[place])] += 1
    return widths


def _head(title: str, width: int) -> str:
    """A column's head in lines of at most ``width``: broken at blanks and hyphens; a longer piece ends in an ellipsis.

    Words are never broken elsewhere: half a name reads like another name.
    """
    lines: list[str] = []
    for word in title.split():
        pieces = re.findall(r"[^-_/]+[-_/]*|[-_/]+", word) if cell_len(word) > width else [word]
        for number, piece in enumerate(pieces):
            glue = "" if number else " "
            if lines and cell_len(lines[-1] + glue + piece) <= width:
                lines[-1] += glue + piece
            else:
                lines.append(piece if cell_len(piece) <= width else f"{set_cell_size(piece, width - 1).rstrip()}…")
    return "\n".join(lines)


def _attempts(columns: list[Column]) -> Iterator[tuple[list[Column], bool]]:
    short = [column for column in columns if column.key != "reading"]
    yield columns, False
    yield short, False
    yield short, True


def _cell(cell: Cell, kind: str, *, stacked: bool) -> str:
    shown = told(cell, kind)
    if stacked and isinstance(cell, Measured) and shown.endswith(")"):
        figure, _, interval = shown.partition(" (")
        return f"{figure}\n{interval.removesuffix(')')}"
    return shown
