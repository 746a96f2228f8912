"""What prototypes make of an image: similarities per cell, and what each adds to each class's score.

Signed prototypes (our default): cells a_p of the map of places, less the mean training cell mu, through one linear map
T, at unit length; s_j = max_p cos(T (a_p - mu), p_j); score_c = b_c + sum_j W_cj (s_j - m_j) / sigma_j. The classic
ones are those of C. Chen et al., "This Looks Like That", NeurIPS 2019, https://arxiv.org/abs/1806.10574: two 1x1
convolutions with a sigmoid, d_p = |a_p - p_j|^2, s_j = max_p log((d_p + 1) / (d_p + eps)), eps = 1e-4,
score_c = sum_j W_cj s_j.

Both are linear in their similarities, so that the contributions W_cj (s_j - m_j) / sigma_j add up to the score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from casebase.commands import spoken
from casebase.errors import CheckpointRefused, ModelError
from casebase.networks import weight_file
from casebase.networks.engine import Engine
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.heads import shared_copy
from casebase.prototypes import CLASSIC, PROFILES, SIGNED, Activation, Floats, PrototypeSet
from casebase.reading import printable

EPSILON = 1e-4
"""Of the log similarity, as published: log((d + 1) / (d + EPSILON))."""
_STAGE, _ADD_ON, _EARLIER = "stage.", "add_on.", "earlier."
_OWN = ("vectors", "shift", "scale", "head", "bias")


@dataclass(frozen=True, eq=False)
class Tensors:
    """The numbers behind a set, all float32 on the CPU.

    ``vectors (P, D)`` (unit length for ``signed``); ``mean (C,)`` is the mean cell, zero for ``classic``; ``shift`` and
    ``scale`` ``(P,)`` standardise the similarities (0 and 1 for ``classic``); ``head (K, P)`` and ``bias (K,)`` weigh
    them. ``add_on`` are 1x1 convolutions by name: of ``classic`` ``0.weight (D, C, 1, 1)``, ``0.bias``, ``2.weight``,
    ``2.bias``, of ``signed`` ``weight (D, C, 1, 1)``; ``stage`` are tuned weights of the network's own stage by their
    full names, none where nothing was tuned.

    ``earlier`` is how the set stood after earlier stages, by their names, under the same ``mean``, ``add_on`` and
    ``stage``: so that what a stage cost can be measured on images that no stage has seen.
    """

    vectors: Tensor
    mean: Tensor
    shift: Tensor
    scale: Tensor
    head: Tensor
    bias: Tensor
    add_on: Mapping[str, Tensor] = field(default_factory=dict)
    stage: Mapping[str, Tensor] = field(default_factory=dict)
    earlier: Mapping[str, Tensors] = field(default_factory=dict)

    def weighed(self) -> Tensors:
        """The vectors and their weights alone, as they are kept of an earlier stage."""
        return replace(self, mean=torch.zeros(0), add_on={}, stage={}, earlier={})

    def kept(self, rows: Tensor) -> Tensors:
        """The same with only some prototypes: ``rows`` are their numbers ``(P',)``."""
        return replace(
            self, vectors=self.vectors[rows], shift=self.shift[rows], scale=self.scale[rows], head=self.head[:, rows]
        )


def cells_of(maps: Tensor, tensors: Tensors, profile: str) -> Tensor:
    """The map of places ``(N, C, h, w)`` as what prototypes are compared with ``(N, D, h, w)``."""
    if profile == SIGNED:
        centred = maps - tensors.mean.view(1, -1, 1, 1)
        return functional.normalize(functional.conv2d(centred, tensors.add_on["weight"]), dim=1)
    return added(maps, tensors.add_on)


def added(maps: Tensor, add_on: Mapping[str, Tensor]) -> Tensor:
    """1x1 convolution, ReLU, 1x1 convolution, sigmoid: ``(N, C, h, w)`` to ``(N, D, h, w)`` in (0, 1)."""
    hidden = functional.relu(functional.conv2d(maps, add_on["0.weight"], add_on["0.bias"]))
    return torch.sigmoid(functional.conv2d(hidden, add_on["2.weight"], add_on["2.bias"]))


def similarity_maps(cells: Tensor, vectors: Tensor, profile: str) -> Tensor:
    """Similarity of every cell ``(N, D, h, w)`` to every prototype ``(P, D)``: ``(N, P, h, w)``."""
    if profile == SIGNED:
        return functional.conv2d(cells, vectors[:, :, None, None])
    return log_similarity(distances(cells, vectors))


def distances(cells: Tensor, vectors: Tensor) -> Tensor:
    """Squared Euclidean distance of every cell ``(N, D, h, w)`` to every prototype ``(P, D)``: ``(N, P, h, w)``."""
    cross = functional.conv2d(cells, vectors[:, :, None, None])
    square = (cells * cells).sum(1, keepdim=True) + (vectors * vectors).sum(1).view(1, -1, 1, 1)
    return functional.relu(square - 2.0 * cross)


def log_similarity(distance: Tensor) -> Tensor:
    """``log((d + 1) / (d + EPSILON))``: 9.210340 at 0, 0.693047 at 1."""
    return torch.log((distance + 1.0) / (distance + EPSILON))


def activations(maps: Tensor, tensors: Tensors, profile: str) -> list[Activation]:
    """What a set says of maps of places ``(N, C, h, w)``, one :class:`Activation` per image."""
    with torch.inference_mode():
        similar = similarity_maps(cells_of(maps, tensors, profile), tensors.vectors, profile)
        count, parts, _, width = similar.shape
        best, at = similar.reshape(count, parts, -1).max(2)
        standard = (best - tensors.shift) / tensors.scale
        contributions = standard[:, None, :] * tensors.head[None]
        scores = tensors.bias + contributions.sum(2)
        cells = torch.stack([at // width, at % width], dim=2)
    return [
        Activation(
            _array(similar[i]), _array(best[i]), cells[i].numpy(), _array(contributions[i]), _array(tensors.bias),
            _array(scores[i]),
        )
        for i in range(count)
    ]  # fmt: skip


class PrototypeReader:
    """The port ``PrototypeView``: a set and its tensors on the network they explain.

    Where nothing of the network was tuned (``shares_maps``), an image's prototypes cost no forward pass beyond the
    network's own: give its maps to :meth:`from_maps`.
    """

    def __init__(self, network: ExplainedNetwork, found: PrototypeSet, tensors: Tensors) -> None:
        if found.profile not in PROFILES:
            raise ModelError(f"no prototype profile {printable(found.profile)!r}; there is {', '.join(PROFILES)}")
        self._network, self._found, self._tensors = network, found, tensors
        self._engine = _engine(network, found.layer, tensors.stage)

    @property
    def found(self) -> PrototypeSet:
        """The set."""
        return self._found

    @property
    def tensors(self) -> Tensors:
        """The numbers behind it."""
        return self._tensors

    @property
    def shares_maps(self) -> bool:
        """Whether the explained network's own maps are those the prototypes are compared with."""
        return self._engine is None

    def maps(self, views: NDArray[np.uint8]) -> Floats:
        """Maps of places ``(N, C, h, w) float32`` of uint8 views ``(N, H, W, 3)``."""
        if self._engine is None:
            return self._network.read_maps(views)[1]
        found = self._engine.run(views, maps=True).maps
        if found is None:
            raise ModelError(f"the layer {self._found.layer!r} took no part in this forward pass")
        return _array(found)

    def read(self, views: NDArray[np.uint8]) -> list[Activation]:
        """What the prototypes say of uint8 views ``(N, H, W, 3)``."""
        return self.from_maps(self.maps(views))

    def from_maps(self, maps: Floats) -> list[Activation]:
        """What they say of maps of places ``(N, C, h, w)`` that are at hand."""
        return activations(torch.from_numpy(maps), self._tensors, self._found.profile)

    def earlier(self, maps: Floats) -> dict[str, Floats]:
        """Class scores ``(N, K)`` as the set stood after earlier stages of its training, by the stages' names."""
        with torch.inference_mode():
            cells = cells_of(torch.from_numpy(maps), self._tensors, self._found.profile)
            found = {}
            for name, one in self._tensors.earlier.items():
                best = similarity_maps(cells, one.vectors, self._found.profile).amax((2, 3))
                found[name] = _array(one.bias + ((best - one.shift) / one.scale) @ one.head.T)
        return found


def _engine(network: ExplainedNetwork, layer: str, stage: Mapping[str, Tensor]) -> Engine | None:
    """A second engine where the prototypes stand on tuned weights or another layer; else None."""
    if not stage and layer == network.spatial_layer:
        return None
    from casebase.networks.anatomy import dissect

    module: nn.Module = network.module
    if stage:
        module = shared_copy(module)
        own = dict(module.named_parameters()) | dict(module.named_buffers())
        unknown = sorted(set(stage) - set(own))
        if unknown:
            raise CheckpointRefused(f"the prototypes bring weights this network has not: {unknown[0]}")
        for name, value in stage.items():
            place, _, last = name.rpartition(".")
            part = module.get_submodule(place)
            if isinstance(getattr(part, last), nn.Parameter):
                setattr(part, last, nn.Parameter(value.clone(), requires_grad=False))
            else:
                setattr(part, last, value.clone())
    anatomy = dissect(module.eval(), network.preprocess.crop, layer=layer)
    return Engine(module, anatomy, network.preprocess, device=network.device, precision=network.precision)


def save(tensors: Tensors, path: Path) -> str:
    """Write the numbers to a safetensors file in one step; its SHA-256. Raises ``ModelError``."""
    plain = {name: getattr(tensors, name) for name in ("mean", *_OWN)}
    for stage, one in tensors.earlier.items():
        plain |= {f"{_EARLIER}{stage}.{name}": getattr(one, name) for name in _OWN}
    plain |= {f"{_ADD_ON}{name}": value for name, value in tensors.add_on.items()}
    plain |= {f"{_STAGE}{name}": value for name, value in tensors.stage.items()}
    return weight_file.save(plain, path, "the prototypes")


def load(path: Path, digest: str) -> Tensors:
    """Read what :func:`save` wrote; refused where the file is not the one of this digest."""
    state = weight_file.load(path, digest, "these prototypes", _training(path))
    try:
        plain = {name: state[name] for name in ("mean", *_OWN)}
        stages = sorted({n.removeprefix(_EARLIER).rpartition(".")[0] for n in state if n.startswith(_EARLIER)})
        earlier = {stage: _weighed(state, f"{_EARLIER}{stage}.") for stage in stages}
    except KeyError as error:
        raise CheckpointRefused(f"{printable(str(path))} cannot be read ({error})") from None
    return Tensors(
        **plain,
        add_on={n.removeprefix(_ADD_ON): v for n, v in state.items() if n.startswith(_ADD_ON)},
        stage={n.removeprefix(_STAGE): v for n, v in state.items() if n.startswith(_STAGE)},
        earlier=earlier,
    )


def _weighed(state: Mapping[str, Tensor], before: str) -> Tensors:
    """The vectors and weights of an earlier stage, whose names begin with ``before``."""
    vectors, shift, scale, head, bias = (state[f"{before}{name}"] for name in _OWN)
    return Tensors(vectors, torch.zeros(0), shift, scale, head, bias)


def _training(path: Path) -> str:
    """The command that makes a file ``<base>/models/prototypes-<profile>-….safetensors`` anew."""
    words = ["prototypes", "train"]
    if path.name.startswith(f"prototypes-{CLASSIC}-"):
        words += ["--profile", CLASSIC]
    return spoken(*words, base=path.parent.parent)


def _array(value: Tensor) -> Floats:
    found: Floats = value.detach().to("cpu", torch.float32).contiguous().numpy().copy()
    return found
