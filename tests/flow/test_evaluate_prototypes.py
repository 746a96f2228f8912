"""``casebase evaluate prototypes`` by the real command, on sets made by hand and kept as the training keeps them."""

from __future__ import annotations

import csv
import json
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

import casebase
from casebase.cases import Status
from casebase.errors import UsageError
from casebase.networks.prototypes import model
from casebase.prototypes import CLASSIC, SIGNED, Patch, Prototype, PrototypeSet, Stage, cell_box
from casebase.reading import read
from casebase.settings import load
from casebase.spaces import NETWORK_SPACE
from casebase.storage import prototype_rows
from casebase.wiring import networks_of, store_for_writing
from tests.flow.command import Call, run
from tests.flow.conftest import WRONG

EACH = 2
"""Prototypes of a class."""


def keep(base: Path, profile: str) -> None:
    """A set whose prototypes are the upper left cells of the first cases of each class, under a plain head."""
    settings = load(base=base)
    with closing(store_for_writing(settings)) as store:
        _, network = networks_of(store, settings)
        cases = [case for block in store.examined(NETWORK_SPACE, Status.ACTIVE) for case in block.cases]
        names = list(network.classes or ())
        chosen = [case for name in names for case in [one for one in cases if one.label == name][:EACH]]
        views = np.stack([network.preprocess.pixels(read(case.file).image) for case in chosen])
        maps = torch.from_numpy(network.read_maps(views)[1])
        own = torch.tensor([names.index(case.label) for case in chosen])
        mean, grid = maps.mean((0, 2, 3)), (int(maps.shape[2]), int(maps.shape[3]))
        tensors = model.Tensors(
            functional.normalize(maps[:, :, 0, 0] - mean, dim=1), mean, torch.zeros(len(own)), torch.ones(len(own)),
            1.5 * functional.one_hot(own, len(names)).T.float() - 0.5, torch.zeros(len(names)),
        )  # fmt: skip
        channels = torch.eye(maps.shape[1])[:, :, None, None]
        tensors = replace(tensors, add_on={"weight": channels})
        if profile == CLASSIC:  # the same vectors as they stand on the sigmoid of the map itself
            add_on = {"0.weight": channels, "0.bias": torch.zeros(len(channels)), "2.weight": channels.clone(),
                      "2.bias": torch.zeros(len(channels))}  # fmt: skip
            cells = model.added(maps, add_on)[:, :, 0, 0]
            tensors = replace(tensors, vectors=cells, mean=torch.zeros(len(mean)), add_on=add_on)
        figures = {"accuracy": 0.5, "balanced_accuracy": 0.5, "gap": -0.1, "prototypes": len(own), "n": 6, "aside": 1}
        made = [
            Prototype(
                number, case.label, Patch(case.id, case.pixel_hash, 0, 0, cell_box(0, 0, grid)), 1.0, None, 0, 0.5
            )
            for number, case in enumerate(chosen)
        ]
        draft = base / "models" / "draft.safetensors"
        found = PrototypeSet(
            profile, network.classifier_fingerprint or "", model.save(tensors, draft), network.spatial_layer or "",
            grid, network.preprocess.crop, network.preprocess.crop, names, "predicted", made,
            [Stage("after push", figures), Stage("after pruning", figures)], {"seed": 0}, "2026-11-21T10:00:00+00:00",
        )  # fmt: skip
        draft.rename(prototype_rows.tensor_file(store.folder, profile, found.digest))
        store.keep_prototypes(found)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, shared_wrong: Path) -> Path:
    """A base with both sets, which no test changes."""
    base = Path(shutil.copytree(shared_wrong, tmp_path_factory.mktemp("kept") / "base"))
    keep(base, SIGNED)
    keep(base, CLASSIC)
    return base


def test_the_whole_measurement_by_the_real_command(tmp_path: Path, kept: Path, shared_parts: Path) -> None:
    masks = tmp_path / "masks"
    lines = ["path,part,x,y"]
    for path in sorted((shared_parts / "test").rglob("*.png")):
        mask = masks / path.relative_to(shared_parts)
        mask.parent.mkdir(parents=True, exist_ok=True)
        width, height = Image.open(path).size
        inside = np.zeros((height, width), np.uint8)
        inside[: height // 2] = 1
        Image.fromarray(inside).save(mask)
        lines.append(f"{path.relative_to(shared_parts)},corner,0.5,0.5")
    (tmp_path / "parts.csv").write_text("\n".join(lines), encoding="utf-8")
    done = run(
        "evaluate", "prototypes", "--sample", "4", "--parts", "parts.csv", "--masks", masks, "--out", "seen", "--json",
        "--base", kept, cwd=tmp_path,
    ).expect(0)  # fmt: skip
    value = done.json
    assert (value["schema"], value["kind"]) == ("casebase.evaluation/1", "prototypes")
    settings = value["settings"]
    tested = 12 + len(WRONG)
    assert (settings["images"], settings["sample"], settings["split"]) == (tested, 4, "test")
    assert list(settings["profiles"]) == [SIGNED, CLASSIC]
    assert settings["parts"]["images"] == tested
    assert settings["masks"]["kind"] == "binary"
    by_table: dict[str, list[dict[str, object]]] = {}
    for row in value["rows"]:
        by_table.setdefault(row["table"], []).append(row)
    assert [row["set"] for row in by_table["standing"]] == ["the network", SIGNED, CLASSIC]
    assert {"stages", "makeup", "steadiness", "formats", "deletion", "localisation", "aims", "parts", "each"} <= set(
        by_table
    )
    again = [row for row in by_table["formats"] if row["change"] == "read again, unchanged"]
    assert [(row["top"], row["class"], row["network"], row["fall"]) for row in again] == [(1.0, 0.0, 0.0, 0.0)] * 2
    for row in by_table["aims"]:
        assert row["energy_n"] == tested
    assert [row["count"] for row in by_table["makeup"]] == [3 * EACH] * 2
    assert by_table["stages"][0]["cases"] == "6 cases kept aside (validation)"
    folder = tmp_path / "seen"
    assert (folder / "index.html").is_file()
    assert json.loads((folder / "evaluation.json").read_text())["kind"] == "prototypes"
    per_query = next(path for path in folder.rglob("*.csv") if "signed_top" in path.read_text().splitlines()[0])
    with per_query.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == tested
    assert {row["signed_called"] for row in rows} <= {"cat", "dog", "owl"}
    assert "images" in done.err


def test_the_terminal_tells_the_same_and_one_profile_may_be_asked_for(kept: Path, tmp_path: Path, call: Call) -> None:
    done = call("evaluate", "prototypes", "--profile", CLASSIC, "--sample", 0, "--out", tmp_path / "o", "--base", kept)
    out = done.expect(0).out
    assert "beside the network?" in out
    assert "classic" in out
    assert "signed" not in out


def test_a_base_without_prototypes_is_told_how_to_make_them(
    kept: Path, shared_wrong: Path, tmp_path: Path, call: Call
) -> None:
    said = call("evaluate", "prototypes", "--base", shared_wrong).expect(2).sentence
    assert said.startswith("this case base has no prototypes; make them with `casebase prototypes train")
    base = Path(shutil.copytree(shared_wrong, tmp_path / "base"))
    keep(base, SIGNED)
    said = call("evaluate", "prototypes", "--profile", CLASSIC, "--base", base).expect(2).sentence
    assert (
        "no classic prototypes, only signed ones; make them with `casebase prototypes train --profile classic" in said
    )


def test_bad_requests_are_one_sentence_each(kept: Path, shared_base: Path, tmp_path: Path, call: Call) -> None:
    def said(*arguments: object, code: int = 2) -> str:
        return call("evaluate", "prototypes", "--base", kept, *arguments).expect(code).sentence

    assert "the sample must be 0" in said("--sample", -1)
    assert "--profile must be signed or classic, not 'other'" in said("--profile", "other")
    assert "no file" in said("--parts", tmp_path / "none.csv", code=1)
    assert "no masks at" in said("--masks", tmp_path / "none", code=1)
    assert "belongs to --masks" in said("--mask-part", "beak")
    assert "nope" in said("--split", "nope")
    none = call("evaluate", "prototypes", "--base", shared_base).expect(2).sentence
    assert none.startswith("no image of this base is held out")


def test_the_python_api_measures_too_and_refuses_other_options(kept: Path) -> None:
    from casebase.api import PrototypeOptions, TwinOptions

    with casebase.open(kept) as opened:
        found = opened.evaluate("prototypes", options=PrototypeOptions(sample=0))
        assert found.kind == "prototypes"
        with pytest.raises(UsageError, match="takes PrototypeOptions, not TwinOptions"):
            opened.evaluate("prototypes", options=TwinOptions())
