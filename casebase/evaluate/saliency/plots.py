"""Curves of the bench: the mean score while an image is taken apart or put together, a line for each method.

Methods have a colour, a dash and a marker; baselines are thin and quiet and differ in their dashes. Names stand beside
the lines in the order of the areas, each behind a piece of its line, so that nothing has to be told by colour.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from casebase.evaluate import drawing
from casebase.evaluate.drawing import DASHES, INK, MARKERS, QUIET, SERIES
from casebase.evaluate.saliency.marks import Row, Values
from casebase.evaluate.saliency.metric import Metric
from casebase.evaluate.saliency.summary import Summary, mean_curve
from casebase.evaluations import Plot

SIZE = (7.0, 4.4)
APART = 0.075
"""Between two names, as a share of the height."""
MARKS = 6
"""Markers along a line."""
BASELINE_DASHES = ((0, (1, 1)), (0, (4, 2)), (0, (6, 2, 1, 2)), (0, (2, 4)), (0, (8, 3)))
NAMES = {
    "deletion": ("Deletion", "share of pixels removed, most relevant first", "lower is better"),
    "insertion": ("Insertion", "share of pixels brought back, most relevant first", "higher is better"),
    "road_morf": ("ROAD, most relevant first", "share of pixels imputed", "lower is better"),
    "road_lerf": ("ROAD, least relevant first", "share of pixels imputed", "higher is better"),
    "patches_morf": ("Patches, most relevant first", "share of the image taken away", "lower is better"),
    "morf_uniform": ("Patches become noise", "share of the image taken away", "lower is better"),
    "morf_blur": ("Patches become a blurred copy", "share of the image taken away", "lower is better"),
    "patches_lerf": ("Patches, least relevant first", "share of the image taken away", "higher is better"),
}
"""Title, horizontal axis and direction of the curves that show a softmax."""
REDRAWN = "stages of weights redrawn, from the output down"
OTHERS = {
    "iou": ("IoU with the mask", "threshold of the map", "higher is better"),
    "mprt_spearman": ("Spearman", REDRAWN, "lower is better"),
    "mprt_spearman_abs": ("Spearman of sizes", REDRAWN, "lower is better"),
    "mprt_ssim": ("SSIM", REDRAWN, "lower is better"),
    "mprt_hog": ("HOG", REDRAWN, "lower is better"),
}
"""The same of curves that show a figure itself; those of neither table are called by their key."""


@dataclass(frozen=True, eq=False)
class Line:
    """One line: where it goes, how it is drawn, and of how many images it is the mean."""

    title: str
    across: Values
    up: Values
    baseline: bool
    number: int
    images: int


def plots(summary: Summary) -> list[Plot]:
    """A figure for each curve and network, beside the table of its metric."""
    found = []
    for metric in summary.outcome.metrics:
        for place, network in enumerate(summary.outcome.networks, start=1):
            rows = summary.outcome.of(network)
            for name in _curves(metric, rows):
                lines = list(_lines(metric, name, rows))
                if lines:
                    key = f"{name}-{place}" if len(summary.outcome.networks) > 1 else name
                    on = f" on {network}" if len(summary.outcome.networks) > 1 else ""
                    found.append(replace(_plot(key, name, on, lines), table=metric.name))
    return found


def _curves(metric: Metric, rows: Sequence[Row]) -> list[str]:
    names = (name for row in rows for mark in row.marks for of, name in mark.curves if of == metric.name)
    return list(dict.fromkeys(names))


def _lines(metric: Metric, name: str, rows: Sequence[Row]) -> Iterator[Line]:
    counts = {True: 0, False: 0}
    for row in rows:
        curves = [mark.curves[metric.name, name] for mark in row.marks if (metric.name, name) in mark.curves]
        if curves:
            across, up = mean_curve(curves)
            yield Line(row.title, across, up, row.baseline, counts[row.baseline], len(curves))
            counts[row.baseline] += 1


def _plot(key: str, name: str, on: str, lines: Sequence[Line]) -> Plot:
    title, across, direction = {**NAMES, **OTHERS}.get(name, (name.replace("_", " "), "", ""))
    softmax = name in NAMES

    def draw(axes: Axes) -> None:
        for line in lines:
            _draw(axes, line)
        _named_beside(axes, lines)
        axes.grid(visible=True, axis="y")
        drawing.name_axes(axes, across=across or "step", up="mean softmax of the explained class" if softmax else title)
        if softmax:
            drawing.in_percent(axes.yaxis)
            drawing.in_percent(axes.xaxis)

    ends = ", ".join(f"{line.title} {_area(line):.3f}" for line in sorted(lines, key=_area))
    shown = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
    tail = f", {direction}" if direction else ""
    counts = sorted({line.images for line in lines})
    n = f"{counts[0]} images" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} images"
    alt = f"{title}{on}: mean of {n}, a line for each map{tail}. Area under each line: {ends}."
    return drawing.plot(shown, f"{title}{on}{tail}", alt, draw, size=SIZE)


def _area(line: Line) -> float:
    width = float(line.across[-1] - line.across[0])
    return float(np.trapezoid(line.up, line.across) / width) if width > 0 else float(line.up.mean())


def _draw(axes: Axes, line: Line) -> None:
    every = max(1, len(line.across) // MARKS)
    axes.plot(line.across, line.up, markevery=every, zorder=2 if line.baseline else 3, **_style(line))


def _style(line: Line) -> dict[str, Any]:
    """Colour, dash and marker of a method; baselines differ in their dashes alone."""
    if line.baseline:
        return {"color": QUIET, "linewidth": 1.2, "linestyle": BASELINE_DASHES[line.number % len(BASELINE_DASHES)]}
    turn = line.number % len(SERIES)
    marker = MARKERS[(line.number + line.number // len(SERIES)) % len(MARKERS)]
    return {"color": SERIES[turn], "linestyle": DASHES[turn], "marker": marker}


def _named_beside(axes: Axes, lines: Sequence[Line]) -> None:
    """Names to the right, each behind a piece of its line, in the order of the areas under the lines.

    Not at the ends of the lines: curves of removal all end in one point.
    """
    ordered = sorted(lines, key=_area, reverse=True)
    for place, line in enumerate(ordered):
        height = 1.0 - APART * place
        axes.plot(
            [1.03, 1.08, 1.13], [height] * 3, transform=axes.transAxes, clip_on=False, markevery=[1], **_style(line)
        )
        colour = QUIET if line.baseline else INK
        axes.text(1.15, height, line.title, transform=axes.transAxes, va="center", ha="left", color=colour, fontsize=11)
