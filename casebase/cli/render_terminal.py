"""The report on one terminal screen: verdict, lists, trust, warnings, what to type next. Fits 100 columns and 80."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from casebase.cli.half_blocks import colourful, half_blocks
from casebase.cli.lines import WIDEST, Lines
from casebase.cli.render_cae import WalkScreen
from casebase.cli.render_prototypes import PartsScreen
from casebase.explanations import Card, Level, Panel, Report, Section, Side, Statement
from casebase.reading import percent

THUMBNAIL = 8
"""Columns of a thumbnail; a cell is twice as high as wide, so it takes half as many rows."""
SIDE = 18
"""Columns that one class of the panel needs at least …"""
WIDE_SIDE = 30
"""… and at most."""
_ROLES = {"predicted": "● ", "rival": "◇ "}
_ALIKE = "alike: share of pairs inside the case's predicted class that are no more alike than query and case."


def terminal(report: Report, console: Console, *, pictures: bool, paged: bool = False) -> None:
    """Print a report. ``pictures`` asks for thumbnails, drawn only where the terminal has the colours for them.

    ``paged`` says that there is a page of it already.

    Nothing is told by colour alone, and text from data is never read as markup.
    """
    screen = _Screen(console, report, pictures=pictures and colourful(console), paged=paged)
    screen.head()
    screen.verdict()
    if report.panel is not None:
        screen.panel(report.panel)
    for place, section in enumerate(report.sections):
        screen.section(section, headed=place == 0)
    if report.parts is not None:
        PartsScreen(console).section(report.parts)
    if report.walk is not None:
        WalkScreen(console).section(report.walk, pictures=pictures)
    screen.trust()
    screen.maps()
    screen.warnings()
    screen.next_commands()


def shortened(path: str, width: int) -> str:
    """A path whose beginning gives way to ``…`` where it needs more than ``width`` columns; the name counts most."""
    if cell_len(path) <= width:
        return path
    end = path
    while end and cell_len(end) > max(width - 1, 0):
        end = end[1:]
    return f"…{end}"


@dataclass(frozen=True)
class _Screen(Lines):
    report: Report
    pictures: bool
    paged: bool = False

    def head(self) -> None:
        """File, answer, runner-up; then base, network and date."""
        report = self.report
        line = Text.assemble(
            self._text(report.file_name, "bold"),
            self._text("  called "),
            self._text(f"{report.called} {percent(report.confidence)}", "bold"),
        )
        if report.runner_up is not None and report.runner_up_probability is not None:
            line.append_text(self._text(f"  runner-up {report.runner_up} {percent(report.runner_up_probability)}"))
        self._print(line)
        if report.reranked is not None:
            self._print(self._text(report.reranked.text))
        self._print(self._text(f"{report.base} · {report.network} · {report.date}", "dim"))
        if report.synthetic is not None:
            self._print(self._text(f"Synthetic. {report.synthetic}", "reverse"))

    def verdict(self) -> None:
        """The worst news and what follows it."""
        self._gap()
        for statement in (self.report.verdict, *self.report.also):
            self._statement(statement)

    def panel(self, panel: Panel) -> None:
        """The probable classes in columns of equal width, the answer first."""
        self._gap()
        self._print(self._text(panel.title, "bold"))
        self._print(self._text(panel.lead, "dim"), indent=2)
        abreast = max(1, min(len(panel.sides), self.width // SIDE))
        for start in range(0, len(panel.sides), abreast):
            table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
            shown = panel.sides[start : start + abreast]
            for _ in shown:
                table.add_column(width=min(WIDE_SIDE, self.width // abreast - 2), overflow="fold")
            for parts in zip(*(self._side(side) for side in shown), strict=True):
                if any(part.plain for part in parts):
                    table.add_row(*parts)
            self.console.print(table, width=self.width)

    def _side(self, side: Side) -> list[Text]:
        """One class from top to bottom, in as many parts as any: name, case, and a nearer case that disagrees."""
        parts = [self._text(side.name, "bold"), self._text(_ROLES[side.role] + side.probability)]
        parts += self._stands(side.card, "") if side.card is not None else self._nobody(side.empty or "")
        if side.nearer is None:
            return [*parts, *self._nobody("")]
        mark = "✕ nearer still:" if side.card is not None else "✕ the nearest:"
        return [*parts, *self._stands(side.nearer, mark)]

    def _stands(self, card: Card, mark: str) -> list[Text]:
        picture = Text("")
        if self.pictures and card.picture is not None and card.picture.pixels is not None:
            picture = half_blocks(card.picture.pixels, 2 * THUMBNAIL)
        differ = "strike" if card.label != card.predicted else ""
        return [
            self._text(mark, "bold red"),
            picture,
            Text.assemble(self._text(f"{card.label} → "), self._text(card.predicted, differ)),
            self._text(f"alike {card.alike}"),
            self._text(f"distance {card.neighbour.distance:.3f}"),
            self._text(card.case_id, "dim"),
        ]

    def _nobody(self, why: str) -> list[Text]:
        return [Text(""), Text(""), self._text(why), Text(""), Text(""), Text("")]

    def section(self, section: Section, *, headed: bool) -> None:
        """One list as a table, or the reason why it is empty. Column names stand over the first list only."""
        self._gap()
        self._print(self._text(_ROLES.get(section.role, "") + section.title, "bold"))
        if section.role == "rival":
            self._print(self._text(section.lead, "dim"), indent=2)
        if not section.cards:
            self._print(self._text(section.empty or "Nothing to show."), indent=2)
            return
        names = self._names_width()
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=headed, header_style="dim", pad_edge=False)
        table.add_column("", width=4, no_wrap=True)
        if self.pictures:
            table.add_column("", width=THUMBNAIL, no_wrap=True)
        table.add_column(self._text("label → predicted"), width=names, overflow="fold")
        table.add_column("alike", width=5, justify="right", no_wrap=True)
        table.add_column("distance", width=8, justify="right", no_wrap=True)
        table.add_column("case", width=self._case_width(names), overflow="fold")
        for card in section.cards:
            table.add_row(*self._row(card, self._case_width(names)))
        self.console.print(table, width=self.width)

    def trust(self) -> None:
        """Every bar of the page as one paragraph."""
        self._gap()
        for bar in self.report.bars:
            head, note = self._text(f"{bar.name} {bar.figure}", "bold"), self._text(bar.note, "dim")
            self._print(Text.assemble(head, self._text(f"  {bar.reading} "), note))
        if any(card.alike != "–" for section in self.report.sections for card in section.cards):
            self._print(self._text(_ALIKE, "dim"))

    def maps(self) -> None:
        """A line for each map of the query: where it looked, and what came of its check."""
        drawn = [figure for figure in self.report.query_figures if figure.line is not None]
        if drawn:
            self._gap()
        for figure in drawn:
            self._print(Text.assemble(self._text(f"{figure.caption}: ", "bold"), self._text(figure.line or "")))
        if drawn and self.report.map_note is not None:
            self._print(self._text(self.report.map_note, "dim"))

    def warnings(self) -> None:
        """Failed checks and warnings, one line each."""
        troubled = [check for check in self.report.checks if check.level in (Level.ALARM, Level.CAUTION)]
        parts = [] if self.report.parts is None else self.report.parts.warnings
        warned = [Statement(one.text, Level.CAUTION) for one in self.report.warnings]
        told = [*troubled, *warned, *parts]
        if told:
            self._gap()
        for statement in told:
            self._statement(Statement(statement.text, statement.level), style="")

    def next_commands(self) -> None:
        """What to type next; a page is offered only where none was written."""
        page = self.report.page_command
        self._commands([*self.report.next_commands, *([page] if page is not None and not self.paged else [])])

    def _row(self, card: Card, width: int) -> Sequence[Text]:
        against = card.contradicts is not None
        differ = card.label != card.predicted
        cells = [
            self._text(f"{'✕' if against else ' '} {card.neighbour.rank}", "bold red" if against else ""),
            Text.assemble(self._text(f"{card.label} → "), self._text(card.predicted, "strike" if differ else "")),
            self._text(card.alike),
            self._text(f"{card.neighbour.distance:.3f}"),
            self._whence(card, width),
        ]
        if self.pictures:
            pixels = None if card.picture is None else card.picture.pixels
            thumbnail = Text("none") if pixels is None else half_blocks(pixels, THUMBNAIL)
            cells.insert(1, thumbnail.append("\n "))  # a free line, so that two pictures do not run together
        return cells

    def _whence(self, card: Card, width: int) -> Text:
        """Id, near-duplicates and path on one line; beside a thumbnail on several, with a contradiction's reason."""
        folded = f" ×{card.neighbour.group_size}" if card.neighbour.group_size > 1 else ""
        before = self._text(card.case_id + folded, "dim")
        if self.pictures:
            lines = [before, self._text(shortened(card.path, width))]
            if card.contradicts is not None:
                lines.append(self._text(card.contradicts, "bold"))
            return Text("\n").join(lines)
        room = width - before.cell_len - 1
        return Text.assemble(before, " ", self._text(shortened(card.path, room) if room > 4 else card.path))

    def _names_width(self) -> int:
        longest = max(cell_len(f"{c.label} → {c.predicted}") for s in self.report.sections for c in s.cards)
        return min(max(longest, 17), 18 if self.width < WIDEST else 30)

    def _case_width(self, names: int) -> int:
        taken = 4 + names + 5 + 8 + 4 * 2 + (THUMBNAIL + 2 if self.pictures else 0)
        return max(8, self.width - taken)
