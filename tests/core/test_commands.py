"""Commands that people paste: quoted word by word, with paths as a person would write them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from casebase.cases import Case
from casebase.commands import about, again, named, place, typed

ODD = "b Vögel \"x\" <i> $HOME 'y'"


def test_every_word_is_quoted_for_a_shell() -> None:
    (line,) = typed("query", f"{ODD}.jpg", "--k", "5", base=ODD)
    assert shlex.split(line) == ["casebase", "query", f"{ODD}.jpg", "--k", "5", "--base", ODD]
    assert shlex.split(again(["/usr/bin/casebase", "query", ODD])) == ["casebase", "query", ODD]


def test_the_default_base_is_not_named() -> None:
    assert typed("stats", base=Path(".casebase")) == ["casebase stats"]
    assert typed("stats") == ["casebase stats"]


@pytest.mark.parametrize("word", ["a\x1b[31mb", "a\nb", "a\udcffb"])
def test_what_cannot_be_typed_as_it_is_printed_is_not_offered(word: str) -> None:
    assert typed("query", word) == []
    assert typed("stats", base=word) == []


def test_a_path_is_relative_where_it_is_near_and_absolute_where_it_is_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "photos").mkdir(parents=True)
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert place(tmp_path / "model" / ".." / "here" / "photos" / "1.jpg") == "photos/1.jpg"
    assert place(tmp_path / "model" / ".." / "far" / "1.jpg") == str(tmp_path / "far" / "1.jpg")
    assert place(Path("photos/../1.jpg")) == "1.jpg"
    assert place(Path("-x.jpg")) == "./-x.jpg"


def test_a_way_back_out_of_a_link_leads_where_the_system_says(tmp_path: Path) -> None:
    (tmp_path / "deep" / "model").mkdir(parents=True)
    (tmp_path / "deep" / "1.jpg").write_bytes(b"right")
    (tmp_path / "1.jpg").write_bytes(b"wrong")
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "model")
    path = tmp_path / "link" / ".." / "1.jpg"
    assert Path(place(path)).read_bytes() == path.read_bytes() == b"right"


def case_at(root: Path, relative: str) -> Case:
    return Case("c1", relative, root / relative, "cat", "cat", 0.9, None, None, "pixels", 0)


def test_a_case_is_named_below_its_source_or_by_the_place_of_its_file(tmp_path: Path) -> None:
    model = tmp_path / "m"
    model.mkdir()
    assert named(case_at(model, "cat/1.jpg")) == "cat/1.jpg"
    assert named(case_at(model, "../photos/cat/1.jpg")) == str(tmp_path / "photos/cat/1.jpg")
    assert named(case_at(model, "..cat/1.jpg")) == "..cat/1.jpg"


def test_a_stored_image_is_asked_about_by_the_place_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    found = about(case_at(tmp_path / "m", "../my photos/1.jpg"), "b c", rival="a dog")
    assert found == [
        "casebase cases show c1 --base 'b c'",
        f"casebase query '{tmp_path}/my photos/1.jpg' --rival 'a dog' --base 'b c'",
    ]
