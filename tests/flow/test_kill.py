"""``casebase index`` killed anywhere: nothing committed is lost or embedded again, and running again ends it."""

from __future__ import annotations

import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.flow.command import Call, command_line, environment, lists
from tests.flow.conftest import PLAIN, draw

# Loads the libraries once; for each line it forks a child that goes on as `python -m casebase` would.
SERVER = """
import os, sys
import torch, torchvision, sklearn.linear_model
import casebase.networks.explained, casebase.networks.model_folder, casebase.networks.linear_head
from casebase.cli.main import run
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        run()
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
TOTAL = 1050
ROUNDS = 12


class Victim:
    """The command line, to be started again and again and killed at given moments."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-c", SERVER, *map(str, arguments)]
        self._server = subprocess.Popen(command, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, env=environment())

    def run(self, seconds: float) -> int:
        """Run for so long at most, then kill -9; returns the exit code, negative for the signal."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(b"go\n")
        self._server.stdin.flush()
        child = int(self._server.stdout.readline())
        if not select.select([self._server.stdout], [], [], seconds)[0]:
            os.kill(child, signal.SIGKILL)  # still to be waited for by its parent, so the number is its own
        return int(self._server.stdout.readline())

    def close(self) -> None:
        """End the server."""
        self._server.communicate()


def vectors(base: Path) -> dict[tuple[str, str, int], int]:
    """Every stored vector: (case, content, row) to the row of the table it lies in, which a second writing changes."""
    if not (base / "cases.db").exists():
        return {}
    connection = sqlite3.connect(base / "cases.db")
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'vectors'").fetchone():
            return {}
        found = connection.execute(
            "SELECT case_id, sha256, cases.row, vectors.rowid FROM vectors JOIN cases ON cases.row = vectors.row"
        ).fetchall()
    finally:
        connection.close()
    return {(name, sha, row): place for name, sha, row, place in found}


def cases_once(base: Path) -> None:
    """No image is stored twice."""
    connection = sqlite3.connect(base / "cases.db")
    most = connection.execute("SELECT count(*) FROM cases GROUP BY case_id ORDER BY 1 DESC LIMIT 1").fetchone()
    connection.close()
    assert most is None or most == (1,)


def killed_at(moments: Iterator[float], command: list[object], base: Path, rounds: int) -> int:
    """Kill the command after each of so many moments, checking what is stored; returns how often it came to that."""
    victim = Victim(*command)
    killed = 0
    for _ in range(rounds):
        before = vectors(base)
        code = victim.run(next(moments))
        assert code in (0, -signal.SIGKILL)
        killed += code != 0
        after = vectors(base)
        assert before.items() <= after.items()
        if after:
            cases_once(base)
    victim.close()
    return killed


def finish(call: Call, command: list[object], base: Path) -> None:
    """The same command once more: it embeds exactly what was not committed."""
    before = vectors(base)
    done = call(*command).expect(0).json
    assert done["cases"] == TOTAL
    assert done["unchanged"] == len(before)
    assert done["added"] == TOTAL - len(before)
    assert before.items() <= vectors(base).items()
    found = call("verify", "--deep", "--base", base, "--json").expect(0).json
    assert found["findings"] == []
    assert found["checked"]["cases"] == TOTAL


def same_answers(call: Call, base: Path, other: Path, tmp_path: Path) -> None:
    """Both bases answer alike."""
    for kind in ("cat", "owl"):
        image = tmp_path / f"{kind}.png"
        draw(kind, 4242).save(image)
        ask = ("query", image, "--json", "--no-overlays", "--base")
        one, two = (lists(call(*ask, where).expect(0).json) for where in (base, other))
        assert one == two


def moments(seed: int, longest: float) -> Iterator[float]:
    """Moments spread over a run: one in each of its parts, in random order."""
    random = np.random.default_rng(seed)
    while True:
        for part in random.permutation(6):
            yield float((part + random.random()) / 6 * longest)


def a_run_takes(base: Path) -> float:
    """Seconds from the start of the run that made a base, libraries loaded, to its end."""
    connection = sqlite3.connect(base / "cases.db")
    (summary,) = connection.execute("SELECT summary FROM runs ORDER BY number LIMIT 1").fetchone()
    connection.close()
    return float(json.loads(summary)["seconds"]) + 1.0


def test_kill_9_at_any_point_of_a_first_run(
    tmp_path: Path, many_photos: Path, many_base: Path, model: Path, call: Call
) -> None:
    when = moments(0, a_run_takes(many_base))
    for number in range(2):
        base = tmp_path / f"base{number}"
        command: list[object] = ["index", many_photos, "--model", model, *PLAIN, "--base", base, "--json"]
        assert killed_at(when, command, base, ROUNDS // 2) > 1
        finish(call, command, base)
        same_answers(call, base, many_base, tmp_path)


def test_kill_9_while_a_changed_set_is_indexed_again(
    tmp_path: Path, many: Path, many_base: Path, many_photos: Path, stranger: Path, call: Call
) -> None:
    """Old answers stay whole until the new ones are: a query between two kills sees one or the other."""
    ask = ("query", stranger, "--json", "--no-overlays", "--base", many)
    old = lists(call(*ask).expect(0).json)
    more = tmp_path / "more"
    for kind in ("cat", "dog", "owl"):
        (more / kind).mkdir(parents=True)
        for number in range(120):
            draw(kind, 5000 + number, (16, 16)).save(more / kind / f"{number}.png")
    command: list[object] = ["index", more, "--base", many, "--json"]
    when = moments(1, 5.0)
    for _ in range(3):
        killed_at(when, command, many, 1)
        seen = call(*ask).expect(0).json
        assert seen["search"]["cases"] in (TOTAL, TOTAL + 360)
        if seen["search"]["cases"] == TOTAL:
            assert lists(seen) == old
    done = call(*command).expect(0).json
    assert done["cases"] == TOTAL + 360
    assert call("verify", "--deep", "--base", many, "--json").expect(0).json["findings"] == []


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("seed", range(2, 10))
def test_kill_9_many_times(
    tmp_path: Path, many_photos: Path, many_base: Path, model: Path, call: Call, seed: int
) -> None:
    base = tmp_path / "base"
    command: list[object] = ["index", many_photos, "--model", model, *PLAIN, "--base", base, "--json"]
    killed_at(moments(seed, a_run_takes(many_base)), command, base, 12)
    finish(call, command, base)
    same_answers(call, base, many_base, tmp_path)


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(
    tmp_path: Path, many_photos: Path, many_base: Path, model: Path, call: Call
) -> None:
    base = tmp_path / "base"
    arguments: list[object] = ["index", many_photos, "--base", base, "--json"]
    command = command_line(*arguments, "--model", model, *PLAIN)
    with subprocess.Popen(command, stdin=-3, stdout=-1, stderr=-1, env=environment()) as process:
        while process.poll() is None and not vectors(base):
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err
    assert err.decode().splitlines()[-1].startswith("casebase: stopped; what was finished is kept")
    assert 0 < len(vectors(base)) < TOTAL
    assert not (base / "writer.json").exists()
    assert call("query", many_photos / "cat" / "0000.png", "--base", base).expect(1).sentence
    finish(call, arguments, base)  # without --model: the network is remembered
    same_answers(call, base, many_base, tmp_path)
