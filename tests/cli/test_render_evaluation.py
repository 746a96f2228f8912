"""An evaluation on the terminal: it fits, it keeps figures whole, and it needs no colour."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from casebase.cli.render_evaluation import terminal
from casebase.evaluate.model import measure
from casebase.evaluations import Column, Evaluation, Measured, Table
from tests.evaluate.bases import Answer, base, study
from tests.explain.test_render_evaluation import EVIL, made

NAMES = [f"a class with a very long name number {n:02d}" for n in range(20)]


@pytest.fixture(scope="module")
def many() -> Evaluation:
    right = [Answer(name, name) for name in NAMES for _ in range(3)]
    return measure(base([*right, Answer(NAMES[0], NAMES[1]), Answer(NAMES[2], NAMES[1])], NAMES))


@pytest.fixture(scope="module")
def founding() -> Evaluation:
    return measure(study())


def printed(evaluation: Evaluation, width: int = 100, following: str = "casebase stats", **over: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, **over)  # type: ignore[arg-type]  # switches of rich
    terminal(evaluation, console, page=Path("/e/index.html"), following=[following])
    return out.getvalue()


@pytest.mark.parametrize("width", [100, 80])
@pytest.mark.parametrize("which", ["founding", "many"])
def test_every_line_fits_and_no_figure_is_cut(which: str, width: int, request: pytest.FixtureRequest) -> None:
    text = printed(request.getfixturevalue(which), width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    if which == "founding":
        assert "91.0 %" in text
        assert "83.8–95.2" in text


def test_a_command_is_never_broken_for_it_would_be_two_when_pasted(founding: Evaluation) -> None:
    command = "casebase cases show 1 --base '" + "a folder/" * 20 + "'   # the surest wrong answer"
    assert f"  {command}" in printed(founding, 60, following=command).splitlines()


def test_at_100_columns_interval_and_figure_share_a_cell(founding: Evaluation) -> None:
    assert "91.0 % (83.8–95.2)" in printed(founding)


def test_findings_come_first_then_tables_then_the_page(founding: Evaluation) -> None:
    text = printed(founding)
    order = ["Only 9 answers are wrong", "How often it is right", "Class by class", "/e/index.html", "casebase stats"]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert "bins of as many answers each\n" not in text.split("Quality of the probabilities")[1]  # left to the page


BIRDS = ["lantern-wren", "generated", "hummingbirdish", "rubythroated", "owl", "finch", "heron", "kite"]


@pytest.mark.parametrize("width", [88, 92, 100])
def test_class_names_in_heads_are_broken_at_hyphens_only_and_cut_ones_have_a_legend(width: int) -> None:
    found = measure(base([Answer(name, name) for name in BIRDS for _ in range(2)], BIRDS))
    text = printed(found, width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    section = text.split("What is called what")[1].split("The mistakes")[0]
    pieces = {piece for name in BIRDS for piece in (name, *re.findall(r"[^-]+-?", name))} | {"label"}
    words = section.split("Shortened")[0].split()
    for word in words:
        whole = word in pieces or word.isdigit()
        assert whole or (word.endswith("…") and any(piece.startswith(word[:-1]) for piece in pieces)), word
    cut = [word for word in words if word.endswith("…")]
    assert bool(cut) == ("Shortened: " in section) == (width < 100)
    if cut:
        legend = " ".join(section.split("Shortened: ")[1].split())
        assert all(any(f"{word} = {name}" in legend for name in BIRDS) for word in cut if "-" not in word)


def test_with_room_no_head_is_broken_at_all() -> None:
    found = measure(base([Answer(name, name) for name in BIRDS[:3] for _ in range(2)], BIRDS[:3]))
    section = printed(found, 100).split("What is called what")[1].split("The mistakes")[0]
    assert all(name in section.split("\n")[1] for name in BIRDS[:3])


def test_long_tables_end_with_where_the_rest_is(many: Evaluation) -> None:
    assert "8 more rows are in tables/classes.csv" in printed(many)


def test_without_colour_nothing_is_lost(founding: Evaluation) -> None:
    assert "\x1b" not in printed(founding, no_color=True, force_terminal=False)
    assert "! Only 9 answers" in printed(founding)


def test_hostile_names_reach_no_terminal() -> None:
    text = printed(made(EVIL))
    assert not set(text) & {"\x1b", "\u202e"}
    assert "alert(1)" in text


def test_a_pseudo_terminal_without_columns_is_survived(founding: Evaluation) -> None:
    assert "accuracy" in printed(founding, 0)


def test_a_table_too_wide_for_the_screen_is_left_to_the_page() -> None:
    names = NAMES[:11]
    text = printed(measure(base([Answer(name, name) for name in names], names)))
    assert "Too wide for this screen; it is on the page and in tables/confusion.csv" in text


@pytest.mark.parametrize("width", [100, 80])
def test_a_table_of_two_networks_that_is_too_wide_is_told_network_by_network(width: int) -> None:
    networks = ("torchvision:resnet18", "torchvision:mobilenet_v2")
    keys = [f"f{number}" for number in range(4)]
    table = Table(
        "wide", "Occluded", "Read it so.",
        [Column("method", "Method"), Column("network", "Network"), *(Column(key, key, "share") for key in keys),
         Column("images", "Images", "count"), Column("silent", "Silent", "count")],
        [
            {"method": f"A methods, number {row}", "network": network, "images": 6, "silent": 0,
             **dict.fromkeys(keys, Measured(0.5, 0.358, 0.999, 6))}
            for network in networks for row in range(8)
        ],
    )  # fmt: skip
    text = printed(made(tables=[table]), width)
    assert "Too wide" not in text
    assert "more rows" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    lines = [line.strip() for line in text.splitlines()]
    assert [line for line in lines if line in networks] == list(networks)
    assert text.count("A methods, number 7") == 2
    assert text.count("35.8–99.9") == 2 * 8 * len(keys)
