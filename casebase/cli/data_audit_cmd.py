"""``casebase data audit``: what is wrong with a data set, before any training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from casebase.cli import exits, options

CHECK = "A network that checks copies"


def audit(
    data: Annotated[Path, typer.Argument(help="Folder of class folders, or a manifest (.csv, .jsonl).")],
    report: Annotated[Path | None, typer.Option(help="Write one self-contained HTML page.", metavar="FILE")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 where a finding is serious.")] = False,
    model: Annotated[
        str | None,
        typer.Option(help="Copies must be near in its embedding too [default: pixels only].", rich_help_panel=CHECK),
    ] = None,
    arch: Annotated[str | None, typer.Option(help="Architecture of a checkpoint.", rich_help_panel=CHECK)] = None,
    weights: Annotated[Path | None, typer.Option(help="A file of weights.", rich_help_panel=CHECK)] = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """Leaks, copies, unreadable files, balance and groups of a data set, before any training.

    casebase data audit photos/

    casebase data audit photos.csv --report audit.html --strict
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(None, seed=seed, device=device)
    from casebase import api

    named = any(one is not None for one in (model, arch, weights))
    choice = api.ModelChoice(model=model, arch=arch, weights=weights) if named else None
    if report is not None:
        api.check_audit(report)
    with screen.progress("looking") as progress:
        found = api.audit_data(chosen, data, choice, progress=progress, announce=screen.note)
    page = None if report is None else found.save(report)
    if json:
        screen.result(found.to_dict())
        if page is not None:
            screen.note(f"page: {page}")
    else:
        from casebase.cli.render_data_audit import terminal

        terminal(found, screen.out(), page)
    return exits.SKIPPED if strict and found.serious else exits.OK
