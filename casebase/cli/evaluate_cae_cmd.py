"""``casebase evaluate cae``: what the class association embedding of a base is worth."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from casebase.cli import exits, options
from casebase.cli.evaluate_cmd import OutOption, SplitOption, show
from casebase.commands import again
from casebase.evaluate import CaeOptions, MaskChoice

MAPS, MASKS = "Maps made of walks", "How masks are read"


def cae(
    split: SplitOption = None,
    n: Annotated[int, typer.Option("-n", "--n", help="Images swapped, as many of every class.", metavar="N")] = 200,
    walks: Annotated[int, typer.Option(help="Of these walked, along both routes.", metavar="N")] = 30,
    hidden: Annotated[
        int,
        typer.Option(
            help="Images whose maps are compared by taking patches away; 0: none.",
            metavar="N",
            rich_help_panel=MAPS,
        ),
    ] = 10,
    draws: Annotated[
        int, typer.Option(help="Random fillings of the patches, averaged.", metavar="N", rich_help_panel=MAPS)
    ] = 10,
    masks: Annotated[
        Path | None,
        typer.Option(help="Masks of the evidence: PNG, COCO or VOC.", rich_help_panel=MAPS),
    ] = None,
    mask_value: Annotated[
        list[int] | None,
        typer.Option(help="Value of the object in index masks, repeatable.", metavar="N", rich_help_panel=MASKS),
    ] = None,
    mask_ignored: Annotated[
        list[int] | None,
        typer.Option(help="Value that counts neither way, repeatable.", metavar="N", rich_help_panel=MASKS),
    ] = None,
    mask_part: Annotated[
        str | None, typer.Option(help="One part of drawn birds.", metavar="NAME", rich_help_panel=MASKS)
    ] = None,
    mask_category: Annotated[
        str | None, typer.Option(help="One class of COCO or VOC.", metavar="NAME", rich_help_panel=MASKS)
    ] = None,
    mask_as_stored: Annotated[
        bool, typer.Option("--mask-as-stored", help="Drawn on pixels not turned by EXIF.", rich_help_panel=MASKS)
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 where an image was left out.")] = False,
    out: OutOption = None,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """What a class association embedding is worth: swaps, whose images they are, walks, and maps beside others.

    casebase evaluate cae

    casebase evaluate cae --masks lesions/masks --hidden 20
    """  # fmt: skip
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed, device=device)
    choice = MaskChoice(mask_value, mask_ignored, mask_part, mask_category, mask_as_stored)
    wanted = CaeOptions(n, walks, hidden, draws, masks, choice)
    from casebase import api

    with api.Base(chosen) as opened, screen.progress("measuring") as progress:
        if out is not None:
            api.check_out(out, "cae")
        measured = opened.evaluate(
            "cae", split=split, options=wanted, progress=progress, announce=screen.note, command=again(sys.argv)
        )
    code = show(measured, screen, chosen.base, out)
    gone = measured.settings["images_gone"] + measured.settings["images_altered"]
    return exits.SKIPPED if strict and code == exits.OK and gone else code
