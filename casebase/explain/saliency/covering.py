"""Maps from covering parts of the image: occlusion (captum), RISE."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from casebase import __version__
from casebase.clock import generator
from casebase.explain.saliency.asked import (
    MEAN_COLOUR,
    PROBABILITY,
    Fast,
    ImageByImage,
    importing,
    missing,
    probability_of,
    refuse_one_class,
)
from casebase.explain.saliency.method import Method, MethodSettings, Network, RawMap, Saliency

WINDOWS_A_SIDE = 7
PLACES_A_SIDE = 2 * WINDOWS_A_SIDE - 1
"""An occluding window is a seventh of a side, 32 of 224 pixels, and moves by about half of itself."""
MASKS = 1000
"""Petsiuk et al. take 4000 for VGG-16 and 8000 for ResNet-50. 1000 are 27 s on one core for a ResNet-18 at 224 pixels,
and left a standard error of 15 % of the map's range on photographs; 4000 would halve that."""
GRID = 8
KEPT = 0.5
"""The cells of a mask before it is enlarged, per side, and the probability with which one is kept: as in the paper."""


def occlusion(network: Network, settings: MethodSettings) -> Saliency:
    """By how much a class's probability falls while a window of mean colour lies on a pixel; signed.

        S_i = mean over windows R that cover i of p(x) - p(x with R hidden)

    A window is a seventh of each side; ``samples`` mean nothing here, for nothing is left to chance.
    Raises ``MissingExtra`` without captum, ``ModelError`` for a network of one class.
    """
    try:
        with importing():
            from captum.attr import Occlusion
    except ImportError as error:
        raise missing("captum", "occlusion", error) from None
    scores = Fast(network, settings.batch)
    refuse_one_class(network, scores, "occlusion")

    def explain(image: Tensor, target: int) -> RawMap:
        sides = [max(1, round(side / WINDOWS_A_SIDE)) for side in image.shape[2:]]
        room = [side - window for side, window in zip(image.shape[2:], sides, strict=True)]
        steps = [max(1, math.ceil(pixels / (PLACES_A_SIDE - 1))) for pixels in room]
        with torch.no_grad():
            found = Occlusion(probability_of(scores, target)).attribute(
                image,
                sliding_window_shapes=(3, *sides),
                strides=(3, *steps),
                baselines=0.0,
                perturbations_per_eval=settings.batch,
            )
        # The window hides all channels at once, so that each holds the whole drop: their sum would count it thrice.
        return RawMap(found[0, 0].float().numpy().copy(), {"window": sides, "stride": steps})

    facts = {"library": f"captum {version('captum')}", "score": PROBABILITY, "hidden": MEAN_COLOUR}
    return ImageByImage(facts, scores, explain, network.lock)


def rise(network: Network, settings: MethodSettings) -> Saliency:
    """RISE: the mean of random masks, each weighed by the probability that is left of the class under it; >= 0.

        S_i = 1 / (N E[M]) * sum over n of p(x * M_n) M_n,i

    What is hidden takes the mean colour. E[M] = 0.5 is the expected mask, the same for every pixel. ``chance`` is the
    standard error of a pixel (root mean square over all) as a share of the map's range: how much of what it shows
    another seed would show elsewhere; None for a map without a range. Raises ``ModelError`` for a network of one class.
    """
    scores, count = Fast(network, settings.batch), settings.samples or MASKS
    refuse_one_class(network, scores, "rise")

    def explain(image: Tensor, target: int) -> RawMap:
        probability = probability_of(scores, target)
        height, width = image.shape[2:]
        total, squares = torch.zeros((2, height, width), dtype=torch.float64)
        for masks in rise_masks(count, (height, width), settings.seed, settings.batch):
            answered = probability(image * masks[:, None])
            weighed = answered[:, None, None] * masks
            total += weighed.sum(0)
            squares += weighed.square().sum(0)
        found = total / (count * KEPT)
        return RawMap(found.float().numpy(), {"chance": _chance(found, squares / count / KEPT**2, count)})

    facts = {
        "library": f"casebase {__version__}",
        "score": PROBABILITY,
        "hidden": MEAN_COLOUR,
        "samples": count,
        "grid": GRID,
        "kept": KEPT,
        "seed": settings.seed,
    }
    return ImageByImage(facts, scores, explain, network.lock)


def _chance(mean: Tensor, mean_square: Tensor, count: int) -> float | None:
    spread = float(mean.max() - mean.min())
    error = float(((mean_square - mean.square()).clamp(min=0) / count).mean().sqrt())
    return error / spread if math.isfinite(error) and spread > 0 else None


def rise_masks(count: int, size: tuple[int, int], seed: int, batch: int) -> Iterator[Tensor]:
    """The masks of RISE, ``(<= batch, H, W) float32`` in [0, 1] at a time; the same whatever ``batch`` is.

    A grid of cells, each kept with probability 0.5, is enlarged bilinearly to one cell more than the image has, and
    cut out at a random place within that cell.
    """
    random = generator(seed)
    grid = min(GRID, *size)
    cell = [math.ceil(side / grid) for side in size]
    cells: NDArray[np.float32] = (random.random((count, 1, grid, grid)) < KEPT).astype(np.float32)
    corners = random.integers(0, cell, (count, 2))
    for start in range(0, count, batch):
        enlarged = functional.interpolate(
            torch.from_numpy(cells[start : start + batch]),
            size=((grid + 1) * cell[0], (grid + 1) * cell[1]),
            mode="bilinear",
            align_corners=False,
        )
        cut = [
            one[0, top : top + size[0], left : left + size[1]]
            for one, (top, left) in zip(enlarged, corners[start : start + batch].tolist(), strict=True)
        ]
        yield torch.stack(cut)


METHODS: tuple[Method, ...] = (
    Method(
        "occlusion",
        "Occlusion",
        "Zeiler & Fergus 2014, https://arxiv.org/abs/1311.2901",
        occlusion,
        passes=PLACES_A_SIDE**2 + 2,
        extra="captum",
        signed=True,
    ),
    Method(
        "rise",
        "RISE",
        "Petsiuk, Das & Saenko 2018, https://arxiv.org/abs/1806.07421",
        rise,
        passes=MASKS + 1,
    ),
)
