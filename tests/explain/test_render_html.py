"""The page: it loads nothing, lets nothing in, and says everything without a script."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from casebase.answers import Rival
from casebase.errors import StorageFailed
from casebase.explain.render_html import HtmlRenderer
from casebase.explain.render_json import dumps
from tests.explained import Made, read, row

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}{% raw %}\x1b[31m\udcff\ud800\u202e"
HOSTILE = Made(
    path=EVIL + ".jpg",
    probabilities={"cat": 0.9, EVIL: 0.1},
    nearest=(replace(row("x", EVIL, EVIL), case=replace(row("x", EVIL, EVIL).case, id=EVIL)), row("n1", "cat", "cat")),
    rivals=(Rival(EVIL, 0.1, "runner-up", 1), Rival(EVIL + "2", 0.05, EVIL, 0)),
    warnings=(EVIL, "</script><script>alert(3)</script>"),
    degenerate=EVIL,
    known=EVIL,
)


class Page(HTMLParser):
    """Elements with their attributes, and the text inside style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"style": [], "script": []}
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in self.raw:
            self._inside = tag
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is not None:
            self.raw[self._inside][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def renderer() -> HtmlRenderer:
    return HtmlRenderer()


@pytest.fixture(scope="module", params=["calm", "hostile"])
def page(request: pytest.FixtureRequest, renderer: HtmlRenderer) -> str:
    return renderer.page((HOSTILE if request.param == "hostile" else Made()).report)


def test_hostile_names_bring_no_element_and_no_control_character(renderer: HtmlRenderer) -> None:
    text = renderer.page(HOSTILE.report)
    calm, hostile = Page(renderer.page(Made().report)), Page(text)
    assert len(hostile.all("script")) == len(calm.all("script")) == 2
    assert not [attrs for _, attrs in hostile.elements if any(name.startswith("on") for name in attrs)]
    assert {name for name, _ in hostile.elements} <= {name for name, _ in calm.elements}
    assert not set(text) & {"\x1b", "\udcff", "\u202e"}
    assert "alert(1)" in html.unescape(text)  # it is shown, as text


def test_template_marks_in_names_are_not_evaluated(renderer: HtmlRenderer) -> None:
    assert "{{7*7}}" in html.unescape(renderer.page(HOSTILE.report))


def test_no_element_carries_a_style_of_its_own(page: str) -> None:
    assert not [attrs for _, attrs in Page(page).elements if "style" in attrs]


def test_the_policy_names_exactly_the_style_and_the_script_of_the_page(page: str) -> None:
    parsed = Page(page)
    meta = next(m for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    policy = meta["content"] or ""
    (style,), (data, script) = parsed.raw["style"], parsed.raw["script"]

    def source(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["style-src"] == source(style)
    assert rules["script-src"] == source(script) != source(data)
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")
    assert (rules["base-uri"], rules["form-action"]) == ("'none'", "'none'")


def test_the_page_refers_to_nothing_outside_itself(page: str) -> None:
    for name, attrs in Page(page).elements:
        for attribute in ("src", "href", "srcset", "action", "poster", "data"):
            value = attrs.get(attribute)
            assert value is None or value.startswith(("data:", "#")), (name, value)
    assert not re.search(r"url\(|@import|https?://", Page(page).raw["style"][0])


def test_every_picture_says_what_it_is_evidence_for(page: str) -> None:
    pictures = Page(page).all("img")
    assert len(pictures) > 10
    assert all((picture.get("alt") or "").strip() for picture in pictures)


def test_one_heading_of_the_first_order_landmarks_language_and_row_headings(page: str) -> None:
    parsed = Page(page)
    assert [len(parsed.all(tag)) for tag in ("h1", "main", "header", "footer")] == [1, 1, 1, 1]
    assert parsed.all("html") == [{"lang": "en"}]
    assert all(th.get("scope") == "row" for th in parsed.all("th"))
    ids = [attrs["id"] for _, attrs in parsed.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["aria-labelledby"] for attrs in parsed.all("section")} <= set(ids)


@pytest.mark.parametrize("made", [Made(), HOSTILE], ids=["calm", "hostile"])
def test_the_result_in_the_page_reads_back_as_the_same_object(made: Made, renderer: HtmlRenderer) -> None:
    parsed = Page(renderer.page(made.report))
    assert parsed.all("script")[0]["type"] == "application/json"
    assert not set(parsed.raw["script"][0]) & set("<>&")
    assert json.loads(parsed.raw["script"][0]) == made.explanation.to_dict()


def test_contradictions_stand_before_support_and_are_marked_without_colour(renderer: HtmlRenderer) -> None:
    text = renderer.page(Made(nearest=(row("d1", "dog", "dog"), row("n1", "cat", "cat"))).report)
    order = [
        "1 of 2 nearest cases contradicts",
        "Softmax",
        "Nearest, whatever their class",
        "Speaks against: labelled and",
        "Why cat: twins",
        "Why not dog",
        "Even if: still cat",
        "Provenance",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert text.count("✕</span>") == 1


def test_a_prediction_that_differs_from_the_label_is_struck_out_and_both_are_there(renderer: HtmlRenderer) -> None:
    text = renderer.page(Made(twins=(row("d", "dog", "cat"),)).report)
    assert re.search(r"<dd>dog</dd></div>\s*<div><dt>predicted</dt><dd><s>cat</s>", text)
    assert "<s>" not in renderer.page(Made().report)


def test_what_is_missing_is_said_where_it_would_stand(renderer: HtmlRenderer) -> None:
    made = Made(rivals=(Rival("owl", 0.1, "probable", 0),), semi_factuals=(), gone=("n1",))
    text = renderer.page(made.report)
    assert '<p class="empty">No case of this base is predicted owl.</p>' in text
    assert "No case predicted cat lies between the query and its nearest rival case." in text
    assert "No picture of train/cat/n1.jpg: its file is gone, and no thumbnail was kept." in text


def test_made_up_pictures_are_called_so_in_a_banner(renderer: HtmlRenderer) -> None:
    text = renderer.page(read(Made().explanation, synthetic="These birds are drawn."))
    assert re.search(r'role="note"><b>Synthetic\.</b> These birds are drawn\.', text)
    assert "Synthetic" not in renderer.page(Made().report)


def test_a_page_is_written_whole_and_replaces_the_old_one(tmp_path: Path, renderer: HtmlRenderer) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    assert renderer.render(HOSTILE.report, target) == target
    assert target.read_text(encoding="utf-8") == renderer.page(HOSTILE.report)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_page_that_cannot_be_made_leaves_what_was_there(tmp_path: Path, renderer: HtmlRenderer) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    report = Made().report
    broken = replace(report.query_figures[0], pixels=np.zeros((4, 4, 7), np.uint8))
    with pytest.raises((TypeError, ValueError)):
        renderer.render(replace(report, query_figures=[broken]), target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_target_that_cannot_be_written_is_one_sentence_and_no_file(tmp_path: Path, renderer: HtmlRenderer) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    with pytest.raises(StorageFailed, match="could not be written"):
        renderer.render(Made().report, folder)  # replacing a folder fails after the page was written aside
    with pytest.raises(StorageFailed, match="No such file"):
        renderer.render(Made().report, tmp_path / "nowhere" / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_notebook_gets_the_page_in_a_frame_that_it_cannot_leave(renderer: HtmlRenderer) -> None:
    report = HOSTILE.report
    frame = Page(renderer.inline(report))
    assert [name for name, _ in frame.elements] == ["iframe"]
    assert frame.all("iframe")[0]["srcdoc"] == renderer.page(report)
    assert "allow-same-origin" not in (frame.all("iframe")[0]["sandbox"] or "")


def test_pictures_shrink_until_the_page_is_small_enough(
    renderer: HtmlRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    report = Made().report
    heavy = replace(report, query_figures=[replace(report.query_figures[0], pixels=noise)])
    full = renderer.page(heavy)
    monkeypatch.setattr("casebase.explain.render_html.LIMIT", len(full) - 1)
    assert len(renderer.page(heavy)) < len(full) - 50_000


def test_json_is_finite_printable_and_reads_back() -> None:
    value = {"nan": float("nan"), "inf": np.float32("inf"), "n": np.int64(3), "path": Path("a/b"), "t": (1, True, None),
             "array": np.array([1.5, np.nan]), "text": "é\udcff\x9b\u202e\x1b"}  # fmt: skip
    text = dumps(value)
    text.encode("utf-8")
    assert not set(text) & {"\x9b", "\u202e", "\x1b"}
    assert "é" in text
    assert json.loads(text) == {"nan": None, "inf": None, "n": 3, "path": "a/b", "t": [1, True, None],
                                "array": [1.5, None], "text": "é\udcff\x9b\u202e\x1b"}  # fmt: skip
    assert json.loads(dumps("\ud800")) == "\ud800"
    with pytest.raises(TypeError, match="no JSON form for object"):
        dumps(object())
