"""Prototypes on a terminal: those of a network, and what they say of an image. Fits 100 columns and 80."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from casebase.cli.lines import Lines
from casebase.explanations import Level, Statement
from casebase.prototype_pages import ClassParts, ClassPrototypes, Match, PartsPage, PartsSection, PrototypesPage
from casebase.reading import percent, printable

_ROLES = {"predicted": "● ", "rival": "◇ "}
_COLUMNS = (
    "adds: to the score before softmax, ✕ speaks against the class; alike: similarity; blurred, elsewhere: what "
    "blurring the box, or as large a box elsewhere, does to the similarity; absent: a part that is missing here."
)
NARROW = 90
"""Up to so many columns, paths are left out."""
_STAGES = {"balanced accuracy": "accuracy", "agreement": "agrees", "prototypes": "parts"}


def terminal_set(page: PrototypesPage, console: Console, saved: Path | None) -> None:
    """Print the prototypes of a network: warnings, a table for each class, the stages of the training."""
    screen = _Set(console, page)
    screen.head()
    for one in page.classes:
        screen.of_class(one)
    screen.stages()
    screen.saved(saved)


def terminal_parts(page: PartsPage, console: Console, saved: Path | None) -> None:
    """Print what the prototypes say of one image."""
    screen = PartsScreen(console)
    said = page.prediction
    screen.head(page.path, f"called {said.predicted} {percent(said.confidence)}", page.facts, page.synthetic)
    screen.section(page.section)
    for one in page.section.warnings:
        screen.told(one)
    screen.saved(saved)


def _names(label: str | None, predicted: str | None) -> str:
    """What a case is and what the network calls it; one name where both are the same."""
    if label is None or predicted is None:
        return "–"
    return f"both {label}" if label == predicted else f"{label} → {predicted}"


@dataclass(frozen=True)
class _Page(Lines):
    """What both screens share."""

    def saved(self, place: Path | None) -> None:
        """Where the page is."""
        if place is not None:
            self._gap()
            self._whole(f"page: {place}")

    def _surroundings(self, facts: object, synthetic: str | None) -> None:
        named = facts if isinstance(facts, dict) else {}
        told = [str(named[name]) for name in ("base", "network", "date") if named.get(name)]
        if told:
            self._print(self._text(" · ".join(told), "dim"))
        if synthetic is not None:
            self._print(self._text(f"Synthetic. {synthetic}", "reverse"))


@dataclass(frozen=True)
class PartsScreen(_Page):
    """The section of parts, by itself or in a report."""

    def head(self, name: str, said: str, facts: object, synthetic: str | None) -> None:
        """File and answer; then base, network and date."""
        self._print(Text.assemble(self._text(name, "bold"), self._text(f"  {said}", "bold")))
        self._surroundings(facts, synthetic)

    def told(self, one: Statement) -> None:
        """A warning."""
        self._statement(Statement(one.text, one.level), style="")

    def section(self, section: PartsSection) -> None:
        """A table of matches for each class, with the line in which they add up, and what a cell has seen."""
        self._gap()
        self._print(self._text(section.title, "bold"))
        for place, one in enumerate(section.classes):
            self._class(one, headed=place == 0)
        self._print(self._text(_COLUMNS, "dim"), indent=2)
        self._print(self._text(section.seen, "dim"), indent=2)
        failed = [match for one in section.classes for match in one.matches if match.said.level is Level.CAUTION]
        if failed:
            many = f"of {len(failed)} matches" if len(failed) > 1 else "of 1 match"
            text = f"The box {many} does not mark what the similarity rests on: marked ! in the table."
            self._statement(Statement(text, Level.CAUTION), style="")

    def _class(self, one: ClassParts, *, headed: bool) -> None:
        self._print(self._text(f"{_ROLES[one.role]}{one.name}: score {one.score}", "bold"), indent=2)
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=headed, header_style="dim", pad_edge=False)
        table.add_column("", width=1, no_wrap=True)
        table.add_column("adds", width=6, justify="right", no_wrap=True)
        table.add_column("alike", width=5, justify="right", no_wrap=True)
        table.add_column("prototype", ratio=1, overflow="fold")
        table.add_column("label → predicted", ratio=1, overflow="fold")
        table.add_column("blurred", width=7, justify="right", no_wrap=True)
        table.add_column("elsewhere", width=9, justify="right", no_wrap=True)
        table.add_column("case", width=16 if self.width > NARROW else 9, overflow="fold")
        for match in one.matches:
            table.add_row(*self._row(match))
        self.console.print(table, width=self.width)
        self._print(self._text(one.equation, "dim"), indent=4)

    def _row(self, match: Match) -> list[Text]:
        mark = self._text("✕" if match.against else "", "bold red")
        own, elsewhere = match.blurred
        named, case = _names(match.label, match.predicted), self._text(match.case_id, "dim")
        cells = [match.adds, match.similarity, f"#{match.number} {match.of_class}", named, own, elsewhere]
        return [mark, *(self._text(cell) for cell in cells), case]


@dataclass(frozen=True)
class _Set(_Page):
    page: PrototypesPage

    def head(self) -> None:
        """What there is, warnings first."""
        page = self.page
        self._print(self._text(page.title, "bold"))
        self._print(self._text(page.lead))
        self._surroundings(dict(page.facts), page.synthetic)
        if page.warnings:
            self._gap()
        for one in page.warnings:
            self._statement(one)

    def of_class(self, one: ClassPrototypes) -> None:
        """A row for each prototype of a class."""
        self._gap()
        self._print(Text.assemble(self._text(one.name, "bold"), self._text(f"  {one.lead}", "dim")))
        if not one.cards:
            self._print(self._text(one.empty or "None."), indent=2)
            return
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for name, width in (("#", 5), ("weight", 6), ("decides", 8), ("purity", 8)):
            table.add_column(name, width=width, justify="right", no_wrap=True)
        table.add_column("label → predicted", overflow="fold", max_width=24)
        table.add_column("case", overflow="fold")
        for card in one.cards:
            named = _names(card.label, card.predicted)
            cells = [str(card.number), card.weight, card.decides, card.purity, named]
            case = card.case_id if card.path is None or self.width <= NARROW else f"{card.case_id} {card.path}"
            table.add_row(*(self._text(cell) for cell in cells), self._text(case, "dim"))
        self.console.print(table, width=self.width)

    def stages(self) -> None:
        """The log of the training, and what a cell has seen."""
        self._gap()
        self._print(self._text("How the training went", "bold"))
        if self.page.stages.rows:
            table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
            for place, head in enumerate(self.page.stages.heads):
                table.add_column(_STAGES.get(head, head), justify="right" if place else "left", overflow="fold")
            for row in self.page.stages.rows:
                table.add_row(*(self._text(printable(cell)) for cell in row))
            self.console.print(table, width=self.width)
            self._print(self._text(self.page.stages.note, "dim"))
        self._gap()
        self._print(self._text(self.page.seen))
