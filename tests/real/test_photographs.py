"""On real photographs and weights, outside the project: set CASEBASE_REAL to their folder to run these.

They ask what only real input can answer: does the whole path hold on photographs, and do the lists stay exact?
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from casebase.cli.main import invoke

REAL = os.environ.get("CASEBASE_REAL")
pytestmark = [pytest.mark.real, pytest.mark.skipif(REAL is None, reason="CASEBASE_REAL names no folder")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, data = tmp_path_factory.mktemp("real") / "base", Path(str(REAL))
    weights = data / "weights" / "resnet18_ktb_fp16.pt"
    arguments = ["index", str(data / "cats-vs-dogs" / "labels.csv"), "--arch", "resnet18", "--weights", str(weights)]
    assert invoke([*arguments, "--base", str(folder), "--quiet"]) == 0
    return folder


def test_every_served_list_is_exact_on_photographs(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["verify", "--deep", "--json", "--base", str(base)]) == 0
    served = {row["list"]: row for row in json.loads(capsys.readouterr().out)["recall"] if row["served"]}
    assert served["nearest"]["recall"] >= 0.99
    assert served["twins"]["recall"] == served["counterfactuals"]["recall"] == 1.0


def test_held_out_photographs_are_mostly_right_and_their_nearest_agree(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (Path(str(REAL)) / "cats-vs-dogs" / "labels.csv").open() as handle:
        rows = [row for row in csv.DictReader(handle) if row["split"] == "test"][::28]
    paths = [str(Path(str(REAL)) / "cats-vs-dogs" / row["path"]) for row in rows]
    assert invoke(["query", *paths, "--json", "--no-overlays", "--quiet", "--base", str(base)]) == 0
    answers = json.loads(capsys.readouterr().out)
    right = [a["prediction"]["predicted"] == row["label"] for a, row in zip(answers, rows, strict=True)]
    assert sum(right) >= 0.8 * len(right)
    assert all(len(a["nearest"]) == 5 and a["query"]["held_out"] for a in answers)
