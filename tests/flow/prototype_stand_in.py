"""A training that costs nothing: the upper left cell of the first cases of each class, under a plain head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from casebase.networks.explained import ExplainedNetwork
from casebase.networks.prototypes.model import Tensors
from casebase.networks.prototypes.recipe import PrototypeRecipe, TrainingCases, Watch
from casebase.prototypes import Patch, Prototype, PrototypeSet, Stage, cell_box


def train(
    network: ExplainedNetwork, cases: TrainingCases, recipe: PrototypeRecipe, folder: Path, watch: Watch,
    fresh: bool = False,  # as the one it stands for
) -> tuple[PrototypeSet, Tensors]:  # fmt: skip
    """As ``casebase.networks.prototypes.training.train``."""
    watch("features", 0, len(cases))
    maps = torch.from_numpy(network.read_maps(cases.views[np.arange(len(cases))])[1])
    watch("features", len(cases), len(cases))
    mean = maps.mean((0, 2, 3))
    names = list(network.classes or ())
    rows = [row for name in names for row in _first(cases, name, recipe.k or 2)]
    own = torch.tensor([names.index(cases.predicted[row]) for row in rows])
    grid = (int(maps.shape[2]), int(maps.shape[3]))
    view = network.preprocess.crop
    tensors = Tensors(
        functional.normalize(maps[rows, :, 0, 0] - mean, dim=1), mean, torch.zeros(len(rows)), torch.ones(len(rows)),
        1.5 * functional.one_hot(own, len(names)).T.float() - 0.5, torch.zeros(len(names)),
    )  # fmt: skip
    made = [
        Prototype(
            number, cases.predicted[row],
            Patch(cases.ids[row], cases.pixel_hashes[row], 0, 0, cell_box(0, 0, grid)), 1.0, None, 0, 0.5,
        )
        for number, row in enumerate(rows)
    ]  # fmt: skip
    figures = {"balanced_accuracy": 0.9, "gap": 0.05, "agreement": 0.8, "prototypes": len(rows), "distinct": len(rows)}
    stage = Stage("head", figures, ["the margin is an offset"], 3, 0.1)
    found = PrototypeSet(
        recipe.profile, network.classifier_fingerprint or "", "", network.spatial_layer or "", grid, view, view, names,
        recipe.target, made, [stage], {"seed": recipe.seed, "cases": len(cases)}, "2026-11-21T10:00:00+00:00",
    )  # fmt: skip
    return found, tensors


def _first(cases: TrainingCases, name: str, count: int) -> list[int]:
    return [row for row, called in enumerate(cases.predicted) if called == name][:count]
