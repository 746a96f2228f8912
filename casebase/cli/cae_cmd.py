"""``casebase cae``: what would have to change in an image for the network to say otherwise, learned and looked at."""

from __future__ import annotations

from typing import Annotated

import typer

from casebase.cli import exits, options
from casebase.commands import typed
from casebase.errors import GateFailed

app = typer.Typer(
    help="Class association: what would have to change for another answer.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Class association: what would have to change for another answer."""


@app.command("train")
def train(
    preset: Annotated[
        str,
        typer.Option(help="small (64 x 64), test (32 x 32), or paper (256 x 256, for an accelerator).", metavar="NAME"),
    ] = "small",
    iterations: Annotated[int | None, typer.Option(help="Training steps [default: the preset's own].")] = None,
    batch: Annotated[
        int | None, typer.Option("--batch-size", help="Pairs of images a step [default: the preset's own].")
    ] = None,
    target: Annotated[
        str, typer.Option(help="Whose classes are learned: predicted (what the network says) or labels.")
    ] = "predicted",
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew instead of going on.")] = False,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """Learn to swap what makes an image its class, on the base's own network and cases. Interrupted: run again.

    casebase cae train

    casebase cae train --preset test --iterations 1500 --seed 1
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed, device=device)
    from casebase import api
    from casebase.cli.render_cae import terminal_trained
    from casebase.explain import association_in_short

    recipe = api.CaeRecipe(preset, iterations, batch, target)
    failed: GateFailed | None = None
    with api.Base(chosen) as opened, screen.associating() as progress:
        try:
            found = opened.train_association(recipe, fresh=fresh, progress=progress, announce=screen.note)
        except GateFailed as error:
            if error.found is None:
                raise
            failed, found = error, error.found
    if json:
        screen.result(found.to_dict())
    else:
        terminal_trained(association_in_short(found), screen.out())
    if failed is not None:
        raise failed
    if not json:
        named_base = {} if base is None else {"base": base}
        for words in (("cae", "show"), ("query", "IMAGE"), ("evaluate", "cae")):
            for line in typed(*words, **named_base):
                screen.out().print(f"next: {line}", markup=False, soft_wrap=True)
    return exits.OK
