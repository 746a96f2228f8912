"""Lines of text on a console: safe to print, at most 100 columns, nothing told by colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from casebase.explanations import Level, Statement
from casebase.reading import printable

WIDEST = 100
NARROWEST = 20
SUMMARY = 14
"""Columns of the names in a summary."""
_SIGNS = {Level.ALARM: "✕ ", Level.CAUTION: "! ", Level.PLAIN: "  ", Level.CALM: "  "}
_STYLES = {Level.ALARM: "bold red", Level.CAUTION: "bold", Level.PLAIN: "", Level.CALM: "bold"}
_ASCII = str.maketrans(
    {"✕": "x", "→": ">", "…": "~", "×": "x", "·": "-", "–": "-", "−": "-", "±": "~", "●": "*", "◇": "o"}
)


def item(console: Console, name: str, text: str) -> None:
    """One line of a summary, ``  name        text``; a long text goes on below its own beginning."""
    grid = Table.grid()
    grid.add_column(width=SUMMARY, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(f"  {name}"), Text(printable(text)))
    console.print(grid)


@dataclass(frozen=True)
class Lines:
    """What every screen of casebase is printed with."""

    console: Console

    @property
    def width(self) -> int:
        """Columns in use; a pseudo-terminal may claim to have none."""
        return max(NARROWEST, min(self.console.width, WIDEST))

    def _statement(self, statement: Statement, style: str | None = None) -> None:
        shown = _STYLES[statement.level] if style is None else style
        sign = self._text(_SIGNS[statement.level], shown)
        grid = Table.grid()
        grid.add_column(width=2, no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(sign, self._text(statement.text, shown))
        self.console.print(grid, width=self.width)

    def _text(self, text: str, style: str = "") -> Text:
        """Text that is printed as it stands: no markup, no control characters, ASCII where that is all there is."""
        shown = printable(text)
        if self.console.options.ascii_only:
            shown = shown.translate(_ASCII).encode("ascii", "replace").decode("ascii")
        return Text(shown, style)

    def _print(self, text: Text, indent: int = 0) -> None:
        self.console.print(Padding(text, (0, 0, 0, indent), expand=False), width=self.width, overflow="fold")

    def _commands(self, commands: Sequence[str]) -> None:
        """What to type next, one command a line and never broken, so that it can be pasted."""
        if not commands:
            return
        self._gap()
        self._print(self._text("Next:", "dim"))
        for command in commands:
            self.console.print(self._text(f"  {command}"), soft_wrap=True)

    def _whole(self, text: str, style: str = "") -> None:
        """A line with a path, never broken, so that the path can be copied."""
        self.console.print(self._text(text, style), soft_wrap=True)

    def _gap(self) -> None:
        self.console.print()
