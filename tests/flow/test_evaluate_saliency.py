"""``casebase evaluate saliency`` as it is typed, on a tiny untrained network and drawn pictures."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import casebase
from casebase.api import BenchSettings, SaliencyOptions, evaluate_saliency
from casebase.cli.main import invoke
from casebase.evaluate.saliency.baselines import BASELINES
from casebase.settings import load
from tests.flow.command import Call, Outcome, colourless, command_line, environment, run
from tests.flow.conftest import PLAIN
from tests.flow.test_evaluate import split_photos

QUICK = ("--method", "gradcam", "--metric", "occlusion", "--quiet")

FACTORIES = """
from torch import nn

PREPROCESS = {"resize": 32, "crop": [32, 32], "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.25] * 3}

def one():
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    return body, ["only"], PREPROCESS

def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)), list("abcde"), PREPROCESS

class Standardised(nn.Module):
    def forward(self, x):
        return x / x.std(dim=(1, 2, 3), keepdim=True, correction=0)

def fragile():  # 0 / 0 for a picture of mid grey
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    return nn.Sequential(Standardised(), *body), list("abc"), {**PREPROCESS, "mean": [0.0] * 3}
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A flat folder of four pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 255, (40, 48, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    folder = tmp_path / "masks"
    folder.mkdir()
    inside = np.zeros((40, 48), np.uint8)
    inside[10:30, 10:30] = 255
    for number in range(4):
        Image.fromarray(inside).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "made_nets.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path / "nets")
    monkeypatch.delitem(sys.modules, "made_nets", raising=False)


@pytest.fixture(scope="module")
def split_base(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("split")
    photos = split_photos(folder / "photos", [("train", 6), ("test", 2)])
    base = folder / "base"
    assert invoke(["index", str(photos), "--model", str(model), *PLAIN, "--quiet", "--json", "--base", str(base)]) == 0
    return base


def test_without_a_base_tables_files_and_a_memory_beside_them(pictures: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    line = ("evaluate", "saliency", pictures, "--model", model, "--out", out, "--method", "gradcam")
    done = run(*line, "--metric", "occlusion", "--metric", "deletion", cwd=tmp_path).expect(0)
    assert "Saliency methods on model, 4 images" in done.out
    assert "Grad-CAM" in done.out
    assert "Random, smooth" in done.out
    assert colourless(done.out)
    value = json.loads((out / "evaluation.json").read_text())
    rows = [row for row in value["rows"] if row["table"] == "occlusion"]
    assert [row["key"] for row in rows] == ["gradcam", *BASELINES]
    assert all(row["drop_b_n"] == 4 and row["drop_b_low"] <= row["drop_b"] <= row["drop_b_high"] for row in rows)
    assert value["settings"]["resamples"] == 10_000
    assert value["settings"]["metric settings"]["threshold"] == "top_fraction"
    made = next(row for row in value["rows"] if row["table"] == "rows" and row["key"] == "gradcam")
    assert made["fact layer"]
    assert made["seconds"] > 0
    assert {path.name for path in (out / "plots").iterdir()} >= {"deletion.svg", "insertion.svg", "sheet.png"}
    per_map = list(csv.DictReader((out / "per_query.csv").open(encoding="utf-8", newline="")))
    assert len(per_map) == 4 * (1 + len(BASELINES))
    assert list((tmp_path / "bench.kept").rglob("*.map"))
    again = run(*line, "--metric", "occlusion", "--json", cwd=tmp_path).expect(0).json
    made = next(row for row in again["rows"] if row["table"] == "rows" and row["key"] == "gradcam")
    assert made["remembered"] == 4
    assert [row for row in again["rows"] if row["table"] == "occlusion"] == rows


def test_with_a_base_its_held_out_images_and_its_network(split_base: Path, call: Call, tmp_path: Path) -> None:
    line = ("evaluate", "saliency", *QUICK, "--base", split_base, "--json")
    value = call(*line).expect(0).json
    assert (value["schema"], value["kind"]) == ("casebase.evaluation/1", "saliency")
    assert value["settings"]["images"] == 6
    assert list((split_base / "saliency").rglob("*.map"))
    assert (split_base / "reports" / "evaluate-saliency" / "index.html").is_file()
    with casebase.open(split_base) as opened:
        options = SaliencyOptions(methods=["gradcam"], metrics=["occlusion"])
        found = opened.evaluate("saliency", options=options)
        assert [r for r in found.to_dict()["rows"] if r["table"] == "occlusion"] == [
            r for r in value["rows"] if r["table"] == "occlusion"
        ]
        assert (found.save(tmp_path / "e") / "index.html").is_file()
        with pytest.raises(casebase.CasebaseError, match="takes SaliencyOptions"):
            opened.evaluate("saliency", options=casebase.api.TwinOptions())
    call("verify", "--base", split_base).expect(0)


def test_the_python_interface_needs_no_base(pictures: Path, model: Path, tmp_path: Path) -> None:
    options = SaliencyOptions(
        images=[pictures], models=[str(model)], methods=["gradcam"], metrics=["occlusion"], limit=2,
        bench=BenchSettings(fill="black"), kept=tmp_path / "kept",
    )  # fmt: skip
    found = evaluate_saliency(load(tmp_path / "none"), options)
    assert found.settings["images"] == 2
    assert found.settings["metric settings"]["fill"] == "black"
    assert (found.save(tmp_path / "e") / "evaluation.json").is_file()


def test_two_networks_are_compared_and_the_deck_stands_beside(pictures: Path, model: Path, call: Call) -> None:
    value = call(
        "evaluate", "saliency", pictures, "--model", model, "--model", "casebase:resnet10", *QUICK, "--against", "deck",
        "--limit", "2", "--json", "--out", pictures.parent / "o",
    ).expect(0).json  # fmt: skip
    rows = [row for row in value["rows"] if row["table"] == "occlusion"]
    assert {row["network"] for row in rows} == {"model", "casebase:resnet10"}
    deck = [row for row in value["rows"] if row["table"] == "deck"]
    assert sum(row["whose"] == "as printed" for row in deck) == 6
    assert any("cannot be reproduced exactly" in one["text"] for one in value["statements"])


def test_masks_give_agreement(pictures: Path, masks: Path, model: Path, call: Call) -> None:
    value = call(
        "evaluate", "saliency", pictures, "--model", model, "--method", "gradcam", "--metric", "iou", "--masks", masks,
        "--json", "--quiet", "--out", pictures.parent / "o",
    ).expect(0).json  # fmt: skip
    assert all(row["iou_n"] == 4 for row in value["rows"] if row["table"] == "iou")
    read = value["settings"]["masks"]
    assert read["path"] == str(masks)
    assert (read["kind"], read["values"], read["ignored"]) == ("binary", "not 0", [])


def test_how_masks_are_read_can_be_chosen(pictures: Path, masks: Path, model: Path, call: Call) -> None:
    for path in masks.iterdir():
        index = np.full((40, 48), 7, np.uint8)
        index[10:30, 10:30], index[0:5] = 5, 9
        Image.fromarray(index).save(path)
    line = ("--model", model, "--method", "gradcam", "--metric", "energy", "--masks", masks)
    told = refused(call, pictures, *line).expect(1).sentence
    assert "values" in told
    value = call(
        "evaluate", "saliency", pictures, *line, "--mask-value", "5", "--mask-ignored", "9", "--json", "--quiet",
        "--out", pictures.parent / "o",
    ).expect(0).json  # fmt: skip
    assert (value["settings"]["masks"]["values"], value["settings"]["masks"]["ignored"]) == ([5], [9])
    ones = next(row for row in value["rows"] if row["table"] == "energy" and row["key"] == "ones")
    assert ones["energy_n"] == 4


def test_a_choice_of_masks_without_masks_is_told(pictures: Path, model: Path, call: Call) -> None:
    said = refused(call, pictures, "--model", model, "--mask-value", "5").expect(2).sentence
    assert "belongs to --masks" in said


def refused(call: Call, pictures: Path, *more: object) -> Outcome:
    return call("evaluate", "saliency", pictures, "--out", pictures.parent / "o", "--quiet", *more)


def test_unknown_names_list_those_there_are(pictures: Path, model: Path, call: Call) -> None:
    said = refused(call, pictures, "--model", model, "--method", "gradcan").expect(2).sentence
    assert "no saliency method 'gradcan'; there is gradcam" in said
    said = refused(call, pictures, "--model", model, "--metric", "roar").expect(2).sentence
    assert "no metric 'roar'; there is " in said
    said = refused(call, pictures, "--model", "torchvision:resnet81").expect(2).sentence
    assert "resnet18" in said
    said = refused(call, pictures, "--model", model, "--against", "paper").expect(2).sentence
    assert "--against knows deck" in said
    said = refused(call, pictures, "--model", model, "--fill", "red").expect(2).sentence
    assert "black" in said


def test_a_layer_that_is_not_there_lists_layers(pictures: Path, model: Path, call: Call) -> None:
    said = refused(call, pictures, "--model", model, *QUICK, "--layer", "layer9").expect(1).sentence
    assert "layer9" in said
    assert "layer3" in said


@pytest.mark.parametrize(
    ("harm", "word"), [("size", "10x10"), ("empty", "empty"), ("missing", "none of the 4 images has a mask")]
)
def test_bad_masks_are_told_before_the_work(
    pictures: Path, masks: Path, model: Path, call: Call, harm: str, word: str
) -> None:
    if harm == "size":
        Image.new("L", (10, 10), 255).save(masks / "2.png")
    elif harm == "empty":
        Image.new("L", (48, 40), 0).save(masks / "2.png")
    else:
        for number in range(4):
            (masks / f"{number}.png").rename(masks / f"other{number}.png")
    done = refused(call, pictures, "--model", model, "--method", "gradcam", "--metric", "iou", "--masks", masks)
    said = done.expect(1).sentence
    assert word in said or harm == "size"
    assert harm == "missing" or "2.png" in said


def test_a_coco_file_without_these_images_is_not_told_to_have_names_of_png_files(
    pictures: Path, model: Path, call: Call, tmp_path: Path
) -> None:
    image = {"id": 1, "file_name": "elsewhere.jpg", "width": 48, "height": 40}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "segmentation": [], "iscrowd": 0, "area": 81}
    named = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "coco.json").write_text(json.dumps(named), encoding="utf-8")
    done = refused(call, pictures, "--model", model, *QUICK, "--metric", "iou", "--masks", tmp_path / "coco.json")
    said = done.expect(1).sentence
    assert "none of the 4 images has a mask in" in said
    assert "its annotations go by the file names of the images, such as 0." in said


def test_a_metric_that_needs_masks_asks_for_them(pictures: Path, model: Path, call: Call) -> None:
    said = refused(call, pictures, "--model", model, "--metric", "iou").expect(2).sentence
    assert "--masks" in said


def test_no_images(tmp_path: Path, model: Path, call: Call) -> None:
    (tmp_path / "empty").mkdir()
    assert "no image in" in refused(call, tmp_path / "empty", "--model", model).expect(1).sentence
    assert "no such folder" in refused(call, tmp_path / "nowhere", "--model", model).expect(1).sentence
    done = call("evaluate", "saliency", "--model", model, "--base", tmp_path / "none")
    assert "no case base" in done.expect(10).sentence


def test_weights_go_with_models(pictures: Path, call: Call) -> None:
    two = ("--model", "casebase:resnet10", "--model", "casebase:resnet10", "--weights", "a.pt")
    assert "1 --weights for 2 --model" in refused(call, pictures, *two).expect(2).sentence
    assert "belongs to a --model" in refused(call, pictures, "--weights", "a.pt").expect(2).sentence
    one = ("--model", "casebase:resnet10", "--weights", "none.pt")
    assert "no weights file at none.pt" in refused(call, pictures, *one).expect(1).sentence


@pytest.mark.usefixtures("factories")
def test_a_network_with_one_class_is_refused(pictures: Path, call: Call) -> None:
    said = refused(call, pictures, "--model", "made_nets:one", *QUICK).expect(1).sentence
    assert "one class" in said


@pytest.mark.usefixtures("factories")
def test_a_row_that_cannot_be_says_why_and_the_others_go_on(pictures: Path, model: Path, call: Call) -> None:
    line = ("--model", "made_nets:flat", "--model", model, *QUICK, "--json")
    value = refused(call, pictures, *line).expect(0).json
    rows = [row for row in value["rows"] if row["table"] == "occlusion" and row["key"] == "gradcam"]
    assert [row["images"] for row in rows] == [0, 4]
    assert rows[0]["reading"].startswith("no map: ")
    assert any("has no row of figures" in one["text"] and one["level"] == "alarm" for one in value["statements"])
    assert refused(call, pictures, *line, "--strict").code == 3
    said = refused(call, pictures, "--model", "made_nets:flat", *QUICK).expect(1).sentence
    assert "Grad-CAM" in said


@pytest.mark.usefixtures("factories")
def test_an_image_with_scores_that_are_no_numbers_is_left_out_and_named(pictures: Path, call: Call) -> None:
    Image.new("RGB", (48, 40)).save(pictures / "black.png")
    value = refused(call, pictures, "--model", "made_nets:fragile", *QUICK, "--json").expect(0).json
    said = [one["text"] for one in value["statements"]]
    assert any("1 of 5 images were left out (black.png: the network's scores for it are not finite)" in s for s in said)
    assert all(row["drop_b_n"] == 4 for row in value["rows"] if row["table"] == "occlusion")
    for path in pictures.glob("[0-9].png"):
        path.unlink()
    said = refused(call, pictures, "--model", "made_nets:fragile", *QUICK).expect(1).sentence
    assert "none of the 1 images can be used" in said


def test_lime_that_is_not_installed_names_the_extra(
    pictures: Path, model: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name == "lime" or name.startswith("lime.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lime", None)
    line = ("--model", model, "--method", "lime", "--metric", "sparseness")
    assert "pip install 'casebase[saliency]'" in refused(call, pictures, *line).expect(2).sentence


def test_a_killed_run_goes_on(pictures: Path, model: Path, tmp_path: Path) -> None:
    line = (
        "evaluate", "saliency", pictures, "--model", model, "--method", "gradcam", "--metric", "deletion", "--metric",
        "aopc", "--out", tmp_path / "o",
    )  # fmt: skip
    child = subprocess.Popen(
        command_line(*line), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    kept = tmp_path / "o.kept"
    end = time.monotonic() + 100
    while child.poll() is None and time.monotonic() < end and not list(kept.rglob("*.map")):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert list(kept.rglob("*.map"))
    assert not (tmp_path / "o").exists()
    value = run(*line, "--json", cwd=tmp_path).expect(0).json
    made = next(row for row in value["rows"] if row["table"] == "rows" and row["key"] == "gradcam")
    assert made["remembered"] >= 1
