"""What the documents say is what the program does: commands, options, exit codes, settings, links, words."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from typer.main import get_command

import casebase
from casebase.cli.main import app, commands_first
from casebase.settings import Settings

ROOT = Path(casebase.__file__).parents[1]
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("data/*.md")])
# The table of words of the house; a new one goes there, into the glossary, and here.
WORDS = [
    "case", "case base", "query", "label", "predicted", "backbone", "head", "embedding", "space", "neighbour",
    "nearest overall", "nearest like neighbour (NLN)", "twin", "rival class", "nearest unlike neighbour (NUN)",
    "semi-factual", "basis", "generated counterfactual", "attribution", "saliency map", "where map", "overlay",
    "prototype", "class code / individual code", "retrieve / reuse / revise / retain", "support", "fingerprint",
    "explanation", "report", "distance", "similarity",
]  # fmt: skip


def made_by() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = made_by()
COMMANDS: dict[str, Any] = {name: (command, context) for name, command, context in MAKER.commands(get_command(app))}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> Iterator[str]:
    """The fenced blocks of a language."""
    yield from re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def typed(page: Path) -> Iterator[list[str]]:
    """Every line of a shell block that calls casebase, as arguments."""
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["casebase"]:
                yield words[1:]


def test_the_reference_is_what_the_program_says() -> None:
    assert text("docs/reference.md") == MAKER.render(), "run `make docs`"


def test_every_command_and_every_option_is_in_the_reference() -> None:
    """Read from the parser, not from the help: an option hidden from help would be missed otherwise."""
    assert {"casebase index", "casebase query", "casebase cases show"} <= set(COMMANDS)
    page = text("docs/reference.md")
    for name, (command, _) in COMMANDS.items():
        assert f"\n## {name}\n" in page
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            for option in [*parameter.opts, *parameter.secondary_opts]:
                if option.startswith("-"):
                    assert re.search(rf"(^|[\s,/]){re.escape(option)}\b", section), f"{name} {option}"


def test_every_exit_code_is_explained() -> None:
    codes = MAKER.exit_codes()
    assert sorted(codes.values()) == [0, 1, 2, 3, 4, 5, 10, 130]
    assert set(MAKER.EXITS) == set(codes)
    for code in codes.values():
        assert f"\n| {code} | " in text("docs/reference.md")


def test_every_setting_is_explained() -> None:
    names = [entry.name for entry in fields(Settings) if entry.name != "origin"]
    assert set(MAKER.SETTINGS) == set(names)
    for name in names:
        assert f"| `{name}` |" in text("docs/reference.md")
        assert f"`CASEBASE_{name.upper()}`" in text("docs/reference.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    content = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", content):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), f"{page.name}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", goal.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {_anchor(title) for title in titles}, f"{page.name}: {target}"


def _anchor(title: str) -> str:
    """As GitHub makes them: lower case, punctuation away, spaces to hyphens."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def parse(arguments: list[str]) -> None:
    """Through the program's own parser; nothing is run."""
    name, rest = "casebase", commands_first(arguments)
    while rest and f"{name} {rest[0]}" in COMMANDS:
        name, rest = f"{name} {rest[0]}", rest[1:]
    assert name != "casebase", f"no command {arguments}"
    command, above = COMMANDS[name]
    command.parse_args(typer.Context(command, parent=above.parent, info_name=name), list(rest))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_a_page_can_be_typed(page: Path) -> None:
    for arguments in typed(page):
        parse(arguments)


@pytest.mark.parametrize("line", ["query", "query a.jpg --best", "index a b", "indx a", "query a.jpg --k none"])
def test_a_command_that_cannot_be_typed_would_be_noticed(line: str) -> None:
    with pytest.raises(Exception):  # noqa: B017  # typer's own kinds, and ours
        parse(line.split())


def test_the_readme_shows_the_two_commands_first() -> None:
    first = list(typed(ROOT / "README.md"))[:2]
    assert [arguments[0] for arguments in first] == ["index", "query"]


def test_the_python_of_the_readme_uses_what_there_is() -> None:
    (block,) = blocks(ROOT / "README.md", "python")
    compile(block, "README.md", "exec")
    from casebase.answers import Neighbour, Retrieval, Support
    from casebase.api import Base

    for name in re.findall(r"\bbase\.(\w+)\(", block):
        assert callable(getattr(Base, name))
    assert {"prediction", "twins", "trust"} <= set(Retrieval.__dataclass_fields__)
    assert {"case", "rank", "distance"} <= set(Neighbour.__dataclass_fields__)
    assert "trust_score" in Support.__dataclass_fields__


def test_the_changelog_has_unreleased_on_top() -> None:
    titles = re.findall(r"^## (.+)$", text("CHANGELOG.md"), re.MULTILINE)
    assert titles[0] == "Unreleased"


@pytest.mark.parametrize("word", WORDS)
def test_the_glossary_has_every_word_of_the_house(word: str) -> None:
    assert f"\n| {word} | " in text("docs/glossary.md")


def test_every_page_of_docs_is_named_in_the_readme() -> None:
    for page in ROOT.glob("docs/*.md"):
        assert f"](docs/{page.name})" in text("README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_says_because_of_a_neighbour_or_praises_itself(page: Path) -> None:
    content = page.read_text(encoding="utf-8").lower()
    for word in ("state-of-the-art", "blazing", "cutting-edge", "seamless", "powerful", "effortless"):
        assert word not in content


def test_the_drawn_sample_is_small_and_says_that_it_is_drawn() -> None:
    from PIL import Image

    files = [path for path in (ROOT / "data" / "toy").rglob("*") if path.is_file()]
    pictures = [path for path in files if path.suffix == ".png"]
    assert sum(path.stat().st_size for path in files) < 300_000
    assert len(pictures) == 16  # two of four species, and their masks
    for path in pictures:
        with Image.open(path) as opened:
            assert opened.text["synthetic"] == "drawn by casebase"  # type: ignore[attr-defined]  # PNG files have it


def test_the_drawn_sample_can_be_indexed_as_it_is() -> None:
    from casebase.indexer import open_source

    source = open_source(ROOT / "data" / "toy")
    assert len(source.listed) == 8
    assert len(source.labels) == 4
    assert not source.refused


def test_the_capture_asks_the_web_for_nothing() -> None:
    drawing = text("docs/capture.svg")
    assert "@font-face" not in drawing
    assert not re.search(r"(href|src)=|url\((?!#)", drawing)
