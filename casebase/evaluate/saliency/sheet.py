"""The contact sheet: a few images, and beside each the maps of every method and baseline, drawn as reports draw them.

Every map has a scale of its own, 0 to 1. Maps of single pixels are drawn in coarser cells, since they could not be seen
otherwise; what is measured is the map itself. Which images are shown is fixed by their order, not by how well
they look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from casebase import overlay
from casebase.evaluate import drawing
from casebase.evaluate.drawing import INK, QUIET, WARNING
from casebase.evaluate.saliency.marks import Outcome, Strip
from casebase.evaluate.saliency.scoring import SHOWN_SIDE
from casebase.evaluations import Plot
from casebase.explain.figures import legible
from casebase.explanations import Pixels
from casebase.reading import percent

CELL = 1.28
"""Inches of a picture on the sheet."""
HEAD, BETWEEN, MARGIN = 0.54, 0.42, 0.06
"""Inches above the first row, between rows (the picture's own name stands there), and between columns."""


def sheets(outcome: Outcome) -> list[Plot]:
    """A sheet for each network."""
    found = []
    for place, network in enumerate(outcome.networks, start=1):
        strips = outcome.strips.get(network, [])
        titles = {row.method: row.title for row in outcome.of(network)}
        if strips and titles:
            key = f"sheet-{place}" if len(outcome.networks) > 1 else "sheet"
            found.append(_sheet(key, network, strips, titles))
    return found


def _sheet(key: str, network: str, strips: Sequence[Strip], titles: Mapping[str, str]) -> Plot:
    names = list(titles)
    width = (1 + len(names)) * (CELL + MARGIN) + MARGIN
    height = HEAD + len(strips) * (CELL + BETWEEN)

    def draw(figure: Figure) -> None:
        figure.set_layout_engine("none")
        for row, strip in enumerate(strips):
            view = _resized(strip.view)
            top = HEAD + row * (CELL + BETWEEN)
            first = _cell(figure, view, 0, top, (width, height))
            shown = f"{drawing.shortened(strip.image.rsplit('/', 1)[-1], 24)}: called "
            told = f"{shown}{drawing.shortened(strip.target, 24)}, {percent(strip.before)}"
            first.text(
                0, 1.06, told, transform=first.transAxes, ha="left", va="bottom", fontsize=10, color=INK, clip_on=False
            )
            for column, name in enumerate(names, start=1):
                if name not in strip.maps:
                    continue
                silent = name in strip.silent
                pixels = view if silent else overlay.saliency_overlay(view, _drawn(strip, name))
                axes = _cell(figure, pixels, column, top, (width, height))
                if silent:
                    axes.text(
                        0.5, 0.5, "no map", transform=axes.transAxes, ha="center", va="center", fontsize=11,
                        color=WARNING, bbox={"facecolor": drawing.PAPER, "edgecolor": "none", "pad": 2.0},
                    )  # fmt: skip
        for column, name in enumerate(["", *names]):
            place = (MARGIN + column * (CELL + MARGIN)) / width
            figure.text(
                place, 1 - 0.02 / height, drawing.shortened(titles.get(name, "Image"), 15), fontsize=10, color=QUIET,
                va="top", ha="left",
            )  # fmt: skip

    rows = "; ".join(
        f"{strip.image}, called {strip.target} ({percent(strip.before)})"
        + (f", no map by {', '.join(titles[name] for name in strip.silent)}" if strip.silent else "")
        for strip in strips
    )
    alt = (
        f"Contact sheet on {network}. Rows are images: {rows}. Columns are the image and then the maps of "
        f"{', '.join(titles.values())}, laid on it; yellow is 1, the most relevant, dark violet 0."
    )
    title = (
        f"Maps side by side on {network}: yellow is most relevant, dark violet least, each map on a scale of its own"
    )
    return replace(drawing.whole(key, title, alt, draw, size=(width, height)), wide=True)


def _drawn(strip: Strip, name: str) -> NDArray[np.float32]:
    return legible(strip.maps[name]) if name in strip.fine else strip.maps[name]


def _resized(view: Pixels) -> Pixels:
    small = Image.fromarray(view).resize((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.uint8)


def _cell(figure: Figure, pixels: Pixels, column: int, top: float, size: tuple[float, float]) -> Axes:
    width, height = size
    left = MARGIN + column * (CELL + MARGIN)
    axes = figure.add_axes((left / width, 1 - (top + CELL) / height, CELL / width, CELL / height))
    axes.imshow(pixels, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    return axes
