"""``casebase train`` as a user meets it: what it leaves behind, how it goes on, and what it says of bad input."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.flow.command import Call, Outcome, command_line, environment, run
from tests.flow.conftest import draw, photos_at

TINY = ("--arch", "casebase:resnet10", "--no-pretrained", "--image-size", "32", "--lr", "1e-3", "--device", "cpu")
QUICK = (*TINY, "--epochs", "2")


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 x 20 pictures that no test changes."""
    return photos_at(tmp_path_factory.mktemp("pets") / "pets", 20, ("cat", "dog"))


@pytest.fixture
def own(tmp_path: Path, pets: Path) -> Path:
    """A copy of one's own."""
    return Path(shutil.copytree(pets, tmp_path / "pets"))


def weights(model: Path) -> str:
    """The bytes of a model's weights, as a hash."""
    return hashlib.sha256((model / "weights.safetensors").read_bytes()).hexdigest()


def remembered(model: Path) -> dict:
    return json.loads((model / "model.json").read_text(encoding="utf-8"))["metadata"]


def rows(model: Path) -> list[dict[str, str]]:
    with (model / "split.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def split_by_hand(pets: Path, target: Path, counts: dict[str, int]) -> Path:
    """Split folders above class folders."""
    for label in ("cat", "dog"):
        files = sorted((pets / label).iterdir())
        for split, n in counts.items():
            (target / split / label).mkdir(parents=True)
            for path in files[:n]:
                shutil.copy(path, target / split / label)
            files = files[n:]
    return target


def test_from_photos_to_an_indexed_base_that_holds_out_the_same_images(call: Call, pets: Path, tmp_path: Path) -> None:
    model, base = tmp_path / "models" / "made by me", tmp_path / "base"
    told = call("train", pets, *QUICK, "--out", model).expect(0)
    assert [p.name for p in model.parent.iterdir()] == ["made by me"], "nothing is left beside it"
    assert sorted(p.name for p in model.iterdir()) == [
        "curves.png", "curves.svg", "model.json", "split.csv", "weights.safetensors",
    ]  # fmt: skip
    with Image.open(model / "curves.png") as picture:
        assert picture.size[0] > 1000
    assert Counter((row["split"], row["label"]) for row in rows(model)) == {
        ("train", "cat"): 14, ("train", "dog"): 14, ("val", "cat"): 3, ("val", "dog"): 3, ("test", "cat"): 3,
        ("test", "dog"): 3,
    }  # fmt: skip
    assert "training    " in told.out
    assert "95 % interval" in told.out
    assert "epoch 2/2: loss" in told.err
    (following,) = [line for line in told.out.splitlines() if line.startswith("next: ")]
    assert following == f"next: casebase index '{model}/split.csv' --model '{model}'"
    indexed = call("index", model / "split.csv", "--model", model, "--base", base, "--json", "--quiet").expect(0)
    assert (indexed.json["cases"], indexed.json["held_out"]) == (28, 12)
    stats = call("stats", "--base", base, "--json").expect(0).json
    assert stats
    facts = remembered(model)
    assert facts["accuracy"]["test"]["n"] == 6
    assert facts["accuracy"]["test"]["low"] < facts["accuracy"]["test"]["value"] + 1e-9
    assert facts["counts"]["train"] == {"cat": 14, "dog": 14}
    assert facts["selected_by"] == "val_loss"
    assert len(facts["data_digest"]) == 64
    assert len(facts["epochs"]) == 2


def test_json_is_one_object_and_quiet_is_silent(call: Call, pets: Path, tmp_path: Path) -> None:
    told = call("train", pets, *QUICK, "--out", tmp_path / "m", "--json", "--quiet").expect(0)
    assert told.err == ""
    assert told.json["schema"] == "casebase.training/1"
    assert told.json["classes"] == ["cat", "dog"]
    assert told.json["accuracy"]["val"]["value_n"] == 6
    assert [epoch["number"] for epoch in told.json["epochs"]] == [1, 2]
    assert told.json["kept_epoch"] in (1, 2)
    again = call("train", pets, *QUICK, "--out", tmp_path / "m", "--json", "--quiet").expect(0)
    assert again.json["already"]
    assert {**again.json, "already": False} == told.json


def test_the_same_seed_gives_the_same_weights_in_another_process(pets: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        run("train", pets, *QUICK, "--out", tmp_path / name, "--seed", seed, "--quiet").expect(0)
    assert weights(tmp_path / "one") == weights(tmp_path / "same")
    assert weights(tmp_path / "one") != weights(tmp_path / "other")
    assert rows(tmp_path / "one") == rows(tmp_path / "same") != rows(tmp_path / "other")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_and_run_again_the_weights_are_the_same_to_the_bit(
    how: signal.Signals, pets: Path, tmp_path: Path
) -> None:
    line = ("train", pets, *TINY, "--epochs", "6", "--shift", "2", "--patience", "0", "--keep", "last")
    run(*line, "--out", tmp_path / "whole", "--quiet").expect(0)
    with (tmp_path / "said").open("wb") as said:
        victim = subprocess.Popen(command_line(*line, "--out", tmp_path / "m"), stderr=said, env=environment())
    until = time.monotonic() + 100
    while b"epoch 2/6" not in (tmp_path / "said").read_bytes() and time.monotonic() < until:
        time.sleep(0.005)
    victim.send_signal(how)
    code = victim.wait(60)
    assert code == (-signal.SIGKILL if how is signal.SIGKILL else 130), (tmp_path / "said").read_text()
    assert (tmp_path / ".m.training" / "state.pt").exists(), "interrupted before its end"
    assert not (tmp_path / "m").exists()
    again = run(*line, "--out", tmp_path / "m").expect(0)
    assert "goes on after epoch" in again.err
    assert "epoch 1/6" not in again.err
    assert weights(tmp_path / "m") == weights(tmp_path / "whole")
    assert not (tmp_path / ".m.training").exists()


def interrupted(pets: Path, out: Path, *more: object) -> Outcome:
    """A training that ends after its first epoch as if the disk had filled."""
    code = (
        "import sys\n"
        "from casebase.networks.resuming import Resuming\n"
        "plain = Resuming.save\n"
        "def save(self, state):\n"
        "    plain(self, state)\n"
        "    raise KeyboardInterrupt\n"
        "Resuming.save = save\n"
        "from casebase.cli.main import run\n"
        "run()\n"
    )
    command = [command_line()[0], "-c", code, *map(str, ("train", pets, *QUICK, "--out", out, *more))]
    done = subprocess.run(command, capture_output=True, env=environment(), timeout=100)
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_other_choices_do_not_go_on_unless_fresh(call: Call, own: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    stopped = interrupted(own, out).expect(130)
    assert "the same command goes on from there" in stopped.err
    said = call("train", own, *TINY, "--epochs", "3", "--out", out).expect(2).sentence
    assert "holds an interrupted training with other choices (epochs 2 / 3: there / now)" in said
    assert "--fresh" in said
    draw("cat", 77).save(own / "cat" / "new.png")
    said = call("train", own, *QUICK, "--out", out).expect(2).sentence
    assert "(data " in said
    call("train", own, *QUICK, "--out", out, "--fresh", "--quiet").expect(0)
    assert sum(remembered(out)["counts"]["train"].values()) == 29
    assert not (tmp_path / ".m.training").exists()


def test_a_finished_model_is_not_replaced_without_a_word(call: Call, pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    call("train", pets, *QUICK, "--out", out, "--quiet").expect(0)
    before = weights(out)
    again = call("train", pets, *QUICK, "--out", out).expect(0)
    assert "holds this training already" in again.out
    assert "epoch 1/2" not in again.err
    said = call("train", pets, *QUICK, "--seed", "5", "--out", out).expect(2).sentence
    assert "holds a model trained otherwise (seed 0 / 5; " in said
    assert weights(out) == before
    call("train", pets, *QUICK, "--seed", "5", "--out", out, "--fresh", "--quiet").expect(0)
    assert weights(out) != before


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
def test_a_model_folder_with_a_missing_or_changed_file(name: str, call: Call, pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    call("train", pets, *QUICK, "--out", out, "--quiet").expect(0)
    data = (out / name).read_bytes()
    (out / name).write_bytes(data[: len(data) // 2])
    line = ("index", pets, "--model", out, "--base", tmp_path / "base")
    told = {"weights.safetensors": "has changed since the model was saved", "model.json": "cannot be read"}
    assert told[name] in call(*line).expect(1).sentence
    (out / name).unlink()
    told = {"weights.safetensors": "no weights.safetensors in", "model.json": "without model.json"}
    assert told[name] in call(*line).sentence
    if name == "weights.safetensors":
        assert "no weights.safetensors in" in call("train", pets, *QUICK, "--out", out).expect(1).sentence


def test_an_index_that_would_use_held_out_images_as_cases_says_so(call: Call, pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    call("train", pets, *QUICK, "--out", out, "--quiet").expect(0)
    told = call("index", pets, "--model", out, "--base", tmp_path / "base", "--json").expect(0).json
    (note,) = [line for line in told["warnings"] if "held" in line or "hold them out" in line]
    assert note.startswith("12 of these images are the model's own validation or test images")
    assert f"casebase index {out}/split.csv --model {out}" in note
    told = call("index", out / "split.csv", "--model", out, "--base", tmp_path / "right", "--json").expect(0).json
    assert not [line for line in told["warnings"] if "hold them out" in line]
    others = photos_at(tmp_path / "others", 4, ("cat", "dog"))
    told = call("index", others, "--model", out, "--base", tmp_path / "others-base", "--json").expect(0).json
    assert not [line for line in told["warnings"] if "hold them out" in line]


# -- what the data may be like ---------------------------------------------------------------------------------------


def test_train_and_validation_only_as_in_the_founding_study(call: Call, pets: Path, tmp_path: Path) -> None:
    data = split_by_hand(pets, tmp_path / "set", {"train": 14, "val": 6})
    told = (
        call("train", data, *QUICK, "--mean", "0.5", "--std", "0.5", "--out", tmp_path / "m", "--json").expect(0).json
    )
    assert set(told["accuracy"]) == {"train", "val"}
    assert told["accuracy"]["val"]["value_n"] == 12
    assert any("optimistic" in line for line in told["warnings"])
    assert told["facts"]["normalisation"]["mean"] == [0.5, 0.5, 0.5]
    assert Counter(row["split"] for row in rows(tmp_path / "m")) == {"train": 28, "val": 12}


def test_odd_normalisation_is_recorded_and_warned_about(call: Call, pets: Path, tmp_path: Path) -> None:
    """With weights that were made for another one."""
    call("train", pets, *QUICK, "--out", tmp_path / "first", "--quiet").expect(0)
    line = ("train", pets, "--model", tmp_path / "first", "--epochs", "1", "--out")
    plain = call(*line, tmp_path / "plain", "--json").expect(0).json
    assert plain["facts"]["normalisation"]["of_the_weights"]
    assert not [w for w in plain["warnings"] if "normalised" in w]
    odd = call(*line, tmp_path / "odd", "--std", "0.1,0.2,0.3", "--json").expect(0).json
    (said,) = [w for w in odd["warnings"] if "normalised" in w]
    assert "mean 0.5 and deviation 0.1/0.2/0.3, but the weights were made for 0.5 and 0.25" in said
    kept = json.loads((tmp_path / "odd" / "model.json").read_text())
    assert kept["preprocess"]["std"] == [0.1, 0.2, 0.3]
    assert not kept["metadata"]["normalisation"]["of_the_weights"]
    assert "as 0.5, not 'half'" in call(*line, tmp_path / "x", "--mean", "half").expect(2).sentence
    assert "--std must be" in call(*line, tmp_path / "x", "--std", "0").expect(2).sentence


def test_a_class_of_one_image_is_trained_on_and_named(call: Call, own: Path, tmp_path: Path) -> None:
    (own / "owl").mkdir()
    draw("owl", 0).save(own / "owl" / "only.png")
    told = call("train", own, *QUICK, "--out", tmp_path / "m", "--json").expect(0).json
    assert told["classes"] == ["cat", "dog", "owl"]
    assert any("a single image cannot be divided" in w and "owl" in w for w in told["warnings"])
    assert [row["split"] for row in rows(tmp_path / "m") if row["label"] == "owl"] == ["train"]


def test_an_empty_class_is_named_and_left_out(call: Call, own: Path, tmp_path: Path) -> None:
    (own / "owl").mkdir()
    told = call("train", own, *QUICK, "--out", tmp_path / "m", "--json").expect(0).json
    assert told["classes"] == ["cat", "dog"]
    assert any("'owl' holds no image" in w for w in told["warnings"])


def test_fewer_than_two_classes_are_refused(call: Call, own: Path, tmp_path: Path) -> None:
    shutil.rmtree(own / "dog")
    said = call("train", own, *QUICK, "--out", tmp_path / "m").expect(1).sentence
    assert said.startswith("training needs images of at least two classes, and there is only 'cat'")
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / ".m.training").exists()


def test_one_folder_of_images_with_a_manifest_beside_it_is_told_of_the_manifest(
    call: Call, pets: Path, model: Path, tmp_path: Path
) -> None:
    data = tmp_path / "my set"
    shutil.copytree(pets / "cat", data / "images")
    (data / "labels.csv").write_text("path,label\n")
    told = call("train", data, *QUICK, "--out", tmp_path / "m").expect(1)
    assert told.sentence.endswith(f"where a manifest says what they are: casebase train '{data}/labels.csv'")
    assert "reading" not in told.err
    indexed = call("index", data, "--model", model, "--base", tmp_path / "b").expect(0).out
    assert "or a manifest; labels.csv lies there" in " ".join(indexed.split())


def test_a_failed_training_leaves_no_empty_folder_behind(call: Call, own: Path, tmp_path: Path) -> None:
    for path in own.rglob("*.png"):
        path.write_bytes(b"")
    call("train", own, *QUICK, "--out", tmp_path / "models" / "of mine" / "m").expect(1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pets"]
    (tmp_path / "models").mkdir()
    call("train", own, *QUICK, "--out", tmp_path / "models" / "of mine" / "m").expect(1)
    assert [p.name for p in tmp_path.rglob("models*")] == ["models"], "what was there before stays"


def test_a_long_note_goes_on_below_its_own_beginning(call: Call, pets: Path, tmp_path: Path) -> None:
    told = call("train", pets, *QUICK, "--epochs", "1", "--out", tmp_path / "m").expect(0).out
    lines = told.splitlines()
    (start,) = [place for place, line in enumerate(lines) if line.startswith("  note        trained from random")]
    assert lines[start + 1].startswith(" " * 14)
    assert lines[start + 1].strip()


def test_unreadable_images_are_skipped_with_their_reasons(call: Call, own: Path, tmp_path: Path) -> None:
    (own / "cat" / "0000.png").write_bytes(b"")
    (own / "cat" / "0001.png").write_bytes((own / "cat" / "0002.png").read_bytes()[:300])
    (own / "dog" / "notes.png").write_text("no picture")
    told = call("train", own, *QUICK, "--out", tmp_path / "m").expect(0)
    assert "skipped     cat/0000.png: empty file" in told.out
    assert "cat/0001.png: damaged or truncated" in told.out
    assert "dog/notes.png: not an image" in told.out
    assert len(rows(tmp_path / "m")) == 38
    for path in own.rglob("*.png"):
        path.write_bytes(b"")
    assert "none of 41 images can be used" in call("train", own, *QUICK, "--out", tmp_path / "n").expect(1).sentence


def test_images_in_two_parts_are_named_and_refused_unless_allowed(call: Call, pets: Path, tmp_path: Path) -> None:
    data = split_by_hand(pets, tmp_path / "set", {"train": 10, "val": 5, "test": 5})
    with Image.open(data / "train" / "cat" / "0000.png") as picture:
        picture.save(data / "val" / "cat" / "again.bmp")  # the same pixels in another format
    said = call("train", data, *QUICK, "--out", tmp_path / "m").expect(1).sentence
    assert "train/cat/0000.png (train) and val/cat/again.bmp (val) are exact copies" in said
    assert "--allow-leak" in said
    told = call("train", data, *QUICK, "--out", tmp_path / "m", "--allow-leak", "--json").expect(0).json
    (said,) = [w for w in told["warnings"] if w.startswith("leak allowed")]
    assert said.startswith(
        "leak allowed: an image or a group stands in more than one part, so the accuracies flatter: train/cat/0000.png"
    )
    assert len(remembered(tmp_path / "m")["leaks"]) == 1


def test_a_leak_that_was_allowed_is_said_with_every_result_of_that_network(
    call: Call, pets: Path, tmp_path: Path
) -> None:
    data = split_by_hand(pets, tmp_path / "set", {"train": 12, "val": 4, "test": 4})
    shutil.copy(data / "train" / "cat" / "0000.png", data / "val" / "cat" / "again.png")
    model, base = tmp_path / "m", ("--base", tmp_path / "b")
    call("train", data, *QUICK, "--out", model, "--allow-leak", "--quiet").expect(0)
    told = call("index", model / "split.csv", "--model", model, *base, "--json").expect(0).json
    assert any("trained with --allow-leak" in one for one in told["warnings"])
    shutil.rmtree(model)  # the base remembers it
    for kind in ("model", "twins"):
        told = call("evaluate", kind, *base, "--json").expect(0).json
        first = told["statements"][0]
        assert first["level"] == "alarm"
        assert "trained with --allow-leak: its parts share images or groups, once" in first["text"]
        assert "again.png (val) are exact copies" in first["text"]
    told = call("errors", *base, "--limit", "1", "--json").expect(0).json
    assert "trained with --allow-leak" in told["statements"][0]["text"]


def test_a_network_without_a_leak_is_not_suspected(call: Call, pets: Path, tmp_path: Path) -> None:
    data = split_by_hand(pets, tmp_path / "set", {"train": 12, "val": 4, "test": 4})
    call("train", data, *QUICK, "--out", tmp_path / "m", "--quiet").expect(0)
    base = ("--base", tmp_path / "b")
    call("index", tmp_path / "m" / "split.csv", "--model", tmp_path / "m", *base, "--quiet").expect(0)
    assert "--allow-leak" not in call("evaluate", "model", *base, "--json").expect(0).out


def test_a_group_in_two_parts_is_refused_and_a_split_made_here_keeps_it_together(
    call: Call, own: Path, tmp_path: Path
) -> None:
    files = [(f"{label}/{i:04d}.png", label, f"{label}{i // 2}") for label in ("cat", "dog") for i in range(20)]
    lines = ["path,label,group", *(",".join(row) for row in files)]
    (own / "groups.csv").write_text("\n".join(lines))
    call("train", own / "groups.csv", *QUICK, "--out", tmp_path / "m", "--quiet").expect(0)
    where: dict[str, set[str]] = {}
    for row in rows(tmp_path / "m"):
        where.setdefault(row["group"], set()).add(row["split"])
    assert len(where) == 20
    assert all(len(parts) == 1 for parts in where.values())
    lines = ["path,label,group,split", *(f"{','.join(row)},{('train', 'val')[n % 2]}" for n, row in enumerate(files))]
    (own / "leak.csv").write_text("\n".join(lines))
    said = call("train", own / "leak.csv", *QUICK, "--out", tmp_path / "n").expect(1).sentence
    assert "cat/0000.png (train) and cat/0001.png (val) are of group cat0" in said


def test_labels_that_training_images_lack_are_refused(call: Call, pets: Path, tmp_path: Path) -> None:
    data = split_by_hand(pets, tmp_path / "set", {"train": 14, "val": 6})
    (data / "val" / "owl").mkdir()
    draw("owl", 1).save(data / "val" / "owl" / "a.png")
    said = call("train", data, *QUICK, "--out", tmp_path / "m").expect(1).sentence
    assert "no training image is labelled owl, but images of val are" in said


# -- what else may go wrong ------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_before_the_first_epoch_saves_nothing(call: Call, pets: Path, tmp_path: Path) -> None:
    line = ("train", pets, *TINY[:-4], "--batch-size", "8", "--lr", "1e30", "--optimiser", "sgd", "--epochs", "2")
    said = call(*line, "--out", tmp_path / "m").expect(1).sentence
    assert "in epoch 1, before any epoch was finished, so nothing was saved" in said
    assert "smaller --lr than 1e+30" in said
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_no_number_later_keeps_the_last_good_weights(
    call: Call, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate is sensible for one epoch, and absurd from the next on."""
    from casebase.networks.recipe import Recipe

    whole = ("train", pets, *TINY, "--schedule", "constant", "--keep", "last", "--batch-size", "8", "--quiet", "--out")
    call(*whole, tmp_path / "one", "--epochs", "1").expect(0)
    monkeypatch.setattr(Recipe, "rate", lambda self, step, steps: 1e-3 if step < 4 else 1e30)
    said = call(*whole, tmp_path / "m", "--epochs", "4").expect(1).sentence
    assert "in epoch 2; the weights of epoch 1 are saved in" in said
    assert "smaller --lr than 0.001" in said
    assert weights(tmp_path / "m") == weights(tmp_path / "one")
    assert remembered(tmp_path / "m")["diverged"]
    assert not (tmp_path / ".m.training").exists()
    monkeypatch.undo()
    call(*whole, tmp_path / "m", "--epochs", "1").expect(0)  # what went wrong may be replaced
    assert remembered(tmp_path / "m")["diverged"] is None
    monkeypatch.setattr(Recipe, "rate", lambda self, step, steps: 1e-3 if step < 4 else 1e30)
    said = call(*whole, tmp_path / "m", "--epochs", "4", "--fresh").expect(1).sentence
    assert "in epoch 2; the earlier model in" in said  # what is whole is not
    assert weights(tmp_path / "m") == weights(tmp_path / "one")
    assert not (tmp_path / ".m.training").exists()


def test_a_kill_after_the_last_step_leaves_no_state_for_ever(
    call: Call, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from casebase.networks.resuming import Resuming

    out, state = tmp_path / "m", tmp_path / ".m.training"
    monkeypatch.setattr(Resuming, "forget_state", lambda self: None)
    call("train", pets, *QUICK, "--out", out, "--quiet").expect(0)
    assert (state / "state.pt").is_file()
    monkeypatch.undo()
    assert "holds this training already" in call("train", pets, *QUICK, "--out", out).expect(0).out
    assert not state.exists()


def test_something_else_at_out_is_left_alone(call: Call, pets: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dear.jpg").write_bytes(b"x")
    said = call("train", pets, *QUICK, "--out", tmp_path / "photos").expect(1).sentence
    assert "exists and is no model folder" in said
    said = call("train", pets, *QUICK, "--out", tmp_path / "photos" / "dear.jpg").expect(1).sentence
    assert "exists and is no model folder" in said
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["dear.jpg", "photos"]


def test_what_somebody_put_into_a_model_folder_does_not_go_with_it(call: Call, pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    call("train", pets, *QUICK, "--out", out, "--quiet").expect(0)
    (out / "base").mkdir()
    (out / "base" / "cases.db").write_bytes(b"years of work")
    before = weights(out)
    said = call("train", pets, *QUICK, "--seed", "5", "--out", out, "--fresh").expect(1).sentence
    assert "holds base beside the model, which would be lost" in said
    assert weights(out) == before
    assert (out / "base" / "cases.db").read_bytes() == b"years of work"
    assert "holds this training already" in call("train", pets, *QUICK, "--out", out).expect(0).out


def test_a_model_folder_among_the_class_folders_is_refused(call: Call, own: Path) -> None:
    assert "would be read as a class" in call("train", own, *QUICK, "--out", own / "model").expect(2).sentence
    assert sorted(p.name for p in own.iterdir()) == ["cat", "dog"]


def test_a_model_that_train_did_not_make_is_left_alone(call: Call, pets: Path, model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "m"))
    before = weights(copy)
    said = call("train", pets, *QUICK, "--out", copy).expect(2).sentence
    assert "not made by `casebase train`" in said
    assert weights(copy) == before


def test_an_unwritable_place_is_said_before_anything_is_read(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    told = run("train", pets, *QUICK, "--out", tmp_path / "closed" / "m", obedient=True).expect(1)
    assert "cannot be written" in told.sentence
    assert "images" not in told.err


@pytest.mark.parametrize("out", ["/proc/m", "/proc/above/m"])
def test_a_place_where_even_root_cannot_write_is_one_sentence(out: str, call: Call, pets: Path) -> None:
    told = call("train", pets, *QUICK, "--out", out).expect(1)
    assert told.sentence.startswith(f"the model folder {out} cannot be written")
    assert "images" not in told.err


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--arch", "resnet81", "--no-pretrained"), 2, "torchvision has no network 'resnet81'; did you mean resnet1"),
        (("--arch", "timm:resnet_none", "--no-pretrained"), 2, "timm has no network 'resnet_none'"),
        (("--weights", "nothing.safetensors"), 1, "no weights file at nothing.safetensors"),
        (("--weights", "w.pt", "--no-pretrained"), 2, "contradict each other"),
        ((*TINY, "--optimiser", "lion"), 2, "--optimiser must be adam, adamw or sgd"),
        ((*TINY, "--epochs", "0"), 2, "--epochs must be at least 1"),
        ((*TINY, "--image-size", "0"), 2, "--image-size must be at least 1"),
        ((*TINY, "--precision", "fp8"), 2, "precision must be one of"),
        ((*TINY, "--device", "cuda:9"), 2, "device must be one of"),
    ],
)
def test_requests_that_make_no_sense(
    options: tuple[str, ...], code: int, told: str, call: Call, pets: Path, tmp_path: Path
) -> None:
    said = call("train", pets, *options, "--out", tmp_path / "m").expect(code).sentence
    assert told in said
    assert list(tmp_path.iterdir()) == []


def test_weights_that_do_not_fit_name_their_keys(call: Call, pets: Path, model: Path, tmp_path: Path) -> None:
    line = ("train", pets, "--arch", "resnet18", "--weights", model / "weights.safetensors", "--out", tmp_path / "m")
    said = call(*line).expect(1).sentence
    assert "do not fit this architecture: missing: layer1.1.conv1.weight" in said
    assert not (tmp_path / "m").exists()


def test_no_data_is_one_sentence(call: Call, tmp_path: Path) -> None:
    assert "no such folder or manifest" in call("train", tmp_path / "none", "--out", tmp_path / "m").expect(1).sentence
    assert list(tmp_path.iterdir()) == []


def test_views_beyond_the_memory_are_decoded_again_and_change_nothing(
    call: Call, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("train", pets, *QUICK, "--out", tmp_path / "one", "--quiet").expect(0)
    monkeypatch.setenv("CASEBASE_VIEW_MEGABYTES", "0")
    told = call("train", pets, *QUICK, "--out", tmp_path / "two").expect(0)
    assert "0 of 40 views are kept in memory" in told.err
    assert weights(tmp_path / "one") == weights(tmp_path / "two")


def test_two_at_once_into_one_folder(call: Call, pets: Path, tmp_path: Path) -> None:
    from casebase.storage import lock

    folder = tmp_path / ".m.training"
    folder.mkdir()
    with lock.writer(folder, "train"):
        said = call("train", pets, *QUICK, "--out", tmp_path / "m").expect(5).sentence
    assert "is being written by process" in said


def test_a_head_alone_leaves_the_backbone_as_it_was(call: Call, pets: Path, tmp_path: Path) -> None:
    call("train", pets, *QUICK, "--out", tmp_path / "first", "--quiet").expect(0)
    line = ("train", pets, "--model", tmp_path / "first", "--epochs", "2", "--freeze-backbone", "--quiet", "--out")
    call(*line, tmp_path / "head").expect(0)
    from safetensors.torch import load_file

    one, other = (load_file(tmp_path / name / "weights.safetensors") for name in ("first", "head"))
    same = {name: bool((one[name] == other[name]).all()) for name in one}
    assert not any(same[name] for name in same if name.startswith("fc."))
    assert all(same[name] for name in same if not name.startswith("fc."))


def test_on_a_terminal_there_is_a_bar_with_loss_and_accuracy_and_a_line_for_each_epoch(
    pets: Path, tmp_path: Path
) -> None:
    import os
    import pty

    ours, theirs = pty.openpty()
    command = command_line("train", pets, *QUICK, "--batch-size", "4", "--out", tmp_path / "m")
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment(TERM="xterm-256color", COLUMNS="120")
    ) as running:
        os.close(theirs)
        seen = b""
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:  # Linux says so when the other side has closed
                break
            if not block:
                break
            seen += block
        assert running.wait(100) == 0
    os.close(ours)
    shown = seen.decode()
    assert "reading" in shown
    assert "━" in shown
    assert re.search(r"epoch 2/2 .*loss \d\.\d{3}, accuracy ", shown)
    assert re.search(r"epoch 1/2: loss \d\.\d{4}, accuracy [\d.]+ %; validation loss \d\.\d{4}", shown)


def test_python_does_what_the_command_does(pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from casebase import api, settings

    options = api.TrainOptions(
        out=tmp_path / "m", model="casebase:resnet10", pretrained=False, image_size=32,
        recipe=api.Recipe(lr=1e-3, epochs=2),
    )  # fmt: skip
    done = api.train(settings.load(None, {"device": "cpu"}), pets, options, progress=True)
    assert "epoch 2/2: loss" in capsys.readouterr().err
    run("train", pets, *QUICK, "--out", tmp_path / "typed", "--quiet").expect(0)
    assert weights(tmp_path / "typed") == weights(tmp_path / "m")
    assert done.to_dict()["schema"] == "casebase.training/1"
    assert "<table>" in done._repr_html_()
    assert done.accuracy["test"].n == 6
