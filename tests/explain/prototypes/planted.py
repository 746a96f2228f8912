"""A network whose cells see only themselves, pictures with one coloured cell, and prototypes of those colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from casebase.networks.explained import ExplainedNetwork
from casebase.networks.loaded import Loaded
from casebase.networks.prototypes.model import PrototypeReader, Tensors
from casebase.prototypes import SIGNED, Patch, Prototype, PrototypeSet, Stage, cell_box
from casebase.reading import Preprocess

SIDE, CELL = 224, 32
GRID = (SIDE // CELL, SIDE // CELL)
CLASSES = ("red", "green")
COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220)}


class Moved(nn.Module):
    """A map of places whose cells stand this far (rows, columns) from what they have seen."""

    def __init__(self, by: tuple[int, int]) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(torch.roll(x, self.by, (2, 3)))


class Cells(nn.Module):
    """The mean colour of each cell, the mean over cells, and a linear head."""

    def __init__(self, by: tuple[int, int]) -> None:
        super().__init__()
        self.cells, self.place = nn.Conv2d(3, 3, CELL, stride=CELL, bias=False), Moved(by)
        self.cells.weight.data = torch.eye(3)[:, :, None, None].expand(3, 3, CELL, CELL).clone() / CELL**2
        self.pool, self.flat, self.head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
        self.head.weight.data = torch.tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0]])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.flat(self.pool(self.place(self.cells(x)))))


def network(by: tuple[int, int] = (0, 0)) -> ExplainedNetwork:
    """The network; ``by`` moves every cell away from what it has seen."""
    chain = Preprocess(None, (SIDE, SIDE), "nearest", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return ExplainedNetwork(Loaded(Cells(by), "tests:cells", chain, CLASSES))


def picture(planted: dict[tuple[int, int], str]) -> np.ndarray:
    """Grey ``(SIDE, SIDE, 3) uint8`` with coloured cells."""
    view = np.full((SIDE, SIDE, 3), 120, np.uint8)
    for (row, column), colour in planted.items():
        view[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = COLOURS[colour]
    return view


def a_set(
    of_class: Sequence[str], classes: Sequence[str] = CLASSES, *, cases: Sequence[tuple[str, str]] | None = None,
    grid: tuple[int, int] = GRID, places: Sequence[tuple[int, int]] | None = None, view: tuple[int, int] = (SIDE, SIDE),
) -> PrototypeSet:  # fmt: skip
    """A signed set of one prototype for each of ``of_class``; ``cases`` are their (id, pixel hash)."""
    whence = cases or [(f"case{i}", f"pixels{i}") for i in range(len(of_class))]
    where = places or [(0, 0)] * len(of_class)
    figures = {
        "balanced_accuracy": 0.9, "network_balanced_accuracy": 0.93, "gap": -0.03, "agreement": 0.95,
        "prototypes": len(of_class), "distinct": len(of_class), "sources": None, "cosine_within": 0.9,
    }  # fmt: skip
    return PrototypeSet(
        profile=SIGNED, classifier="c0ffee", digest="d" * 64, layer="layer4", grid=grid, view=view,
        receptive_field=(299, 299), classes=list(classes), target="predicted",
        prototypes=[
            Prototype(
                number=i, of_class=name, patch=Patch(*whence[i], *where[i], cell_box(*where[i], grid)), weight=0.5,
                purity=0.8 if i else None, purity_n=10, decides=0.25,
            )
            for i, name in enumerate(of_class)
        ],
        stages=[Stage("start", {}), Stage("head", figures, ["a class takes everything"])],
        settings={"seed": 0}, created="2026-11-21",
    )  # fmt: skip


def reader(explained: ExplainedNetwork) -> PrototypeReader:
    """Three prototypes: the red of class red, the green and the blue of class green."""
    found = a_set(["red", "green", "green"])
    vectors = torch.tensor([COLOURS[name] for name in ("red", "green", "blue")], dtype=torch.float32)
    head = torch.tensor([[2.0, -1.0, -0.5], [-2.0, 1.0, 0.5]])
    tensors = Tensors(
        functional.normalize(vectors, dim=1), torch.zeros(3), torch.full((3,), 0.7), torch.full((3,), 0.1), head,
        torch.tensor([0.1, -0.1]), {"weight": torch.eye(3)[:, :, None, None]},
    )  # fmt: skip
    found = replace(found, layer=explained.spatial_layer or "", receptive_field=(CELL, CELL))
    return PrototypeReader(explained, found, tensors)
