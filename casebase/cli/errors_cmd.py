"""``casebase errors``."""

from __future__ import annotations

import sys
from json import loads
from pathlib import Path
from typing import Annotated

import typer

from casebase import clock
from casebase.cli import exits, options
from casebase.cli.screen import Screen
from casebase.commands import again
from casebase.dossiers import DATA
from casebase.errors import StorageFailed
from casebase.explain import METHOD_NAMES
from casebase.reading import printable

EVERY = 5.0
"""Seconds between two lines of progress."""


def errors(
    split: Annotated[
        str | None, typer.Option(help="Part of the base [default: test, else val, else all that is held out].")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write [default: reports/errors-SPLIT in the base].")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the N most important mistakes.", metavar="N", min=1)] = None,
    correct: Annotated[
        int, typer.Option(help="Right answers of similar evidence beside each mistake.", metavar="K", min=0)
    ] = 0,
    k: Annotated[int, typer.Option("--k", "-k", help="Rows per list.", min=1)] = 5,
    space: Annotated[str, typer.Option(help="avgpool, contribution or clip.")] = "avgpool",
    saliency: Annotated[
        str, typer.Option(help=f"Saliency method: {', '.join(METHOD_NAMES)}.", metavar="METHOD")
    ] = "gradcam",
    no_overlays: Annotated[bool, typer.Option("--no-overlays", help="No maps.")] = False,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """The misclassification dossier: a page for every wrong answer of a part, most important first.

    casebase errors

    casebase errors --split val --limit 20 --correct 1 --out mistakes/
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed, device=device)
    from casebase import api
    from casebase.cli.render_errors import terminal

    with api.Base(chosen) as opened:
        if out is not None:
            api.check_out(out)
        found = opened.errors(
            split,
            api.ErrorsChoice(limit=limit, correct=correct, k=k, space=space),
            saliency=None if no_overlays else saliency,
            command=again(sys.argv),
            progress=_Progress(screen),
        )
        target = out if out is not None else chosen.base / "reports" / f"errors-{_file_name(found.part.split)}"
        try:
            saved = found.save(target)
        except StorageFailed as error:
            if out is not None:
                raise
            raise StorageFailed(f"{str(error).rstrip('.')}; --out names a folder elsewhere") from None
        if json:
            screen.result(loads((saved / DATA).read_text(encoding="utf-8")))
        else:
            terminal(found, screen.out(), saved)
    return exits.OK


def _file_name(split: str | None) -> str:
    """A part's name as the end of a folder's name."""
    if split is None:
        return "all"
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in split).lstrip(".")[:60] or "part"


class _Progress:
    """Lines on standard error while pages are made, every few seconds, unless quiet."""

    def __init__(self, screen: Screen) -> None:
        self._screen, self._last = screen, clock.seconds()

    def __call__(self, done: int, total: int, skipped: int) -> None:
        now = clock.seconds()
        if now - self._last >= EVERY and done < total:
            self._last = now
            self._screen.note(printable(f"{done}/{total} pages"))
