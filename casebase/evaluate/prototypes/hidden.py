"""Does the answer rest on the matched patches? Hide the three strongest, against three at random.

A short deletion test (V. Petsiuk, A. Das, K. Saenko, "RISE", BMVC 2018, https://arxiv.org/abs/1806.07421) of cells
instead of pixels. A cell is hidden by a strongly blurred copy of the view, so that no hard edge and no black patch can
do the work (R. Fong, A. Vedaldi, 2017, https://arxiv.org/abs/1704.03296).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.explain.deletion import blurred
from casebase.prototypes import Activation, cell_box

MATCHES = 3
DRAWS = 5
"""Random choices of as many cells, which the fall is compared with."""
Cells = NDArray[np.intp]
View = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Drop:
    """Falls on hiding the matched cells, and mean falls on hiding as many others at random.

    ``network`` is the network's probability of its class, ``score`` the prototypes' score of that class.
    """

    network: float
    network_random: float
    score: float
    score_random: float


def matched_cells(seen: Activation, target: int, own: NDArray[np.bool_], most: int = MATCHES) -> Cells:
    """The cells ``(m, 2)`` where a class's ``own (P,)`` prototypes add most to it, each cell once, the strongest first.

    None where nothing of the class is found: an answer from the absence of others has no place in the image.
    """
    order = np.argsort(-seen.contributions[target], kind="stable")
    chosen: list[tuple[int, int]] = []
    for number in order.tolist():
        row, column = seen.cells[number].tolist()
        if seen.contributions[target][number] <= 0.0 or len(chosen) == most:
            break
        if own[number] and (row, column) not in chosen:
            chosen.append((row, column))
    return np.array(chosen, np.intp).reshape(-1, 2)


def random_cells(matched: Cells, grid: tuple[int, int], random: np.random.Generator, draws: int = DRAWS) -> Cells:
    """``(draws, m, 2)``: as many cells as were matched, none of them, without repetition; ``(0, m, 2)`` if too few."""
    places = [place for place in np.ndindex(grid) if place not in set(map(tuple, matched.tolist()))]
    m = len(matched)
    if m == 0 or len(places) < m:
        return np.zeros((0, m, 2), np.intp)
    return np.array([[places[i] for i in random.permutation(len(places))[:m]] for _ in range(draws)], np.intp)


def hiding(view: View, cells: Cells, grid: tuple[int, int]) -> View:
    """A view ``(H, W, 3)`` whose ``cells (m, 2)`` are blurred beyond recognition."""
    height, width = view.shape[:2]
    soft = blurred(view)
    out = view.copy()
    for row, column in cells.tolist():
        left, top, right, bottom = cell_box(row, column, grid)
        part = slice(round(top * height), round(bottom * height)), slice(round(left * width), round(right * width))
        out[part] = soft[part]
    return out


def drop(network: NDArray[np.float64], scores: NDArray[np.float64]) -> Drop:
    """From ``(2 + draws,)`` values each: as it is, with the matched cells hidden, then with random ones."""
    return Drop(
        float(network[0] - network[1]), float(network[0] - network[2:].mean()),
        float(scores[0] - scores[1]), float(scores[0] - scores[2:].mean()),
    )  # fmt: skip
