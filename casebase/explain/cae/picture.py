"""Pictures that a decoder made, each with a strip below it that says so: the mark goes wherever the pixels go."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from casebase import overlay
from casebase.explanations import Pixels

MARK = "synthetic"
UNTRUSTED = "synthetic, untrusted"
SIDE = 288
"""Synthetic pictures are enlarged to at least this, on the longer side, so that the mark can be read."""
_INK, _PAPER = (255, 255, 255), (62, 64, 70)
# The strip is lighter than a dark page and darker than a light one, so that it is seen to belong to the picture.


def synthetic(image: Pixels, view: tuple[int, int], mark: str = MARK) -> Pixels:
    """A synthetic image ``(S, S, 3) uint8`` in the shape of the network's view (height, width), with its mark.

    Enlarged bicubically, as the network meets it; nothing is covered by the strip, which is added below.
    """
    return marked(shaped(image, view), mark)


def shaped(image: Pixels, view: tuple[int, int]) -> Pixels:
    """An image ``(S, S, 3) uint8`` in the shape of the network's view, its longer side ``SIDE`` or more."""
    scale = max(SIDE, *image.shape[:2]) / max(view)
    height, width = max(1, round(view[0] * scale)), max(1, round(view[1] * scale))
    if image.shape[:2] == (height, width):
        return image
    enlarged = Image.fromarray(np.ascontiguousarray(image)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(enlarged, np.uint8)


def marked(pixels: Pixels, mark: str = MARK) -> Pixels:
    """A picture ``(H, W, 3) uint8`` with a strip below it that carries the mark."""
    return np.concatenate([pixels, _strip(pixels.shape[1], mark)])


def difference(below: Pixels, values: NDArray[np.float32], view: tuple[int, int], bound: float) -> Pixels:
    """What changed ``(S, S) float32``, signed, on a grey ``(S, S, 3)``; orange is lighter, purple darker."""
    return overlay.where_overlay(shaped(below, view), values, bound)


def signed(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """A change of colours ``(S, S, 3)`` as one signed number a pixel: its mean size, with the sign of its mean.

    A change of hue alone has a mean near zero and would be lost without the size.
    """
    size = np.abs(change).mean(axis=2)
    found: NDArray[np.float32] = np.where(change.mean(axis=2) < 0, -size, size).astype(np.float32)
    return found


@cache
def _strip(width: int, mark: str) -> Pixels:
    high = max(12, round(width / 7))
    strip = Image.new("RGB", (width, high), _PAPER)
    draw = ImageDraw.Draw(strip)
    size = max(8, round(high * 0.72))
    font = ImageFont.load_default(size)
    while size > 6 and draw.textlength(mark, font=font) > 0.94 * width:
        size -= 1
        font = ImageFont.load_default(size)
    draw.text((width / 2, high / 2), mark, fill=_INK, font=font, anchor="mm")
    drawn = np.asarray(strip, np.uint8)
    drawn.setflags(write=False)
    return drawn
