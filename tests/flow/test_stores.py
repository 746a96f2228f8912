"""Locked, read-only and full: one sentence, the documented code, nothing acknowledged is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flow.command import OBEDIENT, Call, environment, lists, run
from tests.flow.conftest import PLAIN

HOLD = """
import sys
from pathlib import Path
from casebase.storage import lock
with lock.writer(Path(sys.argv[1]), "a long index"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(base: Path) -> Iterator[int]:
    """Another process that writes to the base; yields its pid."""
    command = [sys.executable, "-c", HOLD, str(base)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, env=environment()) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()


def answer(call: Call, base: Path, image: Path) -> dict[str, object]:
    """A query's lists."""
    return lists(call("query", image, "--base", base, "--json", "--no-overlays").expect(0).json)


# -- locked ------------------------------------------------------------------------------------------------------


def test_a_locked_base_names_the_writer_and_still_answers(
    base: Path, shared_photos: Path, stranger: Path, call: Call
) -> None:
    before = answer(call, base, stranger)
    with held(base) as pid:
        said = run("index", shared_photos, "--base", base, "--json").expect(5).sentence
        assert f"process {pid} on " in said
        assert "a long index" in said
        assert f"process {pid} on " in call("repair", "--yes", "--base", base).expect(5).sentence
        asked = run("query", stranger, "--base", base, "--json", "--no-overlays").expect(0)
        assert lists(asked.json) == before
        assert not [w for w in asked.json["warnings"] if "lock" in w]
        call("verify", "--base", base).expect(0)
        call("stats", "--base", base).expect(0)
    assert call("index", shared_photos, "--base", base, "--json").expect(0).json["unchanged"] == 30
    assert answer(call, base, stranger) == before


def test_a_locked_base_without_its_indexes_answers_exactly_and_says_so(base: Path, stranger: Path, call: Call) -> None:
    before = answer(call, base, stranger)
    shutil.rmtree(base / "chroma")
    shutil.rmtree(base / "matrix")
    with held(base) as pid:
        done = call("query", stranger, "--base", base, "--json", "--no-overlays").expect(0).json
    assert lists(done) == before
    assert any("the search was exact" in w and str(pid) in w for w in done["warnings"])
    assert done["search"]["lists"]["nearest"] == {"index": "exact", "recall": 1.0}


def test_a_killed_writer_leaves_no_lock(base: Path, shared_photos: Path, call: Call) -> None:
    command = [sys.executable, "-c", HOLD, str(base)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, env=environment()) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert (base / "writer.json").exists()
    call("index", shared_photos, "--base", base).expect(0)
    assert not (base / "writer.json").exists()


# -- read-only ---------------------------------------------------------------------------------------------------


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder whose permission bits forbid writing, for as long as the block lasts."""
    subprocess.run(["chmod", "-R", "a+rX,a-w", str(folder)], check=True)
    probe = subprocess.run([sys.executable, "-c", OBEDIENT, "-c", f"open({str(folder / 'x')!r}, 'w')"])
    try:
        if probe.returncode == 0:
            pytest.skip("permission bits mean nothing here")
        yield
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)


def test_a_read_only_base_answers_and_refuses_to_be_written(
    base: Path, photos: Path, stranger: Path, call: Call
) -> None:
    (photos / "cat" / "0003.png").unlink()  # something to do
    before = answer(call, base, stranger)
    held_before = snapshot(base)
    with read_only(base):
        asked = run("query", stranger, "--base", base, "--json", obedient=True).expect(0)
        for command in (["index", photos, *PLAIN], ["repair", "--yes"]):
            said = run(*command, "--base", base, obedient=True).expect(1).sentence
            assert "read-only" in said
            assert str(base) in said
        run("verify", "--base", base, obedient=True).expect(0)
    assert lists(asked.json) == before
    assert asked.json["overlays"] == {"gradcam": None}
    assert any("the overlay was not saved" in w for w in asked.json["warnings"])
    assert snapshot(base) == held_before


def test_a_read_only_base_with_a_killed_writers_log_shows_what_was_committed(
    tmp_path: Path, base: Path, stranger: Path, call: Call
) -> None:
    before = answer(call, base, stranger)
    connection = sqlite3.connect(base / "cases.db")
    connection.execute("INSERT INTO settings (name, value) VALUES ('synthetic', '\"drawn\"')")
    connection.commit()
    assert (base / "cases.db-wal").stat().st_size
    killed = Path(shutil.copytree(base, tmp_path / "killed"))  # as a kill would leave it
    connection.close()
    with read_only(killed):
        asked = run("query", stranger, "--base", killed, "--json", "--report", tmp_path / "r.html", obedient=True)
    assert lists(asked.expect(0).json) == before
    assert "drawn" in (tmp_path / "r.html").read_text()


def test_a_read_only_base_with_damaged_indexes_answers_exactly(base: Path, stranger: Path, call: Call) -> None:
    before = answer(call, base, stranger)
    shutil.rmtree(base / "matrix")
    for stamp in (base / "chroma").glob("*.json"):
        stamp.unlink()
    with read_only(base):
        asked = run("query", stranger, "--base", base, "--json", "--no-overlays", obedient=True).expect(0)
        run("verify", "--base", base, obedient=True).expect(4)
    assert lists(asked.json) == before
    assert any("the search was exact" in w for w in asked.json["warnings"])


# -- full --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own whose size can be changed."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
    if made.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def resize(disk: Path, kilobytes: int) -> None:
    """Give the disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(disk)], check=True)


def used(disk: Path) -> int:
    """Kilobytes in use."""
    found = os.statvfs(disk)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024


def stored(base: Path) -> set[tuple[str, str]]:
    """What is committed: ids with their content hashes."""
    if not (base / "cases.db").exists():
        return set()
    connection = sqlite3.connect(base / "cases.db")
    found = set(connection.execute("SELECT case_id, sha256 FROM cases WHERE status != 'withdrawn'").fetchall())
    connection.close()
    return found


def test_a_disk_that_fills_loses_nothing_and_the_same_command_goes_on(
    small_disk: Path, many_photos: Path, many_base: Path, model: Path, stranger: Path, call: Call
) -> None:
    """It fills first under the model, then under the vectors, then under what is derived from them."""
    base = small_disk / "base"
    command = ["index", many_photos, *PLAIN, "--base", base, "--json"]
    said = run(*command, "--model", model).expect(1).sentence
    assert "space" in said.lower()
    assert stored(base) == set()
    size = (model / "weights.safetensors").stat().st_size // 1024
    resize(small_disk, size + 2500)
    assert "no space left on the disk" in run(*command, "--model", model).expect(1).sentence
    committed = stored(base)
    assert 0 < len(committed) < 1050
    reached = set()
    for room in (200, 4_000, size + 500, 2_000, 2_000, 2_000):
        resize(small_disk, used(small_disk) + room)
        done = call(*command)
        assert committed <= stored(base)
        committed = stored(base)
        reached.add(len(committed))
        if done.code == 0:
            break
        assert "space" in done.expect(1).sentence
    assert 1050 in reached
    resize(small_disk, 200_000)
    done = call(*command).expect(0).json
    assert (done["unchanged"], done["cases"], done["added"]) == (1050, 1050, 0)
    call("verify", "--deep", "--base", base).expect(0)
    assert answer(call, base, stranger) == answer(call, many_base, stranger)


def test_a_query_on_a_full_disk_answers_with_a_warning(
    small_disk: Path, shared_base: Path, stranger: Path, call: Call
) -> None:
    before = answer(call, shared_base, stranger)
    resize(small_disk, 100_000)
    base = Path(shutil.copytree(shared_base, small_disk / "base"))
    shutil.rmtree(base / "matrix")
    shutil.rmtree(base / "chroma")
    resize(small_disk, used(small_disk))
    asked = run("query", stranger, "--base", base, "--json").expect(0).json
    assert lists(asked) == before
    assert any("the overlay was not saved" in w for w in asked["warnings"])
