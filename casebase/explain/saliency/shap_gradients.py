"""SHAP's GradientExplainer, with captum's GradientShap as a stand-in: expected gradients over a background."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor, nn

from casebase.errors import UsageError
from casebase.explain.saliency.asked import (
    LOGIT,
    MEAN_COLOUR,
    Differentiable,
    ImageByImage,
    importing,
    legacy_seed,
    missing,
    over_channels,
    score_of,
    seeded,
)
from casebase.explain.saliency.method import Images, MethodSettings, Network, RawMap, Saliency

DRAWS = 50
"""Gradients a map: 4 s on one core for a ResNet-18 at 224 pixels. On four photographs, from the mean colour, the
gap was then 1 to 67 % of the difference, with 200 gradients 3 to 32 %."""
_DIMENSIONS = 4

Attribute = Callable[[Tensor, Tensor, int], Tensor]
"""An image ``(1, 3, H, W)``, a background ``(M, 3, H, W)`` and a class to attributions ``(1, 3, H, W)``."""


class OneColumn(nn.Module):
    """The score of one class ``(N, 1)``: shap's PyTorch side knows no other way to choose the class.

    It has no parameters of its own, so that shap's ``zero_grad`` and ``eval`` reach nothing of the user's.
    """

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._score = score

    def forward(self, images: Tensor) -> Tensor:
        """The score ``(N, 1)`` of images ``(N, 3, H, W)``."""
        return self._score(images)[:, None]


def shap_gradients(network: Network, settings: MethodSettings) -> Saliency:
    """Expected gradients (SHAP's GradientExplainer); signed, summed over channels.

        phi_i = mean over x' of the background and a ~ U(0, 1) of (x_i - x'_i) df/dx_i (x' + a (x - x'))

    f is the class score before softmax. The sum of a map tends to f(x) - mean f(x'); ``additivity_gap`` is by how much
    the samples miss that. Where shap is absent, captum's GradientShap, the same estimator, stands in and says so.
    Raises ``MissingExtra`` where both are absent, ``UsageError`` for a background that is no ``(M, 3, H, W)``.
    """
    scores, draws = Differentiable(network, settings.batch), settings.samples or DRAWS
    attribute, origin = _by_shap_or_captum(scores, draws, settings)
    chosen = _checked(settings.background)

    def explain(image: Tensor, target: int) -> RawMap:
        background = _background(chosen, image)
        with seeded(settings.seed, scores.device):
            found = attribute(image, background, target)
        score = score_of(scores, target)
        with torch.no_grad():
            difference = float(score(image)) - float(score(background).double().mean())
        gap = float(found.double().sum()) - difference
        return RawMap(over_channels(found), {"additivity_gap": gap, "difference": difference})

    facts = {
        **origin,
        "score": LOGIT,
        "background": MEAN_COLOUR if chosen is None else "images that were given",
        "background_size": 1 if chosen is None else len(chosen),
        "samples": draws,
        "seed": settings.seed,
        "channels": "summed",
    }
    return ImageByImage(facts, scores, explain, network.lock)


def _by_shap_or_captum(
    scores: Differentiable, draws: int, settings: MethodSettings
) -> tuple[Attribute, dict[str, str]]:
    try:
        with importing():
            from shap import GradientExplainer
    except ImportError as absent:
        try:
            with importing():
                from captum.attr import GradientShap
        except ImportError:
            raise missing("shap (or captum)", "shap", absent) from None
        by_captum = _by_captum(GradientShap, scores, draws, settings.batch)
        said = "captum's GradientShap, because shap cannot be imported"
        return by_captum, {"library": f"captum {version('captum')}", "stand_in": said}
    return _by_shap(GradientExplainer, scores, draws, settings), {"library": f"shap {version('shap')}"}


def _by_shap(
    explainer: Callable[..., object], scores: Differentiable, draws: int, settings: MethodSettings
) -> Attribute:
    def attribute(image: Tensor, background: Tensor, target: int) -> Tensor:
        with torch.no_grad():  # the constructor puts the whole background through, and would keep its graph
            made: object = explainer(OneColumn(score_of(scores, target)), background, batch_size=settings.batch)
        found = made.shap_values(image, nsamples=draws, rseed=legacy_seed(settings.seed))  # type: ignore[attr-defined]
        return torch.from_numpy(np.asarray(found)[..., 0])

    return attribute


def _by_captum(made: Callable[..., object], scores: Differentiable, draws: int, batch: int) -> Attribute:
    def attribute(image: Tensor, background: Tensor, target: int) -> Tensor:
        method, total = made(score_of(scores, target)), torch.zeros_like(image, dtype=torch.float64)
        for start in range(0, draws, batch):  # it has no batch size of its own: all samples would go through at once
            part = min(batch, draws - start)
            found = method.attribute(image, background, n_samples=part, stdevs=0.0)  # type: ignore[attr-defined]
            total += found.detach().double() * part
        return total / draws

    return attribute


def _checked(background: Images | None) -> Images | None:
    if background is None:
        return None
    if background.ndim != _DIMENSIONS or len(background) == 0 or background.shape[1] != 3:
        raise UsageError(f"a background is an array (images, 3, height, width), not one of shape {background.shape}")
    return background


def _background(chosen: Images | None, image: Tensor) -> Tensor:
    if chosen is None:
        return torch.zeros_like(image)
    if chosen.shape[1:] != image.shape[1:]:
        raise UsageError(
            f"the background has images of {chosen.shape[3]}x{chosen.shape[2]} pixels, "
            f"the image to be explained {image.shape[3]}x{image.shape[2]}"
        )
    return torch.from_numpy(np.array(chosen, np.float32)).to(image.device)
