"""The terminal report: the page's order, no line too long, nothing by colour alone, no escape from a name."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from casebase.answers import Rival
from casebase.cli.half_blocks import half_blocks
from casebase.cli.render_terminal import shortened, terminal
from casebase.explanations import Report
from tests.explained import Made, read, row

EVIL = "[bold]x[/bold]\x1b[31m\udcff\x07<b>[/]"
WRONG = Made(
    nearest=(row("d1", "dog", "dog"), row("n1", "cat", "cat", group=3), row("m1", "dog", "cat", percentile=None)),
    rivals=(Rival("dog", 0.1, "runner-up", 7), Rival("owl", 0.02, "probable", 0)),
    warnings=("twins: 2 of 5 asked for",),
    gone=("n1",),
)


def printed(report: Report, width: int = 100, *, colour: bool = False, pictures: bool = False) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n")
    console = Console(
        file=stream, width=width, force_terminal=colour, color_system="truecolor" if colour else None, _environ={}
    )
    terminal(report, console, pictures=pictures)
    stream.seek(0)
    return stream.read()


@pytest.mark.parametrize("width", [100, 80, 60, 200])
def test_no_line_is_wider_than_the_terminal_or_than_a_hundred_columns(width: int) -> None:
    named = replace(
        WRONG, nearest=(row("d" * 16, "a label of rather many words", "一二三四五六七八九十" * 3), *WRONG.nearest)
    )
    for made in (WRONG, named):
        text, _, commands = printed(made.report, width).partition("Next:")
        lines = text.splitlines()
        assert commands.splitlines()[-1].endswith("--report report.html --base 'my base'"), "unbroken, to be pasted"
        assert max(map(cell_len, lines)) <= min(width, 100)


def test_a_command_is_never_broken_for_it_would_be_two_when_pasted() -> None:
    command = "casebase query '" + "a folder/" * 20 + "1.png' --base there"
    made = replace(WRONG.report, next_commands=[command])
    assert f"  {command}" in printed(made, 60).splitlines()


def test_the_order_is_that_of_the_page() -> None:
    text = printed(WRONG.report)
    order = [
        "called cat 90.0 %",
        "2 of 3 nearest cases contradict",
        "Nearest, whatever their class",
        "Why cat: twins",
        "Why not dog",
        "Why not owl",
        "No case of this base is predicted owl.",
        "Even if: still cat",
        "Trust score 1.8×",
        "! twins: 2 of 5 asked for",
        "Next:",
        "casebase cases show d1",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_without_colour_marks_say_what_contradicts_and_both_names_are_there() -> None:
    text = printed(WRONG.report, 80)
    assert "\x1b" not in text
    assert re.search(r"^✕ 1 +dog → dog +37 % +0\.250 +d1 ", text, re.MULTILINE)
    assert re.search(r"^  2 +cat → cat +37 % +0\.250 +n1 ×3 train/cat/n1\.jpg", text, re.MULTILINE)
    assert re.search(r"^✕ 3 +dog → cat +– +0\.250 +m1 ", text, re.MULTILINE)


def test_names_are_printed_as_they_stand_without_markup_or_escapes() -> None:
    evil = row("x", EVIL, EVIL)
    made = Made(
        path=EVIL,
        probabilities={"cat": 0.9, EVIL: 0.1},
        warnings=(EVIL,),
        nearest=(evil,),
        twins=(replace(evil, case=replace(evil.case, id=EVIL)),),
        rivals=(Rival(EVIL, 0.1, "runner-up", 0),),
    )
    text = printed(made.report)
    assert not set(text) & {"\x1b", "\x07", "\udcff"}
    assert "[bold]x[/bold]�[31m��<b>[/]  called cat" in text
    coloured = printed(made.report, colour=True)
    assert "\x1b[31m" not in coloured  # the name's own escape; ours are "1;31"
    assert "\x07" not in coloured


def test_the_terminal_does_not_rely_on_a_clean_report() -> None:
    text = printed(replace(Made().report, base="base\x1b]0;title\x07", next_commands=["rm\r\x9b2K"]))
    assert not set(text) & {"\x1b", "\x07", "\r", "\x9b"}


def test_pictures_are_drawn_only_where_asked_for_and_in_real_colours() -> None:
    assert "▀" in printed(WRONG.report, colour=True, pictures=True)
    assert "▀" not in printed(WRONG.report, colour=True, pictures=False)
    assert "▀" not in printed(WRONG.report, colour=False, pictures=True)


def test_with_pictures_the_reason_of_a_contradiction_stands_beside_them() -> None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", printed(WRONG.report, 80, colour=True, pictures=True))
    assert "labelled and predicted dog" in plain.split("Why cat: twins")[0].split("label → predicted")[1]
    assert re.search(r"^  2 +none +cat → cat", plain, re.MULTILINE)  # its picture is missing
    assert max(map(cell_len, plain.splitlines())) <= 80


def test_half_blocks_put_two_pixels_into_a_cell() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[0] = (255, 0, 0)
    drawn = half_blocks(pixels, columns=4)
    assert drawn.plain == "▀▀▀▀\n▀▀▀▀"
    first = drawn.spans[0].style
    assert str(first) == "#ff0000 on #000000"


def test_a_long_path_gives_up_its_beginning() -> None:
    assert shortened("train/dog/1.jpg", 15) == "train/dog/1.jpg"
    assert shortened("train/dog/1.jpg", 8) == "…g/1.jpg"
    assert cell_len(shortened("一二三四.jpg", 7)) <= 7


def test_a_stream_that_knows_only_ascii_gets_ascii() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    terminal(
        read(WRONG.explanation, synthetic="Drawn – not photographed."), Console(file=stream, width=80), pictures=True
    )
    stream.seek(0)
    text = stream.read()
    assert "x 1   dog > dog" in text
    assert "Synthetic. Drawn - not photographed." in text


def test_an_answer_without_any_case_still_prints() -> None:
    empty = Made(nearest=(), twins=(), counterfactuals=(), semi_factuals=(), rivals=(), trust=None, comparable=None)
    text = printed(empty.report, 80)
    assert "No case to compare with" in text
    assert "No trust score" in text
    assert "alike:" not in text
