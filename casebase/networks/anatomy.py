"""Where in a classifier the features are, which layer still has places, and whether one is the mean of the other.

Found by watching one forward pass of noise, not by reading names, so that any network with one input and one output
``(N, C)`` will do. For the families where watching finds a poor layer, the loader names a better one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from casebase.errors import ModelError, NoTargetLayer

_PROBES = 2
_SAME = 1e-4
_KEPT = 16  # maps remembered: only the last ones matter, and a large network has hundreds


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The parts of one network.

    ``head`` is the last linear layer (its input ``(N, dim)`` are the features, its output is the network's), or None.
    ``layer`` is the last module with an output ``(N, channels, h, w)``. ``pooling`` says how the features come from
    it: ``identity`` (mean over its cells), ``relu`` (mean of its positive part) or None (some other way).
    ``tail`` is the top-level child that turns the layer's output into scores where there is no linear head.
    ``outputs`` is the width of the network's output; ``why_not`` tells why there are no where maps.
    """

    head: str | None
    layer: str | None
    pooling: str | None
    tail: str | None
    dim: int
    outputs: int
    grid: tuple[int, int] | None
    why_not: str | None

    @property
    def features_from(self) -> str:
        """``head`` (its input), ``layer`` (its mean over cells) or ``output``."""
        if self.head is not None:
            return "head"
        return "layer" if self.pooling is not None else "output"


@dataclass(slots=True)
class _Watched:
    """What one forward pass showed, in the order in which modules finished."""

    maps: list[tuple[str, Tensor]] = field(default_factory=list)
    linears: list[tuple[str, Tensor, Tensor]] = field(default_factory=list)
    tokens_after_map: bool = False
    finished: list[str] = field(default_factory=list)


def dissect(module: nn.Module, size: tuple[int, int], *, layer: str | None = None, embeds: bool = False) -> Anatomy:
    """The parts of a network that takes ``(N, 3, *size)``.

    ``layer`` names the spatial layer instead of having it found; ``embeds`` says that the output is the embedding.

    Raises
    ------
    NoTargetLayer
        ``layer`` does not exist, is not used, or has no output ``(N, C, h, w)``; or the network has neither a last
        linear layer nor a spatial one.
    ModelError
        the output is no ``(N, C)`` tensor, or probabilities instead of scores.
    """
    if layer is not None and layer not in dict(module.named_modules()):
        raise NoTargetLayer(f"no layer {layer!r} in this network; near its end there are {', '.join(_last(module))}")
    seen, output = _watch(module, size, layer)
    linear = None if embeds else _linear_head(seen, output)
    features = output if embeds else None if linear is None else linear[1]
    spatial = _spatial(seen, output, layer, features)
    if features is None:
        if spatial is None:
            raise NoTargetLayer("this network has no last linear layer and no spatial one to take features from")
        features = spatial[1].mean((2, 3))
    pooling = None if spatial is None else _pooling(spatial[1], features)
    grid = None if spatial is None else (int(spatial[1].shape[2]), int(spatial[1].shape[3]))
    name = None if spatial is None else spatial[0]
    return Anatomy(
        head=None if linear is None else linear[0],
        layer=name,
        pooling=pooling,
        tail=_tail(seen, name) if linear is None and not embeds else None,
        dim=int(features.shape[1]),
        outputs=int(output.shape[1]),
        grid=grid,
        why_not=None if pooling else _why_not(name, seen),
    )


@contextmanager
def still(module: nn.Module) -> Iterator[None]:
    """Eval mode for a while; each submodule gets its own mode back."""
    modes = {m: m.training for m in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for m, mode in modes.items():
            m.training = mode


def probe(module: nn.Module, size: tuple[int, int]) -> Tensor:
    """Two images of noise ``(2, 3, H, W) float32`` on the module's device, the same every time."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((_PROBES, 3, *size), generator=generator)
    parameter = next(module.parameters(), None)
    return noise if parameter is None else noise.to(parameter.device)


def _watch(module: nn.Module, size: tuple[int, int], layer: str | None) -> tuple[_Watched, Tensor]:
    seen = _Watched()
    handles = []
    for name, part in module.named_modules():
        if name:
            handles.append(part.register_forward_hook(_recorder(name, seen, layer)))
    try:
        with still(module), torch.inference_mode():
            output = module(probe(module, size))
    except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise ModelError(f"the network cannot read images of {size[1]}x{size[0]} pixels ({_line(error)})") from None
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(output, Tensor) or output.ndim != 2:
        kind = f"a tensor of shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise ModelError(f"the network returns {kind}; casebase needs one tensor (images, classes)")
    return seen, output


def _recorder(name: str, seen: _Watched, only: str | None) -> Callable[..., None]:
    def hook(part: nn.Module, given: tuple[object, ...], output: object) -> None:
        seen.finished.append(name)
        if not isinstance(output, Tensor):
            return
        # Cloned because a later in-place call, DenseNet's ReLU for one, would change what was seen here.
        if output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            if only is None or name == only:
                seen.maps.append((name, output.clone()))
                del seen.maps[:-_KEPT]
            seen.tokens_after_map = False
        elif output.ndim == 3 and output.shape[1] > 1:
            seen.tokens_after_map = True
        if isinstance(part, nn.Linear) and output.ndim == 2 and given and isinstance(given[0], Tensor):
            seen.linears.append((name, given[0].clone(), output.clone()))

    return hook


def _linear_head(seen: _Watched, output: Tensor) -> tuple[str, Tensor, Tensor] | None:
    """The last linear layer, if the network's output is its output."""
    if not seen.linears:
        _refuse_probabilities(output)
        return None
    name, given, scores = seen.linears[-1]
    if scores.shape == output.shape and torch.allclose(scores, output, rtol=_SAME, atol=_SAME):
        return name, given, scores
    _refuse_probabilities(output)
    if scores.shape == output.shape:
        raise ModelError(
            f"the network's output is not that of its last linear layer {name!r}; "
            "give a network that returns that layer's scores as they are"
        )
    return None


def _refuse_probabilities(output: Tensor) -> None:
    sums = output.sum(1)
    if output.shape[1] > 1 and bool((output >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        raise ModelError("the network returns probabilities; give it without its last softmax, as scores (logits)")


def _spatial(seen: _Watched, output: Tensor, layer: str | None, features: Tensor | None) -> tuple[str, Tensor] | None:
    if layer is not None:
        for name, value in reversed(seen.maps):
            if name == layer:
                return name, value
        raise NoTargetLayer(f"the layer {layer!r} has no output of shape (images, channels, height, width)")
    if seen.tokens_after_map:
        return None
    for name, value in reversed(seen.maps):
        if features is None and value.shape[1] == output.shape[1]:
            continue  # already class scores per cell (SqueezeNet): the features are what came before
        if _channels_last(value, features):
            return None  # as in timm's Swin: not a map in this order of axes
        return name, value
    return None


def _channels_last(value: Tensor, features: Tensor | None) -> bool:
    """Whether a 4-D output looks like (images, rows, columns, channels)."""
    rows, columns, last = value.shape[1:]
    if features is not None and last == features.shape[1] != rows:
        return True
    return bool(rows == columns != last)


def _pooling(spatial: Tensor, features: Tensor) -> str | None:
    if spatial.shape[1] != features.shape[1] or float(features.norm()) == 0.0:
        return None
    for kind, value in (("identity", spatial), ("relu", functional.relu(spatial))):
        if float((value.float().mean((2, 3)) - features.float()).norm()) <= _SAME * float(features.norm()):
            return kind
    return None


def _tail(seen: _Watched, layer: str | None) -> str | None:
    """The one top-level child between the spatial layer and the output, if there is just one."""
    children = [name for name in seen.finished if "." not in name]
    if layer is None or layer not in children:
        return None
    after = children[len(children) - children[::-1].index(layer) :]
    return after[0] if len(after) == 1 else None


def _why_not(layer: str | None, seen: _Watched) -> str:
    if layer is None and (seen.tokens_after_map or not seen.maps):
        return "this network works on tokens, not on a map of places"
    if layer is None:
        return "this network has no layer whose output is laid out as channels, rows and columns"
    return f"the embedding of this network is not the average of its layer {layer!r} over places"


def _last(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_modules() if name][-6:]


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:159]}…"
