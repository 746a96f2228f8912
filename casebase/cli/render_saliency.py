"""Maps on one terminal screen: a row for each, what is to know below. Fits 100 columns and 80."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from casebase.cli.lines import Lines
from casebase.explanations import Level, Statement
from casebase.maps import PAGE, MapOf, Maps
from casebase.reading import percent, printable


def terminal(maps: Maps, console: Console, saved: Path | None) -> None:
    """Print maps as a table. Nothing is told by colour alone, and text from data is never read as markup."""
    screen = _Screen(console, maps, saved)
    screen.head()
    screen.rows()
    screen.notes()


@dataclass(frozen=True)
class _Screen(Lines):
    maps: Maps
    saved: Path | None

    def head(self) -> None:
        """File and answer; then network and date."""
        maps, said = self.maps, self.maps.prediction
        self._print(
            Text.assemble(
                self._text(maps.path, "bold"),
                self._text("  called "),
                self._text(f"{said.predicted} {percent(said.confidence)}", "bold"),
            )
        )
        surroundings = [maps.facts[name] for name in ("base", "network", "date") if maps.facts.get(name)]
        self._print(self._text(" · ".join(surroundings), "dim"))
        if maps.synthetic is not None:
            self._print(self._text(f"Synthetic. {maps.synthetic}", "reverse"))
        self._gap()

    def rows(self) -> None:
        """Method, class, where it looks, its check, seconds."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        table.add_column("method", overflow="fold", max_width=16)
        table.add_column("class", overflow="fold", max_width=18)
        table.add_column("looks", overflow="fold", max_width=18)
        table.add_column("check", overflow="fold")
        table.add_column("seconds", justify="right", no_wrap=True)
        for row in self.maps.rows:
            seconds = "–" if row.seconds is None else f"{row.seconds:.2f}"
            cells = [row.title, row.target, row.lies or ("–" if row.found is None else "nowhere"), _check(row), seconds]
            table.add_row(*(self._text(cell) for cell in cells))
        self.console.print(table, width=self.width)

    def notes(self) -> None:
        """What the checks found wanting, what to know of the maps, warnings, and where the page is."""
        told = []
        for row in self.maps.rows:
            name = f"{row.title}, {printable(row.target)}: "
            notes = [
                *([row.said] if row.said is not None and row.said.level is Level.CAUTION else []),
                *row.figure.notes,
            ]
            told += [Statement(name + one.text, one.level) for one in notes]
        told += [Statement(one, Level.CAUTION) for one in self.maps.warnings]
        if told:
            self._gap()
        for one in told:
            self._statement(one, style="")
        if self.saved is not None:
            self._gap()
            self._whole(f"page: {self.saved / PAGE}")


def _check(row: MapOf) -> str:
    if row.brief is not None:
        return row.brief
    return "no map" if row.found is None else "none: the map means nothing"
