"""``casebase prototypes``: learned, kept, looked at, told of; and what it says where that cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from casebase.cli.main import invoke
from casebase.settings import Settings
from casebase.storage import lock, prototype_rows
from casebase.storage.opening import make_store
from tests.flow.command import Call
from tests.flow.conftest import PLAIN, draw

TRAIN = ("prototypes", "train", "--k", 2, "--steps", 5)


@pytest.fixture(scope="module")
def shared_trained(tmp_path_factory: pytest.TempPathFactory, shared_base: Path) -> Path:
    """A base with prototypes, which no test changes."""
    base = Path(shutil.copytree(shared_base, tmp_path_factory.mktemp("trained") / "base"))
    assert invoke([*map(str, TRAIN), "--base", str(base), "--quiet", "--json"]) == 0
    return base


@pytest.fixture
def trained(tmp_path: Path, shared_trained: Path) -> Path:
    return Path(shutil.copytree(shared_trained, tmp_path / "trained"))


def vectors_in(base: Path) -> list[Path]:
    return sorted((base / "models").glob("*prototypes-*")) + sorted((base / "models").glob(".*prototypes-*"))


# -- learned and looked at ---------------------------------------------------------------------------------------


def test_a_training_ends_with_its_stages_and_what_to_type_next(base: Path, call: Call) -> None:
    done = call(*TRAIN, "--base", base).expect(0)
    head = next(line for line in done.out.splitlines() if line.startswith("stage"))
    for column in ("balanced", "gap", "agrees", "distinct", "sources", "largest share", "alarms"):
        assert column in head
    assert f"next: casebase prototypes show --profile signed --base {base}" in done.out
    assert f"next: casebase evaluate prototypes --profile signed --base {base}" in done.out
    assert "gap: prototypes less network, in points" in done.out  # too few cases to set any aside
    assert "reading: 30 to do" in done.err


def test_what_is_printed_as_json_is_what_is_kept(base: Path, call: Call) -> None:
    made = call(*TRAIN, "--base", base, "--json").expect(0).json
    shown = call("prototypes", "show", "--base", base, "--json").expect(0).json
    for name in made.keys() - {"prototypes"}:
        assert made[name] == shown[name], name
    for one in shown["prototypes"]:
        assert one.pop("source")["problem"] is None
    assert made["prototypes"] == shown["prototypes"]
    assert made["schema"] == "casebase.prototypes/1"
    assert made["classifier"] == call("stats", "--base", base, "--json").json["fingerprint"]
    (file,) = vectors_in(base)
    assert file == prototype_rows.tensor_file(base, "signed", made["digest"])


def test_every_prototype_is_a_patch_of_a_case_of_its_class(trained: Path, call: Call) -> None:
    for one in call("prototypes", "show", "--base", trained, "--json").expect(0).json["prototypes"]:
        case = call("cases", "show", one["patch"]["case_id"], "--base", trained, "--json").expect(0).json
        assert case["predicted"] == one["class"]
        left, top, right, bottom = one["patch"]["box"]
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1


def test_classes_and_rows_can_be_chosen_on_the_terminal_in_json_and_on_the_page(
    trained: Path, tmp_path: Path, call: Call
) -> None:
    show = ("prototypes", "show", "--base", trained)
    every = call(*show).expect(0).out
    dogs = call(*show, "--class", "dog", "--top", 1, "--report", tmp_path / "dogs.html").expect(0).out
    assert "2 prototypes of 2 cases" in every
    assert all(f"{name}  " in every for name in ("cat", "dog", "owl"))
    assert "cat  " not in dogs
    assert str(tmp_path / "dogs.html") in dogs
    assert "prototype" in (tmp_path / "dogs.html").read_text()
    value = call(*show, "--class", "dog", "--json").expect(0).json
    assert [one["class"] for one in value["prototypes"]] == ["dog"] * len(value["prototypes"])
    (one,) = call(*show, "--class", "dog", "--top", 1, "--json").expect(0).json["prototypes"]
    assert one["weight"] == max(each["weight"] for each in value["prototypes"])


def test_what_the_prototypes_add_makes_the_score_of_every_class_shown(
    trained: Path, stranger: Path, call: Call
) -> None:
    show = ("prototypes", "show", stranger, "--base", trained)
    value = call(*show, "--top", 2, "--json").expect(0).json
    assert value["schema"] == "casebase.parts/1"
    told = value["prototypes"]["classes"]
    assert told[0]["class"] == value["prediction"]["predicted"]
    assert len(told) == 2
    for one in told:
        added = one["bias"] + one["rest"] + one["absent"] + sum(match["contribution"] for match in one["matches"])
        assert added == pytest.approx(one["score"], abs=1e-4)
        assert len(one["matches"]) == 2
    named = call(*show, "--class", "owl", "--class", "dog", "--json").expect(0).json["prototypes"]["classes"]
    assert [one["class"] for one in named][1:] == [name for name in ("owl", "dog") if name != named[0]["class"]]
    assert "looks like" in call(*show).expect(0).out.lower()


def test_answers_and_mistakes_show_them_too(trained: Path, stranger: Path, tmp_path: Path, call: Call) -> None:
    page = tmp_path / "why.html"
    asked = call("query", stranger, "--no-overlays", "--report", page, "--base", trained, "--json").expect(0).json
    alone = call("prototypes", "show", stranger, "--base", trained, "--json").expect(0).json
    assert asked["prototypes"]["classes"][0]["score"] == pytest.approx(
        alone["prototypes"]["classes"][0]["score"], abs=1e-4
    )
    assert "this looks like that" in page.read_text().lower()


def test_the_same_training_again_gives_the_same_set_and_leaves_one_file(trained: Path, call: Call) -> None:
    before = call("prototypes", "show", "--base", trained, "--json").expect(0).json
    again = call(*TRAIN, "--fresh", "--base", trained, "--json").expect(0).json
    assert again["digest"] == before["digest"]
    shown = call("prototypes", "show", "--base", trained, "--json").expect(0).json
    assert shown["prototypes"] == before["prototypes"]
    assert len(vectors_in(trained)) == 1


def test_stats_and_verify_know_them(trained: Path, call: Call) -> None:
    (row,) = call("stats", "--base", trained, "--json").expect(0).json["prototypes"]
    assert (row["profile"], row["classes"]) == ("signed", 3)
    assert f"prototypes signed: {row['prototypes']} of 3 classes, made " in call("stats", "--base", trained).out
    found = call("verify", "--base", trained, "--json").expect(0).json
    assert found["checked"]["prototypes"] == row["prototypes"]


@pytest.fixture
def own(tmp_path: Path, photos: Path, model: Path, call: Call) -> Path:
    """The base of ``photos``, so that both may be changed."""
    call("index", photos, "--model", model, *PLAIN, "--base", tmp_path / "own", "--json").expect(0)
    return tmp_path / "own"


def test_a_later_index_leaves_them_alone_and_verify_counts_lost_sources(own: Path, photos: Path, call: Call) -> None:
    made = call(*TRAIN, "--base", own, "--json").expect(0).json["prototypes"]
    sources = [one["patch"]["case_id"] for one in made]
    path = call("cases", "show", sources[0], "--base", own, "--json").expect(0).json["path"]
    (photos / path).unlink()
    assert call("index", photos, *PLAIN, "--base", own, "--json").expect(0).json["cases"] == 29
    (found,) = call("verify", "--base", own, "--json").expect(0).json["findings"]
    assert found["what"].startswith(f"{sources.count(sources[0])} of {len(sources)} signed prototypes show cases that")
    assert len(vectors_in(own)) == 1


# -- bad input ---------------------------------------------------------------------------------------------------


def test_a_base_that_is_not_there_and_one_without_cases(tmp_path: Path, call: Call) -> None:
    call(*TRAIN, "--base", tmp_path / "none").expect(10)
    make_store(Settings(base=tmp_path / "empty")).close()
    assert "holds no case yet" in call(*TRAIN, "--base", tmp_path / "empty").expect(1).sentence


def test_showing_what_was_never_learned_says_how_to_learn_it(base: Path, call: Call) -> None:
    said = call("prototypes", "show", "--base", base).expect(1).sentence
    assert f"`casebase prototypes train --base {base}`" in said
    said = call("prototypes", "show", "--profile", "classic", "--base", base).expect(1).sentence
    assert "no classic prototypes" in said
    said = call("prototypes", "show", "--profile", "best", "--base", base).expect(2).sentence
    assert said == "--profile must be signed or classic, not 'best'"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--profile", "best"), "--profile must be signed or classic"),
        (("--k", "0"), "--k must be at least 1"),
        (("--steps", "0"), "--steps must be at least 1"),
        (("--target", "truth"), "--target must be predicted or labels"),
    ],
)
def test_choices_that_make_no_sense(base: Path, call: Call, words: tuple[str, ...], said: str) -> None:
    assert said in call("prototypes", "train", *words, "--base", base).expect(2).sentence


def test_a_class_that_is_not_there(trained: Path, call: Call) -> None:
    said = call("prototypes", "show", "--class", "fox", "--base", trained).expect(2)
    assert "no class 'fox' among these prototypes; there is cat, dog, owl" in said.err


NETWORKS = """
import torch
from torch import nn

CHAIN = {"resize": None, "crop": [32, 32], "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3}

class NoMap(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3 * 32 * 32, 16), nn.Linear(16, 3)
    def forward(self, x):
        return self.two(torch.relu(self.one(x.flatten(1))))

class NoLinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.score = nn.Conv2d(3, 8, 5, 4), nn.Conv2d(8, 3, 1)
    def forward(self, x):
        return self.score(torch.relu(self.body(x))).mean((2, 3))

def made(kind):
    torch.manual_seed(0)
    return kind(), ("cat", "dog", "owl"), CHAIN

def no_map():
    return made(NoMap)

def no_linear():
    return made(NoLinear)
"""


@pytest.fixture
def own_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_photos: Path, call: Call):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "prototype_networks.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))

    def indexed(factory: str) -> Path:
        base = tmp_path / factory
        named = f"prototype_networks:{factory}"
        call("index", shared_photos, "--model", named, *PLAIN, "--base", base, "--json").expect(0)
        return base

    return indexed


def test_a_network_without_a_map_of_places_is_told_what_works_instead(own_network, call: Call) -> None:
    base = own_network("no_map")
    for profile in ("signed", "classic"):
        said = call(*TRAIN, "--profile", profile, "--base", base).expect(1).sentence
        assert "no prototypes can be cut out" in said
        assert f"`casebase prototypes summarize --base {base}`" in said


def test_a_head_that_is_not_linear_is_told_the_profile_that_needs_none(own_network, call: Call) -> None:
    base = own_network("no_linear")
    said = call(*TRAIN, "--base", base).expect(1).sentence
    assert "has no linear head" in said
    assert f"`casebase prototypes train --profile classic --base {base}`" in said


def test_prototypes_of_the_network_before_are_an_error_until_new_ones_are_learned(
    trained: Path, photos: Path, stranger: Path, call: Call
) -> None:
    old = call("prototypes", "show", "--base", trained, "--json").expect(0).json["classifier"]
    for number in range(3):
        draw("owl", 500 + number).save(photos / "cat" / f"odd{number}.png")
    call("index", photos, *PLAIN, "--refit-head", "--base", trained, "--json").expect(0)
    new = call("stats", "--base", trained, "--json").expect(0).json["fingerprint"]
    assert new != old
    asked = call("query", stranger, "--no-overlays", "--base", trained, "--json").expect(0).json
    assert asked["prototypes"] is None
    assert any("no prototypes are shown" in one and old in one for one in asked["warnings"])
    for words in (("show",), ("show", "--json"), ("show", stranger)):
        said = call("prototypes", *words, "--base", trained).expect(1).sentence
        assert old in said
        assert new in said
        assert f"`casebase prototypes train --profile signed --base {trained}`" in said
    found = call("verify", "--base", trained, "--json").expect(4).json["findings"]
    assert any("explain the network" in one["what"] and not one["harmless"] for one in found)
    call(*TRAIN, "--base", trained, "--json").expect(0)
    assert call("prototypes", "show", "--base", trained, "--json").expect(0).json["classifier"] == new


def test_what_was_computed_is_removed_only_once_the_prototypes_are_kept(base: Path, call: Call) -> None:
    work = base / "prototypes" / "signed"
    with lock.writer(base, "index"):
        assert "is being written" in call(*TRAIN, "--base", base).expect(5).err
    assert (work / "maps.rows").exists()
    call(*TRAIN, "--base", base, "--json").expect(0)
    assert not work.exists()


def test_cases_whose_files_are_gone_or_changed_are_left_out_and_told(own: Path, photos: Path, call: Call) -> None:
    (photos / "cat" / "0000.png").unlink()
    draw("dog", 777).save(photos / "dog" / "0000.png")
    done = call(*TRAIN, "--base", own, "--json").expect(0)
    assert "2 of 30 cases are left out" in done.err
    shutil.rmtree(photos)
    said = call(*TRAIN, "--fresh", "--base", own, "--json").expect(1).sentence
    assert "none of the 30 cases can be read" in said


def test_a_second_training_and_a_writer_are_told_who_is_at_it(trained: Path, call: Call) -> None:
    with lock.writer(trained / "prototypes", "prototypes train"):
        assert "prototypes train" in call(*TRAIN, "--base", trained).expect(5).err
    with lock.writer(trained, "index"):
        assert "index" in call(*TRAIN, "--fresh", "--base", trained).expect(5).err
    call("verify", "--base", trained).expect(0)


def test_a_set_that_is_replaced_while_it_is_read_is_read_anew(
    trained: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from casebase.networks.prototypes import model

    (old,) = vectors_in(trained)
    kept, load, asked = old.read_bytes(), model.load, []

    def slow(path: Path, digest: str) -> model.Tensors:
        asked.append(path)
        if len(asked) == 1:
            call(*TRAIN[:2], "--k", 1, "--steps", 5, "--base", trained, "--json").expect(0)
        return load(path, digest)

    monkeypatch.setattr(model, "load", slow)
    shown = call("prototypes", "show", "--base", trained, "--json").expect(0).json
    (new,) = vectors_in(trained)
    assert asked == [old, new]
    assert old != new
    assert kept != new.read_bytes()
    assert new.name.split("-")[-1].startswith(shown["digest"][:16])


def test_a_class_with_fewer_images_than_prototypes(trained: Path, call: Call) -> None:
    said = call("prototypes", "train", "--k", 500, "--base", trained).expect(2).sentence
    assert "the class 'cat' has 10 cases, too few for 500 prototypes" in said


def test_images_that_are_all_the_same(tmp_path: Path, model: Path, call: Call) -> None:
    for kind in ("cat", "dog", "owl"):
        (tmp_path / "same" / kind).mkdir(parents=True)
        for number in range(4):
            draw("cat", 1).save(tmp_path / "same" / kind / f"{number}.png")
    base = tmp_path / "base-same"
    call("index", tmp_path / "same", "--model", model, *PLAIN, "--base", base, "--json").expect(0)
    assert call(*TRAIN, "--base", base).expect(1).sentence
    assert vectors_in(base) == []


def test_a_failed_gate_shows_how_the_training_went_and_keeps_nothing(
    base: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casebase.networks.prototypes.gates.purity", lambda *_given: (0.2, 10))
    done = call(*TRAIN, "--base", base).expect(1)
    assert "after pruning" in done.out
    assert "no prototypes are kept, since of the images most like a prototype only 20% are of its class" in done.err
    assert "try --k 4" in done.err
    assert not vectors_in(base)
    assert call("stats", "--base", base, "--json").json.get("prototypes") in (None, [], {})
