"""The training loop: batches in a new order each epoch, light augmentation, one cycle of the learning rate.

The schedule is Leslie N. Smith and N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
Learning Rates", 2018, https://arxiv.org/abs/1708.07120.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from casebase import clock
from casebase.errors import ModelError
from casebase.networks.devices import fast_bf16
from casebase.reading import Preprocess

OPTIMISERS = ("adamw", "adam", "sgd")
PRECISIONS = ("auto", "fp32", "bf16")


class Views(Protocol):
    """Images that can be had in batches: an array of views, or something that decodes on demand."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: NDArray[np.intp], /) -> NDArray[np.uint8]:
        """The views ``(n, H, W, 3) uint8`` of these rows."""
        ...


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images as the network is to see them, and the position of each one's class."""

    views: Views
    labels: Sequence[int]


@dataclass(frozen=True, slots=True)
class Options:
    """How to train. ``shift`` is the largest move in pixels, filled by reflection; ``flip`` mirrors half the images.

    ``warm_up`` is the share of steps in which the learning rate rises to ``lr``. ``precision`` ``auto`` is bf16 where
    the machine is fast in it. ``freeze_batch_norm`` None means: where all of them are folded away (mean 0, variance 1
    in a trained network), because statistics anew would make such weights useless.
    """

    epochs: int = 10
    lr: float = 1e-4
    batch_size: int = 32
    optimiser: str = "adamw"
    weight_decay: float = 1e-2
    momentum: float = 0.9
    warm_up: float = 0.25
    label_smoothing: float = 0.0
    flip: bool = True
    shift: int = 0
    freeze_backbone: bool = False
    freeze_batch_norm: bool | None = None
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS or self.precision not in PRECISIONS:
            raise ModelError(f"optimisers are {', '.join(OPTIMISERS)}; precisions are {', '.join(PRECISIONS)}")
        if self.epochs < 1 or self.batch_size < 1 or not self.lr > 0 or not 0 < self.warm_up < 1 or self.shift < 0:
            raise ModelError("training needs an epoch or more, an image a batch, lr above 0, warm-up between 0 and 1")


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch brought; ``val_accuracy`` is None without validation images."""

    number: int
    of: int
    loss: float
    accuracy: float
    val_accuracy: float | None
    seconds: float


class Loop:
    """Optimiser, schedule and batches of one training."""

    def __init__(
        self, module: nn.Module, linear: nn.Linear, chain: Preprocess, options: Options, device: str, *, folded: bool
    ) -> None:
        self._options, self._device = options, torch.device(device)
        self._module = module.to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._rng = clock.generator(options.seed)
        half = options.precision == "bf16" or (options.precision == "auto" and fast_bf16(device))
        self.precision = "bf16" if half else "fp32"
        self.frozen_norms = folded if options.freeze_batch_norm is None else options.freeze_batch_norm
        self._mean = torch.tensor(chain.mean, device=self._device).mul(255.0).view(1, 3, 1, 1)
        self._std = torch.tensor(chain.std, device=self._device).mul(255.0).view(1, 3, 1, 1)
        module.requires_grad_(not options.freeze_backbone)
        linear.requires_grad_()
        self._optimiser = _optimiser([p for p in module.parameters() if p.requires_grad], options)
        self._schedule: torch.optim.lr_scheduler.OneCycleLR | None = None

    def epoch(self, number: int, train: Labelled, val: Labelled | None) -> Epoch:
        """Every training image once, in a new order, then the validation images."""
        began = clock.seconds()
        labels = np.asarray(train.labels, dtype=np.int64)
        batches = _batches(self._rng.permutation(len(labels)), self._options.batch_size)
        if self._schedule is None:
            self._schedule = torch.optim.lr_scheduler.OneCycleLR(
                self._optimiser,
                max_lr=self._options.lr,
                total_steps=max(2, self._options.epochs * len(batches)),
                pct_start=self._options.warm_up,
                cycle_momentum=False,
            )
        self._training_mode()
        total, right = 0.0, 0
        for rows in batches:
            target = torch.from_numpy(labels[rows]).to(self._device)
            with self._autocast():
                scores = self._module(self._moved(self._batch(train.views, rows))).float()
            loss = functional.cross_entropy(scores, target, label_smoothing=self._options.label_smoothing)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise ModelError(
                    f"the loss became {value} in epoch {number}; train again with a smaller learning rate "
                    f"than {self._options.lr:g}"
                )
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()
            self._schedule.step()
            total += value * len(rows)
            right += int((scores.argmax(1) == target).sum())
        accuracy = None if val is None else self._accuracy(val)
        n = len(labels)
        return Epoch(number, self._options.epochs, total / n, right / n, accuracy, clock.seconds() - began)

    def _training_mode(self) -> None:
        self._module.train(not self._options.freeze_backbone)
        if self.frozen_norms:
            for part in self._module.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()

    def _accuracy(self, val: Labelled) -> float:
        labels = np.asarray(val.labels, dtype=np.int64)
        self._module.eval()
        right = 0
        for rows in _batches(np.arange(len(labels)), self._options.batch_size):
            with torch.no_grad(), self._autocast():
                scores = self._module(self._batch(val.views, rows)).float()
            right += int((scores.argmax(1).cpu().numpy() == labels[rows]).sum())
        return right / len(labels)

    def _batch(self, views: Views, rows: NDArray[np.intp]) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(views[rows])).to(self._device)
        return pixels.permute(0, 3, 1, 2).float().sub_(self._mean).div_(self._std)

    def _moved(self, batch: Tensor) -> Tensor:
        """Half the images mirrored, each moved by up to ``shift`` pixels, as the options say."""
        n, _, height, width = batch.shape
        if self._options.flip:
            mirrored = torch.from_numpy(self._rng.random(n) < 0.5).to(batch.device)
            batch = torch.where(mirrored.view(n, 1, 1, 1), batch.flip(3), batch)
        reach = min(self._options.shift, height - 1, width - 1)
        if reach:
            wide = functional.pad(batch, (reach, reach, reach, reach), mode="reflect")
            corners = self._rng.integers(0, 2 * reach + 1, size=(n, 2)).tolist()
            parts = [wide[i, :, y : y + height, x : x + width] for i, (y, x) in enumerate(corners)]
            batch = torch.stack(parts).contiguous(memory_format=torch.channels_last)
        return batch

    def _autocast(self) -> Any:
        return torch.autocast(self._device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()


def _optimiser(parameters: list[nn.Parameter], options: Options) -> torch.optim.Optimizer:
    if options.optimiser == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=options.lr,
            momentum=options.momentum,
            weight_decay=options.weight_decay,
            nesterov=options.momentum > 0,
        )
    kind = torch.optim.AdamW if options.optimiser == "adamw" else torch.optim.Adam
    return kind(parameters, lr=options.lr, weight_decay=options.weight_decay)


def _batches(order: NDArray[np.intp], size: int) -> list[NDArray[np.intp]]:
    """Slices of ``order``; a last one of a single image joins the one before (batch norm needs two)."""
    parts = [order[i : i + size] for i in range(0, len(order), size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        last = parts.pop()
        parts[-1] = np.concatenate([parts[-1], last])
    return parts
