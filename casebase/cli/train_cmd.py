"""``casebase train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casebase.cli import exits, options
from casebase.cli.screen import Screen
from casebase.commands import typed
from casebase.errors import UsageError
from casebase.reading import percent, printable

if TYPE_CHECKING:
    from casebase.evaluations import Measured
    from casebase.trained import Trained

SHOWN = 10
PARTS = {"train": "training", "val": "validation", "test": "test"}
NETWORK, RECIPE, DATA = "Network", "Recipe", "Data"


def train(
    data: Annotated[Path | None, typer.Argument(help="Folder of class folders, or a CSV/JSONL manifest.")] = None,
    out: Annotated[Path, typer.Option(help="The model folder to make.")] = Path("model"),
    arch: Annotated[
        str | None,
        typer.Option(help="Architecture: resnet18, timm:NAME, … [default: resnet18].", rich_help_panel=NETWORK),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Instead: a model folder, a checkpoint, module:factory.", rich_help_panel=NETWORK)
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Local weights to begin with.", rich_help_panel=NETWORK)] = None,
    pretrained: Annotated[
        bool,
        typer.Option("--pretrained/--no-pretrained", help="Published weights, or random.", rich_help_panel=NETWORK),
    ] = True,
    image_size: Annotated[
        int | None,
        typer.Option(
            help="Side of the square the network sees [default: as its weights want, 224 for resnet18].",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="Normalise otherwise than the weights want: 0.5, or R,G,B.", rich_help_panel=NETWORK),
    ] = None,
    std: Annotated[str | None, typer.Option(help="The same for the deviation.", rich_help_panel=NETWORK)] = None,
    freeze_backbone: Annotated[
        bool, typer.Option("--freeze-backbone", help="Train the head only.", rich_help_panel=NETWORK)
    ] = False,
    epochs: Annotated[
        int, typer.Option(help="Times through the training images, at most.", rich_help_panel=RECIPE)
    ] = 10,
    lr: Annotated[float, typer.Option(help="Learning rate.", rich_help_panel=RECIPE)] = 1e-4,
    batch_size: Annotated[int, typer.Option(help="Images per step.", rich_help_panel=RECIPE)] = 32,
    optimiser: Annotated[str, typer.Option(help="adam, adamw or sgd.", rich_help_panel=RECIPE)] = "adamw",
    schedule: Annotated[str, typer.Option(help="constant, cosine or onecycle.", rich_help_panel=RECIPE)] = "onecycle",
    weight_decay: Annotated[float, typer.Option(help="Weight decay.", rich_help_panel=RECIPE)] = 1e-2,
    label_smoothing: Annotated[float, typer.Option(help="Share of the label spread.", rich_help_panel=RECIPE)] = 0.0,
    batch_norm: Annotated[
        str,
        typer.Option(
            help="frozen; trained; restored: un-folded first; auto: frozen if folded.", rich_help_panel=RECIPE
        ),
    ] = "auto",
    class_weights: Annotated[
        str, typer.Option(help="none; balanced: every class counts the same.", rich_help_panel=RECIPE)
    ] = "none",
    flip: Annotated[
        bool, typer.Option("--flip/--no-flip", help="Mirror half the images.", rich_help_panel=RECIPE)
    ] = True,
    shift: Annotated[int, typer.Option(help="Move images by up to so many pixels.", rich_help_panel=RECIPE)] = 0,
    patience: Annotated[
        int,
        typer.Option(
            help="Stop after so many epochs without a lower validation loss; 0: never.", rich_help_panel=RECIPE
        ),
    ] = 3,
    keep: Annotated[
        str, typer.Option(help="best: the epoch of the lowest validation loss; last.", rich_help_panel=RECIPE)
    ] = "best",
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16.", rich_help_panel=RECIPE)] = None,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Train although parts share images.", rich_help_panel=DATA)
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew, and replace the model at --out.", rich_help_panel=DATA)
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help="Threads that decode; 0 means all cores.", rich_help_panel=DATA)
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option(help="Case base to index into next; its casebase.toml counts.", rich_help_panel=options.PANEL),
    ] = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """Fine-tune a classifier on DATA and save a model folder for `casebase index --model`.

    casebase train photos/ --out cats

    casebase train photos/ --weights resnet18.safetensors --epochs 5 --out cats

    Without splits, images are divided 70/15/15 by class and group. Interrupted: run again.
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed, device=device, precision=precision, workers=workers)
    from casebase import api

    recipe = api.Recipe(
        epochs=epochs, lr=lr, batch_size=batch_size, optimiser=optimiser, weight_decay=weight_decay, schedule=schedule,
        class_weights=class_weights, label_smoothing=label_smoothing, flip=flip, shift=shift,
        freeze_backbone=freeze_backbone, patience=patience, keep=keep, batch_norm=batch_norm,
    )  # fmt: skip
    wanted = api.TrainOptions(
        out=out, model=model, arch=arch, weights=weights, pretrained=pretrained, image_size=image_size,
        mean=_three("--mean", mean), std=_three("--std", std), recipe=recipe, allow_leak=allow_leak, fresh=fresh,
    )  # fmt: skip
    with screen.training() as onlooker:
        done = api.train(chosen, data, wanted, progress=onlooker, announce=screen.note)
    if json:
        screen.result(done.to_dict())
    else:
        show(done, screen, base)
    return exits.OK


def _three(name: str, text: str | None) -> tuple[float, float, float] | None:
    """``0.5`` or ``0.485,0.456,0.406`` as three numbers."""
    if text is None:
        return None
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values *= 3
    if len(values) != 3:
        raise UsageError(f"{name} takes one number or three with commas between, such as 0.5, not {printable(text)!r}")
    return values[0], values[1], values[2]


def show(done: Trained, screen: Screen, base: Path | None) -> None:
    """The closing summary: accuracies with n and interval, what was kept and why, warnings, the next command."""
    from rich.text import Text

    from casebase.cli.lines import item

    out = screen.out()
    folder = printable(str(done.folder))
    if done.already:
        out.print(Text(f"{folder} holds this training already; --fresh trains anew"), soft_wrap=True)
    classes = ", ".join(map(printable, done.classes[:SHOWN])) + (", …" if len(done.classes) > SHOWN else "")
    out.print(Text(f"{done.network} with {len(done.classes)} classes ({classes}) at {folder}"), soft_wrap=True)
    for part, found in done.accuracy.items():
        out.print(Text(f"  {PARTS[part]:<11} {_accuracy(found)}"))
    why = "lowest validation loss" if done.selected_by == "val_loss" else "the last one"
    out.print(Text(f"  {'kept':<11} epoch {done.kept} of {len(done.epochs)} ({why}); {done.seconds:.0f} s"))
    out.print(Text(f"  {'curves':<11} {printable(str(done.folder / 'curves.png'))}"))
    for path, reason in list(done.skipped.items())[:SHOWN]:
        item(out, "skipped", f"{path}: {reason}")
    if len(done.skipped) > SHOWN:
        out.print(Text(f"  {'…':<11} {len(done.skipped) - SHOWN} more; --json lists them"))
    for warning in done.warnings:
        item(out, "note", warning)
    named_base = {} if base is None else {"base": base}
    for line in typed("index", done.split_file, "--model", done.folder, **named_base):
        out.print(Text(f"next: {line}"), soft_wrap=True)


def _accuracy(found: Measured) -> str:
    if found.value is None or found.low is None or found.high is None:
        return found.reason or "not measured"
    interval = f"95 % interval {percent(found.low)} to {percent(found.high)}"
    return f"{percent(found.value)} right ({interval}; {round(found.value * found.n)} of {found.n})"
