"""Walks and embeddings on a terminal: no line too long, nothing by colour alone, no escape from a name."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from casebase.association_pages import AssociationPage, WalkPage
from casebase.cli.render_cae import terminal_association, terminal_walk
from casebase.cli.render_terminal import terminal
from casebase.explain.cae.section import absent
from casebase.explanations import Statement
from tests.cli.test_render_terminal import EVIL
from tests.explain.cae.planted import BRIGHT
from tests.explain.cae.showing import FAILED, named, page_of
from tests.explain.cae.test_pages import embedding
from tests.explained import Made


def printed(
    page: WalkPage | AssociationPage, width: int = 100, *, colour: bool = False, encoding: str = "utf-8"
) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    console = Console(
        file=stream, width=width, force_terminal=colour, color_system="truecolor" if colour else None, _environ={}
    )
    show = terminal_walk if isinstance(page, WalkPage) else terminal_association
    show(page, console, None)  # type: ignore[arg-type]  # the one that goes with the page
    stream.seek(0)
    return stream.read()


@pytest.mark.parametrize("width", [100, 80, 40, 20, 200])
@pytest.mark.parametrize("colour", [False, True])
def test_no_line_is_wider_than_the_terminal_or_than_a_hundred_columns(width: int, colour: bool) -> None:
    for page in (page_of(), page_of(failed=[FAILED]), embedding(), embedding([FAILED], shown=False)):
        lines = re.sub(r"\x1b\[[\d;]*m", "", printed(page, width, colour=colour)).splitlines()
        assert max(map(cell_len, lines)) <= min(width, 100)


def test_the_order_of_a_walk() -> None:
    text = printed(page_of())
    order = ["query.png  called plain", "Walk: what would change from plain to bright", "Synthetic pictures",
             "P(bright) along the way", "▲", f"first says {BRIGHT}", "rises or holds", "For comparison a real case",
             "The map of the class codes", "Axes:"]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "\x1b" not in text
    assert "▀" not in text, "no pictures where there are no colours"


def test_the_flip_is_below_its_column() -> None:
    lines = printed(page_of()).splitlines()
    place = next(number for number, line in enumerate(lines) if line.lstrip().startswith("P(bright)"))
    bars = lines[place].index("▁")
    stills = page_of().section.stills
    assert lines[place + 1].index("▲") == bars + next(n for n, one in enumerate(stills) if one.flip)


def test_pictures_are_drawn_where_there_are_colours_and_are_called_synthetic() -> None:
    text = printed(page_of(), colour=True)
    assert text.count("▀") == 10 * 10 * 5, "ten frames of the film, ten columns by five rows each"
    assert "synthetic pictures" in text


def test_ascii_terminals_get_digits() -> None:
    text = printed(page_of(), encoding="ascii")
    assert text.isascii()
    assert "^" in text


def test_hostile_names_print_as_text() -> None:
    view = named([EVIL, EVIL + "2", "blue"])
    text = printed(page_of(view, EVIL + "2", path=EVIL, warnings=[EVIL]))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]x[/bold]" in text


def test_what_was_missed_is_marked_without_colour() -> None:
    text = printed(embedding([FAILED], shown=False, rebuilt=0.5))
    assert "✕ the network agrees with itself" in text
    assert "Held back" in text
    assert "The map" not in text


def test_a_report_has_the_walk_before_the_trust_line() -> None:
    stream = io.StringIO()
    report = replace(Made().report, walk=page_of().section)
    terminal(report, Console(file=stream, width=80, _environ={}), pictures=False)
    text = stream.getvalue()
    assert text.index("Even if: still cat") < text.index("Walk: what would change") < text.index("Trust score")
    stream = io.StringIO()
    terminal(replace(report, walk=absent(Statement("No walk."))), Console(file=stream, _environ={}), pictures=False)
    assert "No walk." in stream.getvalue()
