"""A summary on the terminal: a table of classes, then each class's typical and odd cases. Fits 100 columns and 80."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from casebase import summary_words as words
from casebase.cases import Case
from casebase.cli.lines import Lines
from casebase.commands import named
from casebase.evaluations import told
from casebase.explanations import Level, Statement
from casebase.reading import percent, printable
from casebase.summaries import ClassSummary, Summary

FULL = 5
"""Up to so many classes their cases are listed too; of more, the page has them."""


def terminal(summary: Summary, console: Console, page: Path | None) -> None:
    """Print a summary. Nothing is told by colour alone, and text from data is never read as markup."""
    screen = _Screen(console, summary)
    screen.head()
    screen.classes()
    if len(summary.shown) <= FULL:
        for one in summary.shown:
            screen.cases(one)
    screen.foot(page)


@dataclass(frozen=True)
class _Screen(Lines):
    summary: Summary

    def head(self) -> None:
        """What was summarised, and how far the typical cases would answer alone."""
        summary = self.summary
        self._print(self._text(words.title(summary), "bold"))
        surroundings = [summary.facts[name] for name in ("base", "network", "date") if summary.facts.get(name)]
        self._print(self._text(" · ".join(surroundings), "dim"))
        if summary.synthetic is not None:
            self._print(self._text(f"Synthetic. {summary.synthetic}", "reverse"))
        self._gap()
        self._print(self._text(words.nearest_in_words(summary)))
        self._gap()

    def classes(self) -> None:
        """A row for each class shown."""
        table = self._table(("class", ""), ("cases", "right"), ("disputed", "right"), ("typical", "right"),
                            ("left over", "right"), ("at random", "right"), ("nearest is right", "right"))  # fmt: skip
        for one in self.summary.shown:
            nearest = "–" if one.recognised.value is None else told(one.recognised, "share")
            cells = [printable(one.name), str(one.cases), str(one.disputed), str(len(one.typical)), percent(one.left),
                     percent(one.chance / one.nothing), nearest]  # fmt: skip
            table.add_row(*(self._text(cell) for cell in cells))
        self.console.print(table, width=self.width)
        if self.summary.left_out:
            self._print(self._text(words.left_out(self.summary)))

    def cases(self, one: ClassSummary) -> None:
        """Typical cases with their shares, then the odd ones with why."""
        self._gap()
        self._print(self._text(printable(one.name), "bold"))
        table = self._table(("", "right"), ("label", ""), ("predicted", ""), ("path", ""), ("id", ""))
        for found in one.typical:
            table.add_row(*(self._text(cell) for cell in (percent(found.share), *_of(found.case))))
        for rank, strange in enumerate(one.criticisms, start=1):
            table.add_row(*(self._text(cell) for cell in (f"odd {rank}", *_of(strange.case))))
        self.console.print(table, width=self.width)
        for rank, strange in enumerate(one.criticisms, start=1):
            level = Level.CAUTION if strange.case.disputed else Level.PLAIN
            self._statement(Statement(f"odd {rank}: {words.why(strange, one.name)}", level), style="")
        for note in one.notes:
            self._statement(Statement(printable(note)), style="dim")

    def foot(self, page: Path | None) -> None:
        """Warnings, and where the page is."""
        for statement in self.summary.statements:
            self._gap()
            self._statement(statement)
        if page is not None:
            self._gap()
            self._whole(f"page: {page}")

    def _table(self, *columns: tuple[str, str]) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for name, way in columns:
            table.add_column(name, overflow="fold", justify="right" if way else "left", no_wrap=name == "id")
        return table


def _of(case: Case) -> tuple[str, str, str, str]:
    said = f"not so: {case.predicted}" if case.disputed else "same"
    return printable(case.label), printable(said), printable(named(case)), case.id
