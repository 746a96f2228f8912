"""What is remembered on disk: whole or made anew, never trusted when damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casebase.evaluate.saliency.kept import Kept, KeptMap, plain

KEY = {"image": "abc", "method": "gradcam", "seed": 0}


def a_map() -> KeptMap:
    values = np.array([[1e-30, np.nan, 3.5], [-1.0, 0.0, 1e20]], np.float32)
    return KeptMap(values, {"layer": "layer4", "gap": 0.25}, 1.5)


def test_a_map_comes_back_to_the_bit(tmp_path: Path) -> None:
    Kept(tmp_path).keep_map(KEY, a_map())
    found = Kept(tmp_path).find_map(KEY)
    assert found is not None
    assert found.values.tobytes() == a_map().values.tobytes()
    assert (found.facts, found.seconds) == (a_map().facts, 1.5)


@pytest.mark.parametrize("harm", ["cut", "empty", "flipped", "strange", "other head"])
def test_a_damaged_file_is_never_trusted(tmp_path: Path, harm: str) -> None:
    Kept(tmp_path).keep_map(KEY, a_map())
    (file,) = tmp_path.rglob("*.map")
    data = file.read_bytes()
    harmed = {
        "cut": data[:-3], "empty": b"", "flipped": data[:-1] + bytes([data[-1] ^ 1]), "strange": b"\x00" * 300,
        "other head": data.replace(b"gradcam", b"gradcom"),
    }  # fmt: skip
    file.write_bytes(harmed[harm])
    kept = Kept(tmp_path)
    assert kept.find_map(KEY) is None
    assert kept.damaged == 1
    kept.keep_map(KEY, a_map())
    assert Kept(tmp_path).find_map(KEY) is not None


def test_another_key_finds_nothing_and_fresh_reads_nothing(tmp_path: Path) -> None:
    Kept(tmp_path).keep_map(KEY, a_map())
    Kept(tmp_path).keep_scores(KEY, {"m": {"figures": {"x": 0.1}}})
    assert Kept(tmp_path).find_map({**KEY, "seed": 1}) is None
    assert Kept(tmp_path, fresh=True).find_map(KEY) is None
    assert Kept(tmp_path, fresh=True).find_scores(KEY) == {}
    assert Kept(tmp_path).find_scores(KEY) == {"m": {"figures": {"x": 0.1}}}


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    Kept(tmp_path).keep_map(KEY, a_map())
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".map"]


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    kept = Kept(tmp_path / "file" / "kept")
    kept.keep_map(KEY, a_map())
    assert kept.problem is not None
    assert "nothing is remembered" in kept.problem
    assert kept.find_map(KEY) is None


def test_no_folder_keeps_nothing() -> None:
    kept = Kept(None)
    kept.keep_map(KEY, a_map())
    assert kept.find_map(KEY) is None


def test_values_become_json() -> None:
    assert plain({"a": np.float32(0.5), "b": float("nan"), "c": (np.int64(1), Path("x"))}) == {
        "a": 0.5, "b": None, "c": [1, "x"],
    }  # fmt: skip
