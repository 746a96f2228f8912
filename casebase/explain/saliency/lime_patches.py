"""LIME over superpixels: which patches of an image a class's probability hangs on."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from casebase.errors import UsageError
from casebase.explain.saliency.asked import (
    PROBABILITY,
    Fast,
    ImageByImage,
    importing,
    legacy_seed,
    missing,
    nothing,
    refuse_one_class,
)
from casebase.explain.saliency.method import MethodSettings, Network, RawMap, Saliency
from casebase.explanations import frozen
from casebase.reading import Preprocess

SUPERPIXELS = 50
"""How many SLIC is asked for; what it finds is in the facts.

Not lime's own quickshift: on photographs of 224 pixels that takes 0.33 s against 0.04 s, wants a seed, and finds
anything from 26 to 47 superpixels of up to a tenth of the image, without a better fit.
"""
COMPACTNESS = 20.0
SMOOTHING = 1.0
"""SLIC's weight of nearness against colour, and the Gaussian it smooths with, in pixels."""
DRAWS_A_SUPERPIXEL = 15
FEWEST_A_SUPERPIXEL = 10
"""Samples that are taken, and those below which a fit is called poor whatever its R²."""
FEWEST_DRAWS = 2
KERNEL_WIDTH = 0.25
"""lime's own: how fast samples that hide much lose weight."""
POOR_FIT = 0.5
"""Below this R² the linear model explains less than half of what the probability does, and its weights mean little."""

Segments = NDArray[np.int32]
Picture = NDArray[np.float64]
"""``(H, W, 3)`` or ``(N, H, W, 3)`` in the display range [0, 1]."""


class _NotFinite(Exception):
    """The network answered a sample with something that is no number."""


def lime_patches(network: Network, settings: MethodSettings) -> Saliency:
    """LIME: superpixels are hidden at random, and a weighted linear model of them is fitted to the probability.

        w = argmin sum over samples z of k(z) (p(z) - w . z - b)^2 + |w|^2,   k(z) = exp(-d(z, 1)^2 / (2 * 0.25^2))

    with z in {0, 1} per superpixel and d the cosine distance. A hidden superpixel takes its own mean colour. A map
    ``(H, W)`` holds each pixel's superpixel weight, signed; the superpixels ``(H, W) int32`` are in its facts under
    ``segments``, with their number, the samples, and R² as ``fit``; ``poor_fit`` says why it is one, or is None.

    Raises ``MissingExtra`` without lime, ``UsageError`` below two samples, ``ModelError`` for a network of one class.
    """
    try:
        with importing():
            from lime.lime_image import LimeImageExplainer
            from skimage.segmentation import slic
    except ImportError as error:
        raise missing("lime", "lime", error) from None
    if settings.samples is not None and settings.samples < FEWEST_DRAWS:
        raise UsageError(f"lime fits a model to its samples and needs at least {FEWEST_DRAWS}, not {settings.samples}")
    scores = Fast(network, settings.batch)
    refuse_one_class(network, scores, "lime")
    quiet = _quiet(LimeImageExplainer)

    def explain(image: Tensor, target: int) -> RawMap:
        picture = displayed(image, network.preprocess)
        found = slic(
            picture, n_segments=SUPERPIXELS, compactness=COMPACTNESS, sigma=SMOOTHING, start_label=0, channel_axis=-1
        )
        segments = relabelled(found)
        count = int(segments.max()) + 1
        draws = settings.samples or DRAWS_A_SUPERPIXEL * count
        # An explainer used twice goes on drawing where it stopped; random_seed= would seed the segmentation alone.
        explainer = quiet(
            kernel_width=KERNEL_WIDTH,
            feature_selection="none",
            random_state=legacy_seed(settings.seed),
        )
        try:
            fitted = explainer.explain_instance(
                picture,
                _predict(scores, target, network.preprocess),
                labels=(0,),
                top_labels=None,
                num_samples=draws,
                batch_size=settings.batch,
                segmentation_fn=lambda _: segments,
                random_seed=0,
            )
        except _NotFinite:
            return nothing(image)
        weights = np.zeros(count)
        for number, weight in fitted.local_exp[0]:
            weights[number] = weight
        facts = {
            "segments": frozen(segments),
            "superpixels": count,
            "samples": draws,
            "fit": float(fitted.score),
            "poor_fit": _poor(float(fitted.score), draws, count),
        }
        return RawMap(weights[segments].astype(np.float32), facts)

    facts = {
        "library": f"lime {version('lime')}",
        "score": PROBABILITY,
        "segmentation": f"SLIC (scikit-image {version('scikit-image')})",
        "superpixels_asked": SUPERPIXELS,
        "compactness": COMPACTNESS,
        "smoothing": SMOOTHING,
        "hidden": "mean colour of the superpixel",
        "kernel_width": KERNEL_WIDTH,
        "poor_fit_below": POOR_FIT,
        "seed": settings.seed,
    }
    return ImageByImage(facts, scores, explain, network.lock)


def displayed(image: Tensor, preprocess: Preprocess) -> Picture:
    """A normalised image ``(1, 3, H, W)`` in the display range: ``(H, W, 3) float64`` in [0, 1], where it came from."""
    mean, std = np.asarray(preprocess.mean), np.asarray(preprocess.std)
    shown: Picture = image[0].permute(1, 2, 0).double().numpy() * std + mean
    return shown


def relabelled(found: NDArray[np.integer[Any]]) -> Segments:
    """The same segments with the numbers 0 … n-1: lime takes a number for a column, and a gap for a superpixel."""
    _, numbers = np.unique(found, return_inverse=True)
    segments: Segments = numbers.reshape(found.shape).astype(np.int32)
    return segments


def _predict(scores: Fast, target: int, preprocess: Preprocess) -> Callable[[Picture], NDArray[np.float64]]:
    mean, std = np.asarray(preprocess.mean), np.asarray(preprocess.std)

    def predict(pictures: Picture) -> NDArray[np.float64]:
        fed = np.ascontiguousarray(((pictures - mean) / std).transpose(0, 3, 1, 2), np.float32)
        answered = scores(torch.from_numpy(fed)).double()
        if not bool(torch.isfinite(answered).all()):
            raise _NotFinite
        column: NDArray[np.float64] = torch.softmax(answered, dim=1)[:, target : target + 1].numpy()
        return column

    return predict


def _quiet(explainer: type[Any]) -> type[Any]:
    """lime's explainer without its progress bar, which cannot be switched off; samples are made a batch at a time."""

    class Quiet(explainer):  # type: ignore[misc]
        def data_labels(
            self,
            image: Picture,
            fudged_image: Picture,
            segments: Segments,
            classifier_fn: Callable[[Picture], NDArray[np.float64]],
            num_samples: int,
            batch_size: int = 10,
        ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
            count = int(segments.max()) + 1
            kept = self.random_state.randint(0, 2, num_samples * count).reshape(num_samples, count)
            kept[0] = 1  # lime takes the first sample for the image itself
            answers = []
            for start in range(0, num_samples, batch_size):
                shown = kept[start : start + batch_size][:, segments, None] == 1  # (b, H, W, 1)
                answers.append(classifier_fn(np.where(shown, image, fudged_image)))
            return kept, np.concatenate(answers)

    return Quiet


def _poor(fit: float, draws: int, count: int) -> str | None:
    if draws < FEWEST_A_SUPERPIXEL * count:
        return f"fewer than {FEWEST_A_SUPERPIXEL} samples per superpixel ({draws} for {count})"
    return f"R² is {fit:.2f}, below {POOR_FIT}" if fit < POOR_FIT else None
