"""Figures of ``casebase evaluate twins``: fidelity beside its controls, risk by coverage, and how often cases recur."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from casebase.evaluate import drawing
from casebase.evaluate.error_detection import SOFTMAX
from casebase.evaluate.fidelity_tables import fidelity_cells, overs
from casebase.evaluate.twin_study import TwinStudy
from casebase.evaluate.twin_words import told
from casebase.evaluations import Measured, Plot
from casebase.spaces import NETWORK_SPACE

SERIES = (
    ("fidelity", "fidelity"),
    ("shuffled", "shuffled"),
    ("rival", "rival's weights"),
    ("untrained", "random network"),
)
CURVES = ("trust", SOFTMAX, "knn_distance", "agreement")
MOST_BARS = 40
ROOM = 1.6
"""Room above the curves, for the legend."""


def plots(found: TwinStudy) -> list[Plot]:
    """The figures there is something to draw for."""
    made = [_fidelity(found)]
    if 0 < found.errors < len(found.queries):
        made.append(_risk(found))
    made.append(_hubs(found))
    return made


def _fidelity(found: TwinStudy) -> Plot:
    rows = [
        (f"{space.space}, {over}", fidelity_cells(found, space, over, where, draws))
        for space in found.spaces
        for over, where, draws in overs(found)
        if where.any()
    ]
    shown = [(key, title) for key, title in SERIES if any(key in cells for _, cells in rows)]

    def draw(axes: Axes) -> None:
        for series, (key, title) in enumerate(shown):
            marks = [(place, cells[key]) for place, (_, cells) in enumerate(rows) if key in cells]
            _marks(axes, marks, series, title, offset=0.16 * (series - (len(shown) - 1) / 2))
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(-0.01, 1.01)
        axes.grid(axis="x")
        drawing.in_percent(axes.xaxis)
        drawing.name_axes(axes, across="the nearest vote like the network", up="")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)

    alt = "; ".join(
        f"{name}: " + ", ".join(f"{title} {told(cells[key])}" for key, title in shown if key in cells)
        for name, cells in rows
    )
    return drawing.plot(
        "overall", "Fidelity of the neighbours' vote, with its controls", alt, draw, size=(7.0, 1.8 + 0.55 * len(rows))
    )


def _marks(axes: Axes, marks: Sequence[tuple[int, Measured]], series: int, title: str, *, offset: float) -> None:
    colour, marker = drawing.SERIES[series % len(drawing.SERIES)], drawing.MARKERS[series % len(drawing.MARKERS)]
    known = [(place, cell) for place, cell in marks if cell.value is not None]
    values = np.array([cell.value for _, cell in known], float)
    places = np.array([place for place, _ in known], float) + offset
    low = np.array([cell.value if cell.low is None else cell.low for _, cell in known], float)
    high = np.array([cell.value if cell.high is None else cell.high for _, cell in known], float)
    face = colour if series == 0 else drawing.PAPER
    axes.hlines(places, low, high, color=colour, linewidth=1.6)
    axes.plot(
        values, places, linestyle="none", marker=marker, color=colour, markerfacecolor=face, label=title, clip_on=False
    )


def _risk(found: TwinStudy) -> Plot:
    curves = [one for key in CURVES for one in found.detections if one.score.key == key and one.curve is not None]
    rate = found.errors / len(found.queries)
    top = max([rate, *(float(risk.max()) for one in curves for _, risk in [one.curve or (None, np.zeros(1))])])
    digits = 0 if ROOM * top > 0.1 else 1

    def draw(axes: Axes) -> None:
        for number, one in enumerate(curves):
            assert one.curve is not None  # noqa: S101  # filtered above; for the type checker
            coverage, risk = one.curve
            axes.plot(
                coverage, risk, color=drawing.SERIES[number], linestyle=drawing.DASHES[number], label=one.score.title,
            )  # fmt: skip
        axes.axhline(rate, color=drawing.RULE, linewidth=1.2, label="without a score")
        axes.set_xlim(0, 1.01)
        axes.set_ylim(0, ROOM * top)
        axes.grid(axis="y")
        drawing.in_percent(axes.xaxis)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.{digits}f} %"))
        drawing.name_axes(axes, across="images answered, the most trusted first", up="error rate among them")
        axes.legend(loc="upper left")

    said = ", ".join(f"{one.score.title} {(one.figures['augrc'].value or 0.0):.4f}" for one in curves)
    alt = f"Error rate among the most trusted answers, by the share answered. AUGRC, low is good: {said}."
    return drawing.plot("risk", "Error rate among the answers that a score trusts most", alt, draw, size=(7.0, 4.4))


def _hubs(found: TwinStudy) -> Plot:
    hub = found.hubs[NETWORK_SPACE]
    most = int(hub.counts.max(initial=0))
    width = max(1, -(-(most + 1) // MOST_BARS))
    edges = np.arange(0, most + width + 1, width)
    heights, _ = np.histogram(hub.counts, bins=edges)

    def draw(axes: Axes) -> None:
        axes.bar(edges[:-1] + (width - 1) / 2, heights, width=0.9 * width, color=drawing.PREDICTED)
        axes.axvline(hub.expected, color=drawing.RIVAL, linestyle="dashed", linewidth=1.6)
        axes.annotate(
            f"on average {hub.expected:.3g}", (hub.expected, 1), xycoords=("data", "axes fraction"), xytext=(6, -10),
            textcoords="offset points", color=drawing.INK, va="top",
        )  # fmt: skip
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(0, 2.0 * heights.max())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        drawing.name_axes(axes, across=f"lists a case is in (of {len(found.queries)})", up="cases")

    alt = (
        f"How many cases are in how many of the {len(found.queries)} nearest lists in {NETWORK_SPACE}: "
        f"{int((hub.counts == 0).sum())} in none, the most frequent one in {most}, on average {hub.expected:.3g}."
    )
    return drawing.plot("shown", f"How often each case is shown in {NETWORK_SPACE}", alt, draw, size=(7.0, 3.8))
