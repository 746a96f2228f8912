"""``casebase prototypes summarize``: the real command on tiny bases, its page, its JSON, and what it refuses."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

import casebase
from tests.flow.command import Call, run

SUMMARIZE = ("prototypes", "summarize")


def test_the_table_fits_and_a_page_lies_in_the_base(base: Path, call: Call) -> None:
    seen = call(*SUMMARIZE, "--base", base).expect(0)
    assert max(len(line) for line in seen.out.splitlines() if not line.startswith("page: ")) <= 100
    page = base / "reports" / "summary-predicted-avgpool" / "index.html"
    assert seen.out.splitlines()[-1] == f"page: {page}"
    assert json.loads((page.parent / "summary.json").read_text())["schema"] == "casebase.summary/1"
    call(*SUMMARIZE, "--base", base).expect(0)  # an older one is replaced


def test_it_loads_no_network(base: Path, tmp_path: Path) -> None:
    """The base's networks may be gone: stored vectors are all it needs."""
    for weights in (base / "models").rglob("*.safetensors"):
        weights.unlink()
    seen = run(*SUMMARIZE, "--base", base, "--out", tmp_path / "page.html", "--json", cwd=tmp_path).expect(0)
    assert seen.json["page"] == str(tmp_path / "page.html")


def test_the_page_holds_every_case_of_the_json_and_loads_nothing(base: Path, tmp_path: Path, call: Call) -> None:
    page = tmp_path / "cats & dogs.html"
    found = call(*SUMMARIZE, "--base", base, "--k", 2, "--criticisms", 1, "--out", page, "--json").expect(0).json
    text = page.read_text(encoding="utf-8")
    rows = [row for one in found["classes"] for row in (*one["typical"], *one["criticisms"])]
    assert len(rows) >= 4
    for row in rows:
        assert row["id"] in text
        assert html.escape(row["path"]) in text
    assert len(re.findall(r'<img src="data:image/jpeg', text)) == len(rows)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    embedded = json.loads(re.search(r'id="casebase-result">(.*?)</script>', text, re.DOTALL)[1])
    assert embedded["classes"] == found["classes"]


def test_disputed_cases_are_struck_and_named(shared_wrong: Path, tmp_path: Path, call: Call) -> None:
    page = tmp_path / "page.html"
    found = call(*SUMMARIZE, "--base", shared_wrong, "--by", "label", "--out", page, "--json").expect(0).json
    rows = [row for one in found["classes"] for row in (*one["typical"], *one["criticisms"])]
    disputed = [row for row in rows if row["label"] != row["predicted"]]
    assert len(re.findall(r"<s>\w+</s>", page.read_text())) == len(disputed)
    assert found["nearest_typical"]["accuracy"]["n"] == 14


def test_a_lost_file_is_shown_by_its_thumbnail_or_named(base: Path, photos: Path, tmp_path: Path) -> None:
    with casebase.open(base) as opened:
        found = opened.summarize(k=1, criticisms=0)
        gone = found.classes[0].typical[0].case
        assert gone.file.exists()
        aside = gone.file.rename(gone.file.with_suffix(".aside"))
        try:
            text = found.save(tmp_path / "page.html").read_text()
        finally:
            aside.rename(gone.file)
    assert f"No picture of {gone.path}" in html.unescape(text)
    assert found._repr_html_().startswith("<iframe title=")


def test_twice_the_same(base: Path, tmp_path: Path, call: Call) -> None:
    one, other = (call(*SUMMARIZE, "--base", base, "--json").expect(0).json for _ in range(2))
    for value in (one, other):
        del value["seconds"], value["facts"]
    assert one == other


def test_one_class_alone(base: Path, call: Call) -> None:
    with casebase.open(base) as opened:
        name = next(iter(opened.summarize().classes)).name
    found = call(*SUMMARIZE, "--base", base, "--class", name, "--json").expect(0).json
    assert [one["class"] for one in found["classes"]] == [name]


def test_more_than_there_are_is_no_error(base: Path, call: Call) -> None:
    seen = call(*SUMMARIZE, "--base", base, "--k", 100, "--criticisms", 100).expect(0)
    assert "all 10 cases are typical ones" in seen.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--class", "horse"), 2, "no class 'horse' in this base"),
        (("--k", "0"), 2, "k must be at least 1, not 0"),
        (("--by", "guess"), 2, "by must be predicted or label, not 'guess'"),
        (("--space", "clip"), 2, "no space 'clip'"),
        (("--space", "contribution"), 2, "contribution depends on the class"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    base: Path, call: Call, words: tuple[str, ...], code: int, said: str
) -> None:
    assert said in call(*SUMMARIZE, "--base", base, *words).expect(code).sentence


def test_a_base_without_cases_and_no_base_at_all(tmp_path: Path, call: Call) -> None:
    call(*SUMMARIZE, "--base", tmp_path / "none").expect(10)
    casebase.create(tmp_path / "empty").close()
    assert "no case yet" in call(*SUMMARIZE, "--base", tmp_path / "empty").expect(1).sentence


def test_a_page_without_a_folder_is_refused_before_the_work(base: Path, tmp_path: Path, call: Call) -> None:
    page = tmp_path / "no" / "page.html"
    assert "there is no folder" in call(*SUMMARIZE, "--base", base, "--out", page).expect(1).sentence
    assert not page.parent.exists()


def test_what_is_not_ours_is_not_replaced(base: Path, tmp_path: Path, call: Call) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    assert "thesis.txt" in call(*SUMMARIZE, "--base", base, "--out", folder).expect(2).sentence
    (tmp_path / "folder.html").mkdir()
    assert "is a folder" in call(*SUMMARIZE, "--base", base, "--out", tmp_path / "folder.html").expect(2).sentence
    assert (folder / "thesis.txt").read_text() == "years of work"
