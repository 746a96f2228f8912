"""``casebase demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from casebase.cli import exits, options


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to put the demo.")] = Path("casebase-demo"),
    dataset: Annotated[
        str,
        typer.Option(help="birds or lesions (drawn, offline), or pets (Oxford-IIIT Pet, downloaded)."),
    ] = "birds",
    shortcut: Annotated[
        bool, typer.Option("--shortcut", help="Draw the birds so that the background gives the class away.")
    ] = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """A first look, offline: draws birds or lesions, trains a small network, indexes, asks, writes two reports.

    casebase demo

    casebase demo --shortcut
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    from casebase import api

    chosen = options.chosen(folder / "base", seed=seed, device=device)
    with screen.progress() as progress:
        outcome = api.demo(folder, chosen, dataset=dataset, shortcut=shortcut, announce=screen.note, progress=progress)
    if json:
        screen.result(outcome.to_dict())
        return exits.OK
    from casebase.cli.render_terminal import terminal

    out = screen.out()
    for seen in outcome.explanations:
        if seen.report is not None:
            terminal(seen.report, out, pictures=out.is_terminal and not out.no_color, paged=True)
    for line in outcome.closing():
        screen.out().print(line, markup=False, soft_wrap=True)
    return exits.OK
