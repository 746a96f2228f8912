"""Altered images put to the network, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from casebase.errors import UsageError
from casebase.evaluate.saliency.metric import Image, Predict

BATCH = 32
"""Most images in one call of a predict function: what a metric holds in memory at once."""


def ask(predict: Predict, images: Iterable[Image], batch: int = BATCH) -> NDArray[np.float64]:
    """The scores ``(N,) float64`` of images ``(3, H, W)``; a generator may give them: ``batch`` are alive at once.

    Raises ``UsageError`` where ``predict`` does not give one score per image.
    """
    left = iter(images)
    found = [np.empty(0)]
    while chunk := list(islice(left, batch)):
        scores = np.asarray(predict(np.stack(chunk)), np.float64)
        if scores.shape != (len(chunk),):
            raise UsageError(f"predict gave scores of shape {scores.shape} for {len(chunk)} images, not one each")
        found.append(scores)
    return np.concatenate(found)


def checked(values: NDArray[np.float32], image: Image) -> NDArray[np.float32]:
    """The map ``(H, W)``, if it is finite and as large as the image ``(3, H, W)``; ``UsageError`` otherwise."""
    if values.ndim != 2 or values.shape != image.shape[1:]:
        raise UsageError(f"the map is {values.shape}, the image {image.shape[1:]}: a map has one value per pixel")
    if not np.isfinite(values).all():
        raise UsageError("the map holds values that are not finite; such maps are counted, not measured")
    return values
