"""Which layer of which network is explained, and how what leaves it is laid out over the picture.

A layer serves where its output has places: ``(N, D, h, w)``, ``(N, h, w, D)`` as inside Swin, or tokens ``(N, p + h w,
D)`` of which the first p (class token, registers) have no place. Which of these it is shows in one forward pass.

A layer is taken in this order: the one that was named; the one of the table below, for families where the field has
settled on one; the last with places that the network's anatomy found; the first norm of the last transformer block
that the scores still read place by place. Behind the last block's attention a head that reads the class token alone
sees no other token, so that every map there would be zero: such layers are refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from casebase.errors import NoTargetLayer
from casebase.explain.saliency.watching import Layout, Watched, watch
from casebase.reading import printable

LISTED = 8
"""Layers named in a message: enough to pick from, few enough to read."""
BLOCKS = 3
"""Transformer blocks tried from the end; only the last ones can be out of reach of the scores."""

TABLE: dict[str, Callable[[nn.Module], str | None]] = {
    "VGG": lambda part: _last_relu(part, "features"),
    "ResNet": lambda part: _own(part, "layer4"),
    "DenseNet": lambda part: _own(part, "features"),
    "SqueezeNet": lambda part: _own(part, "features"),
    "MobileNetV2": lambda part: _own(part, "features"),
    "MobileNetV3": lambda part: _own(part, "features", "blocks"),
    "EfficientNet": lambda part: _own(part, "features", "bn2"),
    "ConvNeXt": lambda part: _own(part, "features", "norm_pre"),
    "SwinTransformer": lambda part: _own(part, "permute", "norm"),
}
"""By the class's name in torchvision and timm: the layer, of several names the first that the network has.

VGG's is the last ReLU, before the last pooling. DenseNet's is before the ReLU in torchvision and after it
in timm, which is why ``activation`` is recorded. Swin's is the norm behind the last stage, its places in front.
"""


@dataclass(frozen=True)
class Target:
    """A layer to explain: ``name`` for ``get_submodule``, and what leaves it for images ``size`` (height, width).

    ``reshape`` lays its output out as ``(N, channels, *grid)``, None where it is already. ``overwritten`` says that the
    network changes the output in place afterwards; ``activation`` is ``post`` behind a ReLU or its like, else ``pre``.
    ``outputs`` is the number of the network's scores, ``channels_last`` how it may be fed.
    """

    name: str
    size: tuple[int, int]
    layout: Layout
    overwritten: bool
    activation: str
    outputs: int
    channels_last: bool = False

    @property
    def reshape(self) -> Callable[[Tensor], Tensor] | None:
        """A function of the layer's output, or of the gradient there."""
        return None if self.layout.kind == "map" else self.layout.places

    @property
    def facts(self) -> dict[str, object]:
        """For the record, as JSON values."""
        return {
            "layer": self.name,
            "layout": self.layout.words,
            "grid": list(self.layout.grid),
            "activation": self.activation,
            "overwritten_downstream": self.overwritten,
        }


def find(module: nn.Module, size: tuple[int, int], *, named: str | None = None, proposed: str | None = None) -> Target:
    """The layer to explain for images ``(3, *size)``: ``named`` by the user, else found; ``proposed`` by the anatomy.

    Raises
    ------
    NoTargetLayer
        the named layer is not there (the message lists layers that could serve), has no places or a single one, or
        is not read by the scores place by place; or nothing was named and the network has no such layer.
    ModelError
        the network cannot read images of this size.
    """
    if named is not None:
        seen = watch(module, size, keep={named} if named in seen_names(module) else ())
        return _checked(module, seen, named)
    known = _from_table(module) or (proposed if proposed in seen_names(module) else None)
    if known is not None:
        return _checked(module, watch(module, size, keep={known}), known)
    seen = watch(module, size)
    candidates = _norms(module, seen)
    if not candidates:
        candidates = [name for name, layout in seen.laid_out.items() if layout.kind == "channels last"][-1:]
    if not candidates:
        raise NoTargetLayer(
            "this network has no layer whose output has places in the picture, so there is no class activation map; "
            "use a method that needs none, such as integrated-gradients or occlusion"
        )
    reached = watch(module, size, keep=candidates)
    for name in candidates:
        if reached.reads_places(name) is not False:
            return _checked(module, reached, name)
    return _checked(module, reached, candidates[0])


def seen_names(module: nn.Module) -> set[str]:
    """Names of all submodules."""
    return {name for name, _ in module.named_modules() if name}


def _checked(module: nn.Module, seen: Watched, name: str) -> Target:
    """The target, or a sentence about why this layer cannot be one."""
    shown = printable(name)
    if name not in seen_names(module):
        raise NoTargetLayer(f"this network has no layer {shown!r}; {_serving(module, seen, name)}")
    if name not in seen.shapes:
        raise NoTargetLayer(
            f"the layer {shown!r} takes no part in this network's forward pass; {_serving(module, seen, name)}"
        )
    shape, layout = seen.shapes[name], seen.laid_out.get(name)
    height, width = seen.size
    if layout is None and shape is not None and len(shape) == 4 and shape[2] * shape[3] == 1:
        raise NoTargetLayer(
            f"images of {width}x{height} pixels leave the layer {shown!r} a single place, so a map would be one flat "
            f"patch; use larger images, or an earlier layer: {_serving(module, seen, name)}"
        )
    if layout is None:
        kind = "no tensor" if shape is None else f"a tensor of shape {_words(shape)}"
        raise NoTargetLayer(
            f"the layer {shown!r} gives {kind}, which has no places in the picture; {_serving(module, seen, name)}"
        )
    reads = seen.reads_places(name)
    if reads is None:
        raise NoTargetLayer(f"the scores do not depend on the layer {shown!r}; {_serving(module, seen, name)}")
    if not reads:
        raise NoTargetLayer(
            f"behind the layer {shown!r} the scores read the class token alone, so every map there would be zero; "
            f"{_serving(module, seen, name)}"
        )
    activation, overwritten = seen.activation(name), seen.overwritten(name)
    return Target(name, seen.size, layout, overwritten, activation, seen.outputs, seen.channels_last)


def _from_table(module: nn.Module) -> str | None:
    """The table's layer; a network inside another (behind a new head) is found as well."""
    for prefix, part in module.named_modules():
        entry = TABLE.get(type(part).__name__)
        found = None if entry is None else entry(part)
        if found is not None:
            return f"{prefix}.{found}" if prefix else found
    return None


def _own(part: nn.Module, *names: str) -> str | None:
    there = dict(part.named_children())
    return next((name for name in names if name in there), None)


def _last_relu(part: nn.Module, name: str) -> str | None:
    children = part.get_submodule(name).named_children() if name in dict(part.named_children()) else ()
    found = [child for child, one in children if isinstance(one, nn.ReLU)]
    return f"{name}.{found[-1]}" if found else None


def _norms(module: nn.Module, seen: Watched) -> list[str]:
    """The norm that runs first in each of the last transformer blocks, the last block's first.

    A block is a part of a list or chain that takes tokens and gives as many, and has parts of its own. One that does
    not begin with a norm stands for itself.
    """
    parts = dict(module.named_modules())
    order = list(seen.shapes)
    found: list[str] = []
    for name in reversed(order):
        above = parts[name.rpartition(".")[0]]
        layout = seen.laid_out.get(name)
        if not isinstance(above, (nn.Sequential, nn.ModuleList)) or not any(parts[name].children()):
            continue
        if layout is None or layout.kind != "tokens" or seen.given.get(name) != seen.shapes[name]:
            continue
        inside = [one for one in order if one.startswith(f"{name}.") and seen.shapes[one] == seen.shapes[name]]
        begins = bool(inside) and "norm" in type(parts[inside[0]]).__name__.lower()
        found.append(inside[0] if begins else name)
        if len(found) == BLOCKS:
            break
    return found


def _serving(module: nn.Module, seen: Watched, asked: str) -> str:
    """Layers that could serve, as the end of a sentence: like an unknown name, blocks' norms, the outermost."""
    usable = list(seen.laid_out)
    if not usable:
        return "no layer of it has places in the picture"
    like = [] if asked in seen_names(module) else difflib.get_close_matches(asked, usable, n=2)
    last_first = usable[::-1]
    outer = sorted(last_first, key=lambda name: name.count("."))
    blocks = _norms(module, seen)
    names = list(dict.fromkeys([*like, *blocks, *outer]))[: 2 * LISTED]
    reached = watch(module, seen.size, keep=names)
    good = [name for name in names if reached.reads_places(name)]
    return f"layers that could serve: {', '.join(good[:LISTED])}" if good else "no layer of it could serve"


def _words(shape: Sequence[int]) -> str:
    return f"(N, {', '.join(str(n) for n in shape[1:])})" if len(shape) > 1 else str(tuple(shape))
