"""``RESULTS.md``: the machine, then one table per part; texts quote only this file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.timing import Row

HEAD = ("what", "figure", "bar", "correctness", "verdict")
_OPENING = """\
# Results of `make bench`

Written by `python -m benchmarks.run`; not edited by hand. Contenders of a table took turns in one process tree, round
by round; the warm-up is dropped; figures are medians (least–most). A ratio is taken inside each round. Read ratios,
not times: another machine has other times.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the results: what was run on what, and its rows."""

    title: str
    about: str
    rows: Sequence[Row]

    @property
    def passed(self) -> bool:
        """Whether no row fails."""
        return all(row.passed is not False for row in self.rows)


def render(machine: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The whole page as Markdown."""
    judged = [row for section in sections for row in section.rows if row.passed is not None]
    held = sum(bool(row.passed) for row in judged)
    parts = [_OPENING, f"**{held} of {len(judged)} bars hold.**\n", _table(("machine", ""), list(machine.items()))]
    for section in sections:
        parts += [f"## {section.title}\n", f"{section.about}\n", _table(HEAD, [row.cells() for row in section.rows])]
    return "\n".join(parts)


def write(target: Path, machine: Mapping[str, str], sections: Sequence[Section]) -> None:
    """Write the page."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render(machine, sections), encoding="utf-8")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [_line(head), _line(["---"] * len(head)), *(_line(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
