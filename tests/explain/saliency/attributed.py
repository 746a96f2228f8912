"""Networks small enough to know the answer by hand, and what a method is given of them. Untrained throughout."""

from __future__ import annotations

import copy
import threading

import numpy as np
import torch
from torch import Tensor, nn

from casebase.explain.saliency.catalogue import make
from casebase.explain.saliency.method import MethodSettings, Network, Saliency
from casebase.reading import Preprocess

NAMES = ("integrated-gradients", "smoothgrad", "shap", "lime", "occlusion", "rise")
RANDOM = ("smoothgrad", "shap", "lime", "rise")
SIZE = (12, 14)


class Explained:
    """An explained network as a method sees it; remembers the largest batch that ``scores`` was asked for."""

    spatial_layer = None

    def __init__(self, module: nn.Module, size: tuple[int, int] = SIZE) -> None:
        self.module, self.lock = module, threading.Lock()
        self.preprocess = Preprocess(None, size, "bilinear", (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
        self._engine = copy.deepcopy(module).eval()
        self.largest, self.locked = 0, True

    def scores(self, images: np.ndarray) -> np.ndarray:
        self.largest, self.locked = max(self.largest, len(images)), self.locked and self.lock.locked()
        with torch.inference_mode():
            return self._engine(torch.from_numpy(images.copy())).float().numpy().copy()


class Linear(nn.Sequential):
    """Scores w_c . x + b_c."""

    def __init__(self, size: tuple[int, int] = SIZE, classes: int = 3) -> None:
        torch.manual_seed(3)
        super().__init__(nn.Flatten(), nn.Linear(3 * size[0] * size[1], classes))
        self.size = size

    def weights(self, target: int) -> np.ndarray:
        """(3, H, W)"""
        return self[1].weight.detach().numpy()[target].reshape(3, *self.size)


class Squared(nn.Module):
    """Class 0: (w . x)^2, class 1: half the sum of squares."""

    def __init__(self, size: tuple[int, int] = SIZE) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.row = nn.Linear(3 * size[0] * size[1], 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.row(x.flatten(1)) ** 2, (x**2).sum((1, 2, 3))[:, None] / 2], 1)


class Convolved(nn.Module):
    """A convolution, a norm, an activation that overwrites, pooling to 3 x 3 and a linear head."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.relu = nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(inplace=True)
        self.pool, self.drop, self.head = nn.AdaptiveAvgPool2d(3), nn.Dropout(0.5), nn.Linear(45, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(self.pool(self.relu(self.norm(self.conv(x)))).flatten(1)))


class Weighed(nn.Module):
    """Class 0: the sum of ``scale`` times ``weights (3, H, W)`` times x, or x squared if ``even``; class 1: nothing."""

    def __init__(self, weights: np.ndarray, scale: float = 1.0, *, even: bool = False) -> None:
        super().__init__()
        self.register_buffer("weights", torch.from_numpy(weights.astype(np.float32)) * scale)
        self.even = even

    def forward(self, x: Tensor) -> Tensor:
        read = ((x**2 if self.even else x) * self.weights).sum((1, 2, 3))
        return torch.stack([read, torch.zeros_like(read)], 1)


def noise(count: int, size: tuple[int, int] = SIZE, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3, *size)).astype(np.float32)


def built(name: str, network: Network | nn.Module, **settings: object) -> Saliency:
    """A method with few samples, unless told otherwise; of a module it gets an explained network."""
    asked = Explained(network) if isinstance(network, nn.Module) else network
    return make(name, asked, MethodSettings(**{"samples": 12, "batch": 4, **settings}))


def values(method: Saliency, images: np.ndarray, targets: list[int]) -> np.ndarray:
    """Maps (N, h, w)."""
    return np.stack([one.values for one in method.raw(images, targets)])
