"""``casebase index``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casebase.cli import exits, options
from casebase.cli.screen import Screen
from casebase.reading import percent, printable

if TYPE_CHECKING:
    from casebase.api import IndexSummary

SHOWN = 10


def index(
    data: Annotated[Path | None, typer.Argument(help="Folder of class folders, or a CSV/JSONL manifest.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="torchvision:NAME, timm:NAME, open_clip:NAME, a model folder, a checkpoint, module:factory."),
    ] = None,
    arch: Annotated[str | None, typer.Option(help="Architecture of a checkpoint or of --weights.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Local weights for the named architecture.")] = None,
    class_names: Annotated[Path | None, typer.Option(help="The network's class names, one a line.")] = None,
    layer: Annotated[str | None, typer.Option(help="Spatial layer for maps, instead of the one found.")] = None,
    head: Annotated[str, typer.Option(help="auto; network: its own classes; fit: a new linear head.")] = "auto",
    refit_head: Annotated[bool, typer.Option("--refit-head", help="Fit the linear head anew on all cases.")] = False,
    split: Annotated[str | None, typer.Option(help="Only this split; its images all become cases.")] = None,
    space: Annotated[list[str] | None, typer.Option(help="avgpool, contribution, clip; may be repeated.")] = None,
    clip_model: Annotated[str, typer.Option(help="Network of the space clip.")] = "open_clip:ViT-B-32",
    clip_weights: Annotated[Path | None, typer.Option(help="Local weights of the space clip.")] = None,
    clip_untrained: Annotated[
        bool, typer.Option("--clip-untrained", help="Random CLIP weights, to try the code path only.")
    ] = False,
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per forward pass.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads; 0 means all cores.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only N images, in turn from every class.")] = None,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails/--no-thumbnails", help="Keep a small picture of each case.")
    ] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if any file was skipped.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be done; write nothing.")] = False,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """Embed every image of DATA and store cases, predictions and vectors.

    casebase index photos/

    casebase index labels.csv --weights resnet18.safetensors --base cats

    Run again: only new and changed images are read. Interrupted: run again.
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed, device=device, precision=precision, batch_size=batch_size, workers=workers)
    from casebase import api

    networks = api.ModelChoice(
        model, arch, weights, class_names, layer, head, refit_head, clip_model, clip_weights, clip_untrained
    )
    wanted = api.IndexOptions(networks, tuple(space or ()), split, limit, thumbnails)
    if dry_run:
        summary = api.preview(chosen, data, wanted)
    else:
        api.check_data(chosen, data)  # before a folder is made for the base
        with api.Base(chosen, create=True) as opened, screen.progress() as progress:
            summary = opened.index(data, wanted, progress=progress, announce=screen.note)
    if json:
        screen.result(summary.to_dict())
    else:
        show(summary, screen, chosen.base)
    return exits.SKIPPED if strict and summary.skipped else exits.OK


def show(summary: IndexSummary, screen: Screen, base: Path) -> None:
    """The closing summary: counts, classifier, skipped files with reasons, the next command."""
    from rich.text import Text

    out = screen.out()
    counts = f"{summary.added} added, {summary.updated} updated, {summary.unchanged} unchanged"
    counts += f", {summary.withdrawn} withdrawn"
    if summary.dry_run:
        out.print(Text(f"would be: {counts}, of {summary.seen} listed; nothing was written"))
        return
    held = f" and {summary.held_out} held-out images" if summary.held_out else ""
    out.print(Text(f"{summary.cases} cases{held} in {len(summary.classes)} classes at {printable(str(base))}"))
    classes = ", ".join(f"{printable(name)} {count}" for name, count in list(summary.classes.items())[:SHOWN])
    out.print(Text(f"  labels      {classes}{', …' if len(summary.classes) > SHOWN else ''}"))
    out.print(Text(f"  this run    {counts}, {len(summary.skipped)} skipped"))
    facts = summary.facts
    if facts.get("kind") == "fitted":
        accuracy = facts.get("held_out_accuracy")
        low, high = facts.get("held_out_interval") or (None, None)
        measured = (
            "its accuracy could not be measured"
            if accuracy is None or low is None or high is None
            else f"held-out accuracy {percent(accuracy)} (95 % interval {percent(low)} to {percent(high)}, "
            f"n = {facts['held_out_n']})"
        )
        out.print(Text(f"  classifier  linear head fitted on frozen features of {facts.get('spec')}; {measured}"))
    else:
        out.print(Text(f"  classifier  {facts.get('spec')} as it is, {len(facts.get('classes', []))} classes"))
    rate = summary.images_per_second
    speed = f", {rate:.0f} images/s" if rate else ""
    out.print(Text(f"  spaces      {', '.join(summary.spaces)}   {summary.seconds:.1f} s{speed}"))
    for path, reason in list(summary.skipped.items())[:SHOWN]:
        out.print(Text(f"  skipped     {printable(path)}: {printable(reason)}"))
    if len(summary.skipped) > SHOWN:
        out.print(Text(f"  …           {len(summary.skipped) - SHOWN} more; `casebase stats --json` lists them"))
    for warning in summary.warnings:
        out.print(Text(f"  note        {printable(warning)}"))
    where = "" if str(base) == ".casebase" else f" --base {shlex.quote(printable(str(base)))}"
    out.print(Text(f"next: casebase query IMAGE --k 5{where}"), soft_wrap=True)
