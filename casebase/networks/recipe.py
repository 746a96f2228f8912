"""How a network is trained: every choice by name, and the learning rate of every step. Knows no torch.

The rising and falling rate is Leslie N. Smith and N. Topin, "Super-Convergence: Very Fast Training of Neural Networks
Using Large Learning Rates", 2018, https://arxiv.org/abs/1708.07120; the falling one I. Loshchilov and F. Hutter,
"SGDR: Stochastic Gradient Descent with Warm Restarts", 2016, https://arxiv.org/abs/1608.03983 (without restarts).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from casebase.errors import UsageError

OPTIMISERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "onecycle")
PRECISIONS = ("auto", "fp32", "bf16")
CLASS_WEIGHTS = ("none", "balanced")
KEEP = ("best", "last")
BATCH_NORM = ("auto", "frozen", "trained", "restored")
_FIRST, _LAST = 25.0, 1e4  # onecycle begins at lr / 25 and ends at a ten-thousandth of that


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    ``schedule`` ``constant`` stays at ``lr``, ``cosine`` falls from it to 0, ``onecycle`` rises to it during the share
    ``warm_up`` of the steps and falls to nearly 0. ``class_weights`` ``balanced`` weighs class c by n / (K n_c) in the
    loss. ``patience`` ends the training after so many epochs without a lower validation loss (0: never), counted from
    where the rate has stopped rising; ``keep`` says whether the epoch with the lowest validation loss is kept or the
    last one. ``shift`` is the largest move in pixels,
    filled by reflection; ``flip`` mirrors half the images. ``precision`` ``auto`` is bf16 where the machine is fast in
    it. ``batch_norm`` ``frozen`` keeps their statistics, ``trained`` renews them batch by batch; ``auto`` is ``frozen``
    where all are folded away (mean 0, variance 1 in a trained network), since statistics anew would make such weights
    useless, else ``trained``; ``restored`` first estimates what was folded away, which changes no answer, then trains.

    The defaults are casebase's own; where they differ from the founding study's, ``docs/study.md`` has the figures.
    """

    epochs: int = 10
    lr: float = 1e-4
    batch_size: int = 32
    optimiser: str = "adamw"
    weight_decay: float = 1e-2
    momentum: float = 0.9
    schedule: str = "onecycle"
    warm_up: float = 0.25
    class_weights: str = "none"
    label_smoothing: float = 0.0
    flip: bool = True
    shift: int = 0
    freeze_backbone: bool = False
    batch_norm: str = "auto"
    patience: int = 3
    keep: str = "best"
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("--optimiser", self.optimiser, OPTIMISERS),
            ("--schedule", self.schedule, SCHEDULES),
            ("--precision", self.precision, PRECISIONS),
            ("--class-weights", self.class_weights, CLASS_WEIGHTS),
            ("--keep", self.keep, KEEP),
            ("--batch-norm", self.batch_norm, BATCH_NORM),
        ):
            if value not in known:
                raise UsageError(f"{name} must be {', '.join(known[:-1])} or {known[-1]}, not {value!r}")
        for name, number, least in (
            ("--epochs", self.epochs, 1),
            ("--batch-size", self.batch_size, 2),  # batch norm needs two
            ("--shift", self.shift, 0),
            ("--patience", self.patience, 0),
        ):
            if number < least:
                raise UsageError(f"{name} must be at least {least}, not {number}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise UsageError(f"--lr must be a number above 0, not {self.lr}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise UsageError(f"--weight-decay must be 0 or more, not {self.weight_decay}")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"--label-smoothing must be at least 0 and below 1, not {self.label_smoothing}")
        if not 0 < self.warm_up < 1:
            raise UsageError(f"the share of warm-up must lie between 0 and 1, not {self.warm_up}")

    @property
    def rising(self) -> int:
        """Epochs in which the learning rate still rises: a worse validation loss there says nothing yet."""
        return math.ceil(self.warm_up * self.epochs) if self.schedule == "onecycle" else 0

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of step number ``step`` (from 0) of ``steps``.

        cosine: lr (1 + cos(pi t)) / 2 with t = step / steps. onecycle: the same curve, from lr / 25 up to lr and from
        there down to lr / 250,000.
        """
        if self.schedule == "constant":
            return self.lr
        if self.schedule == "cosine":
            return _between(self.lr, 0.0, step / steps)
        top, end = self.warm_up * steps - 1, steps - 1
        low = self.lr / _FIRST
        if step <= top:
            return _between(low, self.lr, step / top) if top > 0 else self.lr
        return _between(self.lr, low / _LAST, min(1.0, (step - top) / max(end - top, 1e-9)))


def _between(one: float, other: float, share: float) -> float:
    """From ``one`` to ``other`` along half a cosine."""
    return other + (one - other) * (1.0 + math.cos(math.pi * share)) / 2.0
