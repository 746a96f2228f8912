"""``casebase cases``."""

from __future__ import annotations

from typing import Annotated

import typer

from casebase.cli import exits, options
from casebase.commands import place
from casebase.reading import printable

app = typer.Typer(help="Look at single cases.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _cases() -> None:
    """Look at single cases."""


@app.command("show")
def show(
    case: Annotated[str, typer.Argument(metavar="ID", help="A case's id, as every report prints it.")],
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
) -> int:
    """Show what is stored of one case."""
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    from casebase import api

    with api.Base(options.chosen(base)) as opened:
        found = opened.case(case)
    if json:
        screen.result({"schema": "casebase.case/1", **found.to_dict()})
        return exits.OK
    from rich.text import Text

    for name, value in {**found.to_dict(), "file": place(found.file)}.items():
        screen.out().print(Text(f"{name:12} {printable(str(value))}"))
    return exits.OK
