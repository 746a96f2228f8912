"""``casebase evaluate`` as it is typed: figures, files, and what is said when there is nothing to measure."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

import casebase
from casebase.api import TwinOptions
from casebase.cli.main import invoke
from casebase.errors import UsageError
from casebase.evaluations import Evaluation
from tests.flow.command import Call, colourless, run
from tests.flow.conftest import PLAIN, draw


def split_photos(folder: Path, counts: Sequence[tuple[str, int]], kinds: Sequence[str] = ("cat", "dog", "owl")) -> Path:
    """Class folders below splits; pictures differ between splits."""
    for place, (split, each) in enumerate(counts):
        for kind in kinds:
            (folder / split / kind).mkdir(parents=True)
            for number in range(each):
                draw(kind, 1000 * place + number).save(folder / split / kind / f"{number:03d}.png", compress_level=1)
    return folder


@pytest.fixture(scope="module")
def split_base(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """30 training, 15 validation and 12 test images, and a head fitted to the training images."""
    folder = tmp_path_factory.mktemp("split")
    photos = split_photos(folder / "photos", [("train", 10), ("val", 5), ("test", 4)])
    base = folder / "base"
    assert invoke(["index", str(photos), "--model", str(model), *PLAIN, "--quiet", "--json", "--base", str(base)]) == 0
    return base


@pytest.fixture
def held(tmp_path: Path, split_base: Path) -> Path:
    """A copy of ``split_base`` of one's own."""
    return Path(shutil.copytree(split_base, tmp_path / "base"))


def test_it_prints_figures_and_writes_a_folder(held: Path) -> None:
    done = run("evaluate", "model", "--base", held).expect(0)
    assert "The network on 12 images of test" in done.out
    assert "How often it is right" in done.out
    assert colourless(done.out)
    folder = held / "reports" / "evaluate-model"
    assert str(folder / "index.html") in done.out
    rows = list(csv.DictReader((folder / "per_query.csv").open(encoding="utf-8", newline="")))
    assert len(rows) == 12
    value = json.loads((folder / "evaluation.json").read_text())
    right = sum(row["right"] == "True" for row in rows)
    assert value["rows"][0]["value"] == pytest.approx(right / 12)
    assert value["settings"]["command"].startswith("casebase evaluate model")


def test_json_is_alone_on_stdout_and_agrees_with_stats(held: Path, call: Call) -> None:
    done = call("evaluate", "model", "--json", "--base", held).expect(0)
    value = json.loads(done.out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert (value["schema"], value["kind"]) == ("casebase.evaluation/1", "model")
    assert value["settings"]["split"] == "test"
    splits = call("stats", "--json", "--base", held).expect(0).json["splits"]
    accuracy = value["rows"][0]
    assert accuracy["metric"] == "accuracy"
    assert accuracy["value"] == pytest.approx(splits["test (held out)"]["agree"])
    assert accuracy["value_low"] == pytest.approx(splits["test (held out)"]["low"])


def test_again_gives_the_same_figures_and_replaces_the_folder(held: Path, call: Call) -> None:
    first, second = (call("evaluate", "model", "--json", "--base", held).expect(0).json for _ in range(2))
    assert first["rows"] == second["rows"]
    assert len(list((held / "reports").iterdir())) == 1


def test_the_validation_part_comes_with_a_caution(held: Path, call: Call) -> None:
    value = call("evaluate", "model", "--split", "val", "--json", "--base", held).expect(0).json
    assert value["settings"]["images"] == 15
    assert any("optimistic" in one["text"] for one in value["statements"])


def test_training_images_come_with_an_alarm_first(held: Path, call: Call) -> None:
    value = call("--json", "evaluate", "model", "--split", "train", "--base", held).expect(0).json
    assert value["settings"]["images"] == 30
    assert value["statements"][0]["level"] == "alarm"
    assert "training images" in value["statements"][0]["text"]


def test_common_options_may_stand_before_the_command(held: Path, call: Call) -> None:
    assert call("--base", held, "evaluate", "--json", "model").expect(0).json["kind"] == "model"


def test_an_unknown_split_names_those_there_are(held: Path, call: Call) -> None:
    said = call("evaluate", "model", "--split", "tset", "--base", held).expect(2).sentence
    assert "no split 'tset'" in said
    assert "test (12 held-out images)" in said


def test_a_base_without_held_out_images_says_how_to_get_some(base: Path, call: Call) -> None:
    said = call("evaluate", "model", "--base", base).expect(2).sentence
    assert "held out" in said
    assert "casebase index" in said
    assert not (base / "reports" / "evaluate-model").exists()
    assert call("evaluate", "model", "--split", "train", "--json", "--base", base).expect(0).json["settings"]["images"]


def test_no_base_is_exit_code_10(tmp_path: Path, call: Call) -> None:
    assert "no case base" in call("evaluate", "model", "--base", tmp_path / "none").expect(10).sentence


@pytest.mark.parametrize("kind", ["everything", "twinz"])
def test_an_unknown_kind_is_a_usage_error(held: Path, call: Call, kind: str) -> None:
    assert call("evaluate", kind, "--base", held).expect(2).sentence


def test_the_group_alone_shows_its_commands(call: Call) -> None:
    done = call("evaluate", "--help").expect(0)
    assert "model" in done.out


def test_a_folder_of_somebody_else_is_left_alone(held: Path, tmp_path: Path, call: Call) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    said = call("evaluate", "model", "--base", held, "--out", tmp_path / "mine").expect(2).sentence
    assert "thesis.txt" in said
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_folder_that_cannot_be_written_is_one_sentence(held: Path, tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o500)
    said = run("evaluate", "model", "--base", held, "--out", shut / "e", obedient=True).expect(1).sentence
    assert "could not be written" in said
    assert not list(shut.iterdir())


@pytest.mark.parametrize("kind", ["model", "twins"])
def test_a_place_that_cannot_be_written_is_said_before_the_work(
    held: Path, call: Call, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casebase.wiring.evaluate", lambda *_, **__: pytest.fail("measured before the place was known"))
    said = call("evaluate", kind, "--base", held, "--out", "/proc/above/x").expect(1).sentence
    assert said.startswith("the evaluation could not be written to /proc/above/x (")


def test_an_evaluation_of_another_kind_is_not_replaced(held: Path, tmp_path: Path, call: Call) -> None:
    out = tmp_path / "e"
    call("evaluate", "model", "--base", held, "--out", out).expect(0)
    before = (out / "evaluation.json").read_bytes()
    quick = ("--sample", "0", "--no-random-control")
    said = call("evaluate", "twins", *quick, "--base", held, "--out", out).expect(2).sentence
    assert "is the evaluation of another kind (model), which would be lost" in said
    assert (out / "evaluation.json").read_bytes() == before
    with casebase.open(held) as opened, pytest.raises(UsageError, match="another kind"):
        opened.evaluate("twins", options=TwinOptions(5, 0, 10, random_network=False)).save(out)


def test_a_base_that_cannot_be_written_still_gives_figures(held: Path) -> None:
    (held / "reports").mkdir(exist_ok=True, mode=0o500)
    (held / "reports").chmod(0o500)
    done = run("evaluate", "model", "--json", "--base", held, obedient=True).expect(0)
    assert done.json["kind"] == "model"
    assert "no page" in done.err


def test_labels_the_network_does_not_know_count_as_errors(tmp_path: Path, split_base: Path, model: Path) -> None:
    """A label that only the held-out images have: the head was never fitted to it."""
    photos = split_photos(tmp_path / "photos", [("train", 10), ("test", 4)], ("cat", "dog"))
    (photos / "test" / "emu").mkdir()
    Image.effect_noise((48, 40), 90).convert("RGB").save(photos / "test" / "emu" / "0.png")
    base = tmp_path / "base"
    run("index", photos, "--model", model, *PLAIN, "--base", base, "--json").expect(0)
    value = run("evaluate", "model", "--json", "--base", base).expect(0).json
    assert value["settings"]["unknown_labels"] == ["emu"]
    assert value["settings"]["images"] == 9
    assert any("no class emu" in one["text"] for one in value["statements"])


def test_the_python_interface_says_the_same(held: Path, tmp_path: Path, call: Call) -> None:
    shown = call("evaluate", "model", "--json", "--base", held).expect(0).json
    with casebase.open(held) as opened:
        found = opened.evaluate("model")
        assert isinstance(found, Evaluation)
        assert found.to_dict()["rows"] == shown["rows"]
        assert (found.save(tmp_path / "e") / "index.html").is_file()
        assert found._repr_html_().startswith("<iframe")
        with pytest.raises(casebase.CasebaseError, match="nothing called 'twinz' can be evaluated; there is model"):
            opened.evaluate("twinz")
