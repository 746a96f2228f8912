"""Options that every command takes, written once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from casebase import settings
from casebase.cli.screen import Screen

PANEL = "Common"

BaseOption = Annotated[
    Path | None, typer.Option("--base", help="Folder of the case base [default: .casebase].", rich_help_panel=PANEL)
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON value on stdout.", rich_help_panel=PANEL)]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors on stderr.", rich_help_panel=PANEL)]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel=PANEL)]
ColorOption = Annotated[bool, typer.Option("--no-color", help="No colour.", rich_help_panel=PANEL)]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of everything random.", rich_help_panel=PANEL)]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="auto, cpu, cuda or mps.", rich_help_panel=PANEL, metavar="DEVICE")
]


def chosen(base: Path | None, **flags: Any) -> settings.Settings:
    """Settings from flags, environment and files."""
    return settings.load(base, flags)


def screen(*, json: bool, quiet: bool, no_color: bool, debug: bool) -> Screen:
    """The screen a command speaks to; ``debug`` is remembered for whoever handles errors."""
    if debug:
        os.environ["CASEBASE_DEBUG"] = "1"
    return Screen(json=json, quiet=quiet, color=not no_color)
