"""A class association embedding whose truth is known: a grey body with a spot, bright or dull by its class code.

A class code is (brightness of red and green, brightness of blue), 50 grey values a unit about ``EDGE``; an individual
code says in which of 8 x 8 cells the spot lies. The judge calls a spot ``bright`` whose red is above ``EDGE``, else
``plain``; with three classes also ``blue``, where the blue is above the edge and above the red.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from casebase.association import Association, Codes, Direction, Nodes, Size, Standing
from casebase.explain.saliency.counterfactual import views_of
from casebase.reading import Preprocess

SIDE, CELL = 32, 4
VIEW = (64, 64)
BODY, EDGE, UNIT, SOFT = 60, 150.0, 50.0, 10.0
PLAIN, BRIGHT, BLUE = "plain", "bright", "blue"
BLEMISH = 30
"""By how much a planted reconstruction error darkens the cell in the lower right corner."""


def standing(**changed: Any) -> Standing:
    """Of an embedding that passed everything."""
    both = [Direction(PLAIN, BRIGHT, 1.0, 20), Direction(BRIGHT, PLAIN, 0.95, 20)]
    figures = {
        "iteration": 100, "n": 40, "directions": both, "resized": 1.0, "rebuilt": 1.0, "error": 0.01,
        "nearer_source": 1.0, "own_rank1": 0.9, "donor_rank1": 0.02, "rebuilt_rank1": 1.0, "chance_own": 0.025,
        "chance_donor": 0.025,
    }  # fmt: skip
    return Standing(**{**figures, **changed})


def association(classes: Sequence[str] = (PLAIN, BRIGHT), failed: Sequence[str] = ()) -> Association:
    """What was "trained"."""
    return Association(
        classifier="c0ffee", digest="d" * 64, preset="test", size=Size(SIDE, 12, 2, 2, code=2), view=VIEW,
        classes=list(classes), target="predicted", standing=standing(), log=[standing()], failed=list(failed),
        settings={"seed": 0}, created="2026-11-22",
    )  # fmt: skip


def line(*, start: float = -1.2, end: float = 1.2, count: int = 31) -> Nodes:
    """Cases in a row from plain to bright; the blue of all is dull."""
    codes = np.full((count, 2), -1.0, np.float32)
    codes[:, 0] = np.linspace(start, end, count)
    return nodes(codes)


def nodes(codes: np.ndarray, called: np.ndarray | None = None) -> Nodes:
    """Cases at these codes, called (positions) bright where the first number is above 0."""
    found = (codes[:, 0] > 0).astype(np.intp) if called is None else called
    return Nodes(codes.astype(np.float32), found, [f"case{place:03d}" for place in range(len(codes))])


@dataclass(eq=False)
class Planted:
    """Implements ``AssociationView``. ``decoded`` and ``asked`` count the images that were decoded, and judged.

    ``fades`` grey values of red are lost by everything that is decoded, ``shrinks`` by reducing a view; with
    ``blemished`` whatever is decoded has a dark corner that no image had.
    """

    found: Association = field(default_factory=association)
    nodes: Nodes = field(default_factory=line)
    classes: Sequence[str] = (PLAIN, BRIGHT)
    fades: float = 0.0
    shrinks: float = 0.0
    blemished: bool = False
    decoded: int = 0
    asked: int = 0

    def encode(self, views: np.ndarray) -> Codes:
        where = np.zeros((len(views), 1, SIDE // CELL, SIDE // CELL), np.float32)
        for row, image in enumerate(self.reduced(views)):
            where[row, 0].flat[cells(image).argmax()] = 1.0
        return Codes(self.codes(views), where)

    def codes(self, views: np.ndarray) -> np.ndarray:
        small = self.reduced(views)
        return np.stack([(small[..., c].max(axis=(1, 2)) - EDGE) / UNIT for c in (0, 2)], axis=1).astype(np.float32)

    def decode(self, of_class: np.ndarray, individual: np.ndarray) -> np.ndarray:
        self.decoded += len(of_class)
        places = individual if len(individual) == len(of_class) else np.repeat(individual, len(of_class), axis=0)
        made = [
            spotted(divmod(int(place[0].argmax()), SIDE // CELL), EDGE - self.fades + UNIT * red, EDGE + UNIT * blue)
            for (red, blue), place in zip(of_class.tolist(), places, strict=True)
        ]
        found = np.stack(made)
        if self.blemished:
            found[:, -CELL:, -CELL:] = BODY - BLEMISH
        return found

    def judge(self, images: np.ndarray) -> np.ndarray:
        self.asked += len(images)
        red, blue = (images[..., c].max(axis=(1, 2)).astype(np.float64) for c in (0, 2))
        scores = np.stack([np.zeros(len(red)), (red - EDGE) / SOFT, (blue - EDGE) / SOFT], axis=1)[
            :, : len(self.classes)
        ]
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        found: np.ndarray = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
        return found

    def reduced(self, views: np.ndarray) -> np.ndarray:
        small = views.copy() if views.shape[1] == SIDE else views[:, ::2, ::2].copy()
        spots = small[..., 0] > BODY
        small[..., 0][spots] = (small[..., 0][spots] - self.shrinks).astype(np.uint8)
        return small


class PlantedNetwork:
    """The judge of a planted embedding as a saliency method sees it: normalised images to scores."""

    spatial_layer = None

    def __init__(self, view: Planted, crop: tuple[int, int] = (SIDE, SIDE)) -> None:
        self.view, self.module, self.lock = view, nn.Identity(), threading.Lock()
        self.preprocess = Preprocess(None, crop, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def scores(self, images: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.log(self.view.judge(views_of(images, self.preprocess)))
        return found


def three(**changed: Any) -> Planted:
    """With the third class, blue: plain, bright and blue cases, each in a row that starts among the plain ones."""
    steps = np.linspace(-1.0, 1.2, 23)
    dull = np.full(len(steps), -1.0)
    codes = np.concatenate([np.stack([steps, dull], axis=1), np.stack([dull, steps], axis=1)])
    called = np.where(codes[:, 0] > 0, 1, np.where(codes[:, 1] > 0, 2, 0))
    names = (PLAIN, BRIGHT, BLUE)
    return Planted(**{"found": association(names), "nodes": nodes(codes, called), "classes": names, **changed})


def spotted(cell: tuple[int, int], red: float, blue: float = EDGE - UNIT) -> np.ndarray:
    """An image ``(SIDE, SIDE, 3) uint8`` with a spot in one cell."""
    image = np.full((SIDE, SIDE, 3), BODY, np.uint8)
    row, column = cell
    image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = np.clip(
        np.rint([red, red, blue]), 70, 250
    )
    return image


def seen(cell: tuple[int, int] = (2, 5), red: float = 100.0, blue: float = EDGE - UNIT) -> np.ndarray:
    """A view ``(1, 64, 64, 3) uint8`` of the network."""
    return spotted(cell, red, blue).repeat(2, axis=0).repeat(2, axis=1)[None]


def cells(image: np.ndarray) -> np.ndarray:
    """The mean ``(8, 8)`` of an image's cells over pixels and channels."""
    found: np.ndarray = image.astype(np.float64).reshape(SIDE // CELL, CELL, SIDE // CELL, CELL, 3).mean(axis=(1, 3, 4))
    return found
