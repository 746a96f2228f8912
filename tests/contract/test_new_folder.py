"""A folder that is replaced: the old one or the new one is whole, whatever goes wrong in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from casebase.errors import StorageFailed
from casebase.storage.files import new_folder


def write(folder: Path, text: str) -> None:
    with new_folder(folder) as aside:
        (aside / "page").write_text(text)


def test_the_new_one_stands_in_the_place_of_the_old_one(tmp_path: Path) -> None:
    write(tmp_path / "out", "first")
    write(tmp_path / "out", "second")
    assert (tmp_path / "out" / "page").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_swap_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "out", "first")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if target == tmp_path / "out" and (self / "page").read_text() == "second":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StorageFailed, match="Input/output"):
        write(tmp_path / "out", "second")
    assert (tmp_path / "out" / "page").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_kill_at_the_swap_leaves_the_old_one_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs after a kill: neither handlers nor clean-up, which the failing calls stand for."""
    write(tmp_path / "out", "first")

    class Killed(BaseException):
        pass

    def killed(self: Path, target: Path) -> Path:
        raise Killed

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(Killed):
        write(tmp_path / "out", "second")
    assert (tmp_path / "out" / "page").read_text() == "first"
