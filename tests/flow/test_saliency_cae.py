"""The method ``cae`` as it is typed: in a base with an embedding, without one, and below the gates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casebase import reading
from casebase.association import Association, Codes, Nodes, Size
from casebase.errors import FingerprintMismatch
from casebase.networks.cae import coder
from casebase.networks.explained import ExplainedNetwork
from casebase.storage.writing import SqlCaseStore
from casebase.wiring import explaining, saliency_bench
from tests.explain.cae.planted import standing
from tests.flow.command import Call

SIDE = 56
NAMED = ["cae", "cae-published"]


class MeanColour:
    """An embedding that needs no training: the class code is the mean colour, the individual code is what remains.

    The colour is taken most from the middle, so that a walk changes most there.
    """

    middle = np.outer(np.hanning(SIDE), np.hanning(SIDE))[..., None].astype(np.float32) * 0.5 + 0.5

    def __init__(self, network: ExplainedNetwork, photos: Path, failed: list[str]) -> None:
        self.network, self.classes = network, network.classes or ()
        views = np.stack([network.preprocess.pixels(reading.read(one).image) for one in sorted(photos.rglob("*.png"))])
        called = coder.judged(network, views).argmax(axis=1)
        self.found = Association(
            classifier=network.classifier_fingerprint or "", digest="d" * 64, preset="test",
            size=Size(SIDE, 1, 1, code=3), view=network.preprocess.crop, classes=list(self.classes),
            target="predicted", standing=standing(), log=[], failed=failed, settings={}, created="2026-11-22",
        )  # fmt: skip
        self.nodes = Nodes(self.codes(views), called, [f"{place:032x}" for place in range(len(views))])

    def encode(self, views: np.ndarray) -> Codes:
        of_class = self.codes(views)
        return Codes(of_class, self.reduced(views) - self.middle * of_class[:, None, None])

    def codes(self, views: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.reduced(views).mean(axis=(1, 2)).astype(np.float32)
        return found

    def decode(self, of_class: np.ndarray, individual: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.clip(np.rint(self.middle * of_class[:, None, None] + individual), 0, 255).astype(
            np.uint8
        )
        return found

    def judge(self, images: np.ndarray) -> np.ndarray:
        return coder.judged(self.network, images)

    def reduced(self, views: np.ndarray) -> np.ndarray:
        return coder.reduced(views, SIDE)


@pytest.fixture
def failed() -> list[str]:
    """The gates that the embedding did not pass."""
    return []


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch, shared_photos: Path, failed: list[str]) -> None:
    """Every base has this embedding."""

    def view(_store: SqlCaseStore, network: ExplainedNetwork) -> MeanColour:
        return MeanColour(network, shared_photos, failed)

    monkeypatch.setattr(explaining, "association_view", view)
    monkeypatch.setattr(saliency_bench, "association_view", view)


@pytest.mark.usefixtures("embedded")
def test_maps_of_a_picture_record_the_walk(call: Call, shared_base: Path, stranger: Path, tmp_path: Path) -> None:
    ask = (
        "saliency",
        stranger,
        "--base",
        shared_base,
        "--method",
        "cae",
        "--method",
        "cae-published",
        "--class",
        "owl",
    )
    value = call(*ask, "--out", tmp_path / "out", "--json").expect(0).json
    assert [(one["method"], one["class"]) for one in value["maps"]] == [
        (name, kind) for kind in (value["prediction"]["predicted"], "owl") for name in NAMED
    ]
    for one in value["maps"]:
        assert one["problem"] is None, one["problem"]
        assert one["facts"]["flipped"] is True
        assert one["facts"]["synthetic"] is True
        assert 0 < one["facts"]["flip"] <= 1
        assert Path(one["raw"]).is_file()
    assert {one["facts"]["flipped_to"] for one in value["maps"] if one["class"] == "owl"} <= {"owl", "dog"}
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "Synthetic: the difference from the reconstruction of a walk to" in page


@pytest.mark.usefixtures("embedded")
def test_a_query_maps_the_picture_alone(call: Call, shared_base: Path, stranger: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    call("query", stranger, "--base", shared_base, "--saliency", "cae", "--report", page, "--json").expect(0)
    assert "Only the query is mapped: a map by Synthetic counterfactual (CAE)" in page.read_text(encoding="utf-8")


@pytest.mark.usefixtures("embedded")
def test_the_bench_measures_it_and_remembers_the_maps(call: Call, base: Path, stranger: Path, tmp_path: Path) -> None:
    ask = (
        "evaluate",
        "saliency",
        stranger.parent,
        "--base",
        base,
        "--method",
        "cae",
        "--metric",
        "occlusion",
        "--quiet",
    )
    value = call(*ask, "--out", tmp_path / "one", "--json").expect(0).json
    assert "Synthetic counterfactual (CAE)" in json.dumps(value)
    assert list((base / "saliency").rglob("*"))
    again = call(*ask, "--out", tmp_path / "two", "--json").expect(0).json
    assert _measured(again) == _measured(value) != []


@pytest.mark.parametrize("name", NAMED)
def test_without_an_embedding_the_sentence_names_the_command(
    name: str, call: Call, shared_base: Path, stranger: Path, tmp_path: Path
) -> None:
    lines = [
        ("saliency", stranger, "--method", name, "--out", tmp_path / "maps"),
        ("query", stranger, "--saliency", name),
        ("evaluate", "saliency", stranger.parent, "--method", name, "--metric", "occlusion", "--out", tmp_path / "out"),
    ]
    for line in lines:
        said = call(*line, "--base", shared_base).expect(1).sentence
        assert f"{name} needs a class association embedding of this network, and there is none" in said, line
        assert "casebase cae train" in said


def test_another_network_has_none(call: Call, model: Path, shared_base: Path, stranger: Path, tmp_path: Path) -> None:
    ask = ("saliency", stranger, "--model", model, "--method", "cae", "--out", tmp_path / "maps")
    assert "there is none" in call(*ask, "--base", shared_base).expect(1).sentence


@pytest.mark.usefixtures("embedded")
@pytest.mark.parametrize("failed", [["only 40 % of 20 edits from cat to dog are called dog"]])
def test_below_the_gates_there_are_no_maps(
    call: Call, shared_base: Path, stranger: Path, tmp_path: Path, failed: list[str]
) -> None:
    ask = ("saliency", stranger, "--base", shared_base, "--out", tmp_path / "out")
    said = call(*ask, "--method", "cae").expect(1).sentence
    assert f"did not pass its gates: {failed[0]}" in said
    beside = call(*ask, "--method", "gradcam", "--method", "cae", "--json").expect(0).json
    (problem,) = (one["problem"] for one in beside["maps"] if one["method"] == "cae")
    assert "did not pass its gates" in problem


def test_the_embedding_of_another_network_is_left_out_with_its_reason(
    call: Call, shared_base: Path, stranger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(_store: SqlCaseStore, _network: ExplainedNetwork) -> None:
        raise FingerprintMismatch("the embedding of this base explains the network c0ffee")

    monkeypatch.setattr(saliency_bench, "association_view", stale)
    ask = ("evaluate", "saliency", stranger.parent, "--base", shared_base, "--metric", "occlusion")
    found = call(*ask, "--method", "cae", "--method", "gradcam", "--out", tmp_path / "out").expect(0)
    assert "the network c0ffee" in found.err


def _measured(value: dict[str, Any]) -> list[Any]:
    return [row for row in value["rows"] if "second" not in json.dumps(row)]
