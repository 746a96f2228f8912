"""The two maps that no library gives right: Grad-CAM++ and Eigen-CAM, as functions of a layer's output."""

from __future__ import annotations

import torch
from torch import Tensor

_FLAT = 1e-6
"""2 + S g nearer to 0 than this has no usable inverse; it happens only where activations are negative."""


def gradcam_plus_plus(activations: Tensor, slopes: Tensor) -> Tensor:
    """Grad-CAM++ ``(N, h, w)`` of activations A and gradients g of the logit, both ``(N, D, h, w)``.

    Chattopadhay et al. 2018, "Grad-CAM++", equations 11 to 19, https://arxiv.org/abs/1710.11063:

        alpha = g^2 / (2 g^2 + S_k g^3)   with S_k = sum over cells of A_k,   0 where g = 0
        w_k = sum over cells of alpha ReLU(g)          L = ReLU( sum_k w_k A_k )

    For g != 0 that is alpha = 1 / (2 + S_k g), which does not lose small gradients to underflow. The paper derives it
    for activations >= 0, whose denominator is at least 2; in front of a ReLU it may come near 0 and is then left out.
    torchcam 0.5 drops the division, pytorch-grad-cam adds 1e-6 to a denominator of that size.
    """
    total = activations.flatten(2).sum(2)[:, :, None, None]
    under = 2.0 + total * slopes
    alpha = torch.where(under.abs() > _FLAT, 1.0 / under, torch.zeros_like(under))
    weights = (alpha * slopes.relu()).flatten(2).sum(2)
    found: Tensor = torch.einsum("nd,ndhw->nhw", weights, activations)
    return found.relu()


def eigencam(activations: Tensor) -> Tensor:
    """Eigen-CAM ``(N, h, w)`` of activations ``(N, D, h, w)``.

    Muhammad & Yeasin 2020, "Eigen-CAM", https://arxiv.org/abs/2008.00299: with the cells as rows of a matrix A (h w, D)
    = U S V^T, the map is A v_1, the cells' share in the strongest direction. The sign of a singular vector is
    arbitrary; here the map's sum is not negative (where it is exactly 0, its largest absolute value is positive), so
    that bright means "more of what the layer shows most". What is negative then is set to 0. Not centred, as in the
    paper; pytorch-grad-cam centres.
    """
    return torch.stack([_strongest(one) for one in activations])


def _strongest(activations: Tensor) -> Tensor:
    """A v_1 = s_1 u_1 of one image, from the smaller of the two Gram matrices, in float64."""
    depth, height, width = activations.shape
    found: Tensor
    cells = activations.reshape(depth, height * width).T.double()
    if not bool(torch.isfinite(cells).all()):
        return activations.new_full((height, width), torch.nan)
    if cells.shape[0] <= depth:
        values, vectors = torch.linalg.eigh(cells @ cells.T)
        found = vectors[:, -1] * values[-1].clamp_min(0.0).sqrt()
    else:
        found = cells @ torch.linalg.eigh(cells.T @ cells)[1][:, -1]
    total = found.sum()
    if bool(total < 0) or (bool(total == 0) and bool(found[found.abs().argmax()] < 0)):
        found = -found
    return found.clamp_min(0.0).reshape(height, width).to(activations.dtype)
