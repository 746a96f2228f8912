"""Small networks of casebase's own, for the demo and for tests: always untrained until somebody trains them."""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from casebase.reading import Preprocess

NAMES = ("resnet10",)
SIDE = 104
OUTPUTS = 4


def build(name: str, outputs: int) -> nn.Module:
    """``resnet10``: torchvision's residual network with one basic block per stage (4.9 M parameters)."""
    assert name in NAMES  # noqa: S101  # checked by the caller against NAMES; for the reader
    module: nn.Module = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=outputs)
    return module


def preprocess() -> Preprocess:
    """The whole picture squashed to 104 x 104, so that the last map has 4 x 4 cells; centred on mid-grey."""
    return Preprocess(None, (SIDE, SIDE), "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
