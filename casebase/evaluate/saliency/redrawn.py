"""The explained network with its weights redrawn from the output downwards, and maps of it; maps of the runner-up.

Only a real deep copy is redrawn, never the network itself. Classes whose modules draw their own parameters do so; what
no module draws (a class token, positions, the input projection of attention in some libraries) is drawn as well, which
is where libraries leave a quarter of a vision transformer trained.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from casebase.errors import ModelError
from casebase.evaluate.saliency.metric import Image
from casebase.evaluate.saliency.sanity import STAGES
from casebase.explain.saliency.guard import safe_copy
from casebase.explain.saliency.method import Images, Network
from casebase.networks.untrained import redrawn
from casebase.reading import Preprocess

Raw = NDArray[np.float32]
"""``(h, w)``, as a method gives it."""


@dataclass(frozen=True, eq=False)
class Redrawn:
    """A network whose last layers know nothing; ``deepest`` names the one farthest from the output."""

    module: nn.Module
    deepest: str
    spatial_layer: str | None
    preprocess: Preprocess
    lock: threading.Lock = field(default_factory=threading.Lock)

    def scores(self, images: Images) -> NDArray[np.float32]:
        """Class scores ``(N, C)`` of normalised images ``(N, 3, H, W)``."""
        device = next(self.module.parameters()).device
        with torch.inference_mode():
            ready = torch.from_numpy(np.ascontiguousarray(images, np.float32)).to(device)
            found: NDArray[np.float32] = self.module(ready).float().cpu().numpy().copy()
        return found


def cascade(network: Network, seed: int, stages: int = STAGES) -> list[Redrawn]:
    """The network redrawn deeper and deeper: first its last layer, then about equally many layers more each time.

    Layers are modules with parameters of their own, in the order in which the network holds them, which is that of the
    forward pass in every common architecture. The stages share their tensors; all of them together cost the memory of
    one more network. torch's global generators are left as they are.
    """
    fresh = redrawn(network.module, seed)
    names = [name for name, part in network.module.named_modules() if [*part.parameters(recurse=False)]][::-1]
    if not names:
        raise ModelError("this network has no weights, so none can be redrawn")
    rest = (
        np.array_split(np.arange(1, len(names)), min(stages, len(names)) - 1) if len(names) > 1 and stages > 1 else []
    )
    ends = [1, *(int(group[-1]) + 1 for group in rest)]
    return [
        Redrawn(
            _part_of(network.module, fresh, names[:end]),
            names[end - 1] or next(name for name, _ in network.module.named_parameters(recurse=False)),
            network.spatial_layer,
            network.preprocess,
        )
        for end in ends
    ]


def _part_of(module: nn.Module, fresh: nn.Module, names: Sequence[str]) -> nn.Module:
    """A copy that shares the tensors of ``module``, but for the layers ``names``, which are those of ``fresh``."""
    copied = safe_copy(module)
    for name in names:
        part, source = copied.get_submodule(name), fresh.get_submodule(name)
        for key, value in [*source.named_parameters(recurse=False), *source.named_buffers(recurse=False)]:
            setattr(part, key, value)
    return copied


def runner_up(network: Network, fed: Image, target: int) -> int:
    """The class with the highest score but ``target``; raises ``ModelError`` where there is only one class."""
    scores = network.scores(fed[None])[0].copy()
    if len(scores) < 2:  # one class and another
        raise ModelError("a network with one class has no runner-up to compare its map with")
    scores[target] = -np.inf
    return int(scores.argmax())
