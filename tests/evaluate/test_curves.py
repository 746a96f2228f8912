"""Learning curves show every epoch and the one that was kept."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import pytest
from PIL import Image

from casebase.evaluate.curves import curves
from casebase.trained import Epoch


def history(n: int, val: bool = True) -> list[Epoch]:
    return [
        Epoch(i, n, 1.0 / i, 1 - 0.5 / i, 0.9 / i + 0.1 if val else None, 0.6 if val else None, 1e-4, 2.0)
        for i in range(1, n + 1)
    ]


@pytest.mark.parametrize(("n", "val"), [(1, True), (1, False), (10, True), (60, False)])
def test_both_forms_are_drawn_and_described(n: int, val: bool) -> None:
    plot = curves(history(n, val), n)
    with Image.open(io.BytesIO(plot.png)) as picture:
        assert picture.size == (1800, 800)
    assert plot.svg.startswith("<svg")
    assert plot.svg.count(">training</text>") == 2
    assert plot.svg.count(">validation</text>") == (2 if val else 0)
    assert plot.svg.count(">kept</text>") == 2
    assert f"Over {n} epochs the training loss went from 1 to {1 / n:.3g}" in plot.alt
    assert ("validation accuracy from 60.0 % to 60.0 %" in plot.alt) is val
    assert plot.alt.endswith(f"The weights after epoch {n} were kept.")
    assert curves(history(n, val), n).png == plot.png


def test_the_points_are_where_the_figures_say() -> None:
    """Read back from the drawing: equal steps to the right, and heights in proportion to the losses."""
    svg = curves(history(5), 3).svg
    lines = [re.findall(r"[ML] ([\d.]+) ([\d.]+)", path) for path in re.findall(r'd="([^"z]+)"', svg)]
    points = next(found for found in lines if len(found) == 5)
    x, y = ([float(p[i]) for p in points] for i in (0, 1))
    steps = [b - a for a, b in pairwise(x)]
    assert max(steps) - min(steps) < 0.01
    losses = [1.0 / i for i in range(1, 6)]
    share = [(y[i] - y[0]) / (y[4] - y[0]) for i in range(5)]
    assert share == pytest.approx([(losses[0] - loss) / (losses[0] - losses[4]) for loss in losses], abs=1e-3)
