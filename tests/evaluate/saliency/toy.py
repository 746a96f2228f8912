"""The toy of the handbook: an image of 4 x 4, a map, and a network of one weight per pixel, all worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.saliency.metric import Subject

I = np.arange(16)  # noqa: E741  # the handbook's letter
IMAGE = np.repeat(((7 * I) % 16 / 15).reshape(1, 4, 4), 3, axis=0).astype(np.float32)
MAP = (((5 * I + 3) % 16) / 15).reshape(4, 4).astype(np.float32)
WEIGHTS = ((I % 5) - 2) / 2
BEFORE = 1 / (1 + np.exp(-WEIGHTS @ IMAGE.astype(np.float64).mean(axis=0).ravel()))


def sigmoid(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax of the toy's class 0, for ``(N, 3, 4, 4)``."""
    return 1 / (1 + np.exp(-images.astype(np.float64).mean(axis=1).reshape(len(images), -1) @ WEIGHTS))


@dataclass
class Watched:
    """A predict function for images of any size that remembers how many images each call brought."""

    calls: list[int] = field(default_factory=list)
    seen: list[NDArray[np.float32]] = field(default_factory=list)
    keep: bool = False

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        self.calls.append(len(images))
        if self.keep:
            self.seen.extend(images.copy())
        weight = np.linspace(-1, 1, images[0].size).reshape(images[0].shape)
        return 1 / (1 + np.exp(-(images * weight).mean(axis=(1, 2, 3)) * 20))

    @property
    def images(self) -> int:
        return sum(self.calls)


def subject(
    unit: NDArray[np.float32] = IMAGE, fed: NDArray[np.float32] | None = None, key: str = "image", predict=sigmoid
) -> Subject:
    """One image, fed as it is unless ``fed`` says otherwise."""
    fed = unit if fed is None else fed
    return Subject(
        key=key, name=key, fed=fed, unit=unit, target=0, before=float(predict(fed[None])[0]), predict=predict,
        predict_unit=predict, raw=np.zeros((2, 2), np.float32),
    )  # fmt: skip


def picture(side: int = 32, seed: int = 0) -> NDArray[np.float32]:
    """A smooth picture in [0, 1], ``(3, side, side)``."""
    y, x = np.mgrid[:side, :side] / side
    phase = np.random.default_rng(seed).random((3, 1, 1)) * 6
    return (0.5 + 0.5 * np.sin(5 * x + 3 * y + phase)).astype(np.float32)


def smooth(side: int = 32) -> NDArray[np.float32]:
    """A map in [0, 1] with one hill and no two equal values."""
    y, x = np.mgrid[:side, :side] / side
    hill = np.exp(-((x - 0.3) ** 2 + (y - 0.6) ** 2) * 8) + 1e-4 * np.random.default_rng(5).random((side, side))
    return ((hill - hill.min()) / np.ptp(hill)).astype(np.float32)


def close(found: Sequence[float], wanted: Sequence[float], tolerance: float = 1e-6) -> bool:
    return bool(np.abs(np.asarray(found) - np.asarray(wanted)).max() <= tolerance)
