"""The benchmark of prototypes on a small network: that its contenders do what they are timed for, and what rows say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import prototypes_bench
from benchmarks.photographs import Photographs
from benchmarks.prototypes_bench import (
    CACHED,
    CLASSIC_ONE,
    PASS,
    SAME,
    SIGNED_ONE,
    WHOLE,
    Evidence,
    Trainings,
    by_formula,
    evidence_rows,
    gates_open,
    parts,
    short_classic,
    silent,
    split,
    training_rows,
)  # fmt: skip
from benchmarks.timing import Lap, rounds
from casebase.errors import GateFailed
from casebase.evaluations import Measured
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.prototypes import gates
from casebase.networks.prototypes.model import PrototypeReader, Tensors
from casebase.networks.prototypes.recipe import PrototypeRecipe
from casebase.networks.prototypes.training import train
from casebase.networks.training_cases import TrainingCases
from casebase.prototypes import PrototypeSet
from tests.networks.prototypes.made import Counting, cases, network, pictures

RECIPE = PrototypeRecipe(k=2, steps=10)


@pytest.fixture(scope="module")
def views() -> tuple[np.ndarray, list[str]]:
    return pictures(20)


@pytest.fixture(scope="module")
def net(views: tuple[np.ndarray, list[str]]) -> ExplainedNetwork:
    return network(*views)


@pytest.fixture(scope="module")
def those(net: ExplainedNetwork, views: tuple[np.ndarray, list[str]]) -> TrainingCases:
    return cases(net, *views)


@pytest.fixture(scope="module")
def evidence(net: ExplainedNetwork, those: TrainingCases, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    place = tmp_path_factory.mktemp("bench")
    found, tensors = train(net, those, RECIPE, place / "signed", silent)
    other = short_classic(net, those, found, place / "classic")
    return Evidence(net, PrototypeReader(net, found, tensors), other, pictures(2, seed=5)[0])


def test_contributions_add_up_to_the_score_of_the_formula(evidence: Evidence) -> None:
    assert evidence.furthest() < SAME


def test_the_check_sees_another_score(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(maps: np.ndarray, tensors: Tensors) -> np.ndarray:
        return by_formula(maps, replace(tensors, shift=tensors.shift + 0.01))

    monkeypatch.setattr(prototypes_bench, "by_formula", moved)
    assert evidence.furthest() > SAME


def test_signed_evidence_shares_the_maps_and_classic_does_not(evidence: Evidence) -> None:
    assert evidence.signed.shares_maps
    assert not evidence.classic.shares_maps
    (own,) = evidence.signed.read(evidence.views[0])
    (shared,) = evidence.signed.from_maps(evidence.maps[0])
    np.testing.assert_array_equal(own.scores, shared.scores)


def test_the_rows_of_evidence_and_the_bar_of_the_issue(evidence: Evidence) -> None:
    laps = rounds(evidence.contenders(), 1, warm_up=0)
    rows = evidence_rows(laps, len(evidence.views), evidence.furthest())
    assert [row.bar.text() for row in rows if row.bar is not None] == ["≤ 1.3"]
    assert all(check.holds for row in rows for check in row.checks)
    shown = {row.what: row.figure.median for row in rows}
    assert shown[f"{PASS}, one image"] == pytest.approx(1000 * laps[PASS][0].wall / 4)
    assert rows[0].figure.median == pytest.approx(laps[SIGNED_ONE][0].wall / laps[PASS][0].wall)
    assert rows[2].figure.median == pytest.approx(laps[CLASSIC_ONE][0].wall / laps[PASS][0].wall)
    assert rows[2].bar is None


def test_a_training_from_cached_features_reads_no_case_again(
    net: ExplainedNetwork, those: TrainingCases, tmp_path: Path
) -> None:
    def whole() -> PrototypeSet:
        return train(net, those, RECIPE, tmp_path / "whole", silent)[0]

    assert isinstance(those.views, Counting)
    both = Trainings(whole, net, those, RECIPE, tmp_path)
    those.views.asked.clear()
    both.cached()
    both.cached()
    assert max(those.views.asked) == 1  # the shape of a map is asked of one view
    told = both.whole()
    assert sum(those.views.asked) > len(those)
    assert told["seconds"] == pytest.approx(sum(told[name] for name in ("reading", "learning", "head", "patches")))
    assert min(told.values()) > 0


def test_every_stage_of_the_signed_recipe_belongs_to_a_part(evidence: Evidence) -> None:
    stages = evidence.signed.found.stages
    told = parts(evidence.signed.found, 1000.0)
    assert told["reading"] == pytest.approx(1000.0 - sum(stage.seconds for stage in stages))


def test_the_rows_of_the_training_have_the_bar_and_the_accuracy_beside_them() -> None:
    lap = Lap(9.0, 1.0, {"seconds": 8.0, "reading": 4.0, "learning": 2.0, "head": 1.5, "patches": 0.5})
    reached = {"the network": Measured(0.95, 0.9, 0.98, 100), "signed": Measured(0.93, 0.88, 0.97, 100)}
    rows = training_rows({WHOLE: [lap], CACHED: [lap]}, 200, reached)
    assert [row.bar.text() for row in rows if row.bar is not None] == ["≤ 180"]
    assert rows[0].passed
    assert "signed 93.0 % (88.0–97.0), n = 100" in rows[0].note
    assert [row.figure.median for row in rows if row.unit == " cases/s"] == [25.0, 25.0]


def test_a_gate_that_is_overruled_is_told_and_stands_again_afterwards(
    net: ExplainedNetwork, those: TrainingCases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_given: object) -> None:
        raise GateFailed("no class takes them all")

    monkeypatch.setattr(gates, "check", refusing)
    refused: list[str] = []
    with gates_open(refused):
        assert train(net, those, RECIPE, tmp_path / "w", silent)[0].prototypes
    assert refused == ["no class takes them all"]
    with pytest.raises(GateFailed):
        train(net, those, RECIPE, tmp_path / "w", silent)


def test_a_third_of_every_class_is_held_out_and_comes_class_by_class_in_turn(tmp_path: Path) -> None:
    labels = ["cat"] * 6 + ["dog"] * 9
    files = [tmp_path / f"{number:02d}.jpg" for number in range(15)]
    of = Photographs(tmp_path / "m.csv", files, labels, tmp_path / "w.pt", False, False, "made up")
    manifest, held = split(of, tmp_path)
    told = [line.split(",") for line in manifest.read_text().splitlines()]
    assert told[0] == ["path", "label", "split"]
    assert [row[0] for row in told[1:] if row[2] == "test"] == ["02.jpg", "05.jpg", "08.jpg", "11.jpg", "14.jpg"]
    assert [file.name for file in held] == ["02.jpg", "08.jpg", "05.jpg", "11.jpg", "14.jpg"]
