"""One forward pass of noise through a network, watched: what leaves each layer, and where the scores come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from casebase.errors import ModelError
from casebase.explain.saliency.guard import gradients, safe_copy
from casebase.networks.anatomy import probe

SAME_STRIDE = math.log(2.0)
"""Rows and columns of a map are as coarse as each other; at odd sizes they may differ by less than a factor of two."""
MOST_PREFIX = 16
"""Tokens without a place that are believed: a class token, a distillation token and registers are at most this many."""
ACTIVATIONS = ("torch.nn.modules.activation", "timm.layers.activations", "timm.layers.activations_me")

FAULTS = (RuntimeError, TypeError, ValueError, AttributeError, AssertionError)
"""What networks raise for images that they cannot read."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """How a layer's output lies over the picture: ``kind`` is ``map``, ``channels last`` or ``tokens``."""

    kind: str
    grid: tuple[int, int]
    channels: int
    prefix: int = 0

    def places(self, values: Tensor) -> Tensor:
        """The output, or a gradient there, as ``(N, D, h, w)``."""
        if self.kind == "tokens":
            grid = values[:, self.prefix :].reshape(len(values), *self.grid, values.shape[-1])
            return grid.permute(0, 3, 1, 2)
        return values.permute(0, 3, 1, 2) if self.kind == "channels last" else values

    def positive(self, values: Tensor) -> Tensor:
        """The same behind a ReLU."""
        return self.places(values).relu()

    @property
    def words(self) -> str:
        """For the record."""
        return f"tokens, the first {self.prefix} dropped" if self.kind == "tokens" and self.prefix else self.kind


@dataclass(eq=False)
class Watched:
    """What one pass showed. ``shapes`` are those of outputs, None for what is no tensor, in the order of finishing.

    ``channels_last`` says whether the network reads images whose channels lie next to each other in memory, which
    convolutions on a CPU are a fifth faster with; some networks' views of their maps do not stand it.
    """

    size: tuple[int, int]
    shapes: dict[str, Shape | None] = field(default_factory=dict)
    given: dict[str, Shape] = field(default_factory=dict)
    laid_out: dict[str, Layout] = field(default_factory=dict)
    outputs: int = 0
    channels_last: bool = False
    _after_activation: dict[str, bool] = field(default_factory=dict)
    _kept: dict[str, tuple[Tensor, int, bool]] = field(default_factory=dict)
    _slopes: dict[str, Tensor | None] = field(default_factory=dict)

    def overwritten(self, name: str) -> bool:
        """Whether the network, as its author wrote it, changed a kept layer's output in place afterwards."""
        tensor, version, _ = self._kept[name]
        return int(tensor._version) != version

    def activation(self, name: str) -> str:
        """``post`` where a kept layer's output has been through an activation: its last part is one, or none < 0."""
        return "post" if self._after_activation[name] or self._kept[name][2] else "pre"

    def reads_places(self, name: str) -> bool | None:
        """Whether the scores change with a kept layer's places; None where they do not depend on the layer at all.

        A layer whose gradient is zero everywhere, class token included, counts as read: there the fault is not the
        layer's (a head of zeros, say), and the map will say that it is zero.
        """
        slope = self._slopes.get(name)
        if slope is None or name not in self.laid_out:
            return None
        layout = self.laid_out[name]
        if layout.kind != "tokens" or not layout.prefix:
            return True
        return bool(slope[:, layout.prefix :].any()) or not bool(slope.any())


def watch(module: nn.Module, size: tuple[int, int], *, keep: Collection[str] = ()) -> Watched:
    """Put one picture of noise through a copy of the network; the scores' gradients at the layers of ``keep`` are kept.

    Raises ``ModelError`` where the network cannot read images of ``size`` (height, width).
    """
    with suppress(*FAULTS):  # views that only fit the other order, or a fault that the next line will show
        return _watched(module, size, keep, channels_last=True)
    try:
        return _watched(module, size, keep, channels_last=False)
    except FAULTS as error:
        height, width = size
        told = " ".join(str(error).split())[:160] or type(error).__name__
        raise ModelError(f"the network cannot read images of {width}x{height} pixels ({told})") from None


def _watched(module: nn.Module, size: tuple[int, int], keep: Collection[str], *, channels_last: bool) -> Watched:
    copied = safe_copy(module, as_written=True)
    seen = Watched(size, channels_last=channels_last)
    latest = [False]
    for name, part in copied.named_modules():
        if name:
            part.register_forward_hook(_recorder(name, seen, latest, keep=name in keep))
    with gradients():
        scores = copied(arranged(probe(copied, size)[:1], channels_last=channels_last).requires_grad_(True))
        seen.outputs = int(scores.shape[1])
        names = list(seen._kept)
        if names and scores.requires_grad:
            # Weights of either sign that are no class's: one class alone could happen to read nothing.
            mixed = (scores * torch.cos(torch.arange(scores.shape[1], device=scores.device) + 1.0)).sum()
            kept = [seen._kept[name][0] for name in names]
            seen._slopes = dict(zip(names, _slopes(mixed, kept), strict=True))
    _lay_out(seen)
    return seen


def arranged(images: Tensor, *, channels_last: bool) -> Tensor:
    """Images ``(N, 3, H, W)`` as they are, or with their channels next to each other in memory."""
    return images.contiguous(memory_format=torch.channels_last) if channels_last else images


def _slopes(score: Tensor, at: list[Tensor]) -> list[Tensor | None]:
    wanted = [tensor for tensor in at if tensor.requires_grad]
    found = iter(torch.autograd.grad(score, wanted, allow_unused=True) if wanted else ())
    return [next(found) if tensor.requires_grad else None for tensor in at]


def _recorder(name: str, seen: Watched, latest: list[bool], *, keep: bool) -> Callable[..., None]:
    def hook(part: nn.Module, given: tuple[Any, ...], out: object) -> None:
        if not any(part.children()):
            latest[0] = type(part).__module__ in ACTIVATIONS and not isinstance(part, nn.MultiheadAttention)
        seen.shapes.pop(name, None)  # a part that runs twice stands where it ran last
        seen.shapes[name] = tuple(out.shape) if isinstance(out, Tensor) else None
        if given and isinstance(given[0], Tensor):
            seen.given[name] = tuple(given[0].shape)
        seen._after_activation[name] = latest[0]
        if keep and isinstance(out, Tensor):
            seen._kept[name] = (out, int(out._version), not bool((out.detach() < 0).any()))

    return hook


def _lay_out(seen: Watched) -> None:
    """Say of every layer how its output lies over the picture, if it does."""
    patches: tuple[int, int] | None = None
    counts = {shape[1] for shape in seen.shapes.values() if shape is not None and len(shape) == 3}
    for name, shape in seen.shapes.items():
        if shape is None or shape[0] != 1:
            continue
        layout = None
        if len(shape) == 4 and not (shape[2] in counts and shape[1] * shape[3] > 1 and _is_attention(shape, counts)):
            layout = _map(shape, seen.size)
            if layout is not None and layout.kind == "map":
                patches = layout.grid
        elif len(shape) == 3:
            layout = _tokens(shape, seen.size, patches)
        if layout is not None:
            seen.laid_out[name] = layout


def _is_attention(shape: Shape, counts: set[int]) -> bool:
    """Whether (N, heads, tokens, tokens or width): between tokens, not over the picture."""
    return shape[2] in counts and (shape[3] in counts or shape[2] != shape[3])


def _map(shape: Shape, size: tuple[int, int]) -> Layout | None:
    _, one, two, three = shape
    first, last = _skew((two, three), size), _skew((one, two), size)
    if min(first, last) > SAME_STRIDE:
        return None
    kind, grid, channels = ("map", (two, three), one) if first <= last else ("channels last", (one, two), three)
    return Layout(kind, grid, channels) if grid[0] * grid[1] > 1 else None


def _skew(grid: tuple[int, int], size: tuple[int, int]) -> float:
    """How differently coarse a grid is along rows and columns, as a logarithm; infinite where absurdly fine."""
    if min(grid) < 1 or grid[0] > size[0] * 2 or grid[1] > size[1] * 2:
        return math.inf
    return abs(math.log((size[0] / grid[0]) / (size[1] / grid[1])))


def _tokens(shape: Shape, size: tuple[int, int], patches: tuple[int, int] | None) -> Layout | None:
    _, count, channels = shape
    if patches is not None and 0 <= count - patches[0] * patches[1] <= MOST_PREFIX:
        return Layout("tokens", patches, channels, count - patches[0] * patches[1])
    for prefix in range(MOST_PREFIX + 1):
        rows = round(math.sqrt((count - prefix) * size[0] / size[1])) if count > prefix + 1 else 0
        if rows and (count - prefix) % rows == 0:
            grid = (rows, (count - prefix) // rows)
            if grid[0] * grid[1] > 1 and _skew(grid, size) < 1e-9:
                return Layout("tokens", grid, channels, prefix)
    return None
