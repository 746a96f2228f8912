"""Do matches lie on the object? Pointing and energy inside a mask, against a random cell and the centre.

Pointing: J. Zhang et al., 2018, https://arxiv.org/abs/1608.00507, here without tolerance; energy: H. Wang et al., 2020,
https://arxiv.org/abs/1910.01279. A random cell needs no draw: its expectation over all cells is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.prototypes.regions import Bits, enlarged
from casebase.prototypes import Floats, cell_box

KINDS = ("cell", "map", "random", "centre")


@dataclass(frozen=True, slots=True)
class Aim:
    """Whether the point lies on the object (0 or 1; a share for ``random``), and the share of the mass on it.

    ``None`` where all that is meant lies in pixels that were left open.
    """

    pointing: float | None
    energy: float | None


def aims(values: Floats, inside: Bits, ignored: Bits | None) -> dict[str, Aim]:
    """One map ``(h, w)`` of similarities against the mask ``(H, W)`` of its image, by ``KINDS``.

    ``cell`` is the best cell: its middle, and the share of its pixels on the object. ``map`` is the whole map enlarged,
    less its minimum: its peak, and the share of its mass. ``random`` is the mean of all cells, ``centre`` a box as
    large as a cell in the middle of the view. ``ignored (H, W)`` pixels count neither way.
    """
    counts = np.ones(inside.shape, np.bool_) if ignored is None else ~ignored
    grid = (values.shape[0], values.shape[1])
    found = {
        (row, column): _box(cell_box(row, column, grid), inside, counts) for row, column in np.ndindex(grid)
    }  # fmt: skip
    best = divmod(int(values.argmax()), grid[1])
    height, width = 0.5 / grid[0], 0.5 / grid[1]
    return {
        "cell": found[best],
        "map": _map(enlarged(values, (inside.shape[0], inside.shape[1])), inside, counts),
        "random": Aim(_mean([one.pointing for one in found.values()]), _mean([one.energy for one in found.values()])),
        "centre": _box((0.5 - width, 0.5 - height, 0.5 + width, 0.5 + height), inside, counts),
    }


def _box(box: tuple[float, float, float, float], inside: Bits, counts: Bits) -> Aim:
    height, width = inside.shape
    left, top, right, bottom = box
    rows = slice(round(top * height), max(round(bottom * height), round(top * height) + 1))
    columns = slice(round(left * width), max(round(right * width), round(left * width) + 1))
    at = int((top + bottom) / 2 * height), int((left + right) / 2 * width)
    counted = int(counts[rows, columns].sum())
    mass = int((inside & counts)[rows, columns].sum())
    return Aim(float(inside[at]) if counts[at] else None, mass / counted if counted else None)


def _map(whole: Floats, inside: Bits, counts: Bits) -> Aim:
    at = divmod(int(whole.argmax()), whole.shape[1])
    mass = np.where(counts, whole - whole.min(), 0.0).astype(np.float64)
    total = float(mass.sum())
    return Aim(float(inside[at]) if counts[at] else None, float(mass[inside].sum()) / total if total > 0 else None)


def _mean(values: list[float | None]) -> float | None:
    known: NDArray[np.float64] = np.array([one for one in values if one is not None], np.float64)
    return float(known.mean()) if len(known) else None
