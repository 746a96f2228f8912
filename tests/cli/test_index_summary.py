"""What `casebase index` prints at its end."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import cast

from rich.console import Console

from casebase.cli.index_cmd import show
from casebase.cli.screen import Screen
from casebase.indexer.service import IndexSummary


class Paper:
    """A screen that is 40 columns wide and can be read afterwards."""

    def __init__(self) -> None:
        self.console = Console(file=io.StringIO(), width=40, highlight=False)

    def out(self) -> Console:
        return self.console


def test_the_next_command_can_be_pasted_whatever_the_base_is_called() -> None:
    paper, base = Paper(), Path('bases/Vögel "x" <i>')
    done = IndexSummary(2, 2, 0, 0, 0, {}, 2, 0, {"cat": 1, "dog": 1}, ["avgpool"], "c0ffee", 1.0, 2, 1.0)
    show(done, cast("Screen", paper), base)
    (command,) = [line for line in paper.console.file.getvalue().splitlines() if "next:" in line]  # type: ignore[attr-defined]  # a StringIO
    assert shlex.split(command)[-2:] == ["--base", str(base)]
