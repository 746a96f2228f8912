"""Folders that are whole or absent, and what a killed process leaves beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from casebase.folders import replaced

KILLED = """
import os, signal, sys
from pathlib import Path
from casebase.folders import replaced
rename = Path.rename
def die(self, target):
    if target.name == "out":
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
if sys.argv[2] == "swap":
    Path.rename = die
with replaced(Path(sys.argv[1])) as aside:
    (aside / "page").write_text("second")
    if sys.argv[2] == "write":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def write(folder: Path, text: str) -> None:
    with replaced(folder) as aside:
        (aside / "page").write_text(text)


def killed(folder: Path, where: str) -> None:
    found = subprocess.run([sys.executable, "-c", KILLED, str(folder), where], check=False)
    assert found.returncode == -9


def test_a_folder_appears_whole_with_what_lies_deeper(tmp_path: Path) -> None:
    with replaced(tmp_path / "a" / "out") as aside:
        (aside / "deep").mkdir()
        (aside / "deep" / "page").write_text("x")
        assert not (tmp_path / "a" / "out").exists()
    assert (tmp_path / "a" / "out" / "deep" / "page").read_text() == "x"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]


def test_a_failure_while_filling_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), replaced(tmp_path / "out"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="asks whether a process is gone")
def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(folder, "first")
    killed(folder, "write")
    assert len(list(tmp_path.iterdir())) == 2, "the kill left its draft"
    assert (folder / "page").read_text() == "first"
    write(folder, "third")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(os.name != "posix", reason="asks whether a process is gone")
def test_what_was_moved_away_before_a_kill_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(folder, "first")
    killed(folder, "swap")
    assert not folder.exists(), "killed between the two renames"
    with pytest.raises(ZeroDivisionError), replaced(folder):
        assert (folder / "page").read_text() == "first"
        _ = 1 / 0
    assert (folder / "page").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_draft_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    with replaced(tmp_path / "out") as aside:
        (aside / "page").write_text("slow")
        write(tmp_path / "out", "quick")
        assert (aside / "page").read_text() == "slow"
    assert (tmp_path / "out" / "page").read_text() == "slow"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
