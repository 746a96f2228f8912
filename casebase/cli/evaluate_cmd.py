"""``casebase evaluate KIND``: measured tables with intervals, on the terminal, as JSON, and as a folder with a page.

A new kind is a function in ``casebase/wiring/measuring.py`` and a command below: its own options, then :func:`show`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casebase.cli import exits, options
from casebase.cli.screen import Screen
from casebase.commands import again, typed
from casebase.errors import StorageFailed

if TYPE_CHECKING:
    from casebase.evaluations import Evaluation

app = typer.Typer(help="Measure, with intervals: tables, a page, JSON, CSV.", no_args_is_help=True)

SplitOption = Annotated[
    str | None,
    typer.Option("--split", help="Part to measure on [default: test, else val, else all held out].", metavar="NAME"),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Folder to write [default: reports/evaluate-KIND of the base].")
]


@app.callback()
def _group() -> None:
    """Measure, with intervals: tables, a page, JSON, CSV."""


@app.command("model")
def model(
    split: SplitOption = None,
    out: OutOption = None,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
) -> int:
    """How often the network is right: accuracy, precision, recall, F1, confusion, calibration.

    casebase evaluate model

    casebase evaluate model --split val --out evaluation/
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed)
    from casebase import api

    with api.Base(chosen) as opened:
        if out is not None:
            api.check_out(out, "model")
        measured = opened.evaluate("model", split=split, command=again(sys.argv))
    return show(measured, screen, chosen.base, out)


@app.command("twins")
def twins(
    k: Annotated[int, typer.Option("--k", help="Neighbours per list.")] = 5,
    split: SplitOption = None,
    sample: Annotated[int, typer.Option(help="Images read again for stability; 0 leaves it out.", metavar="N")] = 100,
    control_cases: Annotated[
        int, typer.Option(help="Cases that the random network embeds, at most.", metavar="N")
    ] = 400,
    random_control: Annotated[
        bool, typer.Option("--random-control/--no-random-control", help="Compare with a network that learnt nothing.")
    ] = True,
    out: OutOption = None,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """What the twins are worth: fidelity with controls, error detection, stability, hubs.

    casebase evaluate twins

    casebase evaluate twins --k 10 --sample 0 --no-random-control     from stored vectors alone, in seconds
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed, device=device)
    from casebase import api

    wanted = api.TwinOptions(k, sample, control_cases, random_control)
    with api.Base(chosen) as opened, screen.progress("measuring") as progress:
        if out is not None:
            api.check_out(out, "twins")
        measured = opened.evaluate("twins", split=split, options=wanted, progress=progress, command=again(sys.argv))
    return show(measured, screen, chosen.base, out)


# casebase evaluate saliency, prototypes and cae have files of their own: evaluate_saliency_cmd and so on


def show(measured: Evaluation, screen: Screen, base: Path, out: Path | None) -> int:
    """Write the folder, then print the tables or the JSON value.

    Where nobody named a folder and the base cannot be written to, that is said, and the figures are shown all the same.
    """
    page: Path | None = None
    try:
        page = measured.save(out or base / "reports" / f"evaluate-{measured.kind}") / "index.html"
    except StorageFailed as error:
        if out is not None:
            raise
        screen.note(f"no page: {error}")
    if screen.json:
        screen.result(measured.to_dict())
        if page is not None:
            screen.note(f"page: {page}")
        return exits.OK
    from casebase.cli.render_evaluation import terminal

    terminal(measured, screen.out(), page=page, following=_following(measured, base))
    return exits.OK


def _following(measured: Evaluation, base: Path) -> list[str]:
    """What to type next: the surest wrong answer, if there is one; nothing where no base was measured."""
    if measured.settings.get("base") is None:
        return []
    wrong = [row for row in measured.per_query if row.get("right") is False and "confidence" in row]
    if not wrong:
        return typed("stats", base=base)
    surest = max(wrong, key=lambda row: float(row["confidence"]))
    return [f"{line}   # the surest wrong answer" for line in typed("cases", "show", str(surest["id"]), base=base)]
