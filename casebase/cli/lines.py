"""Lines of text on a console: safe to print, at most 100 columns, nothing told by colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from casebase.explanations import Level, Statement
from casebase.reading import printable

WIDEST = 100
NARROWEST = 20
_SIGNS = {Level.ALARM: "✕ ", Level.CAUTION: "! ", Level.PLAIN: "  ", Level.CALM: "  "}
_STYLES = {Level.ALARM: "bold red", Level.CAUTION: "bold", Level.PLAIN: "", Level.CALM: "bold"}
_ASCII = str.maketrans(
    {"✕": "x", "→": ">", "…": "~", "×": "x", "·": "-", "–": "-", "−": "-", "±": "~", "●": "*", "◇": "o"}
)


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

    def _command(self, command: str) -> None:
        """A command to copy, on one line however long: broken in two, it is two commands where it is pasted."""
        self.console.print(self._text(f"  {command}"), soft_wrap=True)

    def _gap(self) -> None:
        self.console.print()
