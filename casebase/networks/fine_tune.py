"""Fine-tuning of one classifier: cross-entropy under a new head, deterministic under a seed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import nn

from casebase import clock
from casebase.errors import ModelError
from casebase.networks.anatomy import dissect
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.heads import linear_of, plan_for, put
from casebase.networks.loaded import Loaded, checked_classes, seeded
from casebase.networks.training import Epoch, Labelled, Loop, Options, Views
from casebase.reading import Preprocess
from casebase.reuse import wilson

__all__ = ["Epoch", "Labelled", "Options", "Tuned", "Views", "fine_tune", "resized"]


@dataclass(frozen=True, eq=False)
class Tuned:
    """A fine-tuned network and its history. The validation accuracy is the last epoch's: none was picked by it."""

    network: ExplainedNetwork
    epochs: tuple[Epoch, ...]
    val_n: int
    options: Options
    precision: str
    frozen_batch_norm: bool
    seconds: float

    def metrics(self) -> dict[str, Any]:
        """As JSON: for ``metadata`` of a model folder."""
        last = self.epochs[-1]
        right = None if last.val_accuracy is None else round(last.val_accuracy * self.val_n)
        return {
            "seed": self.options.seed,
            "options": asdict(self.options),
            "precision": self.precision,
            "frozen_batch_norm": self.frozen_batch_norm,
            "train_accuracy": last.accuracy,
            "val_accuracy": last.val_accuracy,
            "val_n": self.val_n,
            "val_interval": None if right is None or not self.val_n else list(wilson(right, self.val_n)),
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "seconds": self.seconds,
        }


def fine_tune(
    start: Loaded,
    train: Labelled,
    classes: Sequence[str],
    *,
    val: Labelled | None = None,
    options: Options | None = None,
    preprocess: Preprocess | None = None,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Tuned:
    """Train ``start`` (its weights are left as they are) under a new head for ``classes``.

    ``preprocess`` says how the views were made, where that is not how ``start`` was trained (:func:`resized` for
    another size). The same seed, machine and number of threads give the same weights. The network comes back reading
    in fp32.

    Raises ``ModelError`` for labels and views that do not fit, and when the loss is no longer a number.
    """
    chosen, names = options or Options(), checked_classes(classes)
    chain = preprocess or start.preprocess
    _checked(train, len(names), "training")
    if val is not None:
        _checked(val, len(names), "validation")
    began = clock.seconds()
    with seeded(chosen.seed):
        begun, linear = _with_new_head(start, chain, names)
        loop = Loop(begun.module, linear, chain, chosen, device, folded=_folded(start))
        epochs = []
        for number in range(1, chosen.epochs + 1):
            epoch = loop.epoch(number, train, val)
            epochs.append(epoch)
            if on_epoch is not None:
                on_epoch(epoch)
    begun.module.requires_grad_().eval()
    return Tuned(
        network=ExplainedNetwork(begun, device=device, batch_size=min(64, max(16, chosen.batch_size))),
        epochs=tuple(epochs),
        val_n=0 if val is None else len(val.labels),
        options=chosen,
        precision=loop.precision,
        frozen_batch_norm=loop.frozen_norms,
        seconds=clock.seconds() - began,
    )


def resized(preprocess: Preprocess, size: int, *, whole: bool = False) -> Preprocess:
    """The same preprocessing for square views of ``size`` pixels; ``whole`` crops nothing off square pictures."""
    share = 1.0 if whole or preprocess.resize is None else preprocess.resize / preprocess.crop[0]
    resize = None if preprocess.resize is None else max(size, round(size * share))
    return Preprocess(resize, (size, size), preprocess.interpolation, preprocess.mean, preprocess.std)


def _with_new_head(start: Loaded, chain: Preprocess, names: tuple[str, ...]) -> tuple[Loaded, nn.Linear]:
    """A deep copy of ``start`` under an untrained head for these classes."""
    if start.head.kind != "own":
        raise ModelError("this network carries a head fitted by casebase; start from its backbone instead")
    module = copy.deepcopy(start.module)
    parts = dissect(module, chain.crop, layer=start.layer, embeds=start.embeds)
    plan = plan_for(parts.head, parts.tail, embeds=start.embeds, old=start.head)
    module = put(module, plan, parts.dim, len(names))
    layer = start.layer if plan.kind != "stacked" or start.layer is None else f"backbone.{start.layer}"
    begun = replace(
        start,
        module=module,
        preprocess=chain,
        classes=names,
        embeds=False,
        untrained=False,
        head=plan,
        layer=layer,
    )
    return begun, linear_of(module, plan)


def _folded(start: Loaded) -> bool:
    """Whether a trained network's batch norms have all been folded into its convolutions."""
    norms = [m for m in start.module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if start.untrained or not norms:
        return False
    return all(
        m.running_mean is not None
        and m.running_var is not None
        and not bool(m.running_mean.any())
        and bool((m.running_var == 1).all())
        for m in norms
    )


def _checked(images: Labelled, k: int, kind: str) -> None:
    if not len(images.labels) or len(images.views) != len(images.labels):
        raise ModelError(f"{len(images.views)} {kind} images and {len(images.labels)} labels; each needs one")
    if min(images.labels) < 0 or max(images.labels) >= k:
        raise ModelError(f"a {kind} label lies outside the {k} classes")
