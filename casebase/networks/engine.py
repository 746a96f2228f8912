"""One network made fast for reading: batch norm folded, channels last, taps that threads share without mixing.

The engine is a copy of the network's structure; its weights are shared with the original wherever they are equal.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from casebase.errors import ModelError
from casebase.networks.anatomy import Anatomy, probe
from casebase.networks.heads import shared_copy
from casebase.reading import Preprocess

PRECISIONS = ("fp32", "bf16")
_TRACING = threading.Lock()  # torch.fx patches global functions while it traces
_FUSED_SAME = 1e-3


@dataclass(frozen=True, eq=False)
class Pass:
    """One forward pass: ``features (N, D)``, ``maps (N, C, h, w)`` if asked for, ``scores (N, K)``; float32."""

    features: Tensor
    maps: Tensor | None
    scores: Tensor


class _Taps(threading.local):
    """What the hooks of the running thread's forward pass have seen."""

    layer: Tensor | None = None
    head: Tensor | None = None
    keep_maps: bool = False
    open: bool = False


class Engine:
    """Runs a network on uint8 views; any number of threads may call :meth:`run` at once."""

    def __init__(
        self, module: nn.Module, anatomy: Anatomy, preprocess: Preprocess, *, device: str, precision: str
    ) -> None:
        if precision not in PRECISIONS:
            raise ModelError(f"the precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
        self._anatomy = anatomy
        self._size = preprocess.crop
        self._device = torch.device(device)
        self._half = precision == "bf16"
        self._taps = _Taps()
        self._mean = torch.tensor(preprocess.mean, device=self._device).mul(255.0).view(1, 3, 1, 1)
        self._scale = torch.tensor(preprocess.std, device=self._device).mul(255.0).reciprocal().view(1, 3, 1, 1)
        linear = None if anatomy.head is None else module.get_submodule(anatomy.head)
        self._linear = linear if isinstance(linear, nn.Linear) else None
        self._net = self._prepare(module)
        self._tap(self._net)

    def run(self, views: NDArray[np.uint8], *, maps: bool = False) -> Pass:
        """``(N, H, W, 3) uint8`` views through the network once; ``maps`` also keeps the spatial layer's output.

        The maps are those that pooling averages, so after a ReLU where one stands between. Raises ``ModelError`` for
        views of another shape. Features may be NaN: whoever stores or compares them refuses those rows.
        """
        batch = self._batch(views)
        taps = self._taps
        taps.layer = taps.head = None
        taps.keep_maps, taps.open = maps, True
        try:
            with torch.inference_mode(), self._autocast():
                output = self._net(batch)
            layer, head = taps.layer, taps.head
        finally:
            taps.open, taps.layer, taps.head = False, None, None
        with torch.inference_mode():
            return self._collect(output, layer, head, maps=maps)

    def scores(self, images: Tensor) -> Tensor:
        """The output ``(N, K) float32`` for normalised images ``(N, 3, H, W)``, already cast and laid out."""
        with torch.inference_mode(), self._autocast():
            ready = images.to(self._device, torch.float32).contiguous(memory_format=torch.channels_last)
            found: Tensor = self._net(ready).float()
            return found

    def _collect(self, output: Tensor, layer: Tensor | None, head: Tensor | None, *, maps: bool) -> Pass:
        spatial = layer if maps else None
        if self._anatomy.pooling is not None and layer is not None:
            features = layer.mean((2, 3)) if maps else layer
        elif head is not None:
            features = head
        else:
            features = output.float()
        if self._linear is None:
            return Pass(features, spatial, output.float())
        return Pass(features, spatial, functional.linear(features, self._linear.weight, self._linear.bias))

    def _batch(self, views: NDArray[np.uint8]) -> Tensor:
        height, width = self._size
        if views.dtype != np.uint8 or views.ndim != 4 or views.shape[1:] != (height, width, 3):
            raise ModelError(
                f"the network reads uint8 views of shape (N, {height}, {width}, 3), not {views.dtype} {views.shape}"
            )
        held = views if views.flags.writeable and views.flags.c_contiguous else views.copy()
        pixels = torch.from_numpy(held).to(self._device).permute(0, 3, 1, 2)  # (N, 3, H, W), channels last in memory
        return pixels.to(torch.float32).sub_(self._mean).mul_(self._scale)

    def _autocast(self) -> Any:
        return torch.autocast(self._device.type, torch.bfloat16) if self._half else nullcontext()

    def _prepare(self, module: nn.Module) -> nn.Module:
        module.to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        net = fused(module, self._size, self._anatomy.layer)
        for part in net.modules():
            if part.training:
                raise ModelError("the network is not in eval mode")
        if not self._half:
            return net
        early = _weights_in_half(net)
        try:
            with torch.inference_mode(), self._autocast():
                early(probe(module, self._size))
        except RuntimeError:  # a layer that uses its weights outside what autocast covers
            return net
        return early

    def _tap(self, net: nn.Module) -> None:
        """The hooks stay for the engine's lifetime; what they see goes to the thread that is running."""
        taps, pooling = self._taps, self._anatomy.pooling

        def at_layer(_part: nn.Module, _given: tuple[Any, ...], output: Tensor) -> None:
            if not taps.open:
                return
            value = output.float()
            if taps.keep_maps:
                # Copied, because what follows may overwrite it in place (DenseNet's ReLU does).
                taps.layer = functional.relu(value) if pooling == "relu" else value.clone()
            elif pooling is not None:
                taps.layer = (functional.relu(value) if pooling == "relu" else value).mean((2, 3))

        def at_head(_part: nn.Module, given: tuple[Any, ...]) -> None:
            if taps.open:
                taps.head = given[0].float().clone()

        if self._anatomy.layer is not None:
            net.get_submodule(self._anatomy.layer).register_forward_hook(at_layer)
        if self._anatomy.head is not None and self._anatomy.pooling is None:
            net.get_submodule(self._anatomy.head).register_forward_pre_hook(at_head)


def fused(module: nn.Module, size: tuple[int, int], tapped: str | None = None) -> nn.Module:
    """A shared copy in eval mode whose batch norms are folded into the convolutions before them.

    Unlike ``torch.fx``'s own fusion it keeps every container, so layers can still be named and tapped: the trace is
    used only to find the pairs. Networks that cannot be traced, or that differ afterwards, come back unfused; so does
    the convolution ``tapped``, whose own output is wanted and not that of the norm after it.
    Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", 2018, section 3.2, https://arxiv.org/abs/1712.05877.
    """
    plain = shared_copy(module).eval()
    pairs = [(conv, norm) for conv, norm in _pairs(plain) if conv != tapped]
    if not pairs:
        return plain
    net = shared_copy(module).eval()
    for conv, norm in pairs:
        before_norm, after_conv = net.get_submodule(conv), net.get_submodule(norm)
        if isinstance(before_norm, nn.Conv2d) and isinstance(after_conv, nn.BatchNorm2d):
            folded: Any = fuse_conv_bn_eval(before_norm, after_conv)
            net.set_submodule(conv, folded.to(memory_format=torch.channels_last))
            net.set_submodule(norm, nn.Identity().eval())
    noise = probe(module, size)
    with torch.inference_mode():
        before, after = plain(noise), net(noise)
    close = float((before - after).norm()) <= _FUSED_SAME * float(before.norm())
    return net if close else plain


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Names of convolutions and of the batch norms that alone read them, each used once."""
    try:
        with _TRACING:
            graph = fx.symbolic_trace(module).graph
    except Exception:  # whatever a network does that tracing does not understand: then it is not fused
        return []
    calls = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    pairs = []
    for node in graph.nodes:
        if node.op != "call_module" or len(node.users) != 1:
            continue
        (user,) = node.users
        conv, norm = str(node.target), str(user.target)
        if user.op != "call_module" or calls.count(conv) != 1 or calls.count(norm) != 1:
            continue
        if type(module.get_submodule(conv)) is nn.Conv2d and type(module.get_submodule(norm)) is nn.BatchNorm2d:
            pairs.append((conv, norm))
    return pairs


def _weights_in_half(net: nn.Module) -> nn.Module:
    """A shared copy with the convolutions' and linear layers' weights in bf16, so autocast need not cast them anew."""
    copied = shared_copy(net)
    for part in copied.modules():
        if type(part) in (nn.Conv2d, nn.Linear):
            for name, value in list(part.named_parameters(recurse=False)):
                setattr(part, name, nn.Parameter(value.detach().to(torch.bfloat16), requires_grad=False))
    return copied.eval()
