"""``casebase saliency``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casebase.cli import exits, options
from casebase.cli.screen import Screen
from casebase.commands import again
from casebase.errors import StorageFailed
from casebase.explain import METHOD_NAMES

if TYPE_CHECKING:
    from casebase.maps import Maps

STDIN = "-"


def saliency(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Image file; - reads one from standard input.")],
    method: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(METHOD_NAMES)}; may be repeated [default: gradcam].", metavar="NAME", show_default=False
        ),
    ] = None,
    class_: Annotated[
        list[str] | None,
        typer.Option("--class", help="A class beside the predicted one; may be repeated.", metavar="NAME"),
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of class activation maps, instead of the one found.")] = None,
    samples: Annotated[
        int | None, typer.Option(help="Random samples, masks or integration steps of a map.", metavar="N")
    ] = None,
    sign: Annotated[
        str, typer.Option(help="Of signed attributions, show what is positive, or the absolute value.", metavar="SIGN")
    ] = "positive",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write [default: reports/saliency-… in the base].", metavar="FOLDER")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Another network than the base's, as in `casebase index`; no base is needed then."),
    ] = None,
    arch: Annotated[str | None, typer.Option(help="Architecture of a checkpoint or of --weights.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Local weights for the named architecture.")] = None,
    class_names: Annotated[Path | None, typer.Option(help="The network's class names, one a line.")] = None,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """Where the network looked: maps of one or more methods, each with its check.

    casebase saliency image.jpg --method gradcam --method lime

    casebase saliency image.jpg --class cat --model torchvision:resnet50 --out maps/
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    chosen = options.chosen(base, seed=seed, device=device)
    from casebase import api

    wanted = api.MapsWanted(tuple(method or ("gradcam",)), tuple(class_ or ()), layer, samples, sign, chosen.seed)
    if out is not None:
        api.check_maps(out)
    picture: str | bytes = sys.stdin.buffer.read() if image == STDIN else image
    choice = api.ModelChoice(model, arch, weights, class_names)
    if choice.names_a_network:
        found = api.saliency(chosen, picture, wanted, choice, command=again(sys.argv))
    else:
        with api.Base(chosen) as opened:
            found = opened.saliency(
                picture, wanted.methods, wanted.classes,
                layer=layer, samples=samples, sign=sign, command=again(sys.argv),
            )  # fmt: skip
            if out is None:
                out = opened.folder / "reports" / f"saliency-{found.sha256[:16]}"
                return _show(found, screen, out, named=False)
    return _show(found, screen, out, named=out is not None)


def _show(found: Maps, screen: Screen, out: Path | None, *, named: bool) -> int:
    """Write the folder, then the table or the JSON value; a folder that nobody named may fail to be written."""
    saved: Path | None = None
    if out is not None:
        try:
            saved = found.save(out)
        except StorageFailed as error:
            if named:
                raise
            screen.note(f"no pictures: {error}")
    if screen.json:
        screen.result(found.to_dict(saved))
    else:
        from casebase.cli.render_saliency import terminal

        terminal(found, screen.out(), saved)
    return exits.OK
