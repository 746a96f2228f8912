"""Class association on a terminal: a walk as a filmstrip and a curve, gates, and the map as text. Fits 100 and 80."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from casebase.association_pages import AssociationPage, Curve, MapSection, Still, WalkPage, WalkSection
from casebase.cli.half_blocks import colourful, half_blocks
from casebase.cli.lines import Lines
from casebase.explanations import Grid, Statement
from casebase.reading import percent

FRAME = 10
"""Columns of a frame of the filmstrip: at 80 columns six stand abreast, at 100 eight."""
ROWS = 14
"""Rows of the map."""
_LEVELS, _DIGITS = "▁▂▃▄▅▆▇█", "0123456789"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WRONG, _ASKED, _WAY, _MIXED = "x", "@", ".", "+"


def terminal_walk(page: WalkPage, console: Console, saved: Path | None) -> None:
    """Print a walk from one image: filmstrip, curve, where the answer flips, the map."""
    screen = WalkScreen(console)
    said = page.prediction
    screen.head(f"{page.path}  called {said.predicted} {percent(said.confidence)}", page.facts, page.synthetic)
    screen.section(page.section)
    screen.map(page.map)
    screen.saved(saved)


def terminal_association(page: AssociationPage, console: Console, saved: Path | None) -> None:
    """Print an embedding: its gates, its log, the map of the class codes."""
    screen = WalkScreen(console)
    screen.head(page.title, page.facts, page.synthetic)
    screen.plain(page.lead)
    screen.statements(page.warnings)
    screen.grid("Gates", page.gates)
    screen.grid("Reassignment", page.directions)
    if page.held_back is not None:
        screen.statements([page.held_back])
    screen.swaps(page)
    if page.map is not None:
        screen.map(page.map)
    if page.effects is not None:
        screen.grid("What each number of the code does", page.effects)
    screen.grid("How the training went", page.log)
    screen.saved(saved)


def terminal_trained(page: AssociationPage, console: Console) -> None:
    """Print what a training ended with: whether the gates were passed, and what was measured."""
    screen = WalkScreen(console)
    screen.head(page.title, page.facts, page.synthetic)
    screen.plain(page.lead)
    screen.statements(page.warnings)
    screen.grid("Gates", page.gates)
    screen.grid("Reassignment", page.directions)


@dataclass(frozen=True)
class WalkScreen(Lines):
    """The section of a walk, by itself or in a report, and what stands round it."""

    def head(self, name: str, facts: Mapping[str, str], synthetic: str | None) -> None:
        """The first line; then base, network and date."""
        self._print(self._text(name, "bold"))
        told = [facts[key] for key in ("base", "network", "date") if facts.get(key)]
        if told:
            self._print(self._text(" · ".join(told), "dim"))
        if synthetic is not None:
            self._print(self._text(f"Synthetic. {synthetic}", "reverse"))

    def plain(self, text: str) -> None:
        """A line of text."""
        self._print(self._text(text))

    def statements(self, told: Sequence[Statement]) -> None:
        """Sentences with their signs."""
        if told:
            self._gap()
        for one in told:
            self._statement(one)

    def saved(self, place: Path | None) -> None:
        """Where the page is."""
        if place is not None:
            self._gap()
            self._whole(f"page: {place}")

    def section(self, section: WalkSection, *, pictures: bool = True) -> None:
        """The walk: what it is made of, filmstrip, curve, flip, what to know of it; or why there is none."""
        self._gap()
        self._print(self._text(section.title, "bold"))
        if section.missing is not None:
            self._print(self._text(section.missing.text), indent=2)
            return
        if section.untrusted is not None:
            self._statement(section.untrusted)
        self._print(self._text(section.lead, "dim"), indent=2)
        if pictures and colourful(self.console):
            self._film([one for one in section.stills if one.strip])
        if section.curve is not None:
            self._curve(section.curve, section.stills)
        if section.flip is not None:
            self._statement(Statement(section.flip.text, section.flip.level), style="bold")
        for one in section.told:
            self._statement(one, style="")
        for figure in section.compared[-1:]:
            self._statement(Statement(_sentence(figure.alt if figure.pixels is None else figure.caption)), style="")
        for one in section.warnings:
            self._statement(one, style="")

    def map(self, found: MapSection) -> None:
        """The map as text: a letter for each class, x where the network errs."""
        self._gap()
        self._print(self._text(found.title, "bold"))
        letters = _letters([one.name for one in found.spots])
        for line in _scatter(found, letters, self.width - 4):
            self._print(self._text(line), indent=2)
        names = [f"{letter} called {one.name}: {one.cases:,}" + (f" ({one.errors:,} wrongly)" if one.errors else "")
                 for letter, one in zip(letters, found.spots, strict=True)]  # fmt: skip
        marks = [f"{_MIXED} several classes", f"{_WRONG} called otherwise than labelled"]
        if found.query is not None:
            marks += [f"{_ASKED} the image", f"{_WAY} its walk"]
        self._print(self._text("; ".join([*names, *marks])), indent=2)
        self._print(self._text(found.note, "dim"), indent=2)

    def grid(self, title: str, grid: Grid) -> None:
        """A table; what was missed is marked."""
        self._gap()
        self._print(self._text(title, "bold"))
        if grid.rows:
            table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
            for head in grid.heads:
                table.add_column(self._text(head), overflow="fold")
            for row in grid.rows:
                missed = row[-1] == "missed"
                cells = [f"✕ {row[0]}" if missed else row[0], *row[1:]]
                table.add_row(*(self._text(cell, "bold" if missed else "") for cell in cells))
            self.console.print(table, width=self.width)
        self._print(self._text(grid.note, "dim"))

    def swaps(self, page: AssociationPage) -> None:
        """What the sample sheet says; its pictures are on the page."""
        if not page.swaps:
            return
        self._gap()
        self._print(self._text("Samples (synthetic edits; their pictures are on the page, --report FILE)", "bold"))
        for one in page.swaps:
            self._print(self._text(one.said), indent=2)

    def _film(self, stills: Sequence[Still]) -> None:
        """Frames as half-blocks, as many abreast as there is room for, each over where it is and what it is called."""
        rows = -(-len(stills) // max(1, (self.width - 2) // (FRAME + 2)))
        abreast = -(-len(stills) // rows)  # rows of equal length
        for start in range(0, len(stills), abreast):
            row = stills[start : start + abreast]
            table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
            for _ in row:
                table.add_column(width=FRAME, no_wrap=True, overflow="crop")
            table.add_row(*(half_blocks(one.image, FRAME) for one in row))
            table.add_row(*(self._text(_cut(f"{'▲ ' if one.flip else ''}{one.where}")) for one in row))
            table.add_row(*(self._text(_cut(one.called)) for one in row))
            self.console.print(table, width=self.width)
        self._print(self._text("synthetic pictures; ▲ the flip", "dim"))

    def _curve(self, curve: Curve, stills: Sequence[Still]) -> None:
        """The rival's probability, a column for each image, and below it where the answer changes."""
        levels = _DIGITS if self.console.options.ascii_only else _LEVELS
        bars = "".join(levels[min(int(value * len(levels)), len(levels) - 1)] for value in curve.of_rival)
        head = f"P({curve.rival}) along the way: "
        ends = f"  {percent(curve.of_rival[0])} to {percent(curve.of_rival[-1])}"
        if cell_len(head) + len(bars) + len(ends) + 2 > self.width:
            self._print(self._text(head.strip()), indent=2)
            head = ""
        for start in range(0, len(bars), self.width - 4):  # a walk may have more frames than a line has columns
            part = bars[start : start + self.width - 4]
            last = start + len(part) == len(bars)
            whole = last and cell_len(head) + len(part) + len(ends) + 2 <= self.width
            self._print(self._text(f"{head}{part}{ends if whole else ''}"), indent=2)
            flip = next((place for place, one in enumerate(stills) if one.flip), None)
            if flip is not None and start <= flip < start + len(part):
                sign = "^" if self.console.options.ascii_only else "▲"
                self._print(self._text(" " * (cell_len(head) + flip - start) + sign), indent=2)
            if last and not whole:
                self._print(self._text(ends.strip()), indent=2)
            head = ""


def _letters(names: Sequence[str]) -> list[str]:
    """A letter for each class: its own first one where that is free."""
    free = [one for one in _LETTERS if one != _WRONG]
    found = []
    for name in names:
        own = [one for one in name.casefold() if one in free]
        letter = own[0] if own else free[0] if free else "?"
        if letter in free:
            free.remove(letter)
        found.append(letter)
    return found


def _scatter(found: MapSection, letters: Sequence[str], columns: int) -> list[str]:
    """The map in characters: the class whose cases are in a cell, a mark where several are."""
    cells: dict[tuple[int, int], str] = {}

    def place(point: tuple[float, float]) -> tuple[int, int]:
        return min(int(point[1] * ROWS), ROWS - 1), min(int(point[0] * columns), columns - 1)

    for letter, spot in zip(letters, found.spots, strict=True):
        for point in spot.points:
            at = place(point)
            cells[at] = letter if cells.get(at, letter) == letter else _MIXED
    for spot in found.spots:
        cells |= {place(point): _WRONG for point in spot.wrong}
    for first, then in zip(found.path, found.path[1:], strict=False):
        steps = 2 * columns
        for step in range(steps + 1):
            share = step / steps
            at = place((first[0] + share * (then[0] - first[0]), first[1] + share * (then[1] - first[1])))
            cells[at] = _WAY
    if found.query is not None:
        cells[place(found.query)] = _ASKED
    return ["".join(cells.get((row, column), " ") for column in range(columns)).rstrip() for row in range(ROWS)]


def _cut(text: str) -> str:
    """What fits below a frame."""
    while cell_len(text) > FRAME:
        text = f"{text[:-2]}…"
    return text


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
