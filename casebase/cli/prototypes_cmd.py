"""``casebase prototypes``: parts of a class as patches of cases, learned and looked at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casebase.cli import exits, options
from casebase.commands import again, typed
from casebase.errors import GateFailed
from casebase.reading import percent, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from casebase.prototypes import PrototypeSet, Stage

app = typer.Typer(
    help="Parts of a class as patches of cases: this looks like that.", no_args_is_help=True, rich_markup_mode=None
)

STDIN = "-"


@app.callback()
def _group() -> None:
    """Parts of a class as patches of cases: this looks like that."""


@app.command("train")
def train(
    profile: Annotated[
        str, typer.Option(help="signed: ours, with gates; classic: ProtoPNet as published.", metavar="PROFILE")
    ] = "signed",
    k: Annotated[
        int | None, typer.Option("--k", help="Prototypes a class before pruning [default: the profile's own].")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Another layer with a map of places [default: the last].")] = None,
    target: Annotated[
        str, typer.Option(help="What they are fitted to: predicted (what the network says) or labels.")
    ] = "predicted",
    steps: Annotated[
        int | None, typer.Option(help="Gradient steps a stage, at most [default: the profile's own].")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew instead of going on.")] = False,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """Learn prototypes of the base's own network from its cases. Interrupted: run again.

    casebase prototypes train

    casebase prototypes train --profile classic --k 5 --seed 1
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed, device=device)
    from casebase import api

    recipe = api.PrototypeRecipe(profile, k, layer, target, steps)
    with api.Base(chosen) as opened, screen.stages() as progress:
        try:
            found = opened.train_prototypes(recipe, fresh=fresh, progress=progress, announce=screen.note)
        except GateFailed as failed:
            if not json:
                stages(failed.stages, screen.out())
            raise
    if json:
        screen.result(found.to_dict())
        return exits.OK
    out = screen.out()
    _print(out, _in_short(found))
    stages(found.stages, out)
    named_base = {} if base is None else {"base": base}
    for words in (("prototypes", "show"), ("evaluate", "prototypes")):
        for line in typed(*words, "--profile", profile, **named_base):
            _print(out, f"next: {line}")
    return exits.OK


@app.command("show")
def show(
    image: Annotated[
        str | None, typer.Argument(metavar="[IMAGE]", help="An image to be matched; - reads standard input.")
    ] = None,
    of_class: Annotated[
        list[str] | None, typer.Option("--class", help="This class; may be given again.", metavar="NAME")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="signed or classic [default: signed, else classic].", metavar="PROFILE")
    ] = None,
    top: Annotated[
        int | None, typer.Option(help="Rows a class [default: all; of an image 5].", metavar="N", min=1)
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write one self-contained HTML page.", metavar="FILE")] = None,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """Show the prototypes of each class, or which of them an image resembles and what each adds.

    casebase prototypes show --class cat

    casebase prototypes show image.jpg --report parts.html
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed, device=device)
    from casebase import api
    from casebase.cli.render_prototypes import terminal_parts, terminal_set

    names, command = of_class or [], again(sys.argv)
    with api.Base(chosen) as opened:
        if image is None:
            page = opened.prototypes_page(profile, names, top=top, command=command)
            saved = None if report is None else page.save(report)
            if not json:
                terminal_set(page, screen.out(), saved)
                return exits.OK
            value = page.to_dict()
            shown = {card.number for of_class in page.classes for card in of_class.cards}
            value["prototypes"] = [one for one in value["prototypes"] if one["id"] in shown]
        else:
            asked = sys.stdin.buffer.read() if image == STDIN else image
            parts = opened.parts(asked, profile, names, top=top or 5, command=command)
            saved = None if report is None else parts.save(report)
            if not json:
                terminal_parts(parts, screen.out(), saved)
                return exits.OK
            value = parts.to_dict()
    screen.result(value)
    if saved is not None:
        screen.note(f"report: {saved}")
    return exits.OK


def _in_short(found: PrototypeSet) -> str:
    several = f"{len(found.prototypes)} {found.profile} prototypes of {len(found.classes)} classes"
    field = "{} x {}".format(*found.receptive_field)
    view = "{} x {}".format(*found.view)
    return (
        f"{several} on {printable(found.layer)}, a map of {found.grid[0]} x {found.grid[1]} cells; "
        f"one cell sees {field} of {view} pixels"
    )


COLUMNS = ("stage", "balanced", "gap", "agrees", "distinct", "sources", "largest share", "alarms")


def stages(told: Sequence[Stage], out: Console) -> None:
    """The log of a training as a table, and every alarm below it in words."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*COLUMNS, box=None, pad_edge=False)
    for one in told:
        figures = one.figures
        of_all = figures.get("prototypes")
        table.add_row(
            Text(printable(one.name)), _share(figures.get("balanced_accuracy")), _points(figures.get("gap")),
            _share(figures.get("agreement")), _count(figures.get("distinct"), of_all),
            _count(figures.get("sources"), of_all), _share(figures.get("largest_share")), str(len(one.alarms)),
        )  # fmt: skip
    out.print(table)
    judged = told[-1].figures if told else {}
    if judged.get("n") is not None:
        which = (
            "set aside from the training" if judged.get("aside") else "that were learnt from, too few to set any aside"
        )
        against = "a linear head that learnt from as much" if judged.get("aside") else "network"
        _print(out, f"judged on {judged['n']} cases {which}; gap: prototypes less {against}, in points")
    for one in told:
        for alarm in one.alarms:
            _print(out, f"! {printable(one.name)}: {printable(alarm)}")


def _share(value: float | None) -> str:
    return "-" if value is None else percent(value)


def _points(value: float | None) -> str:
    """A difference of shares in points."""
    return "-" if value is None else f"{100 * value:+.1f}"


def _count(value: float | None, of_all: float | None) -> str:
    return "-" if value is None else f"{value}" if of_all is None else f"{value} of {of_all}"


def _print(out: Console, line: str) -> None:
    from rich.text import Text

    out.print(Text(line), soft_wrap=True)
