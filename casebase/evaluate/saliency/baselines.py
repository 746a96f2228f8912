"""Maps that know nothing of the network, scored like any method: what a method does not beat, it has not found.

They take the place of a method's raw map, at the size of the network's view. ``random-smooth`` is there because maps of
a convolutional layer are smooth, and noise in single pixels is an easy opponent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.errors import UsageError
from casebase.evaluate.saliency.metric import Image, Map
from casebase.overlay import enlarge
from casebase.reading import printable

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luminance (ITU-R BT.601)."""
CELLS = 7
"""Cells of ``random-smooth`` along each side: the last map of most networks at 224 pixels."""
CENTRE_SIGMA = 0.25
"""Standard deviation of ``centre`` as a share of each side."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An entry of the catalogue: ``name`` is typed, ``title`` shown; ``note`` says what to mind, in one line."""

    name: str
    title: str
    note: str
    draw: Callable[[Image, np.random.Generator], Map]


def baseline(name: str, unit: Image, key: str, seed: int) -> Map:
    """The raw map ``(H, W) float32`` >= 0 of a baseline for an image ``unit (3, H, W)`` in [0, 1].

    What is random hangs on ``key``, ``seed`` and the name alone. Raises ``UsageError`` for an unknown name.
    """
    if name not in BASELINES:
        raise UsageError(f"no baseline {printable(name)!r}; there is {', '.join(BASELINES)}")
    random = np.random.default_rng(list(f"{key}|{seed}|{name}".encode("utf-8", "surrogatepass")))
    return BASELINES[name].draw(unit, random)


def _random(unit: Image, random: np.random.Generator) -> Map:
    return random.random(unit.shape[1:], dtype=np.float32)


def _random_smooth(unit: Image, random: np.random.Generator) -> Map:
    return enlarge(random.random((CELLS, CELLS), dtype=np.float32), (unit.shape[1], unit.shape[2]))


def _centre(unit: Image, _random: np.random.Generator) -> Map:
    rows, columns = (_bell(side) for side in unit.shape[1:])
    return (rows[:, None] * columns[None, :]).astype(np.float32)


def _bell(side: int) -> NDArray[np.float64]:
    """A Gaussian over the pixel centres of a side."""
    away = (np.arange(side) - (side - 1) / 2) / (CENTRE_SIGMA * side)
    found: NDArray[np.float64] = np.exp(-0.5 * away**2)
    return found


def _edge(unit: Image, _random: np.random.Generator) -> Map:
    grey = np.pad(np.tensordot(np.asarray(LUMA), unit.astype(np.float64), 1), 1, mode="edge")  # (H + 2, W + 2)
    down, across = np.diff(grey, axis=0), np.diff(grey, axis=1)
    down, across = down[1:] + down[:-1], across[:, 1:] + across[:, :-1]  # differences over two pixels
    vertical = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    horizontal = across[:-2] + 2 * across[1:-1] + across[2:]
    found: Map = np.hypot(vertical, horizontal).astype(np.float32)
    return found


def _ones(unit: Image, _random: np.random.Generator) -> Map:
    return np.ones(unit.shape[1:], np.float32)


BASELINES: Mapping[str, Baseline] = {
    one.name: one
    for one in (
        Baseline("random", "Random", "noise in every pixel, seeded by the image", _random),
        Baseline("random-smooth", "Random, smooth", f"noise of {CELLS} x {CELLS} cells, enlarged", _random_smooth),
        Baseline("centre", "Centre", "a Gaussian in the middle, sigma a quarter of the side", _centre),
        Baseline("edge", "Edges", "the Sobel magnitude of the luminance", _edge),
        Baseline(
            "ones",
            "All ones",
            "the trap for average drop: hides nothing and scores a perfect 0; where pixels are ranked, "
            "all of its pixels tie, so its figures are those of the tie-break",
            _ones,
        ),
    )
}
"""Every baseline by its name, in the order of the tables."""
