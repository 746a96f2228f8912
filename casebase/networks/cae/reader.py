"""A trained class association embedding beside the network it explains: implements the port ``AssociationView``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from casebase import hashing
from casebase.association import Association, Codes, Nodes
from casebase.cases import Fingerprint
from casebase.commands import spoken
from casebase.errors import CheckpointRefused
from casebase.networks import weight_file
from casebase.networks.cae.nets import Autoencoder
from casebase.networks.explained import ExplainedNetwork
from casebase.ports import Matrix, Reading
from casebase.reading import Preprocess, printable
from casebase.spaces import CAE_SPACE

AT_ONCE = 32
"""Images that go through at once: what bounds the memory of every method here."""
_NET, _NODES = "net.", "nodes."


@dataclass(frozen=True, eq=False)
class Tensors:
    """The numbers behind an association.

    The auto-encoder's ``state``, the ``mean`` class code ``(code,)`` of the training, and the nodes of the walks.
    """

    state: dict[str, Tensor]
    mean: Tensor
    nodes: Nodes


class CaeReader:
    """An association on the network it explains. Not for several threads at once."""

    def __init__(self, network: ExplainedNetwork, found: Association, tensors: Tensors) -> None:
        self._network, self._found, self._nodes = network, found, tensors.nodes
        self._device = torch.device(network.device)
        net = Autoencoder(found.size)
        net.load_state_dict(tensors.state)
        net.eval().requires_grad_(requires_grad=False)
        self._net = net.to(memory_format=torch.channels_last).to(self._device)
        self._mean = tensors.mean.to(self._device)

    @property
    def found(self) -> Association:
        """What was trained."""
        return self._found

    @property
    def classes(self) -> Sequence[str]:
        """The explained network's classes, in the order of what :meth:`judge` says."""
        return self._network.classes or ()

    @property
    def nodes(self) -> Nodes:
        """The codes a walk may go along."""
        return self._nodes

    def encode(self, views: NDArray[np.uint8]) -> Codes:
        """Class codes ``(N, code)``, centred, and individual codes ``(N, 4w, S/4, S/4)`` of ``(N, H, W, 3) uint8``."""
        of_class, individual = [], []
        with torch.inference_mode():
            for part in _parts(views):
                images = self._fed(part)
                of_class.append(self._net.of_class(images) - self._mean)
                individual.append(self._net.of_itself(images))
            size = self._found.size
            none = torch.zeros(0, 4 * size.width, size.side // 4, size.side // 4)
            return Codes(_array(_joined(of_class, torch.zeros(0, size.code))), _array(_joined(individual, none)))

    def codes(self, views: NDArray[np.uint8]) -> Matrix:
        """Class codes ``(N, code) float32``, centred, alone."""
        with torch.inference_mode():
            found = [self._net.of_class(self._fed(part)) - self._mean for part in _parts(views)]
            return _array(_joined(found, torch.zeros(0, self._found.size.code)))

    def decode(self, of_class: Matrix, individual: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Synthetic images ``(N, S, S, 3) uint8`` of class codes under one individual code, or under one each."""
        made = []
        with torch.inference_mode():
            for start in range(0, len(of_class), AT_ONCE):
                codes = torch.from_numpy(of_class[start : start + AT_ONCE]).to(self._device) + self._mean
                maps = torch.from_numpy(individual if len(individual) == 1 else individual[start : start + AT_ONCE])
                maps = maps.to(self._device).expand(len(codes), -1, -1, -1)
                made.append(pixels(self._net.decoder(codes, maps.contiguous(memory_format=torch.channels_last))))
        side = self._found.size.side
        return np.concatenate(made) if made else np.zeros((0, side, side, 3), np.uint8)

    def judge(self, images: NDArray[np.uint8]) -> Matrix:
        """The explained network's probabilities ``(N, C)`` of synthetic images ``(N, S, S, 3) uint8``."""
        return judged(self._network, images)

    def reduced(self, views: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Views as the encoders are fed, ``(N, S, S, 3) uint8``."""
        side = self._found.size.side
        found = [reduced(part, side) for part in _parts(views)]
        return np.concatenate(found) if found else np.zeros((0, side, side, 3), np.uint8)

    def _fed(self, views: NDArray[np.uint8]) -> Tensor:
        return fed(reduced(views, self._found.size.side)).to(self._device)


class CaeEmbedder:
    """The port ``Embedder`` for the space ``cae``: class codes, centred, from the explained network's own views."""

    def __init__(self, reader: CaeReader, preprocess: Preprocess, batch_size: int = AT_ONCE) -> None:
        self._reader, self._preprocess, self._batch_size = reader, preprocess, batch_size

    @property
    def space(self) -> str:
        """``cae``."""
        return CAE_SPACE

    @property
    def fingerprint(self) -> Fingerprint:
        """Preset, weights, and what the images are made of first."""
        return fingerprint(self._reader.found, self._preprocess)

    @property
    def preprocess(self) -> Preprocess:
        """That of the explained network, whose views are then made smaller."""
        return self._preprocess

    @property
    def batch_size(self) -> int:
        """Images per forward pass."""
        return self._batch_size

    def read(self, views: NDArray[np.uint8]) -> Reading:
        """Class codes ``(N, code)``; no probabilities."""
        return Reading(self._reader.codes(views), None)


def fingerprint(found: Association, preprocess: Preprocess) -> Fingerprint:
    """Under which the codes of an association are stored."""
    return Fingerprint(
        backbone=f"cae:{found.preset}", weights=found.digest[: hashing.SHORT], preprocess=preprocess.short,
        precision="fp32", dim=found.size.code,
    )  # fmt: skip


def reduced(views: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Views ``(N, H, W, 3) uint8`` as ``(N, side, side, 3) uint8``: bilinear with antialiasing, nothing cut off.

    Rounded to bytes, so that the networks are trained on exactly what can be shown and stored.
    """
    if views.shape[1:3] == (side, side):
        return views
    return pixels(functional.interpolate(fed(views), (side, side), mode="bilinear", antialias=True))


def enlarged(images: NDArray[np.uint8], crop: tuple[int, int]) -> NDArray[np.uint8]:
    """Synthetic images ``(N, S, S, 3) uint8`` at the explained network's view ``(N, H, W, 3)``: bicubic."""
    if images.shape[1:3] == crop:
        return images
    return pixels(functional.interpolate(fed(images), crop, mode="bicubic", antialias=True))


def judged(network: ExplainedNetwork, images: NDArray[np.uint8]) -> Matrix:
    """The explained network's probabilities ``(N, C)`` of images ``(N, S, S, 3) uint8``, enlarged to its view."""
    found = []
    for part in _parts(images):
        said = network.read(enlarged(part, network.preprocess.crop)).probabilities
        assert said is not None  # noqa: S101  # a base's network has named classes
        found.append(said)
    return np.concatenate(found) if found else np.zeros((0, len(network.classes or ())), np.float32)


def fed(images: NDArray[np.uint8]) -> Tensor:
    """``(N, H, W, 3) uint8`` to ``(N, 3, H, W) float32`` in [-1, 1], channels last."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def pixels(images: Tensor) -> NDArray[np.uint8]:
    """``(N, 3, H, W)`` in [-1, 1] to ``(N, H, W, 3) uint8``."""
    scaled = images.detach().add(1.0).mul_(127.5).round_().clamp_(0, 255).to("cpu", torch.uint8)
    found: NDArray[np.uint8] = scaled.permute(0, 2, 3, 1).contiguous().numpy()
    return found


def save(tensors: Tensors, path: Path) -> str:
    """Write the numbers to a safetensors file in one step; its SHA-256. Raises ``ModelError``."""
    nodes = tensors.nodes
    names = torch.tensor([list(one.encode("ascii")) for one in nodes.case_ids], dtype=torch.float32)
    plain = {f"{_NET}{name}": value for name, value in tensors.state.items()}
    plain |= {"mean": tensors.mean, f"{_NODES}codes": torch.from_numpy(nodes.codes)}
    plain |= {f"{_NODES}called": torch.from_numpy(nodes.called), f"{_NODES}case_ids": names}
    return weight_file.save(plain, path, "the class association embedding")


def load(path: Path, digest: str) -> Tensors:
    """Read what :func:`save` wrote; refused where the file is not the one of this digest."""
    state = weight_file.load(path, digest, "these networks", spoken("cae", "train", base=path.parent.parent))
    try:
        names = state[f"{_NODES}case_ids"].to(torch.uint8).tolist()
        nodes = Nodes(
            state[f"{_NODES}codes"].numpy(), state[f"{_NODES}called"].to(torch.int64).numpy(),
            [bytes(one).decode("ascii") for one in names],
        )  # fmt: skip
        own = {name.removeprefix(_NET): value for name, value in state.items() if name.startswith(_NET)}
        return Tensors(own, state["mean"], nodes)
    except (KeyError, ValueError) as error:
        raise CheckpointRefused(f"{printable(str(path))} cannot be read ({error})") from None


def _parts(views: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [views[start : start + AT_ONCE] for start in range(0, len(views), AT_ONCE)]


def _joined(found: list[Tensor], none: Tensor) -> Tensor:
    return torch.cat(found) if found else none


def _array(value: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = value.detach().to("cpu", torch.float32).contiguous().numpy().copy()
    return found
