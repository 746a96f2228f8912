"""The trained auto-encoder on arrays: small images to both codes and back, in batches of bounded size."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from casebase.networks.cae.nets import Autoencoder
from casebase.networks.explained import ExplainedNetwork
from casebase.ports import Matrix

AT_ONCE = 32
"""Images that go through at once."""
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Coder:
    """An auto-encoder that is only asked. Class codes are as the network gives them, not centred."""

    def __init__(self, net: Autoencoder, device: torch.device) -> None:
        self._net, self._device = net, device

    def encode(self, images: Bytes) -> tuple[Floats, Floats]:
        """Class codes ``(N, code)`` and individual codes ``(N, 4w, S/4, S/4)`` of ``(N, S, S, 3) uint8``."""
        with torch.inference_mode():
            parts = [fed(part).to(self._device) for part in batches(images)]
            codes, maps = [self._net.of_class(part) for part in parts], [self._net.of_itself(part) for part in parts]
        return array(torch.cat(codes)), array(torch.cat(maps))

    def codes(self, images: Bytes) -> Floats:
        """Class codes ``(N, code)`` alone."""
        with torch.inference_mode():
            return array(torch.cat([self._net.of_class(fed(part).to(self._device)) for part in batches(images)]))

    def decode(self, codes: Floats, individual: Floats) -> Bytes:
        """Images ``(N, S, S, 3) uint8`` of class codes ``(N, code)`` under one individual code, or under one each."""
        made = []
        with torch.inference_mode():
            for start in range(0, len(codes), AT_ONCE):
                part = torch.from_numpy(codes[start : start + AT_ONCE]).to(self._device)
                one = individual if len(individual) == 1 else individual[start : start + AT_ONCE]
                maps = torch.from_numpy(one).to(self._device).expand(len(part), -1, -1, -1)
                made.append(pixels(self._net.decoder(part, maps.contiguous(memory_format=torch.channels_last))))
        return np.concatenate(made)


def reduced(views: Bytes, side: int) -> Bytes:
    """Views ``(N, H, W, 3) uint8`` as ``(N, side, side, 3) uint8``: bilinear with antialiasing, nothing cut off.

    Rounded to bytes, so that the networks are trained on exactly what can be shown and stored.
    """
    if views.shape[1:3] == (side, side):
        return views
    return pixels(functional.interpolate(fed(views), (side, side), mode="bilinear", antialias=True))


def enlarged(images: Bytes, crop: tuple[int, int]) -> Bytes:
    """Synthetic images ``(N, S, S, 3) uint8`` at the explained network's view ``(N, H, W, 3)``: bicubic."""
    if images.shape[1:3] == crop:
        return images
    return pixels(functional.interpolate(fed(images), crop, mode="bicubic", antialias=True))


def judged(network: ExplainedNetwork, images: Bytes) -> Matrix:
    """The explained network's probabilities ``(N, C)`` of images ``(N, S, S, 3) uint8``, enlarged to its view."""
    found = []
    for part in batches(images):
        said = network.read(enlarged(part, network.preprocess.crop)).probabilities
        assert said is not None  # noqa: S101  # a base's network has named classes
        found.append(said)
    return np.concatenate(found) if found else np.zeros((0, len(network.classes or ())), np.float32)


def fed(images: Bytes) -> Tensor:
    """``(N, H, W, 3) uint8`` to ``(N, 3, H, W) float32`` in [-1, 1], channels last."""
    own = images if images.flags.writeable else images.copy()  # torch warns of arrays that it must not write to
    return torch.from_numpy(own).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def pixels(images: Tensor) -> Bytes:
    """``(N, 3, H, W)`` in [-1, 1] to ``(N, H, W, 3) uint8``."""
    scaled = images.detach().add(1.0).mul_(127.5).round_().clamp_(0, 255).to("cpu", torch.uint8)
    found: Bytes = scaled.permute(0, 2, 3, 1).contiguous().numpy()
    return found


def array(value: Tensor) -> Floats:
    """A float32 copy on the CPU."""
    found: Floats = value.detach().to("cpu", torch.float32).contiguous().numpy().copy()
    return found


def batches(images: Bytes) -> list[Bytes]:
    """The images in parts of ``AT_ONCE``; one empty part where there is none."""
    return [images[start : start + AT_ONCE] for start in range(0, max(1, len(images)), AT_ONCE)]
