"""A map drawn on pixels: map -> colours -> image, in floating point until the last line.

Maps are drawn linearly, so a value of 0.5 gets the colour that the bar shows at its middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase.explanations import Pixels

Map = NDArray[np.float32]
Colours = NDArray[np.float32]

# Anchors at equal steps; the first from matplotlib's viridis (CC0), the second from ColorBrewer's PuOr, both readable
# with colour-blind eyes; in grey print viridis keeps its order.
_VIRIDIS = (
    (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142),
    (31, 158, 137), (53, 183, 121), (109, 205, 89), (180, 222, 44), (253, 231, 37),
)  # fmt: skip
_PURPLE_ORANGE = (
    (84, 39, 136), (128, 115, 172), (178, 171, 210), (216, 218, 235), (247, 247, 247),
    (254, 224, 182), (253, 184, 99), (224, 130, 20), (179, 88, 6),
)  # fmt: skip


_STEPS = 16_384
"""Steps of the colour tables: finer than eight bits can show, so that looking up is as good as interpolating."""


def _table(anchors: tuple[tuple[int, int, int], ...]) -> Colours:
    """The colours ``(_STEPS + 1, 3)`` of values from 0 to 1, piecewise linear between the anchors."""
    points, at = np.asarray(anchors, np.float64), np.linspace(0.0, 1.0, _STEPS + 1)
    place = np.linspace(0.0, 1.0, len(points))
    channels = [np.interp(at, place, points[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_SEQUENTIAL, _DIVERGING = _table(_VIRIDIS), _table(_PURPLE_ORANGE)


def _colours(values: Map, table: Colours) -> Colours:
    """The rows ``(..., channels)`` of a table for values in [0, 1]; NaN is taken for 0."""
    found: Colours = np.take(table, _steps(values), axis=0)
    return found


def _steps(values: Map) -> NDArray[np.intp]:
    """The rows of a table for values in [0, 1]; NaN is taken for 0."""
    inside = np.fmin(np.fmax(values, np.float32(0.0)), np.float32(1.0))
    return (inside * np.float32(_STEPS) + np.float32(0.5)).astype(np.intp)


def sequential(values: Map) -> Colours:
    """Colours ``(..., 3) float32`` in [0, 255] of values in [0, 1]; dark is low."""
    return _colours(values, _SEQUENTIAL)


def diverging(values: Map, bound: float) -> Colours:
    """Colours ``(..., 3) float32`` in [0, 255] of signed values in [-bound, bound]; orange is for, purple against."""
    return _colours((0.5 + 0.5 * values.astype(np.float64) / max(bound, 1e-12)).astype(np.float32), _DIVERGING)


def enlarge(values: Map, size: tuple[int, int]) -> Map:
    """A map ``(h, w)`` resized bilinearly to ``size`` (height, width); corners not aligned, values not clipped."""
    height, width = size
    small = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)


def saliency_overlay(view: Pixels, values: Map, opacity: float = 0.55) -> Pixels:
    """A map ``(h, w)`` in [0, 1] on a picture ``(H, W, 3) uint8``; strong cells are more opaque than weak ones."""
    return _blend(_channels(view), enlarge(values, view.shape[:2]), _laid(opacity, signed=False))


def where_overlay(view: Pixels, values: Map, bound: float, opacity: float = 0.75) -> Pixels:
    """A signed map ``(h, w)`` on a grey picture; ``bound`` is the value drawn in full colour, one for both sides."""
    whole = enlarge(values, view.shape[:2]) * np.float32(0.5 / max(bound, 1e-12)) + np.float32(0.5)
    grey = view.astype(np.float32) @ (np.float32(0.75) * _LUMA) + np.float32(48.0)
    return _blend([grey] * 3, whole, _laid(opacity, signed=True))


def _channels(view: Pixels) -> list[NDArray[np.float32]]:
    return [view[..., channel].astype(np.float32) for channel in range(3)]


@cache
def _laid(opacity: float, *, signed: bool) -> Colours:
    """For each value from 0 to 1 its colour times its opacity, and what is left of the picture: ``(4, _STEPS + 1)``.

    Signed values have their zero in the middle, where nothing is laid on the picture.
    """
    value = np.linspace(0.0, 1.0, _STEPS + 1)[:, None]
    alpha = opacity * (np.abs(2.0 * value - 1.0) if signed else 0.35 + 0.65 * value)
    table = _DIVERGING if signed else _SEQUENTIAL
    return np.ascontiguousarray(np.concatenate([alpha * table, 1.0 - alpha], axis=1).astype(np.float32).T)


def _blend(below: Sequence[NDArray[np.generic]], values: Map, laid: Colours) -> Pixels:
    """The channels ``(H, W)`` of a picture under the colours of ``values (H, W)`` in [0, 1].

    Channel by channel, since arrays of threes are slow; what is mixed of two colours needs no clipping.
    """
    steps = _steps(values)
    left = laid[3][steps]
    drawn = np.empty((*values.shape, 3), np.uint8)
    for channel, under in enumerate(below):
        mixed = under * left
        mixed += laid[channel][steps]
        mixed += np.float32(0.5)
        drawn[..., channel] = mixed
    return drawn


def sequential_bar(width: int = 160, height: int = 10) -> Pixels:
    """The colour bar of :func:`sequential`, from 0 to 1."""
    ramp = np.tile(np.linspace(0.0, 1.0, width, dtype=np.float32), (height, 1))
    return np.rint(sequential(ramp)).astype(np.uint8)


def diverging_bar(width: int = 160, height: int = 10) -> Pixels:
    """The colour bar of :func:`diverging`, from -bound to +bound."""
    ramp = np.tile(np.linspace(-1.0, 1.0, width, dtype=np.float32), (height, 1))
    return np.rint(diverging(ramp, 1.0)).astype(np.uint8)


def outlined(pixels: Pixels, segments: NDArray[np.integer[Any]]) -> Pixels:
    """A picture ``(H, W, 3) uint8`` with thin white lines between the ``segments (h, w)`` of its regions."""
    height, width = pixels.shape[:2]
    rows, columns = np.arange(height) * segments.shape[0] // height, np.arange(width) * segments.shape[1] // width
    whole = segments[rows[:, None], columns[None, :]]
    border = np.zeros((height, width), bool)
    border[:, 1:] |= whole[:, 1:] != whole[:, :-1]
    border[1:] |= whole[1:] != whole[:-1]
    drawn = pixels.copy()
    drawn[border] = 255
    return drawn


def boxed(whole: Pixels, box: tuple[float, float, float, float]) -> Pixels:
    """A picture with the network's crop drawn on it: what lies outside is dimmed, the edge is a white line."""
    height, width = whole.shape[:2]
    left, top = round(box[0] * width), round(box[1] * height)
    right, bottom = round(box[2] * width), round(box[3] * height)
    drawn = (whole.astype(np.float64) * 0.45).astype(np.uint8)
    drawn[top:bottom, left:right] = whole[top:bottom, left:right]
    if (left, top, right, bottom) != (0, 0, width, height):
        line = max(1, round(min(height, width) / 150))
        for rows, columns in (
            (slice(top, top + line), slice(left, right)),
            (slice(max(bottom - line, 0), bottom), slice(left, right)),
            (slice(top, bottom), slice(left, left + line)),
            (slice(top, bottom), slice(max(right - line, 0), right)),
        ):
            drawn[rows, columns] = 255
    return drawn


def marked(pixels: Pixels, box: tuple[float, float, float, float]) -> Pixels:
    """A picture with a box (left, top, right, bottom, as fractions) drawn on it: white between two dark lines.

    The lines lie on the box's inner side, so that one at the picture's edge is seen whole.
    """
    height, width = pixels.shape[:2]
    left, top = round(box[0] * width), round(box[1] * height)
    right, bottom = max(round(box[2] * width), left + 1), max(round(box[3] * height), top + 1)
    line = max(1, round(min(height, width) / 110))
    drawn = pixels.copy()
    for inset, colour in ((0, 0), (line, 255), (2 * line, 0), (3 * line, None)):
        rows, columns = slice(top + inset, bottom - inset), slice(left + inset, right - inset)
        drawn[rows, columns] = pixels[rows, columns] if colour is None else colour
    return drawn
