"""``casebase prototypes summarize``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from casebase.cli import exits, options
from casebase.commands import again
from casebase.errors import StorageFailed


def summarize(
    k: Annotated[int, typer.Option("--k", help="Typical cases of each class.", metavar="N")] = 5,
    criticisms: Annotated[int, typer.Option(help="Cases the typical ones say least of.", metavar="N")] = 3,
    by: Annotated[
        str, typer.Option(help="What makes a class: predicted (what the network calls so) or label.", metavar="WHAT")
    ] = "predicted",
    class_: Annotated[
        list[str] | None, typer.Option("--class", help="Only this class; may be repeated.", metavar="NAME")
    ] = None,
    space: Annotated[str, typer.Option(help="Where cases are compared: avgpool or clip.", metavar="SPACE")] = "avgpool",
    sort: Annotated[
        str, typer.Option(help="Order of classes: disputed (most disputed cases), residual, name.", metavar="ORDER")
    ] = "disputed",
    shown: Annotated[
        int | None, typer.Option(help="Classes on page and screen [default: 20]; JSON has all.", metavar="N")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder, or file ending in .html [default: reports/summary-… in the base].", metavar="PATH"),
    ] = None,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
) -> int:
    """Typical cases of each class, and the odd ones they say least of; no training, no network.

    casebase prototypes summarize --base cats

    casebase prototypes summarize --class cat --by label --out cats.html
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    from casebase import api

    if out is not None:
        api.check_summary(out)
    with api.Base(options.chosen(base, seed=seed)) as opened:
        with screen.progress("summarising", "classes") as progress:
            found = opened.summarize(
                k, criticisms, by, tuple(class_ or ()), space,
                sort=sort, shown=shown, progress=progress, command=again(sys.argv),
            )  # fmt: skip
        place = opened.folder / "reports" / f"summary-{by}-{space}" if out is None else out
        page: Path | None = None
        try:
            page = found.save(place)
        except StorageFailed as error:
            if out is not None:
                raise
            screen.note(f"no page: {error}")
    if screen.json:
        screen.result(found.to_dict(page))
    else:
        from casebase.cli.render_summary import terminal

        terminal(found, screen.out(), page)
    return exits.OK
