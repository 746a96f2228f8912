"""Runs the command: ``run`` in a process of its own, ``call`` in this one where a process adds nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import casebase
from casebase.cli.main import invoke

REPOSITORY = Path(casebase.__file__).parent.parent
LISTS = ("nearest", "twins", "counterfactuals", "semi_factuals")


@dataclass(frozen=True)
class Outcome:
    """What came back of one command line."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON value and nothing else."""
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The one sentence of a failure: one line, ``casebase: …``, nothing on standard output."""
        assert "Traceback" not in self.err, self.err
        assert self.out == "", self.out
        said = [line for line in self.err.splitlines() if line.startswith("casebase: ")]
        assert len(said) == 1, self.err
        assert "please report" not in said[0], said[0]
        assert said[0] == self.err.splitlines()[-1], self.err
        return said[0].removeprefix("casebase: ")

    def expect(self, code: int) -> Outcome:
        """The same, if it ended with this code."""
        assert self.code == code, f"exit {self.code}, not {code}\n{self.err}\n{self.out[:2000]}"
        assert "Traceback" not in self.err, self.err
        return self


def environment(**over: str) -> dict[str, str]:
    """The environment of a child: this repository's casebase, no settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CASEBASE_")}
    kept["OMP_NUM_THREADS"] = "1"  # the networks are tiny, and threads that wait for one another slow a busy machine
    return {**kept, "PYTHONPATH": str(REPOSITORY), "XDG_CONFIG_HOME": "/nonexistent", "HF_HUB_OFFLINE": "1", **over}


def command_line(*arguments: object) -> list[str]:
    """The real command."""
    return [sys.executable, "-m", "casebase", *map(str, arguments)]


OBEDIENT = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: without them even root obeys permission bits
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


LIMITED = """
import os, resource, sys
most = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
os.execv(sys.executable, [sys.executable, "-B", *sys.argv[2:]])
"""


def run(
    *arguments: object, cwd: Path | None = None, stdin: bytes = b"", obedient: bool = False,
    most_bytes: int | None = None, **env: str,
) -> Outcome:  # fmt: skip
    """Run ``casebase`` in a process of its own; ``obedient`` ones cannot write where permission bits forbid it.

    With ``most_bytes`` no file can grow beyond so many, as on a disk that gets full.
    """
    command = command_line(*arguments)
    if most_bytes is not None:
        command = [sys.executable, "-c", LIMITED, str(most_bytes), *command[1:]]
    if obedient:
        command = [sys.executable, "-c", OBEDIENT, *command[1:]]
    done = subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, env={**environment(), **env}, timeout=200
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


class Call:
    """``call("query", …)``: the same command line in this process, what it prints captured."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Outcome:
        self._capsys.readouterr()
        code = invoke([str(a) for a in arguments])
        seen = self._capsys.readouterr()
        return Outcome(code, seen.out, seen.err)


def lists(answer: Mapping[str, Any]) -> dict[str, list[tuple[str, float]]]:
    """The lists of an answer as ids with distances to five digits, and the prediction's probability."""
    found = {name: [(row["id"], round(row["distance"], 5)) for row in answer[name]] for name in LISTS}
    return {**found, answer["prediction"]["predicted"]: [("", round(answer["prediction"]["confidence"], 4))]}


def colourless(text: str) -> bool:
    """Whether a text has no colours; bold and dim are none."""
    return re.search(r"\x1b\[(\d+;)*([34]\d|9\d|10\d)", text) is None


def names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The paths of rows."""
    return [row["path"] for row in rows]
