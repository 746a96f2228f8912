"""Small networks whose maps are known, and class activation maps made on them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from casebase.explain.saliency import cams, layers
from casebase.explain.saliency.cam import Cam
from casebase.explain.saliency.layers import Target
from casebase.explain.saliency.method import MethodSettings, Saliency
from casebase.explain.saliency.watching import Layout
from casebase.reading import Preprocess

A = np.array([[[[1, 2], [3, 4]], [[0, 1], [1, 0]]]], np.float32)  # (1, 2, 2, 2)
RECIPES = {
    one.name: one
    for one in (cams.GRADCAM, cams.GRADCAM_PLUS_PLUS, cams.LAYERCAM, cams.XGRADCAM, cams.SCORECAM, cams.EIGENCAM)
}
NAMES = tuple(one.name for one in cams.METHODS)


class Pooled(nn.Module):
    """Scores from the mean of a map; class 1 has the weights (0.5, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.tap, self.head = nn.Identity(), nn.Linear(2, 2, bias=False)
        self.head.weight.data = torch.tensor([[-1.0, 0.25], [0.5, 1.0]])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.tap(x).mean((2, 3)))


class Flat(nn.Module):
    """Scores from every cell: g1 = [[1, 0], [-1, 2]] and g2 = [[2, 1], [0, -1]] for the only class."""

    def __init__(self) -> None:
        super().__init__()
        self.tap, self.head = nn.Identity(), nn.Linear(8, 1, bias=False)
        self.head.weight.data = torch.tensor([[1.0, 0, -1, 2, 2, 1, 0, -1]])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.tap(x).flatten(1))


class Convolved(nn.Module):
    """A convolution, a norm, pooling and a linear head; ``inplace`` overwrites the map after it was seen."""

    def __init__(self, *, inplace: bool, functionally: bool = False, outputs: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.relu, self.head = nn.ReLU(inplace=inplace), nn.Linear(5, outputs)
        self.inplace, self.functionally = inplace, functionally

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        x = functional.relu(x, inplace=self.inplace) if self.functionally else self.relu(x)
        return self.head(x.mean((2, 3)))


class Deep(nn.Module):
    """Two convolutions and two linear layers over all cells: no gradient is the same in two cells. Images of 8 x 8."""

    def __init__(self, *, outputs: int = 3) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv1, self.conv2, self.relu = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 7, 3, padding=1), nn.ReLU()
        self.hidden, self.head = nn.Linear(7 * 8 * 8, 12), nn.Linear(12, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv2(functional.relu(self.conv1(x))))
        return self.head(torch.tanh(self.hidden(x.flatten(1))))


class Network:
    """What a method needs of an explained network, around any module."""

    def __init__(self, module: nn.Module, size: tuple[int, int], layer: str | None = None) -> None:
        self.module, self.spatial_layer, self.lock = module.eval(), layer, threading.Lock()
        self.preprocess = Preprocess(None, size, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def scores(self, images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.module(torch.from_numpy(images)).numpy()


def make(name: str, module: nn.Module, layer: str, size: tuple[int, int] = (8, 8)) -> Saliency:
    """A method of the catalogue on a network at a layer."""
    (method,) = (one for one in cams.METHODS if one.name == name)
    return method.build(Network(module, size), MethodSettings(layer=layer))


def on_a(name: str, module: nn.Module) -> Cam:
    """A method on one of the two networks that read ``A`` as it is: no picture, so the layer is given, not found."""
    outputs = module.head.out_features
    target = Target("tap", (2, 2), Layout("map", (2, 2), 2), overwritten=False, activation="post", outputs=outputs)
    return Cam(RECIPES[name], module.eval(), target, threading.Lock())


def raw(method: Saliency, images: np.ndarray, targets: Sequence[int]) -> np.ndarray:
    """Maps (N, h, w)."""
    return np.stack([one.values for one in method.raw(images, targets)])


def noise(count: int, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 3, *size)).astype(np.float32)


def found(module: nn.Module, size: tuple[int, int], **chosen: str | None) -> Target:
    return layers.find(module.eval(), size, **chosen)
