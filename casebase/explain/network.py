"""What explaining needs of the explained network."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from casebase.explain.saliency.method import Network
from casebase.ports import Matrix, Reading, Vector


class ExplainedNetwork(Network, Protocol):
    """What explaining needs of the network beyond its maps: how the features come from the layer, and readings."""

    @property
    def pooling(self) -> str | None:
        """``identity``, ``relu`` or None: how the features are the mean of the spatial layer's output."""
        ...

    @property
    def pooled_exactly(self) -> bool:
        """Whether they are that mean, so that where maps are exact."""
        ...

    def read(self, views: NDArray[np.uint8]) -> Reading:
        """Features and class probabilities of ``(N, H, W, 3) uint8`` views."""
        ...

    def read_maps(self, views: NDArray[np.uint8]) -> tuple[Matrix, NDArray[np.float32], Matrix]:
        """Features ``(N, D)``, the feature maps ``(N, D, h, w)`` whose means they are, and scores ``(N, C)``."""
        ...

    def class_weights(self, name: str) -> Vector | None:
        """The head's row of a class."""
        ...
