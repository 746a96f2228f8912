"""A class association embedding on a terminal. Fits 100 columns and 80."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from casebase.association import Association, Standing
from casebase.cli.lines import Lines
from casebase.explanations import Level, Statement
from casebase.reading import percent, printable

MOST_DIRECTIONS = 12
"""So many directions are printed, those in which fewest edits were reassigned."""


def terminal_standing(found: Association, console: Console) -> None:
    """Print what was trained, what its swaps did to images that were not learnt from, and the gates' verdict."""
    screen = _Standing(console, found)
    screen.head()
    screen.figures()
    screen.verdict()


@dataclass(frozen=True)
class _Standing(Lines):
    found: Association

    def head(self) -> None:
        """What there is, and how its training ended where that was not as planned."""
        found, standing, side = self.found, self.found.standing, self.found.size.side
        classes = (
            ", ".join(map(printable, found.classes)) if len(found.classes) <= 4 else f"{len(found.classes)} classes"
        )
        learnt = "the network's answers" if found.target == "predicted" else "the labels"
        self._print(self._text(f"class association, preset {found.preset}: {classes}", "bold"))
        self._print(
            self._text(
                f"{side} x {side} pixels, {found.size.code} numbers a class code; learnt from {learnt}; checkpoint of "
                f"iteration {standing.iteration}, judged on {standing.n} images that were not learnt from"
            )
        )
        ended = str(found.settings.get("ended", "complete"))
        if ended != "complete":
            self._statement(Statement(f"The training ended early: {ended}", Level.CAUTION))

    def figures(self) -> None:
        """One row for each figure: what it is, its value, and what chance or the ideal would be."""
        self._gap()
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        table.add_column("of swapped images", overflow="fold")
        table.add_column("", justify="right", no_wrap=True)
        table.add_column("to compare", overflow="fold")
        for what, value, beside in _rows(self.found.standing):
            table.add_row(self._text(what), self._text(value), self._text(beside, "dim"))
        self.console.print(table, width=self.width)

    def verdict(self) -> None:
        """Whether the gates were passed, and which not."""
        self._gap()
        if self.found.trustworthy:
            self._print(self._text("Every gate was passed.", "bold"))
            return
        for one in self.found.failed:
            self._statement(Statement(f"gate not passed: {one}", Level.ALARM))


def _rows(standing: Standing) -> list[tuple[str, str, str]]:
    """(what, value, what it is to be compared with)."""
    told = sorted(standing.directions, key=lambda one: one.reassigned)
    rows = [(f"reassigned, {one.source} → {one.towards}", percent(one.reassigned), f"{one.n} images") for one in told]
    left = len(rows) - MOST_DIRECTIONS
    if left > 0:
        rows = [*rows[:MOST_DIRECTIONS], (f"{left} more directions", "", "at least as good as these")]
    own, donor = percent(standing.chance_own), percent(standing.chance_donor)
    rows += [
        ("nearer to their source than to the lender", percent(standing.nearer_source), "50.0 % where both are ignored"),
        ("nearest source is their own", percent(standing.own_rank1), f"by chance {own}"),
        ("nearest lender is their own", percent(standing.donor_rank1), f"by chance {donor}; more is copying"),
        ("nearest source is their own, reconstructions", percent(standing.rebuilt_rank1), "the most to be had"),
        ("network agrees with itself once resized", percent(standing.resized), ""),
        ("network agrees with itself on reconstructions", percent(standing.rebuilt), ""),
        ("reconstruction error, mean absolute", f"{standing.error:.3f}", "of the range of values"),
    ]
    chance = "" if standing.chance_class is None else f"by chance {percent(standing.chance_class)}"
    rows += [
        (what, percent(value), beside)
        for what, value, beside in (
            ("nearer to their source, in the network's features", standing.nearer_source_features, "may be less"),
            ("nearest lender is their own, in features", standing.donor_rank1_features, f"by chance {donor}"),
            ("class read from class codes", standing.separable, chance),
            ("class read from individual codes", standing.leak, f"{chance}, which is wanted"),
            ("walks that end in the rival", standing.flips, ""),
            ("steps of walks on which the rival does not fall", standing.monotone, ""),
        )
        if value is not None
    ]
    return rows
