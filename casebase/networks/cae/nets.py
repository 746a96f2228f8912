"""The four networks of class association embedding: two encoders, a decoder, a discriminator.

R. Xie et al., "Accurate Explanation Model for Image Classifiers using Class Association Embedding", ICDE 2024,
https://arxiv.org/abs/2406.07961. Images are ``(N, 3, S, S) float32`` in [-1, 1]. Channels are multiples of the width
``w``; reflection padding and biases everywhere. The paper's size is S 256, w 64, 6 blocks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from casebase.association import Size

HIDDEN = 256
"""Hidden units of the network that turns a class code into scales and shifts."""
PUBLISHED_WIDTH, PUBLISHED_SPREAD = 64, 0.02
_TINY = 1e-5


def conv(before: int, after: int, kernel: int, stride: int, padding: int) -> nn.Conv2d:
    """A convolution with reflection padding."""
    return nn.Conv2d(before, after, kernel, stride, padding, padding_mode="reflect")


class ClassEncoder(nn.Module):
    """``E_c``: an image to its class code ``(N, code)``; without normalisation, which would erase what a code says."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        width = size.width
        layers: list[nn.Module] = [conv(3, width, 7, 1, 3), nn.ReLU()]
        wide = width
        for after in (2 * width, *(4 * width,) * size.halvings):
            layers += [conv(wide, after, 4, 2, 1), nn.ReLU()]
            wide = after
        self.layers = nn.Sequential(*layers, nn.Conv2d(wide, size.code, 1))

    def forward(self, images: Tensor) -> Tensor:
        """``(N, 3, S, S)`` to ``(N, code)``."""
        found: Tensor = self.layers(images).mean(dim=(2, 3))
        return found


class IndividualEncoder(nn.Module):
    """``E_s``: an image to its individual code, a map ``(N, 4w, S/4, S/4)``."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        width = size.width
        layers: list[nn.Module] = []
        for before, after, kernel, stride, padding in (
            (3, width, 7, 1, 3), (width, 2 * width, 4, 2, 1), (2 * width, 4 * width, 4, 2, 1),
        ):  # fmt: skip
            layers += [conv(before, after, kernel, stride, padding), nn.InstanceNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, *(PlainBlock(4 * width) for _ in range(size.blocks)))

    def forward(self, images: Tensor) -> Tensor:
        """``(N, 3, S, S)`` to ``(N, 4w, S/4, S/4)``."""
        found: Tensor = self.layers(images)
        return found


class PlainBlock(nn.Module):
    """A residual block with instance norm; nothing after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = conv(width, width, 3, 1, 1), conv(width, width, 3, 1, 1)
        self.norm = nn.InstanceNorm2d(width)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``(N, w, h, h)`` to maps of the same shape."""
        inner = functional.relu(self.norm(self.first(maps)))
        found: Tensor = maps + self.norm(self.second(inner))
        return found


class ModulatedBlock(nn.Module):
    """A residual block whose two instance norms take scale and shift from the class code (AdaIN)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = conv(width, width, 3, 1, 1), conv(width, width, 3, 1, 1)

    def forward(self, maps: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        """``shift`` and ``scale (N, 2, w)``: of the first and of the second norm."""
        inner = functional.relu(modulated(self.first(maps), shift[:, 0], scale[:, 0]))
        return maps + modulated(self.second(inner), shift[:, 1], scale[:, 1])


def modulated(maps: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Adaptive instance normalisation: ``scale * (x - mean) / sd + shift``, mean and sd per image and channel.

    X. Huang and S. Belongie, ICCV 2017, https://arxiv.org/abs/1703.06868.
    """
    return functional.instance_norm(maps) * scale[:, :, None, None] + shift[:, :, None, None]


class SampleNorm(nn.Module):
    """Mean and sd of a whole image's map, then a scale (from U(0, 1)) and a shift per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.rand(width)), nn.Parameter(torch.zeros(width))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``(N, w, h, h)`` to maps of the same shape."""
        spread, mean = torch.std_mean(maps, dim=(1, 2, 3), keepdim=True)
        found: Tensor = (maps - mean) / (spread + _TINY) * self.scale[:, None, None] + self.shift[:, None, None]
        return found


class Decoder(nn.Module):
    """``G``: class codes ``(N, code)`` and individual codes ``(N, 4w, S/4, S/4)`` to images; one for all classes."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        wide = 4 * size.width
        self._wide, self._norms = wide, 2 * size.blocks
        self.styles = nn.Sequential(
            nn.Linear(size.code, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, 2 * self._norms * wide),
        )  # fmt: skip
        self.blocks = nn.ModuleList([ModulatedBlock(wide) for _ in range(size.blocks)])
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2), conv(wide, wide // 2, 5, 1, 2), SampleNorm(wide // 2), nn.ReLU(),
            nn.Upsample(scale_factor=2), conv(wide // 2, wide // 4, 5, 1, 2), SampleNorm(wide // 4), nn.ReLU(),
            conv(wide // 4, 3, 7, 1, 3), nn.Tanh(),
        )  # fmt: skip

    def forward(self, codes: Tensor, individual: Tensor) -> Tensor:
        """Codes to images ``(N, 3, S, S)`` in [-1, 1]."""
        # layer by layer, first the shift, then the scale
        styles = self.styles(codes).view(len(codes), self._norms, 2, self._wide)
        maps = individual
        for number, block in enumerate(self.blocks):
            both = styles[:, 2 * number : 2 * number + 2]
            maps = block(maps, both[:, :, 0], both[:, :, 1])
        found: Tensor = self.up(maps)
        return found


class LeakyBlock(nn.Module):
    """A residual block of the discriminator, without normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = conv(width, width, 3, 1, 1), conv(width, width, 3, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``(N, w, h, h)`` to maps of the same shape."""
        found: Tensor = maps + self.second(functional.leaky_relu(self.first(maps), 0.2))
        return found


class Discriminator(nn.Module):
    """``D``: an image to two logits of realness (0 fake, 1 real), then one for each class."""

    def __init__(self, size: Size, classes: int) -> None:
        super().__init__()
        width, layers, before = size.width, list[nn.Module](), 3
        for after in (width, 2 * width, 4 * width, 8 * width):
            layers += [conv(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
            before = after
        self.layers = nn.Sequential(*layers, LeakyBlock(8 * width), LeakyBlock(8 * width))
        self.head = nn.Sequential(
            nn.Linear(8 * width, 4 * width), nn.ReLU(), nn.Dropout(0.4), nn.Linear(4 * width, 2 + classes)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Realness ``(N, 2)`` and class logits ``(N, C)``."""
        logits: Tensor = self.head(self.layers(images).mean(dim=(2, 3)))
        return logits[:, :2], logits[:, 2:]


class Autoencoder(nn.Module):
    """Both encoders and the decoder: what is kept of a training."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.of_class, self.of_itself, self.decoder = ClassEncoder(size), IndividualEncoder(size), Decoder(size)
        self.apply(_kaiming)


def discriminator(size: Size, classes: int) -> Discriminator:
    """A discriminator with its first weights: N(0, 0.02) at the published width of 64.

    Narrower layers sum over fewer inputs: the same spread would shrink a signal by half as much again in each of them,
    and the discriminator would not begin to learn for hundreds of steps. So the spread grows as 1 / sqrt(width).
    """
    net, spread = Discriminator(size, classes), PUBLISHED_SPREAD * math.sqrt(PUBLISHED_WIDTH / size.width)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, spread)
            assert layer.bias is not None  # noqa: S101  # all of them have one; for the type checker
            nn.init.zeros_(layer.bias)
    return net


def _kaiming(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
