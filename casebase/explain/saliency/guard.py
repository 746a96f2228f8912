"""What protects a network from those who explain it, and the explanation from the network."""

from __future__ import annotations

import copy

from torch import nn


def safe_copy(module: nn.Module) -> nn.Module:
    """A copy in eval mode that shares all weights, overwrites no activation in place and carries no hook."""
    shared = {id(t): t for t in [*module.parameters(), *module.buffers()]}
    copied = copy.deepcopy(module, shared).eval()
    for part in copied.modules():
        if getattr(part, "inplace", False):
            part.inplace = False  # type: ignore[assignment]  # nn.ReLU and its relatives declare it as bool
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
    return copied
