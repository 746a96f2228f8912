"""An image as one network sees it: what it is fed, the class it predicts, and what asks it again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase import hashing, reading
from casebase.errors import ImageError
from casebase.evaluate.saliency.metric import Subject
from casebase.networks.explained import ExplainedNetwork

MaskPair = tuple[NDArray[np.bool_], NDArray[np.bool_] | None]
"""The object, and what its drawer left open; ``(H, W)`` as the network sees the picture."""
_NO_SCORE = "the network's scores for it are not finite"


@dataclass(frozen=True, eq=False)
class Seen:
    """An image as one network sees it: ``subject`` without a map yet, ``target`` the predicted class in words."""

    place: int
    target: str
    subject: Subject
    mask_key: str | None


def look(
    network: ExplainedNetwork, picture: reading.Picture, name: str, place: int, mask: MaskPair | None = None
) -> Seen:
    """An image as the network sees it, with the class it predicts; ``ImageError`` where scores are no numbers."""
    view = network.preprocess.pixels(picture.image)
    fed = network.preprocess.normalise(view[None])[0]
    unit = np.ascontiguousarray(view.transpose(2, 0, 1).astype(np.float32) / np.float32(255.0))
    scores = network.scores(fed[None])[0]
    if not np.isfinite(scores).all():
        raise ImageError(_NO_SCORE)
    target = int(np.argmax(scores))
    mean = np.asarray(network.preprocess.mean, np.float32)[:, None, None]
    std = np.asarray(network.preprocess.std, np.float32)[:, None, None]

    def predict(images: NDArray[np.float32]) -> NDArray[np.float64]:
        parts = [
            softmax(network.scores(images[start : start + network.batch_size]))[:, target]
            for start in range(0, len(images), network.batch_size)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    subject = Subject(
        key=picture.pixel_hash, name=name, fed=fed, unit=unit, target=target,
        before=float(softmax(scores[None])[0, target]), predict=predict,
        predict_unit=lambda images: predict(((images - mean) / std).astype(np.float32)),
        raw=np.zeros((1, 1), np.float32), mask=None if mask is None else mask[0],
        ignored=None if mask is None else mask[1],
    )  # fmt: skip
    classes = network.classes
    parts = [] if mask is None else [np.packbits(one).tobytes() for one in mask if one is not None]
    mask_key = None if mask is None else hashing.of_bytes(str(mask[0].shape).encode() + b"".join(parts))
    return Seen(place, f"class {target}" if classes is None else classes[target], subject, mask_key)


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities ``(N, C) float64`` of scores ``(N, C)``."""
    shifted = scores.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    found: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return found
