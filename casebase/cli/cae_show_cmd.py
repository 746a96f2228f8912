"""``casebase cae show``: an embedding with its gates, or a walk from one image to another class."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from casebase.cli import exits, options
from casebase.commands import again
from casebase.errors import UsageError

STDIN = "-"


def show(
    image: Annotated[
        str | None, typer.Argument(metavar="[IMAGE]", help="An image to walk from; - reads standard input.")
    ] = None,
    rival: Annotated[
        str | None, typer.Option(help="The class to walk to [default: the runner-up].", metavar="CLASS")
    ] = None,
    route: Annotated[
        str, typer.Option(help="graph (along codes of cases) or straight (the line between two codes).")
    ] = "graph",
    frames: Annotated[int, typer.Option(help="Frames of the walk, both ends among them.", min=2, max=200)] = 20,
    projection: Annotated[
        str, typer.Option("--map", help="The map of the class codes: pca, or umap where that is installed.")
    ] = "pca",
    report: Annotated[Path | None, typer.Option(help="Write one self-contained HTML page.", metavar="FILE")] = None,
    untrusted: Annotated[
        bool, typer.Option("--untrusted", help="Show what an embedding makes that failed its gates, marked.")
    ] = False,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """Show the gates and the map of the class codes, or what would change in an image for another answer.

    casebase cae show

    casebase cae show image.jpg --rival dog --report walk.html
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed, device=device)
    if image is None and rival is not None:
        raise UsageError("--rival says where an image should walk to; name the image")
    from casebase import api
    from casebase.cli.render_cae import terminal_association, terminal_walk

    command = again(sys.argv)
    with api.Base(chosen) as opened:
        if image is None:
            page = opened.association_page(projection=projection, untrusted=untrusted, command=command)
            saved = None if report is None else page.save(report)
            if not json:
                terminal_association(page, screen.out(), saved)
                return exits.OK
            value = page.to_dict()
        else:
            asked = sys.stdin.buffer.read() if image == STDIN else image
            walk = opened.walk(
                asked, rival, route=route, frames=frames, projection=projection, untrusted=untrusted, command=command
            )
            saved = None if report is None else walk.save(report)
            if not json:
                terminal_walk(walk, screen.out(), saved)
                return exits.OK
            value = walk.to_dict()
    screen.result(value)
    if saved is not None:
        screen.note(f"report: {saved}")
    return exits.OK
