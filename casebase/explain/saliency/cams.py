"""Class activation maps: a layer's feature maps, weighted for one class and added up.

torchcam's Grad-CAM, LayerCAM, XGrad-CAM, CAM and Score-CAM, which agree with values worked out by hand, and Grad-CAM++
and Eigen-CAM of our own (:mod:`~casebase.explain.saliency.weighted`). With A_k the k-th map of the layer, y_c the score
of the class before softmax, P the number of cells:

    gradcam    w_k = 1/P sum_p dy_c/dA_kp                          L = ReLU( sum_k w_k A_k )
    layercam   w_kp = ReLU( dy_c/dA_kp ), cell by cell             L = ReLU( sum_k w_kp A_kp )
    xgradcam   w_k = sum_p dy_c/dA_kp A_kp / sum_p A_kp            L = ReLU( sum_k w_k A_k )
    cam        w_k = the head's weight W_ck                        L = ReLU( sum_k w_k A_k )
    scorecam   w_k = softmax_k( y_c(image * A_k scaled to [0, 1])) L = ReLU( sum_k w_k A_k )

All explain the score itself and need no other class beside it, so a network with a single output has maps too.
Zhou et al. show CAM's negative cells as well; here they are 0, so that 0 means the same in every map.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from casebase.explain.saliency import layers, weighted
from casebase.explain.saliency.cam import Cam, Extractor, Recipe
from casebase.explain.saliency.layers import Target
from casebase.explain.saliency.method import Method, MethodSettings, Network
from casebase.explain.saliency.pooled import pooled

MASKED = 32
"""Covered images per forward pass of Score-CAM."""
TYPICAL_CHANNELS = 512
"""Of ResNet-18's and VGG-16's last maps; a map's own number of passes stands in the facts."""


def _torchcam(method: str, **chosen: Any) -> Extractor:
    """torchcam's extractor by the name of its class; its places are laid out before it sees them."""

    def make(module: nn.Module, target: Target) -> AbstractContextManager[Any]:
        from torchcam import methods

        found: AbstractContextManager[Any] = getattr(methods, method)(
            module, target.name, **{"reshape_transform": target.reshape, **chosen}
        )
        return found

    return make


def _plus_plus(activations: Tensor, slopes: Tensor | None) -> Tensor:
    assert slopes is not None  # noqa: S101  # its recipe asks for a gradient; for the type checker
    return weighted.gradcam_plus_plus(activations, slopes)


GRADCAM = Recipe("gradcam", _torchcam("GradCAM"))
GRADCAM_PLUS_PLUS = Recipe("gradcam++", own=_plus_plus)
LAYERCAM = Recipe("layercam", _torchcam("LayerCAM"))
XGRADCAM = Recipe("xgradcam", _torchcam("XGradCAM"))
SCORECAM = Recipe("scorecam", _torchcam("ScoreCAM", batch_size=MASKED), gradient=False, per_channel=True)
EIGENCAM = Recipe(
    "eigencam",
    own=lambda activations, _: weighted.eigencam(activations),
    gradient=False,
    facts={"class_agnostic": True},
)


def target_of(network: Network, settings: MethodSettings) -> Target:
    """The layer of a network: named in the settings, by who made the network, or found; see :mod:`.layers`."""
    named = settings.layer or getattr(network, "asked_layer", None)
    return layers.find(network.module, network.preprocess.crop, named=named, proposed=network.spatial_layer)


def on(recipe: Recipe) -> Callable[[Network, MethodSettings], Cam]:
    """A recipe's builder."""

    def build(network: Network, settings: MethodSettings) -> Cam:
        return Cam(recipe, network.module, target_of(network, settings), network.lock, batch=settings.batch)

    return build


def gradcam(network: Network, settings: MethodSettings | None = None) -> Cam:
    """Grad-CAM on a network; raises ``NoTargetLayer``."""
    return on(GRADCAM)(network, settings or MethodSettings())


def _cam(network: Network, settings: MethodSettings) -> Cam:
    """CAM weighs what is averaged: behind the ReLU where one stands between layer and mean."""
    target = target_of(network, settings)
    found = pooled(network.module, target)
    extractor = _torchcam("CAM", fc_layer=found.head, reshape_transform=found.averaged)
    facts = {"head": found.head, **({"activation": "post"} if found.rectified else {})}
    recipe = replace(Recipe("cam", extractor, gradient=False), facts=facts)
    return Cam(recipe, network.module, target, network.lock, batch=settings.batch)


METHODS = (
    Method("gradcam", "Grad-CAM", "Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391", on(GRADCAM), passes=3),
    Method(
        "gradcam++", "Grad-CAM++", "Chattopadhay et al. 2018, https://arxiv.org/abs/1710.11063",
        on(GRADCAM_PLUS_PLUS), passes=3,
    ),
    Method(
        "layercam", "LayerCAM", "Jiang et al. 2021, http://mmcheng.net/mftp/Papers/21TIP_LayerCAM.pdf",
        on(LAYERCAM), passes=3,
    ),
    Method("xgradcam", "XGrad-CAM", "Fu et al. 2020, https://arxiv.org/abs/2008.02312", on(XGRADCAM), passes=3),
    Method("cam", "CAM", "Zhou et al. 2016, https://arxiv.org/abs/1512.04150", _cam, passes=1),
    Method(
        "scorecam", "Score-CAM", "Wang et al. 2020, https://arxiv.org/abs/1910.01279",
        on(SCORECAM), passes=TYPICAL_CHANNELS + 2,
    ),
    Method(
        "eigencam", "Eigen-CAM (of no class)", "Muhammad & Yeasin 2020, https://arxiv.org/abs/2008.00299",
        on(EIGENCAM), passes=1,
    ),
)  # fmt: skip
