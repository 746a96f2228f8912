"""Grad-CAM by torchcam, behind a guard against what libraries and networks do to each other.

Selvaraju et al. 2017, "Grad-CAM", https://arxiv.org/abs/1610.02391. For class c with score y_c and feature map A_k:

    w_k = mean over cells of dy_c / dA_k          L_c = ReLU( sum_k w_k A_k )

The network is copied with its weights shared and ``inplace=False`` activations, and the feature map is cloned as it
leaves its layer: torchvision's DenseNet and ResNets overwrite it afterwards, which moves the map by up to 0.3.
torchcam is not safe on several threads, so a lock is held from hooking to unhooking.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from casebase.errors import NoTargetLayer
from casebase.explain.saliency.guard import safe_copy
from casebase.explain.saliency.method import Images, Method, MethodSettings, Network, RawMap, Saliency
from casebase.networks.anatomy import probe

BATCH = 16
_SAME = 1e-4


class GradCam:
    """Grad-CAM of one network at one layer. ``layer`` is a submodule's name; its output must be ``(N, D, h, w)``."""

    def __init__(self, module: nn.Module, layer: str | None, lock: threading.Lock | threading.RLock) -> None:
        if layer is None:
            raise NoTargetLayer(
                "this network has no spatial feature map, so there is no Grad-CAM; use --no-overlays, "
                "or a network with convolutions"
            )
        self.layer = layer
        self._module = safe_copy(module)
        self._lock = lock

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """Library, version and layer."""
        return {"library": f"torchcam {version('torchcam')}", "layer": self.layer}

    def raw(self, images: Images, targets: Sequence[int]) -> list[RawMap]:
        """Maps ``(h, w) float32`` >= 0, one class index each; NaN where the scores are not finite."""
        from torchcam.methods import GradCAM

        found: list[RawMap] = []
        parameter = next(self._module.parameters())
        with self._lock, torch.inference_mode(False), torch.enable_grad():
            for start in range(0, len(images), BATCH):
                part = torch.from_numpy(images[start : start + BATCH].copy()).to(parameter.device).requires_grad_(True)
                wanted = list(targets[start : start + BATCH])
                with GradCAM(self._module, self.layer) as extractor:
                    tapped = self._module.get_submodule(self.layer)
                    tap = tapped.register_forward_hook(lambda module, given, out: out.clone())
                    try:
                        scores = self._module(part)
                        (maps,) = extractor(wanted, scores, normalized=False)
                    finally:
                        tap.remove()
                finite = torch.isfinite(scores).all(dim=1)  # torchcam sums around NaN and would show a clean map
                clean = torch.where(finite[:, None, None], maps.detach().float(), torch.nan).cpu().numpy()
                found += [RawMap(values.copy()) for values in clean]
        return found


def _gradcam(network: Network, settings: MethodSettings) -> Saliency:
    return GradCam(network.module, settings.layer or network.spatial_layer, network.lock)


METHODS = (
    Method("gradcam", "Grad-CAM", "Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391", _gradcam, passes=3),
)


def is_head_over_cells(
    module: nn.Module,
    layer: str,
    head: NDArray[np.float32],
    size: tuple[int, int],
    lock: threading.Lock | threading.RLock,
) -> bool:
    """Whether every class score's gradient at ``layer`` is the class's row of ``head (C, D)`` over the number of cells.

    Then Grad-CAM is ReLU(W_c . a_p) / P, without a backward pass. Two pictures of noise of ``size`` (height, width)
    are put through the network; the gradient has to agree in every cell to 1e-4 of the row's largest weight.
    """
    copied = safe_copy(module)
    noise = probe(copied, size)
    seen: list[torch.Tensor] = []

    def cut(_part: nn.Module, _given: object, out: torch.Tensor) -> torch.Tensor:
        seen.append(out.detach().clone().requires_grad_(True))
        return seen[-1]

    with lock, torch.inference_mode(False), torch.enable_grad():
        handle = copied.get_submodule(layer).register_forward_hook(cut)
        try:
            scores = copied(noise.clone())
        finally:
            handle.remove()
        if len(seen) != 1 or seen[0].ndim != 4 or scores.shape[1] != len(head) or seen[0].shape[1] != head.shape[1]:
            return False
        cells = seen[0].shape[2] * seen[0].shape[3]
        for number in sorted({0, len(head) // 2, len(head) - 1}):
            (found,) = torch.autograd.grad(scores[:, number].sum(), seen[0], retain_graph=True, allow_unused=True)
            row = torch.from_numpy(head[number].copy()).to(noise.device) / cells
            if found is None or not torch.allclose(
                found, row[None, :, None, None].expand_as(found), rtol=0.0, atol=_SAME * float(row.abs().max())
            ):
                return False
    return True
