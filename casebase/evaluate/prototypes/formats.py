"""Do matches survive another encoding? The format swap of Hoffmann et al.

A. Hoffmann et al., "This Looks Like That... Does it? Shortcomings of Latent Space Prototype Interpretability in Deep
Networks", 2021, https://arxiv.org/abs/2105.02968: prototypes that hang on traces of JPEG jump when an image is saved
again, though nobody sees a difference. Vital where one class came as JPEG and the other as PNG.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase.evaluate.prototypes.sights import Sight

QUALITIES: Sequence[int | None] = (None, 90, 75, 50, 30)
"""JPEG qualities; None is the image as it is, read again: a control that must change nothing."""


def encoded(image: Image.Image, quality: int | None) -> Image.Image:
    """An RGB picture saved as JPEG and read again; as it is where ``quality`` is None."""
    if quality is None:
        return image
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    with Image.open(io.BytesIO(out.getvalue())) as opened:
        return opened.convert("RGB")


def title(quality: int | None) -> str:
    """A change in words."""
    return "read again, unchanged" if quality is None else f"JPEG, quality {quality}"


@dataclass(frozen=True, eq=False)
class Swap:
    """One encoding over ``n`` images: whether the strongest match is the same prototype, the class another one.

    ``fall (n,)`` is how far the similarity of the strongest match fell (negative: rose), and ``relative (n,)`` the same
    as a share of that similarity's standard deviation over the images (0 where it has none).
    """

    same_top: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    fall: NDArray[np.float64]
    relative: NDArray[np.float64]


def swap(before: Sight, after: Sight) -> Swap:
    """Compare what a set said of the same images before and after."""
    rows = np.arange(len(before.top))
    fall = (before.similarity - after.similarity)[rows, before.top].astype(np.float64)
    spread = before.similarity.std(axis=0)[before.top] if len(rows) else np.zeros(0)
    relative = np.divide(fall, spread, out=np.zeros(len(rows)), where=spread > 0)
    return Swap(before.top == after.top, before.called != after.called, fall, relative)
