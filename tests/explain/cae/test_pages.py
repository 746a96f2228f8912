"""Pages of walks and embeddings: nothing is loaded, nothing is run, nothing from data is markup."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casebase.errors import StorageFailed, UsageError
from casebase.explain.cae import gallery
from casebase.explain.cae.coordinates import coordinates
from casebase.explain.cae.manifolds import manifold
from casebase.explain.cae.pages import AssociationPages
from casebase.explain.cae.section import absent
from casebase.explain.render_html import HtmlRenderer
from casebase.explanations import Level, Statement
from tests.explain.cae.planted import BRIGHT, PLAIN, seen, standing, three
from tests.explain.cae.showing import FACTS, FAILED, coded, map_of, named, page_of
from tests.explain.test_render_html import EVIL, Page
from tests.explained import Made

WRITER = AssociationPages()


def embedding(failed: list[str] | None = None, *, shown: bool = True, **figures: object):
    view = three()
    found = replace(view.found, failed=failed or [], standing=standing(**figures), log=[standing(iteration=50)])
    return gallery.page(found, FACTS, manifold=map_of(view) if shown else None)


@pytest.mark.parametrize("text", [WRITER.page(page_of()), WRITER.page(embedding())], ids=["walk", "embedding"])
def test_a_page_loads_nothing_and_runs_only_its_own_script(text: str) -> None:
    page = Page(text)
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes), tag
        assert "style" not in attributes, "the policy would drop it"
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#")), (tag, attributes)
    assert "default-src &#39;none&#39;" in text
    assert text.count("<script") == 2


def test_hostile_names_are_text_and_nothing_else() -> None:
    view = named([EVIL, EVIL + "2", "<b>blue"])
    page = page_of(view, EVIL + "2", path=EVIL + ".png", warnings=[EVIL])
    plain = Page(WRITER.page(page_of())).elements
    found = Page(WRITER.page(page))
    count = [tag for tag, _ in found.elements]
    assert [one for one in count if one in ("script", "img", "b", "h1")] == [
        tag for tag, _ in plain if tag in ("script", "img", "b", "h1")
    ] or count.count("script") == 2
    assert count.count("img") == sum(tag == "img" for tag, _ in plain)
    text = WRITER.page(page)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "49" not in re.findall(r"<h2[^>]*>(.*?)</h2>", text)[0]


def test_every_synthetic_picture_of_a_page_carries_its_mark_and_says_so() -> None:
    page = Page(WRITER.page(page_of()))
    pictures = [one for tag, one in page.elements if tag == "img"]
    made = [one for one in pictures if "ynthetic image" in (one["alt"] or "")]
    assert len(made) > 20
    for one in made:
        data = base64.b64decode((one["src"] or "").partition(",")[2])
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=int)
        strip = pixels[pixels.shape[1] + 2 :]
        assert len(strip) > 8
        assert (strip.max(axis=2) < 90).mean() > 0.4, "the strip is dark"
        assert (strip.min(axis=2) > 160).any(), "and written on"


def test_the_slider_is_one_group_of_named_buttons_with_the_flip_chosen() -> None:
    text = WRITER.page(page_of())
    buttons = [one for tag, one in Page(text).elements if tag == "input"]
    assert len(buttons) == 13
    assert {one["type"] for one in buttons} == {"radio"}
    assert {one["name"] for one in buttons} == {"walk-frame"}
    (chosen,) = [one for one in buttons if "checked" in one]
    assert chosen["class"] == "flip"
    assert "called bright: the flip" in (chosen["aria-label"] or "")
    assert re.search(r"<input[^>]*><figure", text), "the picture of a frame follows its button: that is the whole trick"


def test_without_a_flip_the_last_frame_is_chosen() -> None:
    buttons = [one for tag, one in Page(WRITER.page(page_of(flip=None))).elements if tag == "input"]
    assert "checked" in buttons[-1]
    assert sum("checked" in one for one in buttons) == 1


def test_the_film_is_there_for_paper() -> None:
    text = WRITER.page(page_of())
    assert text.count('class="flip"') >= 2
    assert ".reel { display: none; }" in text
    assert '<ol class="film"' in text


def test_the_numbers_are_in_the_page_as_json() -> None:
    text = WRITER.page(page_of())
    found = json.loads(re.search(r'id="casebase-result">(.*?)</script>', text, re.DOTALL).group(1))
    assert found == json.loads(json.dumps(page_of().to_dict()))
    assert found["walk"]["synthetic"] is True


def test_an_untrusted_walk_wears_a_banner() -> None:
    text = WRITER.page(page_of(failed=[FAILED]))
    assert 'class="banner"' in text
    assert "Not trustworthy, shown because it was asked for" in text
    assert 'class="banner"' not in WRITER.page(page_of())


def test_gates_are_told_with_what_was_asked_and_the_missed_ones_stand_out() -> None:
    page = embedding([FAILED], shown=False, rebuilt=0.5, leak=0.6, chance_class=0.5, separable=0.9)
    rows = {row[0]: list(row[1:]) for row in page.gates.rows}
    assert rows["the network agrees with itself on reconstructions"] == ["50.0 %", "at least 80.0 %", "missed"]
    assert rows["and from individual codes, where it should not"] == ["60.0 %, by chance 50.0 %", "–", "told only"]
    assert rows["reassigned, worst direction (bright → plain)"][0] == "95.0 % of 20 edits (76.4 % to 99.1 %)"
    assert 'class="missed"' in WRITER.page(page)


def test_below_the_gates_pictures_and_map_are_held_back_unless_asked_for() -> None:
    held = embedding([FAILED], shown=False)
    text = WRITER.page(held)
    assert FAILED in held.held_back.text
    assert held.to_dict()["map"] is None
    assert "<svg" not in text
    assert "<img" not in text
    assert held.warnings[0].level is Level.ALARM
    asked = embedding([FAILED])
    assert asked.held_back is None
    assert "Not trustworthy" in asked.warnings[0].text
    assert "<svg" in WRITER.page(asked)
    assert not embedding().warnings


def test_the_checkpoint_that_was_kept_is_marked_in_the_log() -> None:
    view = three()
    log = [standing(iteration=50), standing(iteration=100)]
    table = gallery.page(replace(view.found, log=log, standing=log[1]), FACTS, manifold=None).log
    assert [row[0] for row in table.rows] == ["50", "● 100"]


def test_what_each_number_of_the_code_does_is_a_table_by_size() -> None:
    view = three()
    moved = coordinates(view, np.concatenate([seen(red=120), seen((1, 1), red=140)]))
    page = gallery.page(view.found, FACTS, manifold=map_of(view), coordinates=moved)
    assert [row[0] for row in page.effects.rows] == ["0", "1"]
    assert page.effects.rows[0][2] in (PLAIN, BRIGHT)
    down, up = page.effects.rows[0][3:5]
    assert {down[0], up[0]} == {"−", "+"}
    assert "over 2 images" in page.effects.note
    assert page.to_dict()["effects"]["synthetic"] is True
    assert "What each number of the code does" in WRITER.page(page)


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    page = replace(page_of(), writer=WRITER)
    assert page.save(tmp_path / "walk.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(StorageFailed):
        page.save(tmp_path / "nowhere" / "walk.html")
    assert [one.name for one in tmp_path.iterdir()] == ["walk.html"]
    assert "srcdoc" in page._repr_html_()
    with pytest.raises(UsageError):
        page_of().save(tmp_path / "other.html")


def test_a_report_has_the_walk_between_the_parts_and_the_checks() -> None:
    walk = page_of().section
    text = HtmlRenderer().page(replace(Made().report, walk=walk))
    assert text.index('id="even-if"') < text.index('id="walk"') < text.index('id="checks-title"')
    assert ".reel" in text
    without = HtmlRenderer().page(Made().report)
    assert 'id="walk"' not in without
    assert ".reel" not in without
    gone = HtmlRenderer().page(replace(Made().report, walk=absent(Statement("No trustworthy view."))))
    assert "No trustworthy view." in gone
    assert 'type="radio"' not in gone


def test_the_map_of_many_cases_keeps_a_page_small() -> None:
    view = three()
    page = replace(embedding(), map=None, manifold=manifold(coded(view, n=4000)))
    small = len(WRITER.page(replace(page, manifold=None)))
    assert small < 60_000
    assert BRIGHT in WRITER.page(page)
