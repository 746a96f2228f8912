"""``casebase evaluate twins`` by the real command: figures, files, and what it says where little can be measured."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.flow.command import Call, run
from tests.flow.conftest import PLAIN, photos_at

QUICK = ("--sample", "0", "--no-random-control")


@pytest.fixture(scope="module")
def split_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 x 8 training and 3 x 5 test pictures."""
    folder = tmp_path_factory.mktemp("twins") / "photos"
    photos_at(folder / "train", 8)
    photos_at(folder / "all", 13)
    for kind in ("cat", "dog", "owl"):
        (folder / "test" / kind).mkdir(parents=True)
        for number in range(8, 13):
            shutil.move(folder / "all" / kind / f"{number:04d}.png", folder / "test" / kind)
    shutil.rmtree(folder / "all")
    return folder


@pytest.fixture(scope="module")
def split_base(tmp_path_factory: pytest.TempPathFactory, split_photos: Path, model: Path) -> Path:
    """Their base, which no test changes."""
    base = tmp_path_factory.mktemp("twins-base") / "base"
    run("index", split_photos, "--model", model, *PLAIN, "--quiet", "--base", base).expect(0)
    return base


@pytest.fixture
def own(tmp_path: Path, split_base: Path) -> Path:
    return Path(shutil.copytree(split_base, tmp_path / "base"))


def test_the_whole_measurement_by_the_real_command(tmp_path: Path, split_base: Path) -> None:
    done = run(
        "evaluate", "twins", "--k", "3", "--sample", "4", "--control-cases", "10", "--out", "seen", "--json",
        "--base", split_base, cwd=tmp_path,
    ).expect(0)  # fmt: skip
    value = done.json
    assert value["schema"] == "casebase.evaluation/1"
    assert value["kind"] == "twins"
    settings = value["settings"]
    assert (settings["cases"], settings["queries"], settings["k"], settings["split"]) == (24, 15, 3, "test")
    assert (settings["control_cases"], settings["control_queries"], settings["stability_images"]) == (10, 15, 4)
    by_table: dict[str, list[dict[str, object]]] = {}
    for row in value["rows"]:
        by_table.setdefault(row["table"], []).append(row)
    spaces = [(row["space"], row["over"]) for row in by_table["fidelity"]]
    assert spaces[:2] == [("avgpool", "all"), ("avgpool", "errors")]
    assert ("contribution", "all") in spaces
    assert "untrained" in by_table["fidelity"][0]
    again = next(row for row in by_table["stability"] if row["change"] == "read again, unchanged")
    assert again["nearest"] == 1.0
    assert again["answer"] == 0.0
    trust = next(row for row in by_table["detection"] if row["score"] == "trust score")
    assert trust["auroc"] is None
    assert "under 30" in str(trust["auroc_reason"])
    folder = tmp_path / "seen"
    assert (folder / "index.html").is_file()
    assert json.loads((folder / "evaluation.json").read_text())["kind"] == "twins"
    found = list(folder.rglob("*.csv"))
    assert {path.stem for path in found} >= {"fidelity", "detection", "stability", "hubness"}
    per_query = next(path for path in found if "nearest_avgpool" in path.read_text().splitlines()[0])
    with per_query.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 15
    assert all(len(row["nearest_avgpool"].split()) == 3 for row in rows)
    assert "images" in done.err  # forward passes are told on standard error


def test_the_terminal_says_the_worst_first_and_fits(split_base: Path, tmp_path: Path, call: Call) -> None:
    done = call("evaluate", "twins", *QUICK, "--out", tmp_path / "seen", "--base", split_base).expect(0)
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 100
    assert "errors among 15 images" in " ".join(done.out.split()) or "no error" in done.out
    assert "avgpool" in done.out
    assert "shuffled" in done.out
    assert "seen" in done.out


def test_the_same_command_gives_the_same_figures(split_base: Path, tmp_path: Path, call: Call) -> None:
    rows = [
        call("evaluate", "twins", *QUICK, "--seed", "3", "--json", "--out", tmp_path / name, "--base", split_base)
        .expect(0)
        .json["rows"]
        for name in ("one", "two")
    ]
    assert rows[0] == rows[1]


def test_without_held_out_images_one_sentence_says_what_to_do(shared_base: Path) -> None:
    sentence = run("evaluate", "twins", *QUICK, "--base", shared_base).expect(2).sentence
    assert "held out" in sentence
    assert "casebase index" in sentence


def test_training_images_are_measured_only_with_an_alarm(shared_base: Path, tmp_path: Path, call: Call) -> None:
    done = call(
        "evaluate", "twins", *QUICK, "--split", "train", "--json", "--out", tmp_path / "seen", "--base", shared_base
    ).expect(0)
    assert done.json["statements"][0]["level"] == "alarm"
    assert "training images" in done.json["statements"][0]["text"]


def test_k_beyond_the_base_gives_what_there_is(split_base: Path, tmp_path: Path, call: Call) -> None:
    done = call("evaluate", "twins", *QUICK, "--k", "999", "--json", "--out", tmp_path / "seen", "--base", split_base)
    value = done.expect(0).json
    assert value["settings"]["k"] == 24
    assert any("every list is the whole base" in one["text"] for one in value["statements"])


def test_deleted_images_are_counted_and_nothing_else_is_lost(
    own: Path, split_photos: Path, tmp_path: Path, call: Call, model: Path
) -> None:
    photos = Path(shutil.copytree(split_photos, tmp_path / "photos"))
    base = tmp_path / "other"
    call("index", photos, "--model", model, *PLAIN, "--quiet", "--base", base).expect(0)
    for path in (photos / "test" / "cat").iterdir():
        path.unlink()
    (photos / "test" / "dog" / "0008.png").write_bytes(b"")
    done = call("evaluate", "twins", "--control-cases", "5", "--json", "--out", tmp_path / "seen", "--base", base)
    value = done.expect(0).json
    assert value["settings"]["stability_images"] == 9
    assert value["settings"]["queries"] == 15
    assert any("6 without a readable file" in one["text"] for one in value["statements"])
    shutil.rmtree(photos)
    done = call("evaluate", "twins", "--json", "--out", tmp_path / "again", "--base", base)
    value = done.expect(0).json
    assert any("No image could be read again" in one["text"] for one in value["statements"])
    assert {row["table"] for row in value["rows"]} >= {"fidelity", "detection", "hubness"}
    assert not [row for row in value["rows"] if row["table"] in ("stability", "controls")]


@pytest.mark.parametrize(
    "wrong",
    [("--k", "0"), ("--sample", "-1"), ("--control-cases", "0"), ("--split", "nowhere"), ("--k", "five")],
)
def test_a_request_that_makes_no_sense_is_one_sentence(split_base: Path, call: Call, wrong: tuple[str, str]) -> None:
    assert call("evaluate", "twins", *QUICK, *wrong, "--base", split_base).expect(2).sentence


def test_there_is_no_case_base(tmp_path: Path, call: Call) -> None:
    assert call("evaluate", "twins", "--base", tmp_path / "nowhere").expect(10).sentence


def test_python_gives_what_the_command_gives(split_base: Path, tmp_path: Path, call: Call) -> None:
    import casebase
    from casebase.api import TwinOptions

    value = call("evaluate", "twins", *QUICK, "--json", "--out", tmp_path / "seen", "--base", split_base).expect(0).json
    with casebase.open(split_base) as opened:
        measured = opened.evaluate("twins", options=TwinOptions(sample=0, random_network=False))
    assert measured.to_dict()["rows"] == value["rows"]
    assert "twins" in measured._repr_html_()
