"""Networks whose scores are one linear layer over the mean of a map: CAM is theirs, and Grad-CAM needs no gradient."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from casebase.errors import ModelError
from casebase.explain.saliency.guard import cut, gradients, safe_copy
from casebase.explain.saliency.layers import Target
from casebase.networks.anatomy import probe

_SAME = 1e-4


@dataclass(frozen=True)
class Pooled:
    """``head`` names the linear layer; ``averaged`` lays a layer's output out as what is averaged, a ReLU included."""

    head: str
    averaged: Callable[[Tensor], Tensor]
    rectified: bool


def pooled(module: nn.Module, target: Target) -> Pooled:
    """How the scores come from the layer's places, for CAM; raises ``ModelError`` where they come otherwise.

    ``z_c = sum_k W_ck mean_p f(a_kp) + b_c`` with f the identity or, as in torchvision's DenseNet, a ReLU. Two pictures
    of noise are put through a copy: the linear layer's input has to be that mean, its output the scores, to 1e-4.
    """
    copied = safe_copy(module)
    given: list[tuple[str, Tensor, Tensor]] = []

    def recorder(name: str) -> Callable[..., None]:
        return lambda _part, before, after: given.append((name, before[0], after))

    handles = [
        part.register_forward_hook(recorder(name))
        for name, part in copied.named_modules()
        if isinstance(part, nn.Linear)
    ]
    with torch.no_grad(), cut(copied, target.name) as seen:
        try:
            scores = copied(probe(copied, target.size))
        finally:
            for handle in handles:
                handle.remove()
    if given:
        name, features, out = given[-1]
        places = target.layout.places(seen[-1])
        for rectified in (False, True):
            mean = (places.relu() if rectified else places).flatten(2).mean(2)
            if _same(out, scores) and _same(features, mean):
                return Pooled(name, target.layout.positive if rectified else target.layout.places, rectified)
    raise ModelError(
        f"cam needs average pooling and one linear layer behind the layer {target.name!r}, and this network's scores "
        "come from it in another way; use gradcam, which needs neither"
    )


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool((one - other).norm() <= _SAME * other.norm())


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
    with lock, gradients(), cut(copied, layer) as seen:
        scores = copied(noise.clone())
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
