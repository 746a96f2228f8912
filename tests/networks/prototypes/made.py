"""A small network with random weights, coloured pictures that a head on it tells apart, and their cases."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from casebase.networks import backbones, linear_head
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.fine_tune import resized
from casebase.networks.training_cases import TrainingCases

COLOURS = ((210, 50, 40), (40, 190, 60), (50, 70, 200))
SIZE = 64


def pictures(each: int, classes: int = 2, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Grey noise with one coloured square each: views ``(N, SIZE, SIZE, 3)`` and labels."""
    rng = np.random.default_rng(seed)
    views, labels = [], []
    for number in range(each * classes):
        name = number % classes
        view = 128 + rng.normal(0, 20, (SIZE, SIZE, 3))
        top, left = rng.integers(0, SIZE - 28, 2)
        view[top : top + 28, left : left + 28] = COLOURS[name] + rng.normal(0, 20, (28, 28, 3))
        views.append(view.clip(0, 255).astype(np.uint8))
        labels.append(f"class {name}")
    return np.stack(views), labels


@dataclass(frozen=True, eq=False)
class Counting:
    """Views that remember how many were asked for."""

    views: np.ndarray
    asked: list[int]

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        self.asked.append(len(rows))
        return self.views[rows]


def network(views: np.ndarray, labels: list[str], spec: str = "torchvision:resnet18") -> ExplainedNetwork:
    """A head fitted on the features of a network with random weights."""
    loaded = backbones.blueprint(spec, 5, seed=0)
    plain = ExplainedNetwork(replace(loaded, preprocess=resized(loaded.preprocess, SIZE), classes=None))
    head = linear_head.fit(plain.read(views).features, labels)
    return plain.with_head(head.weight, head.bias, head.classes)


def cases(net: ExplainedNetwork, views: np.ndarray, labels: list[str]) -> TrainingCases:
    """The pictures as cases, called what the network calls them."""
    said = net.read(views).probabilities
    assert said is not None
    assert net.classes is not None
    predicted = [net.classes[place] for place in said.argmax(1).tolist()]
    names = [f"{number:04d}" for number in range(len(views))]
    return TrainingCases(
        Counting(views, []), names, [f"pixels {n}" for n in names], labels, predicted, [None] * len(names), said
    )
