"""``casebase evaluate cae`` by the real command, on an embedding that needs no training, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import casebase
from casebase.errors import UsageError
from casebase.networks.explained import ExplainedNetwork
from casebase.storage.writing import SqlCaseStore
from casebase.wiring import cae_bench
from tests.flow.command import Call
from tests.flow.test_saliency_cae import MeanColour

FEW = ("--walks", 2, "--hidden", 2, "--draws", 1, "-n", 9)


@pytest.fixture
def failed() -> list[str]:
    """The gates that the embedding did not pass."""
    return []


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch, shared_photos: Path, failed: list[str]) -> None:
    """Every base has the embedding by mean colour."""

    def view(_store: SqlCaseStore, network: ExplainedNetwork) -> MeanColour:
        return MeanColour(network, shared_photos, failed)

    monkeypatch.setattr(cae_bench, "needed_association", view)


@pytest.mark.usefixtures("embedded")
def test_the_whole_measurement_by_the_real_command(
    tmp_path: Path, shared_wrong: Path, shared_parts: Path, call: Call
) -> None:
    for path in sorted((shared_parts / "test").rglob("*.png")):
        mask = tmp_path / "masks" / path.relative_to(shared_parts)
        mask.parent.mkdir(parents=True, exist_ok=True)
        width, height = Image.open(path).size
        inside = np.zeros((height, width), np.uint8)
        inside[height // 4 : height // 2, width // 4 : width // 2] = 1
        Image.fromarray(inside).save(mask)
    ask = ("evaluate", "cae", *FEW, "--masks", tmp_path / "masks", "--out", tmp_path / "seen", "--base", shared_wrong)
    value = call(*ask, "--json").expect(0).json
    assert (value["schema"], value["kind"]) == ("casebase.evaluation/1", "cae")
    assert (value["settings"]["split"], value["settings"]["walks"], value["settings"]["images"]) == ("test", 2, 9)
    by_table: dict[str, list[dict[str, object]]] = {}
    for row in value["rows"]:
        by_table.setdefault(row["table"], []).append(row)
    assert {"directions", "whose", "codes", "walks", "ways", "nearer", "masks"} < set(by_table)
    assert [row["what"] for row in by_table["whose"]][2] == "reconstructions, in pixels"
    for fill in ("uniform", "blur"):
        rows = {row["key"]: row for row in by_table[f"removal_{fill}"]}
        assert {"cae", "cae-published", "gradcam", "lime", "shap", "random", "centre", "edge"} <= set(rows)
        assert rows["cae"]["aopc_area_n"] == 2
        assert rows["cae"]["aopc_area_less"] is None
        assert rows["gradcam"]["aopc_area_less_n"] == 2
    assert {row["key"]: row["auc_n"] for row in by_table["masks"]}["cae"] == 2
    assert json.loads((tmp_path / "seen" / "evaluation.json").read_text(encoding="utf-8"))["kind"] == "cae"
    assert {path.stem for path in (tmp_path / "seen" / "plots").glob("*.svg")} >= {"walks", "morf-uniform", "morf-blur"}
    with (tmp_path / "seen" / "per_query.csv").open(newline="") as opened:
        assert len(list(csv.DictReader(opened))) == 9
    quick = ("evaluate", "cae", "--walks", 0, "--hidden", 0, "--out", tmp_path / "told", "--base", shared_wrong)
    out = call(*quick).expect(0).out
    assert "Whose image is a swap" in out


@pytest.mark.usefixtures("embedded")
@pytest.mark.parametrize("failed", [["only 40 % of 20 edits from cat to dog are called dog"]])
def test_below_the_gates_it_is_measured_and_the_alarm_comes_first(
    call: Call, shared_wrong: Path, tmp_path: Path, failed: list[str]
) -> None:
    ask = ("evaluate", "cae", "--walks", 0, "--hidden", 0, "--out", tmp_path / "o", "--base", shared_wrong, "--json")
    value = call(*ask).expect(0).json
    assert value["settings"]["embedding"]["trustworthy"] is False
    assert any(failed[0] in one["text"] and one["level"] == "alarm" for one in value["statements"])
    assert not any(row["table"].startswith("removal") for row in value["rows"])


@pytest.mark.usefixtures("embedded")
def test_where_nothing_is_held_out_cases_are_taken_and_that_is_said(
    call: Call, shared_base: Path, tmp_path: Path
) -> None:
    ask = ("evaluate", "cae", "--walks", 0, "--hidden", 0, "--out", tmp_path / "o", "--base", shared_base, "--json")
    value = call(*ask).expect(0).json
    assert value["settings"]["status"] == "active"
    assert "training images" in value["statements"][0]["text"]


def test_bad_requests_are_one_sentence_each(shared_wrong: Path, tmp_path: Path, call: Call) -> None:
    def said(*arguments: object, code: int = 2) -> str:
        return call("evaluate", "cae", "--base", shared_wrong, *arguments).expect(code).sentence

    assert "no class association embedding" in said(code=1)
    assert "casebase cae train" in said(code=1)
    assert "at least 4 images, not 2" in said("-n", 2)
    assert "--walks must be 0 or more" in said("--walks", -1)
    assert "--draws must be 1 or more" in said("--draws", 0)
    assert "belongs to --masks" in said("--mask-part", "beak")
    assert "nope" in said("--split", "nope")


@pytest.mark.usefixtures("embedded")
def test_masks_that_are_not_there_are_told(shared_wrong: Path, tmp_path: Path, call: Call) -> None:
    ask = ("evaluate", "cae", "--base", shared_wrong, "--masks", tmp_path / "none")
    assert "no masks at" in call(*ask).expect(1).sentence


@pytest.mark.usefixtures("embedded")
def test_the_python_api_measures_too_and_refuses_other_options(shared_wrong: Path) -> None:
    from casebase.api import CaeOptions, TwinOptions

    with casebase.open(shared_wrong) as opened:
        assert opened.evaluate("cae", options=CaeOptions(walks=0, hidden=0)).kind == "cae"
        with pytest.raises(UsageError, match="takes CaeOptions, not TwinOptions"):
            opened.evaluate("cae", options=TwinOptions())
