"""The training loop: batches in a new order each epoch, light augmentation, and a state to go on from, bit for bit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from casebase import clock
from casebase.errors import Diverged
from casebase.networks.devices import fast_bf16
from casebase.networks.recipe import Recipe
from casebase.reading import Preprocess
from casebase.trained import Epoch, Step, Watcher


class Views(Protocol):
    """Images that can be had in batches: an array of views, or something that decodes on demand."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: NDArray[np.intp], /) -> NDArray[np.uint8]:
        """The views ``(n, H, W, 3) uint8`` of these rows."""
        ...


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images as the network is to see them, the position of each one's class, and where known what belongs together."""

    views: Views
    labels: Sequence[int]
    groups: Sequence[str | None] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Score:
    """Mean cross-entropy in nats, and whether each image ``(n,)`` is answered rightly."""

    loss: float
    right: NDArray[np.bool_]


class Loop:
    """Optimiser, learning rate and batches of one training.

    ``folded`` says that the batch norms of the starting weights are folded away, ``counts`` how many training images
    each class has.
    """

    def __init__(
        self, module: nn.Module, linear: nn.Linear, chain: Preprocess, recipe: Recipe, device: str, *, folded: bool,
        counts: Sequence[int],
    ) -> None:  # fmt: skip
        self._recipe, self._device = recipe, torch.device(device)
        self._module = module.to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._rng = clock.generator(recipe.seed)
        half = recipe.precision == "bf16" or (recipe.precision == "auto" and fast_bf16(device))
        self.precision = "bf16" if half else "fp32"
        self.frozen_norms = recipe.batch_norm == "frozen" or (recipe.batch_norm == "auto" and folded)
        self._mean = torch.tensor(chain.mean, device=self._device).mul(255.0).view(1, 3, 1, 1)
        self._std = torch.tensor(chain.std, device=self._device).mul(255.0).view(1, 3, 1, 1)
        self.class_weights = balanced(counts) if recipe.class_weights == "balanced" else None
        weights = self.class_weights
        self._weight = None if weights is None else torch.tensor(weights, dtype=torch.float32, device=self._device)
        module.requires_grad_(not recipe.freeze_backbone)
        linear.requires_grad_()
        self._optimiser = _optimiser([p for p in module.parameters() if p.requires_grad], recipe)
        self._batches = len(_batches(np.arange(sum(counts)), recipe.batch_size))
        self._step = 0

    def epoch(self, number: int, train: Labelled, val: Labelled | None, watch: Watcher) -> Epoch:
        """Every training image once, in a new order, then the validation images; raises ``Diverged``."""
        began = clock.seconds()
        labels = np.asarray(train.labels, dtype=np.int64)
        order = _batches(self._rng.permutation(len(labels)), self._recipe.batch_size)
        self._training_mode()
        total, right, done, rate = 0.0, 0, 0, self._recipe.lr
        for rows, views in _ahead(train.views, order):
            target = torch.from_numpy(labels[rows]).to(self._device)
            with self._autocast():
                scores = self._module(self._moved(self._normalised(views))).float()
            loss = functional.cross_entropy(
                scores, target, weight=self._weight, label_smoothing=self._recipe.label_smoothing
            )
            value = float(loss.detach())
            if not math.isfinite(value):
                raise Diverged(f"the loss became {value}")
            rate = self._changed(loss)
            total, done = total + value * len(rows), done + len(rows)
            right += int((scores.argmax(1) == target).sum())
            watch(Step(number, self._recipe.epochs, done, len(labels), total / done, right / done))
        if not all(bool(torch.isfinite(v).all()) for v in self._module.state_dict().values() if v.is_floating_point()):
            raise Diverged("a weight became infinite or no number")
        seen = None if val is None else self.measure(val)
        if seen is not None and not math.isfinite(seen.loss):
            raise Diverged(f"the validation loss became {seen.loss}")
        n = len(labels)
        return Epoch(
            number, self._recipe.epochs, total / n, right / n, None if seen is None else seen.loss,
            None if seen is None else float(seen.right.mean()), rate, clock.seconds() - began,
        )  # fmt: skip

    def measure(self, images: Labelled, *, exactly: bool = False) -> Score:
        """Loss and right answers of the weights as they are; ``exactly`` computes in fp32 whatever the precision."""
        labels = np.asarray(images.labels, dtype=np.int64)
        self._module.eval()
        total, weight, right = 0.0, 0.0, np.zeros(len(labels), np.bool_)
        for rows, views in _ahead(images.views, _batches(np.arange(len(labels)), self._recipe.batch_size)):
            target = torch.from_numpy(labels[rows]).to(self._device)
            with torch.no_grad(), nullcontext() if exactly else self._autocast():
                scores = self._module(self._normalised(views)).float()
            total += float(functional.cross_entropy(scores, target, weight=self._weight, reduction="sum"))
            weight += len(rows) if self._weight is None else float(self._weight[target].sum())
            right[rows] = (scores.argmax(1) == target).cpu().numpy()
        return Score(total / weight, right)

    def unfold(self, train: Labelled) -> None:
        """Give folded batch norms the statistics of the training images, and take them off again by scale and shift.

        A norm with mean 0 and variance 1 gives y = w x / sqrt(1 + eps) + b. With mean m and variance v of its inputs
        the same y comes from w' = w sqrt((v + eps) / (1 + eps)) and b' = b + w m / sqrt(1 + eps): no answer changes,
        and the network can be trained as if it had never been folded.
        """
        norms = [p for p in self._module.modules() if isinstance(p, nn.modules.batchnorm._BatchNorm)]
        sums: dict[nn.Module, Tensor] = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

        def seen(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].detach().transpose(0, 1).flatten(1).double().cpu()  # (channels, values)
            sums[norm] += torch.stack([torch.full((len(x),), float(x.shape[1])), x.sum(1), (x * x).sum(1)])

        hooks = [norm.register_forward_pre_hook(seen) for norm in norms]
        try:
            self.measure(train, exactly=True)
        finally:
            for hook in hooks:
                hook.remove()
        with torch.no_grad():
            for norm in norms:
                count, total, squares = sums[norm]
                if norm.running_mean is None or norm.running_var is None or not norm.affine or not bool(count.all()):
                    continue
                mean = total / count
                variance = (squares / count - mean * mean).clamp(min=0.0)
                slope = norm.weight.double().cpu() / math.sqrt(1.0 + norm.eps)
                norm.running_mean.copy_(mean)
                norm.running_var.copy_(variance)
                norm.bias.add_((slope * mean).to(norm.bias))
                norm.weight.copy_(slope * (variance + norm.eps).sqrt())

    def state(self) -> dict[str, Any]:
        """Everything the next epoch depends on, as tensors, numbers and text."""
        cuda = torch.cuda.get_rng_state_all() if self._device.type == "cuda" else []
        return {
            "module": self._module.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self._step,
            "order": json.dumps(self._rng.bit_generator.state),
            "torch": torch.get_rng_state(),
            "cuda": list(cuda),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        self._module.load_state_dict(state["module"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._step = int(state["step"])
        self._rng.bit_generator.state = json.loads(state["order"])
        torch.set_rng_state(state["torch"])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state_all(list(state["cuda"]))

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights on the CPU."""
        return {name: value.detach().to("cpu", copy=True) for name, value in self._module.state_dict().items()}

    def put(self, weights: Mapping[str, Tensor]) -> None:
        """Put a copy of weights back."""
        self._module.load_state_dict(dict(weights))

    def _changed(self, loss: Tensor) -> float:
        """One step of the optimiser; returns its learning rate."""
        rate = self._recipe.rate(self._step, self._recipe.epochs * self._batches)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._step += 1
        return rate

    def _training_mode(self) -> None:
        self._module.train(not self._recipe.freeze_backbone)
        if self.frozen_norms:
            for part in self._module.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()

    def _normalised(self, views: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(views)).to(self._device)
        return pixels.permute(0, 3, 1, 2).float().sub_(self._mean).div_(self._std)

    def _moved(self, batch: Tensor) -> Tensor:
        """Half the images mirrored, each moved by up to ``shift`` pixels, as the recipe says."""
        n, _, height, width = batch.shape
        if self._recipe.flip:
            mirrored = torch.from_numpy(self._rng.random(n) < 0.5).to(batch.device)
            batch = torch.where(mirrored.view(n, 1, 1, 1), batch.flip(3), batch)
        reach = min(self._recipe.shift, height - 1, width - 1)
        if reach:
            wide = functional.pad(batch, (reach, reach, reach, reach), mode="reflect")
            corners = self._rng.integers(0, 2 * reach + 1, size=(n, 2)).tolist()
            parts = [wide[i, :, y : y + height, x : x + width] for i, (y, x) in enumerate(corners)]
            batch = torch.stack(parts).contiguous(memory_format=torch.channels_last)
        return batch

    def _autocast(self) -> Any:
        return torch.autocast(self._device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()


@contextmanager
def repeatable(device: str) -> Iterator[None]:
    """On a GPU, only algorithms that give the same result every time; a CPU with the same threads always does."""
    if not device.startswith("cuda"):
        yield
        return
    cudnn = torch.backends.cudnn
    before = (cudnn.deterministic, cudnn.benchmark, torch.are_deterministic_algorithms_enabled())
    cudnn.deterministic, cudnn.benchmark = True, False
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before[:2]
        torch.use_deterministic_algorithms(mode=before[2])


def balanced(counts: Sequence[int]) -> tuple[float, ...]:
    """One weight a class, n / (K n_c): every class counts the same in the loss, and the mean over images is 1."""
    n, k = sum(counts), len(counts)
    return tuple(n / (k * count) if count else 0.0 for count in counts)


def _ahead(views: Views, batches: Sequence[NDArray[np.intp]]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.uint8]]]:
    """Each batch with its views; the next one is decoded while this one is computed."""
    taken: Callable[[NDArray[np.intp]], NDArray[np.uint8]] = views.__getitem__
    with ThreadPoolExecutor(1, thread_name_prefix="casebase-views") as pool:
        waiting = pool.submit(taken, batches[0])
        for rows, after in zip(batches, [*batches[1:], None], strict=True):
            now = waiting.result()
            if after is not None:
                waiting = pool.submit(taken, after)
            yield rows, now


def _optimiser(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.momentum > 0,
        )
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    return kind(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)


def _batches(order: NDArray[np.intp], size: int) -> list[NDArray[np.intp]]:
    """Slices of ``order``; a last one of a single image joins the one before (batch norm needs two)."""
    parts = [order[i : i + size] for i in range(0, len(order), size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        last = parts.pop()
        parts[-1] = np.concatenate([parts[-1], last])
    return parts
