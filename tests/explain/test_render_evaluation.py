"""An evaluation's folder: the page loads nothing, says everything, and no file of anybody else is lost."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from casebase.errors import StorageFailed, UsageError
from casebase.evaluate import drawing
from casebase.evaluations import Column, Evaluation, Measured, Table, told
from casebase.explain.pages import own
from casebase.explain.render_evaluation import EvaluationPages
from casebase.explanations import Level, Statement
from tests.explain.test_render_html import Page

EVIL = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}\x1b[31m\u202e"


@pytest.mark.parametrize(
    ("sheet", "rule"),
    [
        ("evaluation.css", ".wide thead th {"),
        ("index.css", ".matrix thead th span {"),
        ("index.css", ".matrix tbody th {"),
    ],
)
def test_a_column_is_never_narrower_than_a_word_of_its_head(sheet: str, rule: str) -> None:
    """``anywhere`` lets a browser shrink a column to one letter: gener/ated. ``break-word`` leaves words whole."""
    found = own(sheet).split(rule)[1].split("}")[0]
    assert "overflow-wrap: break-word" in found
    assert "anywhere" not in found


def test_a_negative_share_has_a_minus_sign_not_a_hyphen() -> None:
    assert told(Measured(0.031, -0.257, 0.25, 9), "share") == "3.1 % (−25.7 to 25.0)"


def made(name: str = "cat", **over: object) -> Evaluation:
    """An evaluation of everything a table can hold; ``name`` stands wherever data can stand."""
    table = Table(
        "first", "How often", "Read it so.",
        [
            Column("class", "class"), Column("n", "images", "count"), Column("score", "score", "share", "a share"),
            Column("gain", "gain", "points"), Column("loss", "loss", "number"),
        ],
        [
            {
                "class": name, "n": 40, "score": Measured(0.91, 0.838, 0.952, 100), "gain": Measured(-0.01, -0.02, 0.0),
                "loss": 0.12345, "hidden": "in the files",
            },
            {"class": "=1+1", "n": 0, "score": Measured(None, reason="no image"), "gain": None, "loss": float("nan")},
            {"class": "third", "n": 1, "score": Measured(1.0, n=1), "gain": None, "loss": 3.0},
        ],
        ["A note."], shown=2,
    )  # fmt: skip
    values = {
        "kind": "model", "title": f"The network on {name}",
        "statements": [Statement(f"Worst: {name}", Level.ALARM), Statement("Then this.", Level.PLAIN)],
        "tables": [table, Table("empty", "Nothing", "There is nothing.", [Column("a", "a")], [])],
        "plots": [
            drawing.plot("first", name, f"It shows {name}.", lambda axes: axes.plot([0, 1]) and None),
            drawing.plot("alone", "Alone", "A line.", lambda axes: axes.plot([0, 1]) and None),
        ],
        "settings": {"base": name, "network": "n", "date": "today", "list": [name], "nothing": None},
        "per_query": [{"id": "1", "label": name, "right": True}],
    }  # fmt: skip
    return Evaluation(**{**values, **over})  # type: ignore[arg-type]  # a table of fields


@pytest.fixture(scope="module")
def pages() -> EvaluationPages:
    return EvaluationPages()


@pytest.fixture(scope="module", params=["cat", EVIL])
def page(request: pytest.FixtureRequest, pages: EvaluationPages) -> str:
    return pages.page(made(request.param))


def test_the_policy_allows_pictures_inside_and_exactly_this_style_and_script(page: str) -> None:
    found = Page(page)
    (policy,) = (m["content"] for m in found.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for kind, text in (("style", found.raw["style"][0]), ("script", found.raw["script"][1])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_nothing_is_loaded_and_no_element_has_a_style_or_a_handler(page: str) -> None:
    found = Page(page)
    assert {m["src"].split(",")[0] for m in found.all("img") if m["src"]} == {"data:image/svg+xml;base64"}
    for tag, attributes in found.elements:
        assert tag not in {"iframe", "object", "embed", "form", "base"}
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        if tag != "a":
            assert (attributes.get("href") or "data:").startswith("data:")
        else:
            assert not re.match(r"[a-z]+:|//", str(attributes["href"]))
    assert not re.search(r"url\(|@import", found.raw["style"][0])


def test_hostile_names_bring_no_element_and_no_control_character(pages: EvaluationPages) -> None:
    calm, text = Page(pages.page(made())), pages.page(made(EVIL))
    hostile = Page(text)
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in calm.elements]
    assert not set(text) & {"\x1b", "\u202e"}
    assert "alert(1)" in html.unescape(text)
    assert "{{7*7}}" in html.unescape(text)


def test_every_picture_has_words_and_every_table_heads(page: str) -> None:
    found = Page(page)
    assert all((m["alt"] or "").strip() for m in found.all("img"))
    assert len(found.all("caption")) == len(found.all("table"))
    assert all(m.get("scope") in ("col", "row") for m in found.all("th"))
    assert {m["role"] for m in found.all("table") if "role" in m} == {"table"}  # phones lay rows out as blocks
    assert found.all("html")[0]["lang"] == "en"
    for m in [*found.all("section"), *found.all("a")]:
        target = m.get("aria-labelledby") or (m.get("href") or "").removeprefix("#")
        if m.get("aria-labelledby"):
            assert f'id="{target}"' in page


def test_every_figure_of_the_page_is_in_its_json(pages: EvaluationPages) -> None:
    text = pages.page(made())
    value = json.loads(Page(text).raw["script"][0])
    assert value == json.loads(json.dumps(made().to_dict()))
    (row,) = (one for one in value["rows"] if one.get("class") == "cat")
    assert (row["score"], row["score_low"], row["score_high"], row["score_n"]) == (0.91, 0.838, 0.952, 100)
    for shown in ("91.0\u00a0%", "83.8 to 95.2", "−1.0", "0.1235", "(no image)"):
        assert shown in text


def test_the_worst_finding_leads_and_the_first_share_is_drawn(pages: EvaluationPages) -> None:
    text = pages.page(made())
    assert text.index("Worst: cat") < text.index("Then this.") < text.index("How often")
    assert 'class="verdict alarm"' in text
    assert "83.8 to 95.2, n = 100" in text


def test_a_headline_names_its_figure_where_the_words_of_its_row_stand_under_a_head(pages: EvaluationPages) -> None:
    table = Table(
        "first", "Drop", "Read it so.",
        [Column("method", "Method"), Column("drop", "Average drop", "share", "how much is lost; 0 is perfect"),
         Column("reading", "Not clear of")],
        [{"method": "CAM", "drop": Measured(0.4, 0.3, 0.5, 9), "reading": "Average drop: All ones"}],
    )  # fmt: skip
    drawn = pages.page(made(tables=[table])).split('class="bars headlines"')[1].split("</section>")[0]
    assert "<p>Average drop: how much is lost; 0 is perfect. Not clear of: Average drop: All ones.</p>" in drawn
    several = [*table.columns, Column("network", "Network")]
    named = replace(table, columns=several, rows=[{**table.rows[0], "network": "torchvision:resnet18"}])
    assert "<span>CAM on torchvision:resnet18</span>" in pages.page(made(tables=[named]))
    bare = replace(table, rows=[{**table.rows[0], "reading": ""}])
    drawn = pages.page(made(tables=[bare])).split('class="bars headlines"')[1].split("</section>")[0]
    assert "<p>Average drop: how much is lost; 0 is perfect.</p>" in drawn


def test_rows_beyond_those_shown_are_named_and_in_the_files(pages: EvaluationPages, tmp_path: Path) -> None:
    text = pages.page(made())
    assert "1 more row is in tables/first.csv" in text
    assert "third" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    folder = pages.write(made(), tmp_path / "e")
    assert "third" in (folder / "tables" / "first.csv").read_text(encoding="utf-8")


def test_the_folder_holds_page_json_tables_rows_and_plots(pages: EvaluationPages, tmp_path: Path) -> None:
    folder = pages.write(made(), tmp_path / "new" / "e")
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == [
        "evaluation.json", "index.html", "per_query.csv", "plots/alone.png", "plots/alone.svg", "plots/first.png",
        "plots/first.svg", "tables/empty.csv", "tables/first.csv",
    ]  # fmt: skip
    assert json.loads((folder / "evaluation.json").read_text())["schema"] == "casebase.evaluation/1"
    linked = {m["href"] for m in Page((folder / "index.html").read_text()).all("a")} - {"#verdict"}
    assert all((folder / str(link)).is_file() for link in linked)
    assert len(linked) == 8  # everything but the page itself
    assert not [p for p in folder.parent.iterdir() if p != folder]


def test_csv_has_the_keys_of_json_and_no_formula(pages: EvaluationPages, tmp_path: Path) -> None:
    folder = pages.write(made(), tmp_path / "e")
    rows = list(csv.DictReader((folder / "tables" / "first.csv").open(encoding="utf-8", newline="")))
    assert rows[0]["score_low"] == "0.838"
    assert rows[0]["hidden"] == "in the files"
    assert rows[1]["class"] == "'=1+1"
    assert rows[1]["score_reason"] == "no image"
    assert rows[1]["loss"] == ""
    assert rows[0]["gain"] == "-0.01"


def test_an_older_evaluation_is_replaced_whole(pages: EvaluationPages, tmp_path: Path) -> None:
    folder = pages.write(made(), tmp_path / "e")
    again = pages.write(replace(made(), plots=[], title="The second"), folder)
    assert not (again / "plots").exists()
    assert "The second" in (again / "index.html").read_text()
    assert list(tmp_path.iterdir()) == [again]


def test_an_empty_folder_is_taken(pages: EvaluationPages, tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    assert (pages.write(made(), tmp_path / "e") / "index.html").exists()


@pytest.mark.parametrize("strange", ["notes.txt", "plots/mine.txt", "index.html", ".hidden"])
def test_a_folder_with_anything_else_in_it_is_refused_and_stays(
    pages: EvaluationPages, tmp_path: Path, strange: str
) -> None:
    folder = tmp_path / "e"
    if strange != "index.html":  # beside an evaluation; a page alone is none
        pages.write(made(), folder)
    (folder / strange).parent.mkdir(exist_ok=True, parents=True)
    (folder / strange).write_text("mine")
    before = sorted(folder.rglob("*"))
    with pytest.raises(UsageError, match="no evaluation of casebase"):
        pages.write(made(), folder)
    assert sorted(folder.rglob("*")) == before
    assert (folder / strange).read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_refused(pages: EvaluationPages, tmp_path: Path) -> None:
    (tmp_path / "e").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        pages.write(made(), tmp_path / "e")


def test_a_failure_half_way_leaves_the_older_one_and_no_rest(
    pages: EvaluationPages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pages.write(made(), tmp_path / "e")
    before = (folder / "index.html").read_bytes()
    count = iter(range(100))

    def full(handle: int) -> None:
        if next(count) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("casebase.folders.os.fsync", full)
    with pytest.raises(StorageFailed, match="No space left"):
        pages.write(replace(made(), title="never"), folder)
    assert (folder / "index.html").read_bytes() == before
    assert list(tmp_path.iterdir()) == [folder]


def test_a_swap_that_fails_puts_the_older_one_back(
    pages: EvaluationPages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pages.write(made(), tmp_path / "e")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StorageFailed):
        pages.write(replace(made(), title="never"), folder)
    assert "The network on cat" in (folder / "index.html").read_text()
    assert list(tmp_path.iterdir()) == [folder]


def test_in_a_notebook_it_is_a_frame_without_links_to_files() -> None:
    shown = replace(made(), writer=EvaluationPages())._repr_html_()
    assert shown.startswith("<iframe")
    assert 'sandbox="allow-modals"' in shown
    assert "tables/first.csv&#34;&gt;tables" not in shown
    assert "Files beside this page" not in shown


def test_an_evaluation_from_elsewhere_says_where_to_get_a_writer(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"casebase\.open"):
        made().save(tmp_path / "e")


@pytest.mark.parametrize(
    ("cell", "kind", "shown"),
    [
        (Measured(0.91, 0.838, 0.952, 100), "share", "91.0 % (83.8–95.2)"),
        (Measured(1.0, 0.9999, 1.0, 10), "share", "100.0 % (>99.9–100.0)"),
        (Measured(0.5), "share", "50.0 %"),
        (Measured(None, reason="no image"), "share", "– (no image)"),
        (Measured(None), "share", "–"),
        (Measured(0.021, -0.01, 0.052), "points", "+2.1 (−1.0 to +5.2)"),
        (Measured(-0.0123456, -0.02, 0.01), "number", "−0.01235 (−0.02 to 0.01)"),
        (0.1, "share", "10.0 %"),
        (3, "count", "3"),
        (None, "count", "–"),
        ("a\x1b[31m", "text", "a�[31m"),
    ],
)
def test_a_cell_is_told_in_the_same_words_everywhere(cell: object, kind: str, shown: str) -> None:
    assert told(cell, kind) == shown  # type: ignore[arg-type]
