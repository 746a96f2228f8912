"""Indexing again: only what is new or changed is embedded, what is gone is withdrawn, another network is refused."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from casebase.networks import backbones, model_folder
from casebase.networks.explained import ExplainedNetwork
from tests.flow.command import Call, lists, names, run
from tests.flow.conftest import PLAIN, draw, photos_at


def counts(done: dict[str, object]) -> tuple[object, ...]:
    """Added, updated, unchanged, withdrawn."""
    return tuple(done[name] for name in ("added", "updated", "unchanged", "withdrawn"))


@pytest.fixture
def own(tmp_path: Path, photos: Path, shared_base: Path, call: Call) -> Path:
    """A base of the pictures in ``photos``, which may be changed."""
    base = Path(shutil.copytree(shared_base, tmp_path / "own"))
    connection = sqlite3.connect(base / "cases.db")
    connection.execute("UPDATE sources SET absolute = ?, relative = ?", (os.fsencode(photos), b"../photos"))
    connection.commit()
    connection.close()
    return base


def test_an_unchanged_run_embeds_nothing_and_changes_nothing(own: Path, photos: Path, stranger: Path) -> None:
    ask = ("query", stranger, "--json", "--no-overlays", "--base", own)
    before = lists(run(*ask).expect(0).json)
    done = run("index", photos, "--base", own, "--json").expect(0).json
    assert counts(done) == (0, 0, 30, 0)
    assert done["images_per_second"] is None
    assert json.loads(run("stats", "--base", own, "--json").out)["generation"] == 1
    assert lists(run(*ask).expect(0).json) == before


def test_every_kind_of_change_in_one_run(own: Path, photos: Path, call: Call) -> None:
    draw("cat", 800).save(photos / "cat" / "0000.png")  # other pixels
    stat = (photos / "cat" / "0001.png").stat()
    os.utime(photos / "cat" / "0001.png", ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))  # touched only
    (photos / "cat" / "0002.png").unlink()
    draw("cat", 801).save(photos / "cat" / "new.png")
    (photos / "owl").rename(photos / "strix")
    dry = call("index", photos, "--base", own, "--json", "--dry-run").expect(0).json
    assert dry["dry_run"]
    assert (dry["added"], dry["withdrawn"]) == (11, 11)
    assert call("stats", "--base", own, "--json").expect(0).json["generation"] == 1
    done = call("index", photos, "--base", own, "--json").expect(0).json
    assert counts(done) == (11, 1, 18, 11)
    assert done["classes"] == {"cat": 10, "dog": 10, "strix": 10}
    assert any("strix" in w and "--refit-head" in w for w in done["warnings"])
    call("verify", "--deep", "--base", own).expect(0)
    asked = call("query", photos / "cat" / "0000.png", "--base", own, "--k", "50", "--json", "--no-overlays")
    found = names(asked.expect(0).json["nearest"])
    assert len(found) == 29
    assert "cat/0002.png" not in found
    assert not [name for name in found if name.startswith("owl/")]
    again = call("index", photos, "--base", own, "--json").expect(0).json
    assert counts(again) == (0, 0, 30, 0)
    fitted = call("index", photos, "--base", own, "--json", "--refit-head").expect(0).json
    assert fitted["classifier"]["classes"] == ["cat", "dog", "strix"]
    assert counts(fitted) == (0, 0, 30, 0)
    assert "strix" in call("query", photos / "strix" / "0000.png", "--base", own).expect(0).out
    call("verify", "--deep", "--base", own).expect(0)


def test_a_changed_split_moves_images_out_of_the_answers_without_embedding(
    tmp_path: Path, photos: Path, model: Path, call: Call
) -> None:
    rows = [{"path": f"{kind}/{i:04d}.png", "label": kind} for kind in ("cat", "dog") for i in range(10)]
    base = tmp_path / "base"
    manifest = photos / "rows.jsonl"
    manifest.write_text("\n".join(json.dumps({**row, "split": "train"}) for row in rows))
    call("index", manifest, "--model", model, *PLAIN, "--base", base).expect(0)
    manifest.write_text("\n".join(
        json.dumps({**row, "split": "val" if row["path"].endswith(("8.png", "9.png")) else "train"}) for row in rows
    ))  # fmt: skip
    done = call("index", manifest, "--base", base, "--json").expect(0).json
    assert counts(done) == (0, 4, 16, 0)
    assert (done["cases"], done["held_out"]) == (16, 4)
    asked = (
        call("query", photos / "cat/0009.png", "--base", base, "--k", "50", "--json", "--no-overlays").expect(0).json
    )
    assert len(asked["nearest"]) == 16
    assert asked["query"]["held_out"]
    call("verify", "--deep", "--base", base).expect(0)
    manifest.write_text("\n".join(json.dumps({**row, "label": "dog", "split": "train"}) for row in rows))
    done = call("index", manifest, "--base", base, "--json").expect(0).json
    assert (counts(done), done["classes"]) == ((0, 12, 8, 0), {"dog": 20})
    call("verify", "--deep", "--base", base).expect(0)


def test_another_network_is_refused_and_the_base_goes_on(
    tmp_path: Path, own: Path, photos: Path, model: Path, call: Call
) -> None:
    loaded = backbones.load(backbones.Wanted("casebase:resnet10", pretrained=False, seed=5))
    other = model_folder.save(ExplainedNetwork(loaded), tmp_path / "other")
    (photos / "cat" / "0000.png").unlink()
    said = run("index", photos, "--model", other, "--base", own).expect(1).sentence
    assert "made with another network" in said
    assert "another --base" in said
    assert "bf16" in call("index", photos, "--precision", "bf16", "--base", own).expect(1).sentence
    assert call("stats", "--base", own, "--json").expect(0).json["cases"] == 30
    assert counts(call("index", photos, "--model", model, "--base", own, "--json").expect(0).json) == (0, 0, 29, 1)


def test_moving_base_and_images_together_keeps_everything_working(
    tmp_path: Path, model: Path, stranger: Path, call: Call
) -> None:
    here, there = tmp_path / "here", tmp_path / "far" / "there"
    photos_at(here / "photos", 4)
    call("index", here / "photos", "--model", model, *PLAIN, "--base", here / "base").expect(0)
    ask = ("query", stranger, "--json", "--base")
    before = lists(call(*ask, here / "base").expect(0).json)
    there.parent.mkdir()
    here.rename(there)
    assert lists(call(*ask, there / "base").expect(0).json) == before
    checked = call("verify", "--base", there / "base", "--json").expect(0).json
    assert checked["findings"] == []
    done = run("index", "photos", "--base", "base", "--json", cwd=there).expect(0).json
    assert counts(done) == (0, 0, 12, 0)


def test_images_that_are_gone_are_a_note_and_answers_stay(own: Path, photos: Path, stranger: Path, call: Call) -> None:
    ask = ("query", stranger, "--json", "--base", own)
    before = lists(call(*ask).expect(0).json)
    photos.rename(photos.with_name("hidden"))
    assert lists(call(*ask).expect(0).json) == before
    (finding,) = call("verify", "--base", own, "--json").expect(0).json["findings"]
    assert finding["harmless"]
    assert "no such folder" in call("index", photos, "--base", own).expect(1).sentence
    assert call("stats", "--base", own, "--json").expect(0).json["cases"] == 30
    photos.mkdir()  # as an unmounted disk leaves it
    assert "no image to index" in call("index", photos, "--base", own).expect(1).sentence
    assert call("stats", "--base", own, "--json").expect(0).json["cases"] == 30


def test_a_second_folder_adds_its_images_and_withdraws_none_of_the_first(
    tmp_path: Path, own: Path, photos: Path, call: Call
) -> None:
    more = tmp_path / "more"
    (more / "cat").mkdir(parents=True)
    draw("cat", 810).save(more / "cat" / "0000.png")  # the same relative name as one of the first
    done = call("index", more, "--base", own, "--json").expect(0).json
    assert (counts(done), done["cases"]) == ((1, 0, 0, 0), 31)
    assert counts(call("index", photos, "--base", own, "--json").expect(0).json) == (0, 0, 30, 0)


def test_a_limit_does_not_withdraw_what_lies_beyond_it(own: Path, photos: Path, call: Call) -> None:
    done = call("index", photos, "--base", own, "--limit", "3", "--json").expect(0).json
    assert (counts(done), done["cases"]) == ((0, 0, 3, 0), 30)
