"""What protects a network from those who explain it, and the explanation from the network."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def safe_copy(module: nn.Module, *, as_written: bool = False) -> nn.Module:
    """A copy in eval mode that shares all weights, overwrites no activation in place and carries no hook.

    Its parameters are views that want no gradient: nothing can reach the caller's ``.grad``, and a forward pass keeps
    a graph only from where somebody asks for one. ``as_written`` leaves in-place activations as they are, for those
    who want to know what the network does.
    """
    with torch.inference_mode(False):
        shared: dict[int, Tensor] = {id(p): nn.Parameter(_held(p), requires_grad=False) for p in module.parameters()}
        shared |= {id(b): _held(b) for b in module.buffers()}
        copied = copy.deepcopy(module, shared).eval()
    for part in copied.modules():
        if getattr(part, "inplace", False) and not as_written:
            part.inplace = False  # type: ignore[assignment]  # nn.ReLU and its relatives declare it as bool
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
        part._backward_hooks.clear()
        part._backward_pre_hooks.clear()
    return copied


def _held(value: Tensor) -> Tensor:
    """The same memory, unless it was made in inference mode, which no gradient may pass."""
    return value.clone() if value.is_inference() else value.detach()


@contextmanager
def gradients() -> Iterator[None]:
    """Gradients are to be had, whatever the caller has switched off."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def cut(module: nn.Module, layer: str) -> Iterator[deque[Tensor]]:
    """What leaves a layer while the block runs, as leaves that gradients can be asked of: the graph begins there.

    The last two are kept, so that a layer that runs twice shows and many passes take no memory. Open it before any
    library puts hooks on that layer, so that they see the leaf, and :func:`spared` after them.
    """
    seen: deque[Tensor] = deque(maxlen=2)

    def hook(_part: nn.Module, _given: object, out: Tensor) -> Tensor:
        # A copy of its own: where the layer hands on its input, somebody else may overwrite that.
        seen.append(out.detach().clone().requires_grad_(torch.is_grad_enabled()))
        return seen[-1]

    handle = module.get_submodule(layer).register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def spared(module: nn.Module, layer: str) -> Iterator[None]:
    """Whatever comes behind a layer works on a clone, so that a functional in-place call cannot change what was seen.

    torchvision's DenseNets and ResNets do that, and it moves a map by up to 0.3.
    """
    handle = module.get_submodule(layer).register_forward_hook(lambda _part, _given, out: out.clone())
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def heard(module: nn.Module) -> Iterator[list[bool]]:
    """For every forward pass of a network while the block runs, whether all of its scores were finite."""
    finite: list[bool] = []

    def hook(_part: nn.Module, _given: object, out: Tensor) -> None:
        finite.append(bool(torch.isfinite(out).all()))

    handle = module.register_forward_hook(hook)
    try:
        yield finite
    finally:
        handle.remove()
