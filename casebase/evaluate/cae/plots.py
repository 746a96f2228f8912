"""The figures of ``casebase evaluate cae``: the rival's probability along the way, and the curves of the maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from casebase.association import ROUTES, Walk
from casebase.evaluate import drawing
from casebase.evaluate.cae.study import Study
from casebase.evaluate.drawing import DASHES, MARKERS, SERIES
from casebase.evaluate.saliency.plots import plots as curves
from casebase.evaluations import Plot

LIGHT = 0.18


def plots(found: Study) -> list[Plot]:
    """All figures; each stands beside the table of its key."""
    maps = [] if found.maps is None else curves(found.maps)
    return [*_walks(found), *maps]


def _walks(found: Study) -> list[Plot]:
    lines = {name: _rising(found.walked.walks[name]) for name in ROUTES}
    lines = {name: values for name, values in lines.items() if len(values)}
    if not lines:
        return []

    def draw(axes: Axes) -> None:
        for number, (name, values) in enumerate(lines.items()):
            at = np.linspace(0.0, 1.0, values.shape[1])
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
            colour = SERIES[number]
            axes.fill_between(at, low, high, color=drawing.shade(colour, LIGHT))
            axes.plot(
                at, middle, color=colour, linestyle=DASHES[number], marker=MARKERS[number], markevery=4, label=name
            )
        axes.set_ylim(0.0, 1.0)
        drawing.in_percent(axes.yaxis)
        drawing.name_axes(axes, across="part of the way", up="probability of the rival")
        axes.grid(visible=True, axis="y")
        axes.legend(loc="upper left")

    ends = "; ".join(f"{name} from {np.median(v[:, 0]):.0%} to {np.median(v[:, -1]):.0%}" for name, v in lines.items())
    n = max(map(len, lines.values()))
    alt = f"Median probability of the rival over {n} walks, with quartiles, along the way: {ends}."
    return [drawing.plot("walks", "The rival's probability along the way, median and quartiles", alt, draw)]


def _rising(walks: Sequence[Walk]) -> np.ndarray:
    """The rival's probability ``(w, frames)`` of the walks that were made."""
    made = [one for one in walks if one.refused is None]
    return np.array([[frame.probabilities[list(one.classes).index(one.rival)] for frame in one.frames] for one in made])
