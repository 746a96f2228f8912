"""Fine-tuning of one classifier: cross-entropy, early stopping on validation images, repeatable under a seed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from casebase import clock
from casebase.errors import Diverged, ModelError
from casebase.evaluations import Measured
from casebase.networks.anatomy import dissect
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.heads import linear_of, plan_for, put
from casebase.networks.loaded import Loaded, checked_classes, seeded
from casebase.networks.recipe import Recipe
from casebase.networks.training import Labelled, Loop, Score, Views, repeatable
from casebase.reading import Preprocess
from casebase.shares import grouped_share
from casebase.trained import Epoch, Watcher

__all__ = ["Begun", "Images", "Labelled", "Recipe", "Tuned", "Views", "Watch", "fine_tune", "resized"]


@dataclass(frozen=True, eq=False)
class Images:
    """What to train on, what to stop and choose by, and what to look at once, at the very end."""

    train: Labelled
    val: Labelled | None = None
    test: Labelled | None = None

    def parts(self) -> dict[str, Labelled]:
        """Those that are there, by name."""
        named = {"train": self.train, "val": self.val, "test": self.test}
        return {name: found for name, found in named.items() if found is not None}


@dataclass(frozen=True, eq=False)
class Watch:
    """Who looks on: ``told`` hears of every step and epoch, ``save`` gets a state after each epoch.

    ``state`` is what ``save`` got last, of a training to go on with.
    """

    told: Watcher = field(default=lambda moment: None)
    save: Callable[[Mapping[str, Any]], None] = field(default=lambda state: None)
    state: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Tuned:
    """A fine-tuned network and its history.

    ``kept`` is the number of the epoch whose weights these are, ``selected_by`` the figure it was chosen by.
    ``accuracy`` is of these weights, in eval mode and fp32. ``diverged`` says why training stopped before its end.
    """

    network: ExplainedNetwork
    epochs: tuple[Epoch, ...]
    kept: int
    selected_by: str
    accuracy: Mapping[str, Measured]
    losses: Mapping[str, float]
    recipe: Recipe
    precision: str
    frozen_batch_norm: bool
    class_weights: tuple[float, ...] | None
    seconds: float
    diverged: str | None = None

    def metrics(self) -> dict[str, Any]:
        """As JSON: for ``metadata`` of a model folder."""
        return {
            "seed": self.recipe.seed,
            "options": asdict(self.recipe),
            "precision": self.precision,
            "frozen_batch_norm": self.frozen_batch_norm,
            "class_weights": None if self.class_weights is None else list(self.class_weights),
            "accuracy": {
                name: {"value": m.value, "low": m.low, "high": m.high, "n": m.n, "loss": self.losses[name]}
                for name, m in self.accuracy.items()
            },
            "kept_epoch": self.kept,
            "selected_by": self.selected_by,
            "stopped_early": self.diverged is None and len(self.epochs) < self.recipe.epochs,
            "diverged": self.diverged,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "seconds": self.seconds,
            "threads": torch.get_num_threads(),
        }


def fine_tune(
    begun: Begun, images: Images, recipe: Recipe | None = None, *, device: str = "cpu", watch: Watch | None = None
) -> Tuned:
    """Train what :meth:`Begun.of` made. Same seed, machine, threads: same weights, interrupted or not.

    The network comes back reading in fp32. Raises ``ModelError`` for labels and views that do not fit, and
    ``Diverged`` where a loss stops being a number before one epoch is finished; later, the weights of the last good
    epoch come back, and ``diverged`` says why.
    """
    chosen, eyes = recipe or Recipe(), watch or Watch()
    for name, part in images.parts().items():
        _checked(part, len(begun.loaded.classes or ()), name)
    began = clock.seconds()
    counts = [0] * len(begun.loaded.classes or ())
    for label in images.train.labels:
        counts[label] += 1
    with seeded(chosen.seed), repeatable(device):
        module = begun.loaded.module
        loop = Loop(
            module, begun.linear, begun.loaded.preprocess, chosen, device, folded=begun.folded, counts=counts
        )  # fmt: skip
        run = _Run(loop, images, chosen, eyes)
        with _memory_told():
            if chosen.batch_norm == "restored" and begun.folded and eyes.state is None:
                loop.unfold(images.train)
            run.go()
            scores = {name: loop.measure(part, exactly=True) for name, part in images.parts().items()}
    module.requires_grad_().eval()
    return Tuned(
        network=ExplainedNetwork(begun.loaded, device=device, batch_size=min(64, max(16, chosen.batch_size))),
        epochs=tuple(run.history),
        kept=run.kept,
        selected_by=run.by,
        accuracy={name: _accuracy(score, images.parts()[name], chosen.seed) for name, score in scores.items()},
        losses={name: score.loss for name, score in scores.items()},
        recipe=chosen,
        precision=loop.precision,
        frozen_batch_norm=loop.frozen_norms,
        class_weights=loop.class_weights,
        seconds=run.before + clock.seconds() - began,
        diverged=run.diverged,
    )


@dataclass(frozen=True, eq=False)
class Begun:
    """A copy of a network under a head for these classes, ready to be trained; the one it was made of stays as it is.

    ``folded`` says that all batch norms of the trained network were folded into its convolutions.
    """

    loaded: Loaded
    linear: nn.Linear
    folded: bool

    @classmethod
    def of(cls, start: Loaded, classes: Sequence[str], *, preprocess: Preprocess | None = None, seed: int = 0) -> Begun:
        """Put an untrained head on a deep copy of ``start``; one casebase put there for the same classes is kept.

        ``preprocess`` says how the views are made, where that is not how ``start`` was trained (:func:`resized` for
        another size). Raises ``ModelError`` where there is no place for a head, or the network cannot read this size.
        """
        names, chain, plan = checked_classes(classes), preprocess or start.preprocess, start.head
        with seeded(seed):
            module = copy.deepcopy(start.module)
            parts = dissect(module, chain.crop, layer=start.layer, embeds=start.embeds)
            layer = start.layer
            if plan.kind == "own":
                plan = plan_for(parts.head, parts.tail, embeds=start.embeds, old=plan)
                module = put(module, plan, parts.dim, len(names))
                layer = f"backbone.{layer}" if plan.kind == "stacked" and layer is not None else layer
            elif start.classes != names:
                old = linear_of(module, plan)
                place = next(name for name, part in module.named_modules() if part is old)
                module.set_submodule(place, nn.Linear(old.in_features, len(names)))
        loaded = replace(
            start, module=module, preprocess=chain, classes=names, embeds=False, untrained=False, head=plan, layer=layer
        )
        return cls(loaded, linear_of(module, plan), _folded(start))


@dataclass(eq=False)
class _Run:
    """The epochs of one training, from the first or from where an earlier one was interrupted."""

    loop: Loop
    images: Images
    recipe: Recipe
    watch: Watch
    history: list[Epoch] = field(default_factory=list)
    kept: int = 0
    good: dict[str, Tensor] = field(default_factory=dict)
    before: float = 0.0
    diverged: str | None = None

    @property
    def by(self) -> str:
        """What decides which epoch is kept."""
        return "val_loss" if self.recipe.keep == "best" and self.images.val is not None else "last_epoch"

    def go(self) -> None:
        """Train to the end; the loop then holds the weights that are kept."""
        state = self.watch.state
        if state is not None:
            self.loop.restore(state["loop"])
            self.history = [Epoch(**epoch) for epoch in json.loads(state["history"])]
            self.kept, self.good, self.before = int(state["kept"]), dict(state["good"]), float(state["seconds"])
        began = clock.seconds() - self.before
        while len(self.history) < self.recipe.epochs and not self._enough():
            try:
                epoch = self.loop.epoch(
                    len(self.history) + 1, self.images.train, self.images.val, self.watch.told
                )  # fmt: skip
            except Diverged as error:
                if not self.history:
                    raise
                self.diverged = str(error)
                break
            self.history.append(epoch)
            if self.by == "last_epoch" or self._best() == epoch.number:
                self.kept, self.good = epoch.number, self.loop.weights()
            self.watch.save(self._state(clock.seconds() - began))
            self.watch.told(epoch)
        self.loop.put(self.good)

    def _best(self) -> int:
        """The epoch with the lowest validation loss, the first of several."""
        return min(self.history, key=lambda epoch: (epoch.val_loss, epoch.number)).number

    def _enough(self) -> bool:
        if not self.recipe.patience or self.images.val is None or not self.history:
            return False
        return len(self.history) - max(self._best(), self.recipe.rising) >= self.recipe.patience

    def _state(self, seconds: float) -> dict[str, Any]:
        history = json.dumps([asdict(epoch) for epoch in self.history])
        return {
            "loop": self.loop.state(), "history": history, "kept": self.kept, "good": self.good, "seconds": seconds
        }  # fmt: skip


def resized(preprocess: Preprocess, size: int, *, whole: bool = False) -> Preprocess:
    """The same preprocessing for square views of ``size`` pixels; ``whole`` crops nothing off square pictures."""
    share = 1.0 if whole or preprocess.resize is None else preprocess.resize / preprocess.crop[0]
    resize = None if preprocess.resize is None else max(size, round(size * share))
    return Preprocess(resize, (size, size), preprocess.interpolation, preprocess.mean, preprocess.std)


@contextmanager
def _memory_told() -> Iterator[None]:
    """Turns torch's ways of saying that memory is out into a sentence."""
    told = "out of memory; train with a smaller --batch-size or --image-size"
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        raise ModelError(told) from None
    except RuntimeError as error:  # what torch raises on a CPU
        if "not enough memory" not in str(error):
            raise
        raise ModelError(told) from None


def _accuracy(score: Score, images: Labelled, seed: int) -> Measured:
    """By group where images belong together, as ``casebase evaluate model`` gives it."""
    return grouped_share(score.right, images.groups or [None] * len(images), seed)


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
