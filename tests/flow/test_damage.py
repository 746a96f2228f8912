"""Damage to what can be rebuilt changes no answer; damage to the truth is said. ``verify`` tells both."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flow.command import Call, lists, run
from tests.flow.conftest import draw


def only(folder: Path, pattern: str) -> Path:
    """The one file of a name below a folder."""
    (found,) = folder.rglob(pattern)
    return found


def truncate(path: Path) -> None:
    """Cut a file in half."""
    with path.open("r+b") as handle:
        handle.truncate(path.stat().st_size // 2)


def flip(path: Path) -> None:
    """Turn over bits in the middle and near both ends of a file."""
    data = bytearray(path.read_bytes())
    for place in {len(data) // 7, len(data) // 2, 6 * len(data) // 7}:
        for offset in range(min(64, len(data) - place)):
            data[place + offset] ^= 0xFF
    path.write_bytes(data)


def garbage(path: Path) -> None:
    """Replace what a file holds."""
    path.write_bytes(b"garbage " * 999)


def stamp_of(base: Path) -> Path:
    """The Chroma index's stamp."""
    (found,) = (base / "chroma").glob("*.json")
    return found


CHROMA: dict[str, Callable[[Path], None]] = {
    "no folder": lambda base: shutil.rmtree(base / "chroma"),
    "an empty folder": lambda base: (shutil.rmtree(base / "chroma"), (base / "chroma").mkdir())[1],
    "the graph cut": lambda base: truncate(only(base / "chroma", "data_level0.bin")),
    "the graph's bits": lambda base: flip(only(base / "chroma", "data_level0.bin")),
    "the links' bits": lambda base: garbage(only(base / "chroma", "link_lists.bin")),
    "no header": lambda base: only(base / "chroma", "header.bin").unlink(),
    "the pickle": lambda base: garbage(only(base / "chroma", "index_metadata.pickle")),
    "its database": lambda base: garbage(only(base / "chroma", "chroma.sqlite3")),
    "its database cut": lambda base: truncate(only(base / "chroma", "chroma.sqlite3")),
    "its database's bits": lambda base: flip(only(base / "chroma", "chroma.sqlite3")),
    "no stamp": lambda base: stamp_of(base).unlink(),
    "the stamp": lambda base: garbage(stamp_of(base)),
    "a stamp of nothing": lambda base: stamp_of(base).write_text("[]") and None,
}
MATRIX: dict[str, Callable[[Path], None]] = {
    "no matrix": lambda base: shutil.rmtree(base / "matrix"),
    "the vectors cut": lambda base: truncate(only(base / "matrix", "avgpool.f32")),
    "no vectors": lambda base: only(base / "matrix", "avgpool.f32").unlink(),
    "the keys": lambda base: garbage(only(base / "matrix", "keys.npz")),
    "the keys cut": lambda base: truncate(only(base / "matrix", "keys.npz")),
    "the keys' bits": lambda base: flip(only(base / "matrix", "keys.npz")),
    "the yardstick": lambda base: garbage(only(base / "matrix", "avgpool.yardstick.npz")),
    "the yardstick's bits": lambda base: flip(only(base / "matrix", "avgpool.yardstick.npz")),
    "no yardstick": lambda base: only(base / "matrix", "avgpool.yardstick.npz").unlink(),
    "the classes": lambda base: garbage(only(base / "matrix", "classes.json")),
    "the classes cut": lambda base: truncate(only(base / "matrix", "classes.json")),
    "other classes": lambda base: only(base / "matrix", "classes.json").write_text('["a"]') and None,
    "the vectors' bits": lambda base: flip(only(base / "matrix", "avgpool.f32")),
}
SILENT = {"its database's bits"}
"""Bits that may lie where nothing is stored."""
ALWAYS = {
    "no folder", "the graph cut", "the graph's bits", "its database", "no stamp", "the stamp",
    "no matrix", "the vectors cut", "the keys", "the yardstick's bits",
}  # fmt: skip


@pytest.fixture(scope="module")
def undamaged(many_base: Path, stranger: Path) -> dict[str, list[tuple[str, float]]]:
    """The answer before anything is damaged."""
    return lists(run("query", stranger, "--json", "--no-overlays", "--base", many_base).expect(0).json)


@pytest.mark.parametrize(
    "damage", [pytest.param(n, marks=() if n in ALWAYS else pytest.mark.slow) for n in (*CHROMA, *MATRIX)]
)
def test_damage_to_what_is_derived_is_found_and_changes_no_answer(
    undamaged: dict[str, list[tuple[str, float]]], many: Path, stranger: Path, call: Call, damage: str
) -> None:
    {**CHROMA, **MATRIX}[damage](many)
    ask = ("query", stranger, "--json", "--no-overlays", "--base", many)
    found = call("verify", "--base", many, "--json")
    if damage not in SILENT:
        findings = found.expect(4).json["findings"]
        assert all(finding["repairable"] for finding in findings), findings
    assert lists(call(*ask).expect(0).json) == undamaged
    assert call("repair", "--yes", "--base", many, "--json").expect(0).json["sound"]
    after = call(*ask).expect(0).json
    assert lists(after) == undamaged
    assert after["search"]["lists"]["nearest"]["index"] == "chroma"


def test_a_damaged_chroma_folder_in_real_processes(many: Path, stranger: Path) -> None:
    ask = ("query", stranger, "--json", "--no-overlays", "--base", many)
    before = lists(run(*ask).expect(0).json)
    truncate(only(many / "chroma", "data_level0.bin"))
    assert "the Chroma index" in run("verify", "--base", many).expect(4).out
    healed = run(*ask).expect(0).json
    assert lists(healed) == before
    assert any("it was rebuilt from cases.db" in w for w in healed["warnings"])
    run("verify", "--deep", "--base", many).expect(0)


def test_a_damaged_matrix_is_rebuilt_on_the_way(base: Path, stranger: Path, call: Call) -> None:
    ask = ("query", stranger, "--json", "--no-overlays", "--base", base)
    before = lists(call(*ask).expect(0).json)
    garbage(only(base / "matrix", "avgpool.yardstick.npz"))
    assert lists(call(*ask).expect(0).json) == before
    call("verify", "--base", base).expect(0)


TRUTH: dict[str, Callable[[Path], None]] = {
    "garbage": lambda base: garbage(base / "cases.db"),
    "cut": lambda base: truncate(base / "cases.db"),
    "bits": lambda base: flip(base / "cases.db"),
    "empty": lambda base: (base / "cases.db").write_bytes(b"") and None,
    "another database": lambda base: _other(base / "cases.db"),
}


def _other(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE cases (name TEXT)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("damage", TRUTH)
def test_a_damaged_database_is_said_and_gives_no_wrong_answer(
    base: Path, stranger: Path, call: Call, damage: str
) -> None:
    ask = ("query", stranger, "--base", base, "--json", "--no-overlays")
    before = lists(call(*ask).expect(0).json)
    TRUTH[damage](base)
    asked = call(*ask)
    if asked.code == 0:  # only vectors were hit, and answers come from a sealed copy of them
        assert lists(asked.json) == before
    else:
        assert asked.expect(1).sentence
    found = call("verify", "--deep", "--base", base, "--json").expect(4).json
    assert found["damaged"]
    assert not found["findings"][0]["repairable"]


@pytest.mark.parametrize("damage", ["the graph cut", "its database", "the keys' bits"])
def test_indexing_over_damage_mends_it(many: Path, many_photos: Path, tmp_path: Path, call: Call, damage: str) -> None:
    {**CHROMA, **MATRIX}[damage](many)
    (tmp_path / "more" / "cat").mkdir(parents=True)
    draw("cat", 8000).save(tmp_path / "more" / "cat" / "a.png")
    assert call("index", tmp_path / "more", "--base", many, "--json").expect(0).json["cases"] == 1051
    assert call("verify", "--base", many, "--json").expect(0).json["findings"] == []


def test_a_damaged_database_in_real_processes(base: Path, shared_photos: Path, stranger: Path) -> None:
    garbage(base / "cases.db")
    hurt = (base / "cases.db").read_bytes()
    for command in (["query", stranger], ["index", shared_photos], ["repair", "--yes"]):
        said = run(*command, "--base", base, "--json").expect(1).sentence
        assert "cases.db is damaged" in said
        assert "backup" in said
    assert "from a backup" in " ".join(run("verify", "--base", base).expect(4).out.split())
    assert (base / "cases.db").read_bytes() == hurt


def test_a_model_that_is_gone_or_changed_is_said(base: Path, stranger: Path, call: Call) -> None:
    (folder,) = (base / "models").iterdir()
    flip(folder / "weights.safetensors")
    assert call("query", stranger, "--base", base, "--json").expect(1).sentence
    shutil.rmtree(folder)
    assert call("query", stranger, "--base", base, "--json").expect(1).sentence
    assert not call("verify", "--base", base, "--json").expect(4).json["findings"][0]["repairable"]
