"""``casebase query``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casebase.cli import exits, options
from casebase.cli.screen import Screen, fail
from casebase.commands import again
from casebase.errors import ImageError, NoNeighbour, UsageError
from casebase.explain import METHOD_NAMES
from casebase.reading import printable

if TYPE_CHECKING:
    from casebase.explanations import Explanation

STDIN = "-"


def query(
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Image files; - reads one from standard input.")
    ],
    k: Annotated[int, typer.Option("--k", "-k", help="Rows per list.", min=1)] = 5,
    space: Annotated[str, typer.Option(help="avgpool, contribution or clip.")] = "avgpool",
    rival: Annotated[str | None, typer.Option(help="Ask only why not this class.")] = None,
    saliency: Annotated[
        str, typer.Option(help=f"Saliency method: {', '.join(METHOD_NAMES)}.", metavar="METHOD")
    ] = "gradcam",
    rerank: Annotated[
        bool,
        typer.Option("--rerank", help="Let the neighbours weigh in, as far as held-out images show that it helps."),
    ] = False,
    no_overlays: Annotated[bool, typer.Option("--no-overlays", help="No maps.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write one self-contained HTML page; a folder for several images.")
    ] = None,
    pictures: Annotated[str, typer.Option("--images", help="Pictures in the terminal: auto, blocks, none.")] = "auto",
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
    seed: options.SeedOption = None,
    device: options.DeviceOption = None,
) -> int:
    """Ask about an image: prediction, nearest cases, twins, counterfactuals, trust, maps.

    casebase query image.jpg --k 5

    casebase query image.jpg --report why.html --rival dog
    """
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    if pictures not in ("auto", "blocks", "none"):
        raise UsageError(f"--images must be auto, blocks or none, not {pictures!r}")
    if images.count(STDIN) > 1:
        raise UsageError("standard input holds one image; name - once")
    chosen = options.chosen(base, seed=seed, device=device)
    from casebase import api

    found: list[Explanation] = []
    code = exits.OK
    with api.Base(chosen) as opened:
        for name in images:
            try:
                seen = opened.explain(
                    sys.stdin.buffer.read() if name == STDIN else name,
                    k=k, space=space, rival=rival, saliency=None if no_overlays else saliency, rerank=rerank,
                    command=again(sys.argv),
                )  # fmt: skip
            except (ImageError, UsageError, NoNeighbour) as error:
                if len(images) == 1:
                    raise
                fail(str(error))
                code = exits.FAILED
                continue
            found.append(seen)
            if report is not None:
                _save(seen, report, len(images), screen)
            if not json:
                _show(seen, screen, pictures, paged=report is not None)
    if json:
        values = [seen.to_dict() for seen in found]
        screen.result(values[0] if len(images) == 1 else values)
    return code


def _save(seen: Explanation, report: Path, count: int, screen: Screen) -> None:
    target = report
    if count > 1:
        try:
            report.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--report {report} is no folder that can be made ({error.strerror})") from None
        target = report / f"{Path(seen.retrieval.query.path).stem}-{seen.retrieval.query.sha256[:8]}.html"
    saved = seen.save(target)
    screen.note(f"report: {saved}")


def _show(seen: Explanation, screen: Screen, pictures: str, *, paged: bool) -> None:
    from casebase.cli.render_terminal import terminal

    if seen.report is None:
        return
    out = screen.out()
    coloured = out.is_terminal and not out.no_color and out.color_system is not None
    blocks = pictures == "blocks" or (pictures == "auto" and coloured)
    terminal(seen.report, out, pictures=blocks, paged=paged)
    for method, path in seen.overlays.items():
        if path is not None:
            screen.note(f"{method} overlay: {printable(str(path))}")
