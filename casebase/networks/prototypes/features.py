"""What the frozen network makes of the training cases: maps of places, cached; and how far one cell of them sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from casebase import hashing
from casebase.errors import ModelError, NoTargetLayer
from casebase.networks.anatomy import still
from casebase.networks.cached_rows import CachedRows
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.heads import shared_copy
from casebase.networks.prototypes.recipe import Watch
from casebase.networks.training_cases import TrainingCases
from casebase.reading import printable

LARGEST = 2 << 30
"""Bytes up to which maps are kept in float32; larger caches are float16, which changes a cosine by about 1e-3."""
_PROBES = 3


def at_layer(network: ExplainedNetwork, layer: str | None) -> ExplainedNetwork:
    """The network read at a spatial layer; raises ``NoTargetLayer`` where it has none, saying what is left to do."""
    found = network
    if layer is not None and layer != network.spatial_layer:
        found = ExplainedNetwork(
            network.loaded, device=network.device, precision=network.precision, layer=layer,
            batch_size=network.batch_size,
        )  # fmt: skip
    if found.spatial_layer is None or found.anatomy.grid is None:
        raise NoTargetLayer(
            f"no prototypes of {printable(network.spec)}: {network.anatomy.why_not}; "
            "--layer names a layer laid out as channels, rows and columns, and "
            "`casebase prototypes summarize` shows typical cases of any network"
        )
    return found


def cached(network: ExplainedNetwork, cases: TrainingCases, folder: Path, watch: Watch) -> CachedRows:
    """Maps ``(N, C, h, w)`` of all cases at the network's spatial layer; what is there already is not made again."""
    grid = network.anatomy.grid or (0, 0)
    probe = network.read_maps(cases.views[np.arange(1)])[1]
    shape = (len(cases), probe.shape[1], *grid)
    half = 4 * int(np.prod(shape, dtype=np.int64)) > LARGEST
    key = {
        "network": network.fingerprint.short,
        "layer": network.spatial_layer,
        "images": hashing.of_json({"pixels": list(cases.pixel_hashes)}),
    }
    rows = CachedRows(folder, "maps", shape, key, "float16" if half else "float32")
    missing = rows.missing()
    for start in range(0, len(missing), network.batch_size):
        part = missing[start : start + network.batch_size]
        rows.put(part, network.read_maps(cases.views[part])[1])
        watch("reading the cases", len(cases) - len(missing) + start + len(part), len(cases))
    return rows


def blocks(index: NDArray[np.intp], size: int = 64) -> list[NDArray[np.intp]]:
    """``index`` in parts small enough to be read at once."""
    return [index[start : start + size] for start in range(0, len(index), size)]


def pooled(rows: CachedRows, index: NDArray[np.intp]) -> NDArray[np.float32]:
    """The mean of each map over its cells ``(len(index), C)``: the network's features, where it pools so."""
    return np.concatenate([rows.rows(part).mean((2, 3)) for part in blocks(index)])


def mean_cell(rows: CachedRows, index: NDArray[np.intp]) -> NDArray[np.float32]:
    """The mean over all cells of all maps ``(C,)``; raises ``ModelError`` where nothing varies."""
    channels = rows.rows(index[:1]).shape[1]
    total, square, count = np.zeros(channels), 0.0, 0
    pooled: list[NDArray[np.float64]] = []
    for part in blocks(index):
        maps = rows.rows(part).astype(np.float64)
        total += maps.sum((0, 2, 3))
        square += float((maps * maps).sum())
        count += len(part) * maps.shape[2] * maps.shape[3]
        pooled.append(maps.mean((2, 3)))
    features = np.concatenate(pooled)
    scale = float(np.sqrt(square / max(count, 1)))
    if not np.isfinite(scale):
        raise ModelError("the network's maps are not finite numbers; no prototypes can be learnt from them")
    if float(np.abs(features - features[0]).max()) <= 1e-6 * max(scale, 1e-12):
        raise ModelError(
            f"all {len(index)} cases look the same to this network, so no part tells them apart; "
            "look at them with `casebase stats`, and index different images"
        )
    found: NDArray[np.float32] = (total / count).astype(np.float32)
    return found


def receptive_field(network: ExplainedNetwork) -> tuple[int, int]:
    """Height and width in pixels of what the middle cell sees of the view, at most the whole view.

    Found from the gradient of that cell's channels with respect to the pixels of some noise: where it is not zero, the
    cell sees. Not what it uses: that is less (W. Luo et al., "Understanding the Effective Receptive Field in Deep
    Convolutional Neural Networks", 2016, https://arxiv.org/abs/1701.04128).
    """
    module, layer = shared_copy(network.module), network.spatial_layer
    if layer is None:
        raise NoTargetLayer(f"no receptive field: {network.anatomy.why_not}")
    for part in module.modules():
        if hasattr(part, "inplace"):
            part.inplace = False  # type: ignore[assignment]  # torch types attributes as modules
    seen: list[Tensor] = []

    def keep(_part: nn.Module, _given: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(output)

    handle = module.get_submodule(layer).register_forward_hook(keep)
    height, width = network.preprocess.crop
    touched = np.zeros((height, width), bool)
    generator = torch.Generator().manual_seed(0)
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    try:
        with still(module), torch.enable_grad():
            for _ in range(_PROBES):
                seen.clear()
                noise = torch.randn((1, 3, height, width), generator=generator).to(device).requires_grad_()
                module(noise)
                output = seen[-1]
                cell = output[0, :, output.shape[2] // 2, output.shape[3] // 2]
                (slope,) = torch.autograd.grad(cell.sum(), noise)
                touched |= slope.abs().sum((0, 1)).cpu().numpy() > 0
    finally:
        handle.remove()
    rows, columns = np.nonzero(touched)
    return _extent(rows, height), _extent(columns, width)


def _extent(at: NDArray[np.intp], most: int) -> int:
    return most if not len(at) else int(at.max() - at.min() + 1)


def evidence(network: ExplainedNetwork, classes: Sequence[str]) -> NDArray[np.float32] | None:
    """The head's rows ``(K, C)`` for these classes where the features are the mean of the map; else None."""
    weight, _ = network.head_weights()
    if weight is None or not network.pooled_exactly or network.classes is None:
        return None
    found: NDArray[np.float32] = weight[[network.classes.index(name) for name in classes]]
    return found
