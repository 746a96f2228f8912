"""The figures of ``casebase evaluate model``: confusion matrix, reliability diagram, confidence of right and wrong."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from casebase.evaluate import drawing, scores
from casebase.evaluate.drawing import INK, PREDICTED, QUIET, RULE, WARNING
from casebase.evaluate.model_scores import Found
from casebase.evaluate.model_tables import shown_classes
from casebase.evaluations import Plot
from casebase.reading import percent
from casebase.reuse import wilson

MOST = 10
"""Classes of a confusion matrix that can still be read on a phone."""
COLUMNS = 20
"""Bars of the confidence histogram over [0, 1]."""


def plots(found: Found) -> list[Plot]:
    """All figures in the order of the page; each stands beside the table of its key."""
    return [_confusion(found), _confidences(found), _reliability(found)]


def _confusion(found: Found) -> Plot:
    names, whole = shown_classes(found)
    rows = scores.most_confused(whole, MOST)
    cut = len(rows) < len(names)
    matrix, names = whole[np.ix_(rows, rows)], [names[row] for row in rows]
    totals = whole.sum(axis=1)[rows]
    side = max(4.0, 1.6 + 0.5 * len(rows))

    def draw(axes: Axes) -> None:
        for row in range(len(rows)):
            for column in range(len(rows)):
                part = matrix[row, column] / totals[row] if totals[row] else 0.0
                _cell(axes, row, column, int(matrix[row, column]), part, roomy=len(rows) <= 6)
        axes.set_xlim(0, len(rows))
        axes.set_ylim(len(rows), 0)
        axes.set_aspect("equal")
        axes.tick_params(length=0)
        short = [drawing.shortened(name, 14 if len(rows) > 3 else 18) for name in names]
        tilt = len(rows) > 3 and max(map(len, short)) > 5
        middles = np.arange(len(rows)) + 0.5
        axes.set_yticks(middles, short)
        axes.set_xticks(middles, short)
        if tilt:
            for label in axes.get_xticklabels():
                label.set(rotation=40, rotation_mode="anchor", horizontalalignment="right")
        for spine in axes.spines.values():
            spine.set_visible(False)
        drawing.name_axes(axes, across="called", up="label")

    right = int(np.trace(whole))
    alt = f"Confusion matrix of {len(names)} classes. Of {whole.sum()} images, {right} lie on the diagonal."
    title = "Confusion matrix: images, and their share of the label"
    if cut:
        title = f"Confusion matrix of the {len(rows)} classes with most mistakes, of {whole.shape[0]}"
        alt += f" Only the {len(rows)} classes with most mistakes of {whole.shape[0]} are drawn."
    key = "mistakes" if cut else "confusion"
    return drawing.plot(key, title, alt, draw, size=(side, side))


def _cell(axes: Axes, row: int, column: int, count: int, part: float, *, roomy: bool) -> None:
    token = PREDICTED if row == column else WARNING
    face = drawing.shade(token, part**0.5) if count else "none"  # the root, so that one mistake in fifty is seen
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=face, edgecolor=RULE, linewidth=0.8))
    if not count:
        return
    weight = "bold" if row != column else "normal"
    middle = row + (0.42 if roomy else 0.5)
    axes.text(column + 0.5, middle, str(count), ha="center", va="center", color=INK, fontweight=weight)
    if roomy:
        axes.text(column + 0.5, row + 0.68, percent(part), ha="center", va="center", color=INK, fontsize=10)


def _confidences(found: Found) -> Plot:
    right, confidence = found.outcomes.right, found.outcomes.confidence
    edges = np.linspace(0, 1, COLUMNS + 1)
    low = float(np.floor(confidence.min() * 10) / 10)
    good, bad = (np.histogram(confidence[chosen], edges)[0] for chosen in (right, ~right))

    def draw(axes: Axes) -> None:
        for counts, token, sign in ((good, PREDICTED, 1), (bad, WARNING, -1)):
            total = counts.sum()
            if total:
                axes.bar(edges[:-1], sign * counts / total, width=np.diff(edges), align="edge", color=token,
                         edgecolor=drawing.PAPER, linewidth=1.0)  # fmt: skip
        axes.axhline(0, color=QUIET, linewidth=1.0)
        axes.set_xlim(min(low, 0.9), 1.0)
        axes.set_ylim(-1.08, 1.08)
        axes.set_yticks([-1, -0.5, 0, 0.5, 1], ["100 %", "50 %", "0", "50 %", "100 %"])
        axes.text(0.02, 0.95, f"right: {good.sum()} answers", transform=axes.transAxes, color=INK, va="top")
        axes.text(0.02, 0.05, f"wrong: {bad.sum()} answers", transform=axes.transAxes, color=INK, va="bottom")
        drawing.in_percent(axes.xaxis)
        drawing.name_axes(axes, across="confidence", up="share of the right answers (up), of the wrong ones (down)")

    sure = int((confidence[~right] > 0.9).sum())
    alt = (
        f"Histogram of confidence: {good.sum()} right answers drawn upward, {bad.sum()} wrong ones downward. "
        f"{sure} of the wrong answers were given with more than 90 % confidence."
    )
    return drawing.plot("calibration", "How sure it was when right, and when wrong", alt, draw)


def _reliability(found: Found) -> Plot:
    bins = found.width

    def draw(axes: Axes) -> None:
        low = float(bins.low.min())
        axes.plot([low, 1], [low, 1], color=QUIET, linewidth=1.2, linestyle="dashed")
        for b in range(len(bins.n)):
            said, good, n = bins.confidence[b], int(bins.right[b]), int(bins.n[b])
            axes.plot([said, said], wilson(good, n), color=PREDICTED, linewidth=1.6)
            axes.plot([said], [good / n], color=PREDICTED, marker="o", linestyle="none")
            middle = (bins.low[b] + bins.high[b]) / 2
            axes.text(middle, -0.015, str(bins.n[b]), ha="center", va="bottom", color=QUIET, fontsize=9)
        axes.text(low, 0.075, "answers per bin:", ha="left", va="bottom", color=QUIET, fontsize=9)
        axes.set_xlim(low - 0.02, 1.02)
        axes.set_ylim(-0.03, 1.03)
        drawing.in_percent(axes.xaxis)
        drawing.in_percent(axes.yaxis)
        drawing.name_axes(axes, across="confidence", up="right answers, with 95 % interval")

    furthest = int(np.abs(bins.right / bins.n - bins.confidence).argmax())
    alt = (
        f"Reliability diagram of {len(bins.n)} bins with their 95 % intervals; a calibrated network lies on the dashed "
        f"diagonal. Furthest from it: confidence {percent(float(bins.confidence[furthest]))}, right "
        f"{percent(float(bins.right[furthest] / bins.n[furthest]))} of {bins.n[furthest]}."
    )
    return drawing.plot("bins", "Confidence against truth", alt, draw)
