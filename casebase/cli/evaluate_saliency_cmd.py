"""``casebase evaluate saliency``: which explanation is better, by every metric, beside maps that know nothing."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casebase import settings
from casebase.cli import exits, options
from casebase.cli.evaluate_cmd import OutOption, SplitOption, show
from casebase.commands import again
from casebase.errors import NoCaseBase
from casebase.evaluate import BenchSettings, MaskChoice, SaliencyOptions

if TYPE_CHECKING:
    from casebase.cli.screen import Screen
    from casebase.evaluations import Evaluation

WHAT, MEASURE, MASKS = "What is explained", "How it is measured", "How masks are read"
ALONE = Path("evaluate-saliency")
"""The folder that is written where there is no base."""
KEPT = ".kept"
"""Ends the name of the folder beside it that remembers what was computed."""
_DEFAULT = BenchSettings()


def saliency(
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders, manifests or image files [default: the base's held-out images].", metavar="IMAGES"
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Network to explain, repeatable [default: the base's].", metavar="SPEC", rich_help_panel=WHAT
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights file, once for each --model, in order; - for none.", metavar="FILE", rich_help_panel=WHAT
        ),
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Random weights where no file is given.", rich_help_panel=WHAT)
    ] = False,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Saliency method, repeatable, or all.", metavar="NAME", rich_help_panel=WHAT),
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of the CAMs.", metavar="NAME", rich_help_panel=WHAT)] = None,
    sign: Annotated[
        str, typer.Option(help="Of signed maps: absolute or positive.", metavar="SIGN", rich_help_panel=WHAT)
    ] = "absolute",
    samples: Annotated[
        int | None, typer.Option(help="Random samples, masks or steps.", metavar="N", rich_help_panel=WHAT)
    ] = None,
    split: SplitOption = None,
    limit: Annotated[
        int | None, typer.Option(help="Images at most, in turn from every class.", metavar="N", rich_help_panel=WHAT)
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Metric, repeatable, or all.", metavar="NAME", rich_help_panel=MEASURE),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Masks of the objects: PNG, COCO or VOC.", rich_help_panel=MEASURE)
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
        bool,
        typer.Option("--mask-as-stored", help="Drawn on pixels not turned by EXIF.", rich_help_panel=MASKS),
    ] = False,
    threshold: Annotated[
        str, typer.Option(help="How a map becomes a mask.", metavar="RULE", rich_help_panel=MEASURE)
    ] = _DEFAULT.threshold,
    level: Annotated[
        float | None,
        typer.Option(
            help="Its share or fraction [default: 0.25; percentile 0.75, relative_to_max 0.5].",
            metavar="SHARE",
            rich_help_panel=MEASURE,
        ),
    ] = None,
    fill: Annotated[
        str, typer.Option(help="What hidden pixels become.", metavar="FILL", rich_help_panel=MEASURE)
    ] = _DEFAULT.fill,
    against: Annotated[
        str | None, typer.Option(help="Published rows beside these: deck.", metavar="NAME", rich_help_panel=MEASURE)
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute everything anew.", rich_help_panel=MEASURE)] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 where a row or an image was left out.")] = False,
    out: OutOption = None,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """Compare saliency methods: every metric on every map, baselines beside them.

    casebase evaluate saliency

    casebase evaluate saliency photos/ --model torchvision:resnet18 --method gradcam --method layercam
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed, device=device)
    wanted = SaliencyOptions(
        images=images or (), split=split, models=model or (), weights=weights or (), untrained=untrained,
        methods=method or (), metrics=metric or (), masks=masks,
        mask_choice=MaskChoice(mask_value, mask_ignored, mask_part, mask_category, mask_as_stored),
        layer=layer, sign=sign, samples=samples, limit=limit,
        against=against, fresh=fresh, bench=BenchSettings(threshold=threshold, level=level, fill=fill),
    )  # fmt: skip
    measured = _measured(chosen, wanted, screen, out)
    alone = measured.settings.get("base") is None
    code = show(measured, screen, chosen.base, ALONE if out is None and alone else out)
    return exits.SKIPPED if strict and code == exits.OK and measured.settings["left out"] else code


def _measured(chosen: settings.Settings, wanted: SaliencyOptions, screen: Screen, out: Path | None) -> Evaluation:
    """With the base where there is one; without it where everything is named."""
    from casebase import api

    typed = again(sys.argv)
    named = bool(wanted.models) and bool(wanted.images)
    if out is not None:
        api.check_out(out, "saliency")
    try:
        opened = None if named and chosen.origin["base"] == "default" and not chosen.base.exists() else api.Base(chosen)
    except NoCaseBase:
        if not named:
            raise
        opened = None
    with screen.progress("explaining", "maps and scores") as progress:
        if opened is not None:
            with opened:
                return opened.evaluate(
                    "saliency", options=wanted, progress=progress, announce=screen.note, command=typed
                )
        folder = out or ALONE
        api.check_out(folder, "saliency")
        wanted = replace(wanted, kept=folder.with_name(f"{folder.name}{KEPT}"))
        return api.evaluate_saliency(chosen, wanted, progress=progress, announce=screen.note, command=typed)
