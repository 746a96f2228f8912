"""How attributions ask a network: one class's score as a function of images, one image at a time, nothing disturbed."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from casebase.errors import MissingExtra, ModelError, UsageError
from casebase.explain.saliency.guard import safe_copy
from casebase.explain.saliency.method import Images, Network, RawMap

LOGIT = "class score before softmax"
PROBABILITY = "probability (softmax)"
MEAN_COLOUR = "the mean colour"
"""What a network is fed as zero, after normalising; the usual stand-in for nothing."""
_CHANCE = threading.RLock()  # the global generators belong to the whole process, so two networks must not mix there


class Differentiable:
    """Class scores ``(N, C)`` of images ``(N, 3, H, W)`` on a safe copy, so that gradients reach the images.

    At most ``batch`` images go through at once. It is no ``nn.Module``: a library that holds it can neither reset the
    weights' gradients nor change the mode.
    """

    def __init__(self, network: Network, batch: int) -> None:
        self._module = safe_copy(network.module)
        self._batch = batch
        parameter = next(self._module.parameters(), None)
        self.device = torch.device("cpu") if parameter is None else parameter.device

    def __call__(self, images: Tensor) -> Tensor:
        """Scores ``(N, C)`` of images ``(N, 3, H, W)``; where gradients are on, they reach the images."""
        parts = [self._module(part) for part in torch.split(images, self._batch)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class Fast:
    """The same without gradients, by the network's own fast engine."""

    device = torch.device("cpu")

    def __init__(self, network: Network, batch: int) -> None:
        self._network, self._batch = network, batch

    def __call__(self, images: Tensor) -> Tensor:
        """Scores ``(N, C)`` of images ``(N, 3, H, W)``, on the CPU."""
        parts = [self._network.scores(part.numpy()) for part in torch.split(images.detach(), self._batch)]
        return torch.from_numpy(np.concatenate(parts))


Scores = Differentiable | Fast


def score_of(scores: Scores, target: int) -> Callable[[Tensor], Tensor]:
    """Images ``(N, 3, H, W)`` to the score ``(N,)`` of one class before softmax."""
    return lambda images: scores(images)[:, target]


def probability_of(scores: Scores, target: int) -> Callable[[Tensor], Tensor]:
    """Images ``(N, 3, H, W)`` to the probability ``(N,) float64`` of one class."""
    return lambda images: torch.softmax(scores(images).double(), dim=1)[:, target]


@dataclass(frozen=True, eq=False)
class ImageByImage:
    """A method that explains one image ``(1, 3, H, W)`` at a time: implements the port ``Saliency``.

    So a map never depends on what else is in the call. ``explain`` gets tensors of its own; images whose scores are
    not finite do not reach it, their map ``(H, W)`` is NaN.
    """

    facts: Mapping[str, Any]
    scores: Scores
    explain: Callable[[Tensor, int], RawMap]
    lock: threading.Lock | threading.RLock

    def raw(self, images: Images, targets: Sequence[int]) -> list[RawMap]:
        """Maps ``(H, W) float32`` of images ``(N, 3, H, W)``, one class index each.

        Raises ``UsageError`` for a number of classes other than of images, and for a class that the network lacks.
        """
        if len(images) != len(targets):
            raise UsageError(f"{len(images)} images and {len(targets)} classes were given; each image needs one class")
        with self.lock, torch.inference_mode(False), torch.enable_grad():
            return [self._one(images[i : i + 1], int(target)) for i, target in enumerate(targets)]

    def _one(self, image: Images, target: int) -> RawMap:
        given = torch.from_numpy(np.array(image, np.float32)).to(self.scores.device)
        with torch.no_grad():
            found = self.scores(given)
        if not 0 <= target < found.shape[1]:
            raise UsageError(f"there is no class number {target}; the network has 0 to {found.shape[1] - 1}")
        if not bool(torch.isfinite(found).all()):
            return nothing(image)
        return self.explain(given, target)


def nothing(image: Images | Tensor) -> RawMap:
    """The map of an image that cannot be explained: NaN everywhere."""
    return RawMap(np.full(image.shape[-2:], np.nan, np.float32))


def over_channels(attributed: Tensor) -> Images:
    """Signed attributions ``(1, 3, H, W)`` summed over the channels: ``(H, W) float32``."""
    summed: Images = attributed.detach()[0].double().sum(0).float().cpu().numpy()
    return summed


def legacy_seed(seed: int) -> int:
    """A seed that NumPy's old generators take: 0 to 2^32 - 1."""
    return seed % 2**32


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Global generators (Python, NumPy, torch) start from ``seed`` inside, and are afterwards as they were.

    For libraries that know no other source of chance. Threads that do this wait for each other.
    """
    start = legacy_seed(seed)
    with _chance_kept([device] if device.type == "cuda" else []):
        random.seed(start)
        np.random.seed(start)  # noqa: NPY002  # what shap and captum draw from
        torch.default_generator.manual_seed(start)  # not torch.manual_seed: that would seed every accelerator
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(start)
        yield


@contextmanager
def importing() -> Iterator[None]:
    """Around an optional library's import: what it warns of on its own account is dropped.

    So is what it draws: importing shap moves Python's global generator.
    """
    with _chance_kept([]), warnings.catch_warnings():  # the filters are the process's too
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _chance_kept(accelerators: list[torch.device]) -> Iterator[None]:
    with _CHANCE, torch.random.fork_rng(devices=accelerators):
        python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


def refuse_one_class(network: Network, scores: Scores, method: str) -> None:
    """Raise ``ModelError`` where there is only one class: its probability is 1 whatever is hidden."""
    height, width = network.preprocess.crop
    with torch.no_grad():
        found = scores(torch.zeros((1, 3, height, width)))
    if found.shape[1] < 2:
        raise ModelError(
            f"{method} watches a class's probability, and in a network with one class that is always 1; "
            "use a method that goes by the score, such as gradcam or integrated-gradients"
        )


def missing(library: str, method: str, error: ImportError) -> MissingExtra:
    """The error for an optional library that cannot be imported."""
    absent = isinstance(error, ModuleNotFoundError)
    why = "is not installed" if absent else f"cannot be imported ({' '.join(str(error).split())})"
    return MissingExtra(f"{method} needs {library}, which {why}; pip install 'casebase[saliency]'")
