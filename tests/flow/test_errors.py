"""``casebase errors`` as it is typed: the folder it writes, and what it says of a base that is not right."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import casebase
from casebase.cli.main import invoke
from tests.explain.test_render_html import Page
from tests.flow.command import Call, colourless, run
from tests.flow.conftest import WRONG, indexed_whole


@pytest.fixture
def wrong(tmp_path: Path, shared_wrong: Path) -> Path:
    """A base of one's own with known mistakes."""
    return Path(shutil.copytree(shared_wrong, tmp_path / "base"))


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory, shared_wrong: Path) -> Path:
    """A dossier that no test changes."""
    out = tmp_path_factory.mktemp("dossier") / "mistakes"
    assert invoke(["errors", "--base", str(shared_wrong), "--correct", "1", "--out", str(out), "--quiet"]) == 0
    return out


def pages(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*.html"))


def data(folder: Path) -> Any:
    def refuse(name: str) -> float:
        raise AssertionError(f"{name} in JSON")

    return json.loads((folder / "errors.json").read_text(encoding="utf-8"), parse_constant=refuse)


def test_every_wrong_image_is_there_once_and_no_right_one(written: Path) -> None:
    value = data(written)
    assert sorted(error["query"]["path"] for error in value["errors"]) == sorted(WRONG)
    assert {error["query"]["path"]: error["prediction"]["predicted"] for error in value["errors"]} == WRONG
    assert (value["schema"], value["split"], value["total"], value["wrong"]) == ("casebase.errors/1", "test", 14, 2)
    assert value["accuracy"] == pytest.approx(12 / 14)
    assert value["confusion"]["dog"] == {"cat": 1, "dog": 4}
    assert sum(n for row in value["confusion"].values() for n in row.values()) == 14
    assert all(error["label"] == Path(error["query"]["path"]).parts[1] for error in value["errors"])
    assert all(error["prediction"]["predicted"] == error["label"] for error in value["correct"])


def test_pages_overlays_and_table_are_where_the_json_says(written: Path) -> None:
    value = data(written)
    everything = [*value["errors"], *value["correct"]]
    assert {str(page.relative_to(written)) for page in pages(written)} == {
        "index.html",
        *(e["page"] for e in everything),
    }
    drawn = 0
    for error in value["errors"]:
        for name, shown in (("gradcam", error["prediction"]["predicted"]), ("gradcam_label", error["label"])):
            if error["overlays"][name] is None:  # a random network may look nowhere, and says so
                assert any(f"the map for {shown} means nothing" in warning for warning in error["warnings"])
                continue
            drawn += 1
            with Image.open(written / error["overlays"][name]) as opened:
                assert opened.format == "JPEG"
        assert error["where"]
    assert drawn == len(list((written / "overlays").iterdir())) - sum(
        path is not None for error in value["correct"] for path in error["overlays"].values()
    )
    assert drawn > 0
    with (written / "errors.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["path"] for row in rows] == [e["query"]["path"] for e in everything]
    assert [row["right"] for row in rows].count("True") == len(value["correct"]) > 0


def test_no_page_asks_for_anything_outside_and_every_link_leads_somewhere(written: Path) -> None:
    for page in pages(written):
        text = page.read_text(encoding="utf-8")
        parsed = Page(text)
        ids = {attrs["id"] for _, attrs in parsed.elements if "id" in attrs}
        for _, attrs in parsed.elements:
            assert "style" not in attrs
            assert not any(name.startswith("on") for name in attrs)
            assert (attrs.get("src") or "data:").startswith("data:")
            target = attrs.get("href") or "data:,"
            if target.startswith("data:"):
                continue
            assert not re.match(r"[a-z]+:|/", target), target
            path, _, anchor = target.partition("#")
            goal = page if not path else (page.parent / path).resolve()
            assert goal.is_file(), (page, target)
            assert goal.is_relative_to(written.resolve())
            if anchor and goal == page:
                assert anchor in ids, target
            elif anchor:
                assert f'id="{anchor}"' in goal.read_text(encoding="utf-8")


def test_every_policy_names_the_style_and_the_script_of_its_page_alone(written: Path) -> None:
    for page in pages(written):
        parsed = Page(page.read_text(encoding="utf-8"))
        meta = next(m for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
        rules = dict(rule.strip().split(" ", 1) for rule in (meta["content"] or "").split(";"))
        sources = [
            "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
            for text in (*parsed.raw["style"], parsed.raw["script"][-1])
        ]
        assert [rules["style-src"], rules["script-src"]] == sources
        assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")


def test_the_index_reads_without_its_script(written: Path) -> None:
    """Controls are hidden until the script shows them; matrix cells lead to rows that lead to the mistakes."""
    text = (written / "index.html").read_text(encoding="utf-8")
    parsed = Page(text)
    assert [form for form in parsed.all("form") if "hidden" not in form] == []
    cells = [a for a in parsed.all("a") if "data-label" in a and (a["href"] or "").startswith("#g-")]
    assert len(cells) == 2
    assert len(re.findall(r'<li class="entry[^"]*" id="e-\d+"', text)) == 2
    assert [len(parsed.all(tag)) for tag in ("h1", "main", "header", "footer")] == [1, 1, 1, 1]
    assert all((picture.get("alt") or "").strip() for picture in parsed.all("img"))
    ids = [attrs["id"] for _, attrs in parsed.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_a_page_has_its_label_its_maps_and_its_neighbours(written: Path) -> None:
    first, second = data(written)["errors"]
    text = (written / first["page"]).read_text(encoding="utf-8")
    label, called = first["label"], first["prediction"]["predicted"]
    assert re.search(rf"labelled <b>{label}</b>", text)
    assert f"Looked at for {called}, the answer" in text
    assert f"Looked at for {label}, the label" in text
    assert f"Why not {label}" in text
    assert f'rel="next" href="../{second["page"]}"' in text
    assert 'rel="prev"' not in text
    assert f'rel="prev" href="../{first["page"]}"' in (written / second["page"]).read_text(encoding="utf-8")


def test_the_screen_says_the_same_in_80_columns_and_without_colour(wrong: Path, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    narrow = run("errors", "--base", wrong, "--out", out, "--no-overlays", COLUMNS="80", NO_COLOR="1").expect(0)
    for said in (narrow, call("errors", "--base", wrong, "--out", out, "--no-overlays").expect(0)):
        assert colourless(said.out)
        shown, _, commands = said.out.partition("Next:")
        screen = [line for line in shown.splitlines() if str(tmp_path) not in line]  # a path is never broken
        assert max(map(len, screen)) <= 100
        assert all(line.startswith("  casebase ") for line in commands.strip("\n").splitlines()), "unbroken"
        assert "2 of 14 answers are wrong" in said.out
        assert "dog → cat" in said.out
        assert "1 of 5 labelled dog" in said.out
        assert f"{out.name}/index.html" in said.out.replace("\n", "")
        assert "casebase cases show" in said.out


def test_json_alone_stands_on_standard_output(wrong: Path, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = call("errors", "--base", wrong, "--out", out, "--json", "--limit", "1").expect(0)
    assert found.json == data(out)
    assert len(found.json["errors"]) == found.json["shown"] == 1


def test_without_overlays_there_are_none(wrong: Path, call: Call) -> None:
    value = call("errors", "--base", wrong, "--no-overlays", "--json").expect(0).json
    folder = wrong / "reports" / "errors-test"
    assert {path for error in value["errors"] for path in error["overlays"].values()} == {None}
    assert not (folder / "overlays").exists()
    assert (folder / value["errors"][0]["page"]).is_file()


def test_a_new_dossier_replaces_the_old_one_whole(wrong: Path, call: Call) -> None:
    folder = wrong / "reports" / "errors-test"
    call("errors", "--base", wrong, "--no-overlays", "--correct", "2").expect(0)
    assert (folder / "right").is_dir()
    call("errors", "--base", wrong, "--no-overlays", "--limit", "1").expect(0)
    assert not (folder / "right").exists()
    assert len(list((folder / "errors").iterdir())) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["errors-test"]


def test_somebody_elses_folder_is_left_alone(wrong: Path, call: Call, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    said = call("errors", "--base", wrong, "--out", mine).expect(2).sentence
    assert "is no dossier of casebase: it holds thesis.txt" in said
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


def test_a_place_that_cannot_be_written_is_said_before_the_work(
    wrong: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casebase.api.base.gather", lambda *_: pytest.fail("gathered before the place was looked at"))
    said = call("errors", "--base", wrong, "--out", "/proc/above/x").expect(1).sentence
    assert said.startswith("the dossier could not be written to /proc/above/x (")
    assert "--out" in said


def test_under_a_limit_the_findings_are_those_of_all_mistakes_worst_first(
    wrong: Path, call: Call, tmp_path: Path
) -> None:
    out, ask = tmp_path / "out", ("errors", "--base", wrong, "--no-overlays", "--split", "train")
    whole = call("errors", "--base", wrong, "--no-overlays", "--json").expect(0).json["statements"]
    one = call("errors", "--base", wrong, "--no-overlays", "--json", "--limit", "1", "--out", out).expect(0).json
    told = [said["text"] for said in one["statements"]]
    assert "The most important one of 2 mistakes is shown." in told
    assert [said for said in told if not said.startswith("The most important one of")] == [s["text"] for s in whole]
    known = call(*ask, "--json", "--out", out).expect(0).json["statements"]
    levels = [said["level"] for said in known]
    assert "cases of the base" in known[0]["text"]
    assert levels == sorted(levels, key=["alarm", "caution", "plain", "calm"].index)


def test_many_rows_per_list_are_counted_in_full(wrong: Path, call: Call, tmp_path: Path) -> None:
    told = call("errors", "--base", wrong, "--no-overlays", "-k", "100000", "--out", tmp_path / "o").expect(0).out
    counts = re.findall(r"\b\d+/(\d+)\b", told)
    assert counts
    assert set(counts) == {"36"}
    assert "/…" not in told


@pytest.mark.parametrize("name", ["errors.json", "index.html", "notes.txt", "errors/mine.txt"])
def test_a_folder_with_a_file_of_somebody_elses_is_left_alone_even_beside_a_dossier(
    wrong: Path, call: Call, tmp_path: Path, name: str
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    if name in ("notes.txt", "errors/mine.txt"):
        call("errors", "--base", wrong, "--out", mine, "--no-overlays", "--limit", "1").expect(0)
    (mine / name).write_text("years of work")
    before = sorted(mine.rglob("*"))
    said = call("errors", "--base", wrong, "--out", mine, "--no-overlays", "--limit", "1").expect(2).sentence
    assert "is no dossier of casebase" in said
    assert sorted(mine.rglob("*")) == before
    assert (mine / name).read_text() == "years of work"


def test_a_failure_on_the_way_leaves_the_old_dossier(
    wrong: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    call("errors", "--base", wrong, "--out", out, "--no-overlays").expect(0)
    before = data(out)

    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("casebase.explain.render_html.HtmlRenderer.page", full)
    said = call("errors", "--base", wrong, "--out", out, "--limit", "1").expect(1).sentence
    assert "No space left on device" in said
    assert data(out) == before
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == ["out"]


def test_a_part_without_mistakes_is_a_calm_page(
    wrong: Path, call: Call, shared_parts: Path, model: Path, tmp_path: Path
) -> None:
    right = Path(shutil.copytree(shared_parts, tmp_path / "right"))
    for path in WRONG:
        (right / path).unlink()
    base = indexed_whole(right, tmp_path / "calm", model)
    said = call("errors", "--base", base).expect(0)
    assert "0 of 12 answers are wrong" in said.out
    assert "No answer of these 12 images is wrong." in said.out
    text = (base / "reports" / "errors-test" / "index.html").read_text(encoding="utf-8")
    assert "None: every answer of this part agrees with its label." in text
    assert data(base / "reports" / "errors-test")["errors"] == []


def test_a_base_without_held_out_images_says_how_to_get_some(base: Path, call: Call) -> None:
    said = call("errors", "--base", base).expect(2).sentence
    assert "held out" in said
    assert "--split train" in said
    assert call("errors", "--base", base, "--split", "train", "--no-overlays", "--quiet").expect(0)


def test_an_unknown_part_is_one_sentence_with_those_there_are(wrong: Path, call: Call) -> None:
    said = call("errors", "--base", wrong, "--split", "night").expect(2).sentence
    assert "night" in said
    assert "test" in said


def test_an_unknown_space_and_no_base_are_one_sentence(wrong: Path, call: Call, tmp_path: Path) -> None:
    assert "no space 'clip'" in call("errors", "--base", wrong, "--space", "clip").expect(2).sentence
    call("errors", "--base", tmp_path / "nothing").expect(10)


def test_files_that_are_gone_are_shown_by_thumbnail_and_named(
    tmp_path: Path, call: Call, shared_parts: Path, model: Path
) -> None:
    photos = Path(shutil.copytree(shared_parts, tmp_path / "photos"))
    base = indexed_whole(photos, tmp_path / "gone", model)
    lost = next(iter(WRONG))
    (photos / lost).unlink()
    for picture in (photos / "train").rglob("*.png"):
        picture.unlink()
    value = call("errors", "--base", base, "--json").expect(0).json
    error = next(one for one in value["errors"] if one["query"]["path"] == lost)
    assert any(f"the query {lost}: no such file; shown by thumbnail" in warning for warning in error["warnings"])
    assert any("shown by thumbnail, without maps" in w for one in value["errors"] for w in one["warnings"])
    assert set(error["overlays"].values()) == {None}
    other = next(one for one in value["errors"] if one["query"]["path"] != lost)
    assert other["overlays"]["gradcam"] is not None


def test_a_read_only_base_is_read_and_the_dossier_goes_elsewhere(wrong: Path, tmp_path: Path) -> None:
    for path in (*wrong.rglob("*"), wrong):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        refused = run("errors", "--base", wrong, "--no-overlays", obedient=True).expect(1)
        assert "--out names a folder elsewhere" in refused.sentence
        out = tmp_path / "out"
        run("errors", "--base", wrong, "--no-overlays", "--out", out, "--quiet", obedient=True).expect(0)
        assert len(data(out)["errors"]) == 2
    finally:
        for path in (wrong, *wrong.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_base_that_somebody_writes_to_is_read_all_the_same(wrong: Path, call: Call, tmp_path: Path) -> None:
    from filelock import FileLock

    with FileLock(wrong / "writer.lock"):
        call("errors", "--base", wrong, "--no-overlays", "--out", tmp_path / "out", "--quiet").expect(0)


def test_python_gives_what_the_command_gives(wrong: Path, tmp_path: Path, written: Path) -> None:
    with casebase.open(wrong) as base:
        found = base.errors("test")
        assert [entry.case.path for entry in found.entries] == [e["query"]["path"] for e in data(written)["errors"]]
        assert found.to_dict()["errors"][0]["page"] is None
        frame = found._repr_html_()
        folder = found.save(tmp_path / "out")
    assert Page(frame).all("iframe")[0]["sandbox"] == "allow-scripts allow-modals"
    assert "answers are wrong" in frame
    assert data(folder)["errors"][0]["label"] == found.entries[0].case.label
