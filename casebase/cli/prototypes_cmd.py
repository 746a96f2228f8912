"""``casebase prototypes``: parts of a class as patches of cases, learned and looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from casebase.cli import exits, options
from casebase.cli.screen import Screen
from casebase.commands import typed
from casebase.errors import NotFound, UnknownClass
from casebase.reading import percent, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from casebase.api import Base
    from casebase.prototypes import Prototype, PrototypeSet, Stage

app = typer.Typer(
    help="Parts of a class as patches of cases: this looks like that.", no_args_is_help=True, rich_markup_mode=None
)

ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="signed or classic [default: signed, else classic].")
]


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
        found = opened.train_prototypes(recipe, fresh=fresh, progress=progress, announce=screen.note)
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
    profile: ProfileOption = None,
    of_class: Annotated[
        list[str] | None, typer.Option("--class", help="Only this class; may be given again.", metavar="NAME")
    ] = None,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
) -> int:
    """Show the prototypes of each class: source case, box, purity, how often they decide.

    casebase prototypes show

    casebase prototypes show --class cat --profile classic
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base)
    from casebase import api

    with api.Base(chosen) as opened:
        found = _there(opened, profile)
        if json:
            screen.result(found.to_dict())
            return exits.OK
        _listed(found, opened, of_class or list(found.classes), screen)
    return exits.OK


def _there(opened: Base, profile: str | None) -> PrototypeSet:
    found = opened.prototypes(profile)
    if found is None:
        words = ["train"] if profile is None else ["train", "--profile", profile]
        command = next(iter(typed("prototypes", *words, base=opened.folder)), "casebase prototypes train")
        raise NotFound(
            f"no {printable(profile) + ' ' if profile else ''}prototypes in {printable(str(opened.folder))}; "
            f"make them with `{command}`"
        )
    return found


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


def _listed(found: PrototypeSet, opened: Base, names: list[str], screen: Screen) -> None:
    from rich.table import Table
    from rich.text import Text

    for name in names:
        if name not in found.classes:
            raise UnknownClass(
                f"no class {printable(name)!r} here; there is {', '.join(map(printable, found.classes))}"
            )
    out = screen.out()
    _print(out, _in_short(found))
    for name in names:
        mine = found.of_class(name)
        out.print()
        _print(out, f"{printable(name)}: {len(mine)} prototypes" if mine else f"{printable(name)}: none was kept")
        if not mine:
            continue
        table = Table("id", "case", "path", "box", "purity", "weight", "decides", box=None, pad_edge=False)
        for one in sorted(mine, key=lambda each: (-each.weight, each.number)):
            table.add_row(
                str(one.number), one.patch.case_id, Text(_path(opened, one)), _box(one),
                "-" if one.purity is None else f"{one.purity:.2f} of {one.purity_n}", f"{one.weight:.3f}",
                percent(one.decides),
            )  # fmt: skip
        out.print(table)


def _path(opened: Base, one: Prototype) -> str:
    from casebase.commands import named

    try:
        return printable(named(opened.case(one.patch.case_id)))
    except NotFound:
        return "gone from this base"


def _box(one: Prototype) -> str:
    """The cell and what it covers of the view, in hundredths."""
    left, top, right, bottom = (round(100 * edge) for edge in one.patch.box)
    return f"{left}-{right} % x {top}-{bottom} %"


def _print(out: Console, line: str) -> None:
    from rich.text import Text

    out.print(Text(line), soft_wrap=True)
