"""Maps from the gradient at the image: integrated gradients, SmoothGrad (captum)."""

from __future__ import annotations

from importlib.metadata import version

import torch
from torch import Tensor

from casebase.explain.saliency.asked import (
    LOGIT,
    MEAN_COLOUR,
    Differentiable,
    ImageByImage,
    importing,
    missing,
    over_channels,
    score_of,
    seeded,
)
from casebase.explain.saliency.method import Method, MethodSettings, Network, RawMap, Saliency

STEPS = 50
"""Points on the way from the baseline; captum's own default."""
DRAWS = 50
"""Noisy images; Smilkov et al. see no gain above 50."""
NOISE = 0.15
"""The noise's standard deviation over the image's range; Smilkov et al. recommend 0.1 to 0.2."""
_PASSES_A_GRADIENT = 3


def integrated_gradients(network: Network, settings: MethodSettings) -> Saliency:
    """Integrated gradients from the mean colour x', by Gauss-Legendre quadrature; signed, summed over channels.

        IG_i = (x_i - x'_i) * integral over a in [0, 1] of df/dx_i (x' + a (x - x'))

    f is the class score before softmax. The sum of a map is f(x) - f(x') (completeness); ``delta`` is by how much the
    quadrature misses that. Raises ``MissingExtra`` without captum.
    """
    try:
        with importing():
            from captum.attr import IntegratedGradients
    except ImportError as error:
        raise missing("captum", "integrated-gradients", error) from None
    scores, steps = Differentiable(network, settings.batch), settings.samples or STEPS

    def explain(image: Tensor, target: int) -> RawMap:
        score = score_of(scores, target)
        method = IntegratedGradients(score)
        given, nothing = image.requires_grad_(True), torch.zeros_like(image)
        found = method.attribute(given, nothing, n_steps=steps, internal_batch_size=settings.batch).detach()
        with torch.no_grad():
            difference = float(score(given)) - float(score(nothing))
        delta = float(found.double().sum()) - difference
        return RawMap(over_channels(found), {"delta": delta, "difference": difference})

    facts = {
        "library": f"captum {version('captum')}",
        "score": LOGIT,
        "baseline": MEAN_COLOUR,
        "steps": steps,
        "quadrature": "Gauss-Legendre",
        "channels": "summed",
    }
    return ImageByImage(facts, scores, explain, network.lock)


def smoothgrad(network: Network, settings: MethodSettings) -> Saliency:
    """The gradient of the class score before softmax, averaged over noisy images; signed, summed over channels.

        S_i = mean over n of df/dx_i (x + e_n),   e_n ~ N(0, (0.15 (max x - min x))^2)

    The paper draws the absolute value, and so does ``sign="absolute"``, though after the channels are summed. Raises
    ``MissingExtra`` without captum.
    """
    try:
        with importing():
            from captum.attr import NoiseTunnel
            from captum.attr import Saliency as Gradient
    except ImportError as error:
        raise missing("captum", "smoothgrad", error) from None
    scores, draws = Differentiable(network, settings.batch), settings.samples or DRAWS

    def explain(image: Tensor, target: int) -> RawMap:
        method = NoiseTunnel(Gradient(score_of(scores, target)))
        spread = NOISE * float(image.max() - image.min())
        with seeded(settings.seed, scores.device):
            found = method.attribute(
                image, nt_samples=draws, nt_samples_batch_size=min(draws, settings.batch), stdevs=spread, abs=False
            )
        return RawMap(over_channels(found), {"noise": spread})

    facts = {
        "library": f"captum {version('captum')}",
        "score": LOGIT,
        "samples": draws,
        "noise_share": NOISE,
        "seed": settings.seed,
        "channels": "summed",
    }
    return ImageByImage(facts, scores, explain, network.lock)


METHODS: tuple[Method, ...] = (
    Method(
        "integrated-gradients",
        "Integrated gradients",
        "Sundararajan, Taly & Yan 2017, https://arxiv.org/abs/1703.01365",
        integrated_gradients,
        passes=_PASSES_A_GRADIENT * STEPS + 3,
        extra="captum",
        signed=True,
    ),
    Method(
        "smoothgrad",
        "SmoothGrad",
        "Smilkov et al. 2017, https://arxiv.org/abs/1706.03825",
        smoothgrad,
        passes=_PASSES_A_GRADIENT * DRAWS + 1,
        extra="captum",
        signed=True,
    ),
)
