"""``casebase saliency`` and ``--saliency``: maps of a base's network or of another, and requests that cannot be met."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import casebase
from casebase.explain import METHOD_NAMES
from tests.flow.command import Call, run

KEYS = {"schema", "image", "prediction", "classes", "maps", "page", "warnings", "facts", "seconds"}
MAP_KEYS = {
    "method", "class", "probability", "layer", "size", "shares", "problem", "deletion", "facts", "seconds", "overlay",
    "raw",
}  # fmt: skip
NETWORKS = """
import torch
from torch import nn


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(3 * 224 * 224, 3)

    def forward(self, x):
        return self.head(x.flatten(1))


class Holed(nn.Module):
    '''Its features hold a NaN where the picture is bright; its scores never do.'''

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, 4, 3, stride=32), nn.Linear(4, 3)

    def forward(self, x):
        maps = self.holes(self.conv(x))
        return self.head(torch.nan_to_num(maps).mean((2, 3)))


class Holes(nn.Module):
    def forward(self, x):
        return torch.where(x > x.mean(), torch.nan, x)


def flat():
    return Flat()


def holed():
    network = Holed()
    network.holes = Holes()
    return network


class Lost(Flat):
    def forward(self, x):
        return super().forward(x * torch.nan if len(x) == 1 else x)


def two():
    network = Flat()
    network.head = nn.Linear(3 * 224 * 224, 2)
    return network


def lost():
    return Lost()
"""


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of a user's own networks; its name is new each time, since Python keeps what it has imported."""
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("cat\ndog\nowl\n")
    return path


def test_two_methods_for_two_classes_are_files_a_page_and_json(
    tmp_path: Path, shared_base: Path, stranger: Path, call: Call
) -> None:
    out = tmp_path / "maps"
    ask = ("saliency", stranger, "--base", shared_base, "--method", "layercam", "--method", "occlusion")
    asked = call(*ask, "--class", "dog", "--class", "owl", "--out", out, "--json").expect(0)
    value = asked.json
    assert set(value) == KEYS
    assert value["schema"] == "casebase.saliency/1"
    called = value["prediction"]["predicted"]
    assert value["classes"] == list(dict.fromkeys([called, "dog", "owl"]))
    expected = [(method, name) for name in value["classes"] for method in ("layercam", "occlusion")]
    assert [(one["method"], one["class"]) for one in value["maps"]] == expected
    for one in value["maps"]:
        assert set(one) == MAP_KEYS
        raw = np.load(one["raw"])
        assert (raw.dtype, list(raw.shape)) == (np.float32, one["size"])
        if one["problem"] is None:
            with Image.open(one["overlay"]) as drawn:
                assert drawn.mode == "RGB"
            assert one["deletion"]["class"] == one["class"]
            assert one["deletion"]["method"] == one["method"]
            assert len(one["deletion"]["marked_curve"]) == len(one["deletion"]["shares"]) == 4
            assert sum(one["shares"]) == pytest.approx(1.0)
        else:
            assert one["overlay"] is None
            assert one["deletion"] is None
    assert any(one["problem"] is None for one in value["maps"])
    page = Path(value["page"]).read_text(encoding="utf-8")
    assert page.count("<figure") == 1 + len(expected)
    assert 'class="curve"' in page
    kept = json.loads((out / "saliency.json").read_text(encoding="utf-8"))
    assert kept["maps"][0]["raw"].startswith("raw/")
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "overlays", "raw", "saliency.json"]
    again = call(*ask, "--out", out, "--json").expect(0)  # its own folder may be replaced
    assert len(list((out / "raw").iterdir())) == len(again.json["maps"]) == 2


def test_query_and_saliency_make_the_same_map(tmp_path: Path, shared_base: Path, stranger: Path, call: Call) -> None:
    with casebase.open(shared_base) as base:
        for method in ("gradcam", "layercam", "rise"):
            seen = base.explain(stranger, saliency=method)
            maps = base.saliency(stranger, methods=[method])
            called = maps.prediction.predicted
            assert called == seen.retrieval.called
            (one,) = maps.rows
            other = seen.saliency["query", called]
            assert one.found is not None
            assert one.found.values == pytest.approx(other.values, abs=1e-5)  # another batch, another rounding
            assert dict(one.found.facts) == dict(other.facts)
            (check,) = [check for check in seen.deletions if check.target == called]
            assert one.check is not None
            assert one.check.marked_curve == pytest.approx(check.marked_curve, abs=1e-5)
            assert one.check.random_curve == pytest.approx(check.random_curve, abs=1e-5)
            assert one.check.convincing is check.convincing
            assert "srcdoc" in maps._repr_html_()


def test_the_table_names_method_class_check_and_page(shared_base: Path, stranger: Path, tmp_path: Path) -> None:
    done = run("saliency", stranger, "--base", shared_base, "--out", "maps", cwd=tmp_path).expect(0)
    assert all(len(line) <= 100 for line in done.out.splitlines() if "page:" not in line)
    assert "Grad-CAM" in done.out
    assert "page: maps/index.html" in done.out
    assert (tmp_path / "maps" / "index.html").is_file()


def test_without_a_folder_the_base_keeps_the_maps(base: Path, stranger: Path, call: Call) -> None:
    value = call("saliency", stranger, "--base", base, "--json").expect(0).json
    assert Path(value["page"]).parent.parent == base / "reports"
    assert Path(value["page"]).is_file()


def test_a_network_needs_no_base(tmp_path: Path, stranger: Path, model: Path, call: Call) -> None:
    ask = ("saliency", stranger, "--model", model, "--base", tmp_path / "none", "--json")
    value = call(*ask).expect(0).json
    assert not (tmp_path / "none").exists()
    assert value["page"] is None
    assert {one["raw"] for one in value["maps"]} == {None}
    assert any("untrained" in warning for warning in value["warnings"])
    written = call(*ask, "--out", tmp_path / "maps").expect(0).json
    assert Path(written["page"]).is_file()


def test_a_query_by_another_method_has_its_maps_checks_and_overlay(
    base: Path, stranger: Path, call: Call, tmp_path: Path
) -> None:
    page = tmp_path / "why.html"
    value = call("query", stranger, "--base", base, "--saliency", "rise", "--report", page, "--json").expect(0).json
    assert list(value["overlays"]) == ["rise"]
    assert {one["method"] for one in value["maps"]} == {"rise"}
    assert len(value["deletion"]) == len([one for one in value["maps"] if one["degenerate"] is None])
    if value["deletion"]:
        assert Path(value["overlays"]["rise"]).is_file()
    assert "Only the query is mapped: a map by RISE costs about" in page.read_text(encoding="utf-8")


def test_the_dossier_takes_any_method(shared_wrong: Path, call: Call, tmp_path: Path) -> None:
    ask = ("errors", "--base", shared_wrong, "--saliency", "layercam", "--limit", "1", "--out", tmp_path / "out")
    (one,) = call(*ask, "--json").expect(0).json["errors"]
    assert {"layercam", "layercam_label"} <= set(one["overlays"])
    assert {entry["method"] for entry in one["maps"]} == {"layercam"}


def test_the_help_lists_the_methods(call: Call) -> None:
    for command in ("query", "errors", "saliency"):
        said = " ".join(call(command, "--help").expect(0).out.split())
        assert all(name in said.replace("- ", "-") for name in METHOD_NAMES), command


@pytest.mark.parametrize("command", ["query", "errors", "saliency"])
def test_an_unknown_method_lists_those_that_exist(
    command: str, shared_base: Path, stranger: Path, call: Call, tmp_path: Path
) -> None:
    option = "--method" if command == "saliency" else "--saliency"
    words = [command, *([] if command == "errors" else [stranger]), option, "grad\x1bcam", "--base", shared_base]
    said = call(*words).expect(2).sentence
    assert "no saliency method" in said
    assert all(name in said for name in METHOD_NAMES)
    assert "\x1b" not in said


def test_an_unknown_class_names_some_that_are_known(shared_base: Path, stranger: Path, call: Call) -> None:
    said = call("saliency", stranger, "--class", "emu", "--base", shared_base).expect(2).sentence
    assert said == "no class 'emu'; this network knows cat, dog, owl"


def test_a_layer_that_is_not_there_lists_those_that_could_serve(shared_base: Path, stranger: Path, call: Call) -> None:
    said = call("saliency", stranger, "--layer", "layer9", "--base", shared_base).expect(1).sentence
    assert "no layer 'layer9'" in said
    assert "layers that could serve: " in said


def test_a_layer_is_nothing_to_a_method_without_one(
    shared_base: Path, stranger: Path, call: Call, tmp_path: Path
) -> None:
    ask = ("saliency", stranger, "--base", shared_base, "--out", tmp_path / "maps", "--method", "rise", "--json")
    value = call(*ask, "--layer", "layer2", "--samples", "40").expect(0).json
    assert "--layer is nothing to RISE" in value["warnings"]
    assert value["maps"][0]["facts"]["samples"] == 40


def test_two_classes_have_maps_of_their_own_unless_absolute_values_are_asked_for(
    networks: str, tmp_path: Path, stranger: Path, call: Call
) -> None:
    """LIME's weights for one of two classes are the negative of those for the other."""
    (tmp_path / "two.txt").write_text("cat\ndog\n")
    ask = (
        "saliency",
        stranger,
        "--model",
        f"{networks}:two",
        "--class-names",
        tmp_path / "two.txt",
        "--method",
        "lime",
    )
    ask = (*ask, "--samples", "60", "--class", "cat", "--class", "dog", "--json")
    for sign, alike in (("positive", False), ("absolute", True)):
        value = call(*ask, "--sign", sign, "--out", tmp_path / sign).expect(0).json
        one, other = (Image.open(entry["overlay"]).tobytes() for entry in value["maps"])
        assert (one == other) is alike, sign
        assert value["maps"][0]["facts"]["sign"] == sign
    said = call(*ask, "--sign", "up").expect(2).sentence
    assert "--sign must be absolute or positive" in said


def test_a_network_without_places_says_so(networks: str, names: Path, stranger: Path, call: Call) -> None:
    ask = ("saliency", stranger, "--model", f"{networks}:flat", "--class-names", names)
    said = call(*ask).expect(1).sentence
    assert "no layer whose output has places" in said
    value = call(*ask, "--method", "gradcam", "--method", "occlusion", "--json").expect(0).json
    cam, other = value["maps"]
    assert "no layer whose output has places" in cam["problem"]
    assert (cam["overlay"], cam["deletion"], cam["size"]) == (None, None, None)
    assert other["problem"] is None
    assert any(warning.startswith("Grad-CAM: ") for warning in value["warnings"])
    text = call(*ask, "--method", "gradcam", "--method", "occlusion").expect(0).out
    (line,) = (line for line in text.splitlines() if line.startswith("Grad-CAM"))
    assert line.split()[-3:] == ["no", "map", "–"]
    assert "nowhere" not in line  # it was not looked for, which is another thing than a map that lies nowhere


def test_maps_that_are_not_finite_are_not_shown(
    networks: str, names: Path, stranger: Path, call: Call, tmp_path: Path
) -> None:
    ask = ("saliency", stranger, "--model", f"{networks}:holed", "--class-names", names, "--layer", "holes", "--json")
    value = call(*ask, "--out", tmp_path / "maps").expect(0).json
    (one,) = value["maps"]
    assert one["problem"] == "the map is not finite"
    assert (one["overlay"], one["deletion"]) == (None, None)
    assert "NaN" not in (tmp_path / "maps" / "saliency.json").read_text(encoding="utf-8")
    assert "The map means nothing: the map is not finite." in Path(value["page"]).read_text(encoding="utf-8")


def test_scores_that_are_not_finite_leave_nothing_to_explain(
    networks: str, names: Path, stranger: Path, call: Call
) -> None:
    said = call("saliency", stranger, "--model", f"{networks}:lost", "--class-names", names).expect(1).sentence
    assert "are not finite, so there is no class to explain" in said


def test_an_image_smaller_than_the_grid_is_told(shared_base: Path, call: Call, tmp_path: Path) -> None:
    path = tmp_path / "tiny.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)).save(path)
    value = call("saliency", path, "--base", shared_base, "--out", tmp_path / "maps", "--json").expect(0).json
    assert any("the picture has 6 x 5 pixels, fewer than a map of" in warning for warning in value["warnings"])


def test_a_missing_extra_names_what_to_install(
    shared_base: Path, stranger: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lime", None)
    monkeypatch.setitem(sys.modules, "lime.lime_image", None)
    for words in (
        ("saliency", stranger, "--method"),
        ("query", stranger, "--saliency"),
        ("errors", "--split", "x", "--saliency"),
    ):
        said = call(*words, "lime", "--base", shared_base).expect(2).sentence
        assert "pip install 'casebase[saliency]'" in said


def test_a_folder_of_somebody_elses_is_left_alone(
    shared_base: Path, stranger: Path, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    said = call("saliency", stranger, "--base", shared_base, "--out", tmp_path / "mine").expect(2).sentence
    assert "is no set of maps of casebase: it holds thesis.tex" in said
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "mine"


def test_no_base_and_no_network(tmp_path: Path, stranger: Path, call: Call) -> None:
    assert "no case base" in call("saliency", stranger, "--base", tmp_path / "none").expect(10).sentence
