"""A trained class association embedding beside the network it explains: implements the port ``AssociationView``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from casebase import hashing
from casebase.association import Association, Codes, Nodes
from casebase.cases import Fingerprint
from casebase.commands import spoken
from casebase.errors import CheckpointRefused
from casebase.networks import weight_file
from casebase.networks.cae.coder import AT_ONCE, Coder, batches, judged, reduced
from casebase.networks.cae.nets import Autoencoder
from casebase.networks.explained import ExplainedNetwork
from casebase.ports import Matrix, Reading
from casebase.reading import Preprocess, printable
from casebase.spaces import CAE_SPACE

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
    """An association on the network it explains; several threads may ask at once."""

    def __init__(self, network: ExplainedNetwork, found: Association, tensors: Tensors) -> None:
        self._network, self._found, self._nodes = network, found, tensors.nodes
        net = Autoencoder(found.size)
        net.load_state_dict(tensors.state)
        net.eval().requires_grad_(requires_grad=False)
        device = torch.device(network.device)
        self._coder = Coder(net.to(memory_format=torch.channels_last).to(device), device)
        self._mean = tensors.mean.numpy()

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
        of_class, individual = self._coder.encode(self.reduced(views))
        return Codes(of_class - self._mean, individual)

    def codes(self, views: NDArray[np.uint8]) -> Matrix:
        """Class codes ``(N, code) float32``, centred, alone."""
        found: Matrix = self._coder.codes(self.reduced(views)) - self._mean
        return found

    def decode(self, of_class: Matrix, individual: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Synthetic images ``(N, S, S, 3) uint8`` of class codes under one individual code, or under one each."""
        return self._coder.decode(of_class + self._mean, individual)

    def judge(self, images: NDArray[np.uint8]) -> Matrix:
        """The explained network's probabilities ``(N, C)`` of synthetic images ``(N, S, S, 3) uint8``."""
        return judged(self._network, images)

    def reduced(self, views: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Views as the encoders are fed, ``(N, S, S, 3) uint8``."""
        return np.concatenate([reduced(part, self._found.size.side) for part in batches(views)])


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
