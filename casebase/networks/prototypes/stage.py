"""The last stage of a network: the modules from its last loss of resolution to its map of places, to be tuned alone.

Found by watching one forward pass of noise, not by reading names: modules that hand one tensor to each other, the last
of which hands out the spatial layer's. What goes into the stage does not change while it is tuned, so it is cached.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from casebase.errors import ModelError, NoTargetLayer
from casebase.networks.anatomy import probe, still
from casebase.networks.cached_rows import CachedRows, Rows
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.heads import shared_copy
from casebase.networks.prototypes.recipe import Watch
from casebase.networks.training_cases import Views

_SAME = 1e-4
_HALF = 6000.0  # noise that stays ten times below float16's 65504 leaves room for real images
INSTEAD = "use --profile signed, which tunes nothing, or --layer with the name of another layer"


class _Reached(Exception):  # no error: the forward pass has shown what it was run for
    pass


@dataclass(frozen=True, slots=True)
class _Call:
    """One module's only call: what went in and came out (None where that was no one map), as digests and shapes."""

    name: str
    given: tuple[str, tuple[int, ...]] | None
    made: tuple[str, tuple[int, ...]] | None


class LastStage(nn.Module):
    """A copy of the last stage with weights of its own, in eval mode and without in-place activations.

    Inputs ``(N, *given)`` to maps of places ``(N, C, h, w)``, those that pooling averages. ``names`` are the modules'
    names in the network, ``given`` the shape of one input, ``dtype`` what inputs may be cached in.
    """

    def __init__(self, network: ExplainedNetwork, names: tuple[str, ...], given: tuple[int, ...], dtype: str) -> None:
        super().__init__()
        self.names, self.given, self.dtype = names, given, dtype
        self._network, self._relu = network, network.pooling == "relu"
        whole = shared_copy(network.module).eval()
        self._whole = (whole,)  # in a tuple, or its weights would count as this module's own and be saved and tuned
        parts = [copy.deepcopy(whole.get_submodule(name)) for name in names]
        for part in parts:
            for module in part.modules():
                if getattr(module, "inplace", False):
                    vars(module)["inplace"] = False  # what a gradient needs must not be overwritten
        self.parts = nn.ModuleList(parts).requires_grad_().eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs to maps, with gradients."""
        for part in self.parts:
            inputs = part(inputs)
        return functional.relu(inputs) if self._relu else inputs

    def tuned(self) -> dict[str, Tensor]:
        """The weights by their names in the network, on the CPU."""
        return {
            f"{name}.{inner}": value.detach().to("cpu", torch.float32).clone()
            for name, part in zip(self.names, self.parts, strict=True)
            for inner, value in part.named_parameters()
        }

    def captured(self, images: NDArray[np.float32]) -> Tensor:
        """What the stage is given for normalised images ``(N, 3, H, W)``: ``(N, *given) float32`` on the device."""
        return _given_to(self._whole[0], self.names[0], self.to_device(images))

    def to_device(self, numbers: NDArray[np.float32]) -> Tensor:
        """Numbers as a tensor where the network runs."""
        return torch.from_numpy(numbers).to(self._network.device)

    def inputs(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The same for uint8 views ``(N, H, W, 3)``, on the CPU."""
        return self.captured(self._network.preprocess.normalise(views)).cpu().numpy()


def last_stage(network: ExplainedNetwork) -> LastStage:
    """The last stage of a network, verified on noise.

    Raises ``NoTargetLayer`` where there is no map of places, and ``ModelError`` where no modules that pass one tensor
    on make it.
    """
    layer = network.spatial_layer
    if layer is None:
        raise NoTargetLayer(f"no last stage to tune: {network.where_unavailable}")
    with network.lock, still(network.module):
        whole = shared_copy(network.module).eval()
    noise = probe(whole, network.preprocess.crop)
    calls = _calls(whole, noise)
    chain = _chain(whole, calls, layer)
    wanted = _given_to(whole, layer, noise, made=True)
    if chain:
        given = _given_to(whole, chain[0].name, noise)
        dtype = "float16" if float(given.abs().max()) < _HALF else "float32"
        found = LastStage(network, tuple(c.name for c in chain), tuple(given.shape[1:]), dtype)
        with torch.no_grad():
            made = found(given)
        target = functional.relu(wanted) if network.pooling == "relu" else wanted
        if made.shape == target.shape and float((made - target).norm()) <= _SAME * float(target.norm()):
            return found
    raise ModelError(
        f"no modules of this network that pass one map on to the next make what {layer!r} gives, so its last stage "
        f"cannot be tuned by itself; {INSTEAD}"
    )


def cached_inputs(
    stage: LastStage, views: Views, folder: Path, key: Mapping[str, Any], *, batch: int, watch: Watch
) -> CachedRows:
    """The stage's inputs of N images and then of their mirror images, ``(2N, *given)``, made where they are missing.

    They are kept in ``stage.dtype``: float16 where that is wide enough, which rounds to 11 bits.
    """
    count = len(views)
    cache = CachedRows(
        folder, "stage-inputs", (2 * count, *stage.given), {**key, "stage": list(stage.names)}, stage.dtype
    )
    missing: Rows = cache.missing()
    done = 2 * count - len(missing)
    watch("stage inputs", done, 2 * count)
    for start in range(0, len(missing), batch):
        rows = missing[start : start + batch]
        seen = views[rows % count]
        mirrored = rows >= count
        seen = np.where(mirrored[:, None, None, None], seen[:, :, ::-1], seen)
        cache.put(rows, stage.inputs(seen))
        done += len(rows)
        watch("stage inputs", done, 2 * count)
    return cache


def cached_maps(
    stage: LastStage, inputs: CachedRows, folder: Path, key: Mapping[str, Any], *, batch: int, watch: Watch
) -> CachedRows:
    """What the stage makes of cached inputs as long as it is not tuned: ``(2N, C, h, w)``, kept as float32."""
    with torch.no_grad():
        shape = stage(stage.to_device(inputs.rows(np.zeros(1, np.intp)))).shape[1:]
        cache = CachedRows(folder, "stage-maps", (len(inputs), *shape), {**key, "stage": list(stage.names)})
        missing = cache.missing()
        for start in range(0, len(missing), batch):
            watch("stage maps", len(inputs) - len(missing) + start, len(inputs))
            rows = missing[start : start + batch]
            cache.put(rows, stage(stage.to_device(inputs.rows(rows))).cpu().numpy())
    watch("stage maps", len(inputs), len(inputs))
    return cache


def _given_to(module: nn.Module, name: str, images: Tensor, *, made: bool = False) -> Tensor:
    """What a module is given, or with ``made`` gives, in a forward pass that ends there."""
    seen: list[Tensor] = []

    def before(_part: nn.Module, given: tuple[Any, ...]) -> None:
        seen.append(given[0].detach().clone())
        raise _Reached

    def after(_part: nn.Module, _given: tuple[Any, ...], output: Tensor) -> None:
        seen.append(output.detach().clone())
        raise _Reached

    part = module.get_submodule(name)
    hook = part.register_forward_hook(after) if made else part.register_forward_pre_hook(before)
    try:
        with torch.no_grad():
            module(images)
    except _Reached:
        pass
    finally:
        hook.remove()
    if not seen:
        raise ModelError(f"the layer {name!r} took no part in this forward pass")
    return seen[0]


def _calls(module: nn.Module, images: Tensor) -> list[_Call]:
    """The modules that ran once in a forward pass, in the order in which they finished."""
    given: dict[str, list[tuple[str, tuple[int, ...]] | None]] = {}
    calls: list[_Call] = []

    def watched(name: str) -> list[Any]:
        def before(_part: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            alone = len(args) == 1 and not named
            given.setdefault(name, []).append(_digest(args[0]) if alone else None)

        def after(_part: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
            calls.append(_Call(name, given[name][-1], _digest(output)))

        part = module.get_submodule(name)
        return [part.register_forward_pre_hook(before, with_kwargs=True), part.register_forward_hook(after)]

    hooks = [hook for name, _ in module.named_modules() if name for hook in watched(name)]
    try:
        with torch.inference_mode():
            module(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [call for call in calls if len(given[call.name]) == 1]


def _chain(module: nn.Module, calls: list[_Call], layer: str) -> list[_Call]:
    """The calls from the last loss of resolution to the layer's output; empty where nothing with weights makes it."""
    by_name = {call.name: call for call in calls}
    if layer not in by_name or by_name[layer].made is None:
        return []
    wanted, chain = by_name[layer].made, list[_Call]()
    while True:
        makers = [c for c in calls if c.made == wanted and c.given is not None and c.given != c.made]
        if not makers:
            return chain if _weights(module, chain) else []
        outermost = min(makers, key=lambda c: c.name.count("."))
        for call in reversed(_unrolled(module, outermost, by_name)):
            chain.insert(0, call)
            if _shrinks(call) and _weights(module, chain):
                return chain
        wanted = chain[0].given


def _unrolled(module: nn.Module, call: _Call, by_name: Mapping[str, _Call]) -> list[_Call]:
    """The calls inside a plain sequence of modules, or the call itself."""
    part = module.get_submodule(call.name)
    if type(part).forward is not nn.Sequential.forward or len(part._modules) == 0:
        return [call]
    inner = [by_name.get(f"{call.name}.{name}") for name in part._modules]
    whole = [one for one in inner if one is not None and one.given is not None and one.made is not None]
    if len(whole) < len(inner):
        return [call]
    return [deep for one in whole for deep in _unrolled(module, one, by_name)]


def _shrinks(call: _Call) -> bool:
    assert call.given is not None  # noqa: S101  # by construction of the chain; for the type checker
    assert call.made is not None  # noqa: S101
    (_, before), (_, after) = call.given, call.made
    return before[2] * before[3] > after[2] * after[3]


def _weights(module: nn.Module, chain: list[_Call]) -> bool:
    return any(True for call in chain for _ in module.get_submodule(call.name).parameters())


def _digest(value: object) -> tuple[str, tuple[int, ...]] | None:
    """What a map of places holds, so that it is known again although it is overwritten later."""
    if not isinstance(value, Tensor) or value.ndim != 4:
        return None
    numbers = value.detach().to("cpu", torch.float32).contiguous().numpy()
    return hashlib.sha256(numbers.tobytes()).hexdigest(), tuple(value.shape)
