"""The documented study runs on any two-class folder, from training to what comes after it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.study import FOUNDING, table
from tests.flow.command import REPOSITORY, environment
from tests.flow.conftest import photos_at


def test_both_recipes_are_trained_and_indexed_on_the_same_split(tmp_path: Path) -> None:
    photos = photos_at(tmp_path / "photos", 14, ("cat", "dog"))
    quick = ["--arch", "casebase:resnet10", "--no-pretrained", "--image-size", "32", "--epochs", "2"]
    command = [sys.executable, "-m", "benchmarks.study", str(photos), "--out", str(tmp_path / "study"), "--", *quick]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    splits = [(tmp_path / "study" / f"model-{name}" / "split.csv").read_text() for name in ("founding", "casebase")]
    assert splits[0] == splits[1]
    said = json.loads((tmp_path / "study" / "model-founding" / "model.json").read_text())
    assert said["preprocess"]["mean"] == said["preprocess"]["std"] == [0.5, 0.5, 0.5]
    recipe = said["metadata"]["options"]
    assert (recipe["optimiser"], recipe["lr"], recipe["schedule"]) == ("adam", 1e-4, "constant")
    assert (recipe["patience"], recipe["keep"], recipe["flip"], recipe["weight_decay"]) == (0, "last", False, 0.0)
    assert said["metadata"]["kept_epoch"] == 2
    assert (tmp_path / "study" / "base-casebase" / "cases.db").exists()
    lines = done.stdout.splitlines()
    assert any(line.startswith("$ casebase evaluate model --base ") for line in lines)
    assert lines[-1].startswith("The test intervals overlap: on ")
    assert any(line.startswith("test ") and line.count("n = ") == 2 for line in lines)


def test_the_recipe_is_the_published_one() -> None:
    given = dict(zip(FOUNDING[::2], FOUNDING[1::2], strict=False))
    assert given["--lr"] == "1e-4"
    assert given["--batch-size"] == "32"
    assert given["--image-size"] == "224"


def test_no_difference_is_claimed_only_where_intervals_overlap() -> None:
    def facts(low: float, high: float) -> dict:
        found = {"value": (low + high) / 2, "low": low, "high": high, "n": 100}
        return {"accuracy": {"val": found}, "kept_epoch": 1, "epochs": [1], "seconds": 3.0}

    assert "overlap" in table({"a": facts(0.7, 0.8), "b": facts(0.75, 0.9)})
    apart = table({"a": facts(0.7, 0.8), "b": facts(0.85, 0.9)})
    assert "overlap" not in apart
    assert "75.0 % (70.0 to 80.0, n = 100)" in apart
