"""``casebase evaluate prototypes``: what each set of prototypes is worth, beside the network it explains."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from casebase.cli import exits, options
from casebase.cli.evaluate_cmd import OutOption, SplitOption, show
from casebase.commands import again
from casebase.evaluate import MaskChoice, PrototypeOptions

DRAWN, MASKS = "Held against what people drew", "How masks are read"


def prototypes(
    profile: Annotated[
        str | None, typer.Option(help="Only this set: signed or classic [default: every one].", metavar="NAME")
    ] = None,
    split: SplitOption = None,
    sample: Annotated[
        int, typer.Option(help="Images looked at again under noise, re-encoded, hidden; 0 leaves it out.", metavar="N")
    ] = 100,
    parts: Annotated[
        Path | None,
        typer.Option(help="CSV of part places: image_id or path, part, x, y.", rich_help_panel=DRAWN),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Masks of the objects: PNG, COCO or VOC.", rich_help_panel=DRAWN)
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
    """What prototypes are worth: accuracy beside the network, copies, stability, re-encoding, masks, parts.

    casebase evaluate prototypes

    casebase evaluate prototypes --parts cub10/parts.csv --sample 50
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed, device=device)
    wanted = PrototypeOptions(
        profile, sample, masks, MaskChoice(mask_value, mask_ignored, mask_part, mask_category, mask_as_stored), parts
    )
    from casebase import api

    with api.Base(chosen) as opened, screen.progress("looking", "images") as progress:
        if out is not None:
            api.check_out(out, "prototypes")
        measured = opened.evaluate(
            "prototypes", split=split, options=wanted, progress=progress, announce=screen.note, command=again(sys.argv)
        )
    code = show(measured, screen, chosen.base, out)
    gone = measured.settings["images_gone"] + measured.settings["images_altered"]
    return exits.SKIPPED if strict and code == exits.OK and gone else code
