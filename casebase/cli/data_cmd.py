"""``casebase data``: data sets before any training; ``generate`` and ``pair``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casebase.cli import exits, options
from casebase.commands import typed
from casebase.errors import UsageError
from casebase.reading import printable

if TYPE_CHECKING:
    from casebase.cli.screen import Screen
    from casebase.datasets import Generated, Paired

HELP = "Data sets before any training."
SHOWN = 5
app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode=None)


@app.callback(help=HELP)
def _data() -> None:
    pass


@app.command("generate")
def generate(
    out: Annotated[Path, typer.Argument(help="Folder to fill; what is in it from before is kept.")],
    pipeline: Annotated[
        str, typer.Option(help="A folder saved by diffusers, or a name on the Hugging Face hub.")
    ] = "google/ddpm-cat-256",
    revision: Annotated[str | None, typer.Option(help="A commit or branch on the hub.")] = None,
    scheduler: Annotated[str, typer.Option(help="ddpm or ddim.")] = "ddpm",
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps [default: as trained for ddpm, 50 for ddim].")
    ] = None,
    eta: Annotated[
        float | None, typer.Option(help="For ddim: 0 draws no further noise, 1 as much as ddpm [default: 0].")
    ] = None,
    count: Annotated[int, typer.Option(help="Images the folder has in the end.")] = 10,
    batch_size: Annotated[int, typer.Option(help="Images at once.")] = 4,
    dtype: Annotated[str, typer.Option(help="fp32, fp16 or bf16.")] = "fp32",
    label: Annotated[str, typer.Option(help="Class name in the manifest.")] = "generated",
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Take tensors from .bin weights, where there are no others.")
    ] = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """Generate images with a diffusers pipeline, one seed each, and list them in OUT/manifest.jsonl.

    casebase data generate fakes/ --count 150

    casebase data generate fakes/ --pipeline ddpm-cat/ --scheduler ddim --steps 50 --count 150

    Says how long it will take before it starts. Interrupted: run again, only missing images are made.
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(None, seed=seed, device=device)
    from casebase import api

    wanted = api.GenerateOptions(
        pipeline=pipeline, revision=revision, scheduler=scheduler, steps=steps, eta=eta, count=count,
        batch_size=batch_size, dtype=dtype, label=label, allow_pickle=allow_pickle,
    )  # fmt: skip
    with screen.stages() as told:
        done = api.generate(chosen, out, wanted, progress=told, announce=screen.note)
    if json:
        screen.result(done.to_dict())
    else:
        show_generated(done, screen)
    return exits.OK


@app.command("pair")
def pair(
    real: Annotated[Path, typer.Argument(help="Folder of photographs, or a CSV/JSONL manifest.")],
    generated: Annotated[Path, typer.Argument(help="Folder of generated images, or a manifest.")],
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    size: Annotated[int, typer.Option(help="Side of every image in pixels; smaller ones are left out.")] = 256,
    count: Annotated[int | None, typer.Option(help="Images per class [default: all of the smaller class].")] = None,
    val: Annotated[float, typer.Option(help="Share of validation images.")] = 0.2,
    test: Annotated[float, typer.Option(help="Share of test images.")] = 0.2,
    quality: Annotated[str, typer.Option(help="JPEG qualities to draw from, for both classes.")] = "70-95",
    format: Annotated[str, typer.Option(help="jpeg; png: the JPEG's pixels without a further loss.")] = "jpeg",
    real_label: Annotated[str, typer.Option(help="Name of the first class.")] = "real",
    generated_label: Annotated[str, typer.Option(help="Name of the second class.")] = "generated",
    groups: Annotated[
        bool, typer.Option("--groups/--no-groups", help="Images of one sub-folder stay in one part.")
    ] = True,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
) -> int:
    """Make a two-class set whose images all went through one pipeline, so that files give nothing away.

    casebase data pair photos/ fakes/ cats-study/

    casebase data pair photos.csv fakes/manifest.jsonl cats-study/ --size 128 --quality 60-95

    Centre crop, one resampling, the same JPEG qualities in both classes, no metadata; equal counts;
    near-copies and groups stay in one part. The same arguments give the same bytes.
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(None, seed=seed)
    from casebase import api
    from casebase.canonical import Canonical

    wanted = api.PairOptions(
        Canonical(size, _range(quality), format), count=count, val=val, test=test, real_label=real_label,
        generated_label=generated_label, groups=groups,
    )  # fmt: skip
    with screen.stages() as told:
        done = api.pair(chosen, real, generated, out, wanted, progress=told)
    if json:
        screen.result(done.to_dict())
    else:
        show_paired(done, screen)
    return exits.OK


def _range(text: str) -> tuple[int, int]:
    """``70-95`` or ``90`` as the least and the highest."""
    low, _, high = text.partition("-")
    try:
        return int(low), int(high or low)
    except ValueError:
        raise UsageError(f"--quality takes a range such as 70-95, or one number, not {printable(text)!r}") from None


def show_generated(done: Generated, screen: Screen) -> None:
    """What was made, of what, and what to do with it."""
    from rich.text import Text

    from casebase.cli.lines import item

    out, made = screen.out(), done.settings
    folder = printable(str(done.folder))
    n = len(done.images)
    told = f"{n} synthetic {'image' if n == 1 else 'images'} in {folder}, {done.made} made now"
    out.print(Text(told), soft_wrap=True)
    eta = "" if made["eta"] is None else f", eta {made['eta']:g}"
    item(out, "pipeline", f"{made['pipeline']} ({made['weights']}, revision {made['revision'] or 'none'})")
    item(out, "sampling", f"{made['scheduler']}, {made['steps']} steps{eta}, {made['dtype']}, {made['library']}")
    item(out, "seeds", f"{made['first_seed']} and up, one for each image")
    item(out, "manifest", str(done.manifest))
    for warning in done.warnings:
        item(out, "note", warning)
    item(
        out,
        "note",
        "all PNG of one size, and marked in their metadata: beside photographs that gives them away; "
        "casebase data pair puts both classes through one pipeline",
    )


def show_paired(done: Paired, screen: Screen) -> None:
    """Counts, what both classes went through, what was left out, and the next command."""
    from rich.text import Text

    from casebase.cli.lines import item

    out, made = screen.out(), done.settings
    total = sum(sum(of.values()) for of in done.counts.values())
    out.print(Text(f"{total} images in {printable(str(done.folder))}"), soft_wrap=True)
    for part, of in done.counts.items():
        item(out, part, ", ".join(f"{n} {label}" for label, n in of.items()))
    low, high = made["quality"]
    item(out, "pipeline", f"centre crop, {made['size']} pixels, JPEG {low} to {high}, kept as {made['format']}")
    item(out, "manifest", str(done.manifest))
    for path, reason in list(done.left_out.items())[:SHOWN]:
        item(out, "left out", f"{path}: {reason}")
    if len(done.left_out) > SHOWN:
        item(out, "…", f"{len(done.left_out) - SHOWN} more; --json lists them")
    for warning in done.warnings:
        item(out, "note", warning)
    for line in typed("train", done.folder, "--out", "model"):
        out.print(Text(f"next: {line}"), soft_wrap=True)
