"""``casebase cae show`` and walks in reports, by the command: shown, held back below the gates, refused in words.

The trainings are real and far too short: where an embedding has to pass, the gates are opened, and where an image has
to be walked from, its reconstruction is not held against it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import casebase
from casebase.association import Nodes
from casebase.cli.main import invoke
from casebase.explain.cae import walking
from casebase.networks.cae.reader import CaeReader
from casebase.storage import association_rows
from tests.flow.command import Call, colourless
from tests.flow.test_cae import TRAIN, open_gates


def trained_in(folder: Path, base: Path, code: int) -> Path:
    made = Path(shutil.copytree(base, folder / "base"))
    assert invoke([*map(str, TRAIN), "--base", str(made), "--quiet", "--json"]) == code
    return made


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory, shared_wrong: Path) -> Path:
    """A base with an embedding that passed, which no test changes."""
    with pytest.MonkeyPatch.context() as patched:
        open_gates(patched)
        return trained_in(tmp_path_factory.mktemp("passed"), shared_wrong, 0)


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory, shared_wrong: Path) -> Path:
    """A base with an embedding that failed its gates, which no test changes."""
    return trained_in(tmp_path_factory.mktemp("failed"), shared_wrong, 1)


@pytest.fixture
def rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconstructions are taken for good, and every class has cases to walk to."""
    monkeypatch.setattr(walking, "_refusal", lambda *_told: None)
    codes = np.random.default_rng(0).normal(size=(12, 8)).astype(np.float32)
    nodes = Nodes(codes, np.arange(12) % 3, [f"{place:016x}" for place in range(12)])
    monkeypatch.setattr(CaeReader, "nodes", nodes)


SHOW = ("cae", "show")


def test_the_embedding_is_shown_with_gates_samples_and_map(passed: Path, tmp_path: Path, call: Call) -> None:
    page = tmp_path / "cae.html"
    told = call(*SHOW, "--base", passed, "--report", page).expect(0).out
    order = ["Class association embedding of 3 classes", "Gates", "reassigned, worst direction", "Samples (synthetic",
             "The map of the class codes", "How the training went", str(page)]  # fmt: skip
    places = [told.index(part) for part in order]
    assert places == sorted(places)
    assert max(map(len, told.splitlines())) <= 100 + len(str(page))
    text = page.read_text(encoding="utf-8")
    assert "Sample sheet" in text
    assert text.count("called <") == 0
    value = call(*SHOW, "--base", passed, "--json").expect(0).json
    assert value["schema"] == "casebase.cae/1"
    assert len(value["map"]["cases"]) == 36
    assert value["map"]["explained"] <= 1.0


@pytest.mark.usefixtures("rebuilt")
def test_an_image_is_walked_to_the_runner_up_or_to_the_class_named(
    passed: Path, stranger: Path, tmp_path: Path, call: Call
) -> None:
    value = call(*SHOW, stranger, "--base", passed, "--frames", 4, "--json").expect(0).json
    assert value["schema"] == "casebase.walk/1"
    walk = value["walk"]
    assert walk["synthetic"] is True
    assert walk["rival"] == value["prediction"]["runner_up"]
    assert len(walk["frames"]) == 4
    assert value["retrieved"]["predicted"] == walk["rival"]
    other = next(name for name in ("cat", "dog", "owl") if name not in (walk["rival"], walk["predicted"]))
    page = tmp_path / "walk.html"
    done = call(*SHOW, stranger, "--rival", other, "--route", "straight", "--frames", 4, "--base", passed, "--report",
                page).expect(0)  # fmt: skip
    assert f"Walk: what would change from {walk['predicted']} to {other}" in done.out
    assert "the straight line to" in " ".join(done.out.split())
    assert colourless(done.out)
    text = page.read_text(encoding="utf-8")
    assert text.count('type="radio"') in (4, 5)
    assert "UserWarning" not in done.err


@pytest.mark.usefixtures("rebuilt")
def test_answers_have_the_same_walk_on_the_page_on_the_terminal_and_in_json(
    passed: Path, stranger: Path, tmp_path: Path, call: Call
) -> None:
    page = tmp_path / "why.html"
    query = ("query", stranger, "--no-overlays", "--base", passed)
    value = call(*query, "--report", page, "--json").expect(0).json
    alone = call(*SHOW, stranger, "--base", passed, "--json").expect(0).json["walk"]
    assert value["walk"]["frames"] == alone["frames"]
    assert value["walk"]["reference"] == alone["reference"]
    assert 'id="walk"' in page.read_text(encoding="utf-8")
    assert "Walk: what would change" in call(*query).expect(0).out


@pytest.mark.usefixtures("rebuilt")
def test_mistakes_have_walks_too(passed: Path, tmp_path: Path, call: Call) -> None:
    out = tmp_path / "errors"
    call("errors", "--split", "test", "--no-overlays", "--base", passed, "--out", out, "--limit", 2).expect(0)
    found = json.loads((out / "errors.json").read_text(encoding="utf-8"))["errors"]
    assert found
    for one in found:
        assert one["walk"]["rival"] == one["label"]
        assert len(one["walk"]["frames"]) == 8
        assert 'id="walk"' in (out / one["page"]).read_text(encoding="utf-8")


def test_an_image_whose_reconstruction_is_called_otherwise_is_refused_in_words(
    passed: Path, stranger: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "_refusal", lambda *_told: "the reconstruction is called otherwise")
    done = call(*SHOW, stranger, "--base", passed).expect(0)
    assert "No walk is shown for this image: the reconstruction is called otherwise." in done.out
    value = call(*SHOW, stranger, "--base", passed, "--json").expect(0).json
    assert value["walk"]["refused"]


def test_below_the_gates_gates_are_shown_and_pictures_held_back(
    failed: Path, stranger: Path, tmp_path: Path, call: Call
) -> None:
    page = tmp_path / "cae.html"
    told = call(*SHOW, "--base", failed, "--report", page).expect(0).out
    assert "Held back" in told
    assert "✕" in told
    assert "The map of the class codes" not in told
    assert "<img" not in page.read_text(encoding="utf-8")
    said = call(*SHOW, stranger, "--base", failed).expect(1).sentence
    assert said.startswith("no trustworthy generated view can be had for this set: ")
    assert "--untrusted" in said
    asked = call(*SHOW, stranger, "--untrusted", "--base", failed, "--frames", 3).expect(0).out
    assert "Not trustworthy, shown because it was asked for" in " ".join(asked.split()) or "No walk is shown" in asked
    assert "The map of the class codes" in call(*SHOW, "--untrusted", "--base", failed).expect(0).out


def test_below_the_gates_answers_say_so_and_point_at_real_cases(
    failed: Path, stranger: Path, tmp_path: Path, call: Call
) -> None:
    page = tmp_path / "why.html"
    query = ("query", stranger, "--no-overlays", "--base", failed)
    value = call(*query, "--report", page, "--json").expect(0).json
    assert value["walk"] is None
    assert value["no_walk"].startswith("No trustworthy generated view can be had for this set (")
    assert value["no_walk"].endswith("the retrieved counterfactuals above are real cases.")
    assert "No trustworthy generated view" in page.read_text(encoding="utf-8")
    assert "No trustworthy generated view" in " ".join(call(*query).expect(0).out.split())


def test_without_an_embedding_the_command_says_how_to_make_one(shared_wrong: Path, stranger: Path, call: Call) -> None:
    for image in ((), (stranger,)):
        said = call(*SHOW, *image, "--base", shared_wrong).expect(1).sentence
        assert "casebase cae train" in said
    value = call("query", stranger, "--no-overlays", "--base", shared_wrong, "--json").expect(0).json
    assert value["walk"] is None
    assert value["no_walk"] is None


def test_weights_that_are_gone_stop_the_command_and_leave_answers_whole(
    passed: Path, tmp_path: Path, stranger: Path, call: Call
) -> None:
    base = Path(shutil.copytree(passed, tmp_path / "base"))
    for path in (base / "models").iterdir():
        if association_rows.of_association(path.name):
            path.unlink()
    call(*SHOW, stranger, "--base", base).expect(1)
    value = call("query", stranger, "--no-overlays", "--base", base, "--json").expect(0).json
    assert value["walk"] is None
    assert any(one.startswith("no walk is shown: ") for one in value["warnings"])
    said = call("query", stranger, "--saliency", "cae", "--base", base).expect(1).sentence
    assert "cae needs a class association embedding of this network, and " in said
    assert ".safetensors" in said
    assert "there is none" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--route", "winding"), "--route must be graph or straight"),
        (("--map", "tsne"), "--map must be pca or umap"),
        (("--frames", "1"), "frames"),
        (("--rival", "unicorn"), "no class 'unicorn'"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_sentence(
    passed: Path, stranger: Path, call: Call, words: tuple[str, ...], said: str
) -> None:
    assert said in call(*SHOW, stranger, *words, "--base", passed).expect(2).sentence


def test_a_rival_needs_an_image_and_the_image_s_own_class_is_no_rival(passed: Path, stranger: Path, call: Call) -> None:
    assert "name the image" in call(*SHOW, "--rival", "dog", "--base", passed).expect(2).sentence
    own = call("query", stranger, "--no-overlays", "--base", passed, "--json").expect(0).json["prediction"]["predicted"]
    call(*SHOW, stranger, "--rival", own, "--base", passed).expect(2)


def test_a_name_that_is_hostile_stays_a_name(passed: Path, stranger: Path, tmp_path: Path, call: Call) -> None:
    evil = tmp_path / "<img src=x onerror=alert(1)>\x1b[31m.png"
    shutil.copyfile(stranger, evil)
    page = tmp_path / "walk.html"
    done = call(*SHOW, evil, "--base", passed, "--report", page).expect(0)
    assert "\x1b" not in done.out
    assert "<img src=x" not in page.read_text(encoding="utf-8")


def test_an_embedding_of_another_network_is_an_error_here_and_a_sentence_in_answers(
    passed: Path, tmp_path: Path, stranger: Path, call: Call
) -> None:
    base = Path(shutil.copytree(passed, tmp_path / "base"))
    with casebase.open(base) as opened:
        kept = opened._store.setting("cae")
        opened._store.remember("cae", {**kept, "classifier": "f" * 16})
    for image in ((), (stranger,)):
        assert "make a new one with" in call(*SHOW, *image, "--base", base).expect(1).sentence
    value = call("query", stranger, "--no-overlays", "--base", base, "--json").expect(0).json
    assert value["walk"] is None
    assert any(one.startswith("no walk is shown: the class association embedding") for one in value["warnings"])
