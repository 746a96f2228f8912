"""The dossier on one terminal screen: findings, kinds of mistake, each mistake in a row. Fits 100 columns and 80."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from casebase.cli.lines import Lines
from casebase.cli.render_terminal import shortened
from casebase.commands import named, place
from casebase.dossiers import Dossier, Entry, Group
from casebase.explain import entry_commands, times
from casebase.explanations import Level
from casebase.reading import percent, printable
from casebase.settings import DEFAULT_BASE

MOST = 40
"""Rows on the screen; all of them stand on the index page."""


def terminal(dossier: Dossier, console: Console, saved: Path) -> None:
    """Print a dossier. Nothing is told by colour alone, and text from data is never read as markup."""
    screen = _Screen(console, dossier, saved)
    screen.head()
    screen.rows()
    screen.contrasts()
    screen.next_commands()


@dataclass(frozen=True)
class _Screen(Lines):
    dossier: Dossier
    saved: Path

    def head(self) -> None:
        """How many, out of how many, and what the dossier shows as a whole."""
        dossier, facts = self.dossier, self.dossier.facts
        wrong = f"{dossier.wrong:,} of {dossier.total:,} answers {'is' if dossier.total == 1 else 'are'} wrong"
        self._print(Text.assemble(self._text(wrong, "bold"), self._text(f" · {dossier.split}")))
        measured = dossier.accuracy
        if measured.value is not None and measured.low is not None and measured.high is not None:
            interval = f"95 % interval {percent(measured.low)} to {percent(measured.high)}, n = {measured.n:,}"
            self._print(self._text(f"accuracy {percent(measured.value)} ({interval})"))
        self._print(self._text(" · ".join(facts.get(name, "") for name in ("base", "network", "date")), "dim"))
        if dossier.synthetic is not None:
            self._print(self._text(f"Synthetic. {dossier.synthetic}", "reverse"))
        self._gap()
        for statement in dossier.statements:
            self._statement(statement)

    def rows(self) -> None:
        """Every group as a table, the most important first."""
        left = MOST
        for number, group in enumerate(self.dossier.groups):
            shown = group.entries[:left]
            if not shown:
                break
            self._gap()
            self._group(group, shown, headed=number == 0)
            left -= len(shown)
        hidden = len(self.dossier.entries) - min(MOST, len(self.dossier.entries))
        if hidden:
            self._gap()
            self._print(self._text(f"… and {hidden} more on the index page", "dim"))

    def contrasts(self) -> None:
        """The right answers beside the mistakes."""
        found = self.dossier.contrasts
        if not found:
            return
        self._gap()
        self._print(self._text("Right answers with similar evidence", "bold"))
        self._table(found[:MOST], headed=False)

    def next_commands(self) -> None:
        """Where the pages are, and what to type next."""
        self._gap()
        self._whole(f"index: {place(self.saved / 'index.html')}", "bold")
        first = next(iter(self.dossier.entries), None)
        base = self.dossier.facts.get("base", DEFAULT_BASE)
        if first is not None:
            self._commands(entry_commands(first, base))

    def _group(self, group: Group, shown: Sequence[Entry], *, headed: bool) -> None:
        labelled = sum(self.dossier.confusion.get(group.label, {}).values())
        of = f"{group.total} of {labelled} labelled {group.label}"
        self._print(
            Text.assemble(self._text(f"{group.label} → {group.predicted}", "bold"), self._text(f"  {of}", "dim"))
        )
        self._table(shown, headed=headed)

    def _table(self, entries: Sequence[Entry], *, headed: bool) -> None:
        file = 16 if self.width >= 96 else 14
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=headed, header_style="dim", pad_edge=False)
        table.add_column("", width=5, no_wrap=True)
        agree = max((len(_agree(entry)) for entry in entries), default=0)
        for name, width in (("softmax", 7), ("trust", 6), ("agree", max(5, agree)), ("care", 4)):
            table.add_column(self._text(name), width=width, justify="right", no_wrap=True)
        table.add_column("file", width=file, no_wrap=True)
        table.add_column(self._text("what its page says first"), overflow="fold", ratio=1)
        for entry in entries:
            table.add_row(*self._row(entry, file))
        self.console.print(table, width=self.width)

    def _row(self, entry: Entry, file: int) -> list[Text]:
        trust = entry.retrieval.trust.trust_score
        mark, style = ("? ", "bold yellow") if entry.suspected else ("! ", "bold red") if entry.silent else ("  ", "")
        if entry.right:
            mark, style = "= ", ""
        told = [self._text(entry.verdict.text, "bold" if entry.verdict.level is Level.ALARM else "")]
        told += [self._text(one.text, "dim") for one in entry.suspicions[:2]]
        return [
            self._text(f"{mark}{entry.place:>3}", style),
            self._text(percent(entry.retrieval.prediction.confidence)),
            self._text("–" if trust is None else times(trust)),
            self._text(_agree(entry)),
            self._text(f"{entry.care:.2f}"),
            self._text(shortened(printable(named(entry.case)), file)),
            Text("\n").join(told),
        ]


def _agree(entry: Entry) -> str:
    return f"{entry.agreeing}/{len(entry.retrieval.nearest)}"
