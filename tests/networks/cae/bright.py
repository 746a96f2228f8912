"""A network whose rule is known: it calls a picture a lesion where its brightest small neighbourhood is bright."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from casebase.networks.explained import ExplainedNetwork
from casebase.networks.loaded import Loaded
from casebase.networks.training_cases import TrainingCases
from casebase.reading import Preprocess

CLASSES = ("clear", "lesion")
BOUND, STEEP = 0.66, 40.0
"""The brightness (0..1) at which both classes are as probable, and how fast that turns."""


def network(side: int) -> ExplainedNetwork:
    """Brightness in 3 x 3 pixels, its maximum over the picture, two scores: nothing is learnt."""
    blur = nn.Conv2d(3, 1, 3, padding=1)
    head = nn.Linear(1, 2)
    with torch.no_grad():
        blur.weight.fill_(1.0 / 27.0)
        blur.bias.zero_()  # type: ignore[union-attr]
        head.weight.copy_(torch.tensor([[-STEEP / 2], [STEEP / 2]]))
        head.bias.copy_(torch.tensor([BOUND * STEEP / 2, -BOUND * STEEP / 2]))
    module = nn.Sequential(blur, nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), head)
    preprocess = Preprocess(None, (side, side), "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return ExplainedNetwork(Loaded(module, "tests:bright", preprocess, CLASSES))


def pictures(each: int, side: int, seed: int) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Plain grounds ``(N, S, S, 3) uint8`` of varying level, slope and tint, half of them with a round bright spot.

    Also their labels, and the masks of the spots.
    """
    views, labels, masks = [], [], []
    down, across = np.mgrid[0:side, 0:side] / side
    for name in CLASSES:
        for number in range(each):
            rng = np.random.default_rng([seed, len(labels), number])
            level, slope = rng.uniform(0.2, 0.4), rng.uniform(-0.2, 0.2, 2)
            x, y = rng.uniform(0.25, 0.75, 2)
            picture = level + slope[0] * (down - 0.5) + slope[1] * (across - 0.5) + rng.normal(0, 0.01, down.shape)
            spot = (np.hypot(across - x, down - y) < 0.13) & (name == "lesion")
            picture = np.where(spot, 0.9, picture)
            tinted = picture[..., None] * (1 + rng.normal(0, 0.05, 3))
            views.append((tinted.clip(0, 1) * 255).astype(np.uint8))
            labels.append(name)
            masks.append(spot)
    return np.stack(views), labels, np.stack(masks)


def cases(net: ExplainedNetwork, views: np.ndarray, labels: list[str]) -> TrainingCases:
    """The pictures as cases, called what the network calls them."""
    said = net.read(views).probabilities
    assert said is not None
    predicted = [CLASSES[place] for place in said.argmax(1).tolist()]
    names = [f"{number:016x}" for number in range(len(views))]
    return TrainingCases(views, names, [f"pixels {n}" for n in names], labels, predicted, [None] * len(names), said)
