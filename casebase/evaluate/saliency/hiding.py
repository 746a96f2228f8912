"""From a map to a mask, and what hidden pixels become.

A mask is True where the map is salient. Every threshold says what happens to equal values, for a map after ReLU and
coarse resizing is full of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from casebase.errors import UsageError
from casebase.evaluate.saliency.imputation import NOISE, Space, imputed
from casebase.evaluate.saliency.metric import FILLS, THRESHOLDS, Image, Map
from casebase.reading import printable

Mask = NDArray[np.bool_]
OTSU_BINS = 256
BLUR_SIDE, BLUR_SIGMA = 11, 5.0
"""RISE's substrate for insertion: 11 x 11 pixels, sigma 5."""


def whole(fraction: float, n: int) -> int:
    """Exactly floor(``fraction`` * ``n``), the fraction taken as the decimal that is written: 0.29 of 100 is 29."""
    return math.floor(Fraction(repr(float(fraction))) * n)


def descending(values: Map) -> NDArray[np.intp]:
    """Flat positions ``(H * W,)`` by falling value; equal ones stay in reading order, row by row."""
    return np.argsort(-values.ravel(), kind="stable")


def top_fraction(values: Map, fraction: float) -> Mask:
    """The floor(fN) largest of N pixels, no more and no fewer; of equal ones the first in reading order."""
    mask = np.zeros(values.size, np.bool_)
    mask[descending(values)[: whole(fraction, values.size)]] = True
    return mask.reshape(values.shape)


def percentile(values: Map, share: float) -> Mask:
    """Pixels strictly above the percentile 100 * ``share`` (linear between values).

    Pixels that equal it are not salient, so ties make the mask smaller than 1 - ``share``, and empty where the map is
    the same everywhere.
    """
    return np.asarray(values > np.percentile(values, 100.0 * share))


def relative_to_max(values: Map, fraction: float) -> Mask:
    """Pixels with at least ``fraction`` of the largest value, and more than 0: a map of zeros has an empty mask."""
    return np.asarray((values >= fraction * values.max()) & (values > 0))


def otsu(values: Map, _: float = 0.0) -> Mask:
    """Pixels above the cut that parts the values into two classes with the largest variance between them.

    N. Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Trans. SMC 9 (1979), 62-66: the cut
    maximises w0 w1 (m0 - m1)^2 over 256 bins from the least to the largest value, the first of equals; it lies between
    two bins, so no bin is torn apart. There is no level to choose. Where the map is the same everywhere the mask is
    empty.
    """
    exact = values.astype(np.float64)
    if exact.min() == exact.max():
        return np.zeros(values.shape, np.bool_)
    counts, edges = np.histogram(exact, OTSU_BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    low = np.cumsum(counts * middles) / np.maximum(below, 1)
    high = np.cumsum((counts * middles)[::-1])[::-1] / np.maximum(above, 1)
    between = below[:-1] * above[1:] * (low[:-1] - high[1:]) ** 2
    return np.asarray(exact >= edges[int(np.argmax(between)) + 1])


_THRESHOLDS: Mapping[str, Callable[[Map, float], Mask]] = {
    "top_fraction": top_fraction,
    "percentile": percentile,
    "otsu": otsu,
    "relative_to_max": relative_to_max,
}


def mask_of(values: Map, threshold: str, level: float) -> Mask:
    """The salient pixels ``(H, W) bool`` of a map in [0, 1]; ``UsageError`` for an unknown threshold."""
    if threshold not in _THRESHOLDS:
        raise UsageError(f"no threshold {printable(threshold)!r}; there is {', '.join(THRESHOLDS)}")
    return _THRESHOLDS[threshold](values, level)


def space_of(fill: str) -> Space:
    """Whether a fill works on the image in [0, 1] (``unit``) or as the network is fed (``normalised``)."""
    if fill not in FILLS:
        raise UsageError(f"no fill {printable(fill)!r}; there is {', '.join(FILLS)}")
    return "normalised" if fill in ("normalised_zero", "blur") else "unit"


def hidden(
    image: Image, hide: Mask, fill: str, random: np.random.Generator | None = None, noise: float = NOISE
) -> Image:
    """A copy of ``image (3, H, W)``, in the space of :func:`space_of`, with the pixels of ``hide (H, W)`` replaced.

    ``normalised_zero`` is the data set's mean colour, ``black`` is black, ``image_mean`` the mean colour of this image,
    ``blur`` this image blurred, ``road`` what the rest of the image implies (:func:`imputed`, which needs ``random``
    where there is noise and refuses to hide everything).
    """
    space_of(fill)
    if fill == "road":
        return imputed(image, hide, noise, random)
    return np.where(hide, substrate(image, fill), image).astype(np.float32)


def substrate(image: Image, fill: str) -> Image:
    """What would stand everywhere, if all of ``image (3, H, W)`` were hidden by a fill that needs no mask."""
    if fill == "blur":
        return blurred(image)
    if fill == "image_mean":
        return np.broadcast_to(image.mean(axis=(1, 2), keepdims=True), image.shape).astype(np.float32)
    if fill in ("normalised_zero", "black"):
        return np.zeros_like(image, np.float32)
    raise UsageError(f"the fill {printable(fill)!r} needs to know which pixels are hidden")


def blurred(image: Image, side: int = BLUR_SIDE, sigma: float = BLUR_SIGMA) -> Image:
    """A Gaussian blur of ``(3, H, W)`` with a window of ``side`` pixels, as RISE's code has it.

    V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
    https://arxiv.org/abs/1806.07421. Beyond the edge there are zeros, which is the mean colour of a normalised image.
    """
    from scipy.ndimage import convolve1d

    at = np.arange(side) - side // 2
    window = np.exp(-(at**2) / (2 * sigma**2))
    window /= window.sum()
    rows = convolve1d(image.astype(np.float64), window, axis=1, mode="constant")
    return np.asarray(convolve1d(rows, window, axis=2, mode="constant"), np.float32)
