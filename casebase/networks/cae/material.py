"""What a training learns from: the cases as small images, the classes they are called, pairs of different classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from casebase import clock, hashing
from casebase.association import PREDICTED
from casebase.errors import DataError, ModelError
from casebase.networks import linear_head
from casebase.networks.cached_rows import CachedRows
from casebase.networks.cae.coder import AT_ONCE, fed, reduced
from casebase.networks.cae.prepared import enough
from casebase.networks.cae.recipe import CaeRecipe, Progress, Watch
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.training_cases import TrainingCases
from casebase.reading import printable

Index = NDArray[np.intp]
MOST_JUDGES = 200
"""Cases set aside to judge by, at most; as many of every class, where it has them."""


@dataclass(frozen=True, eq=False)
class Material:
    """The cases of the classes that take part.

    ``images`` are ``(N, S, S, 3)`` bytes; ``called (N,)`` positions in ``classes``, by which pairs are drawn;
    ``targets (N, C) float32`` probabilities of those classes. ``learn`` and ``judge`` are rows that do not overlap.
    ``rows`` are those of the cases that were given; ``network_called (N,)`` positions in the network's own classes.
    """

    network: ExplainedNetwork
    cases: TrainingCases
    classes: tuple[str, ...]
    images: CachedRows
    rows: Index
    called: Index
    network_called: Index
    targets: NDArray[np.float32]
    learn: Index
    judge: Index

    @property
    def place(self) -> Index:
        """The classes that take part, as positions among the network's."""
        known = list(self.network.classes or ())
        return np.array([known.index(name) for name in self.classes], np.intp)

    def pixels(self, index: Index) -> NDArray[np.uint8]:
        """Images ``(n, S, S, 3) uint8`` of these rows."""
        return self.images.rows(index).astype(np.uint8)

    def ids(self, index: Index) -> list[str]:
        """The ids of the cases of these rows."""
        return [self.cases.ids[row] for row in self.rows[index].tolist()]


def gather(network: ExplainedNetwork, cases: TrainingCases, recipe: CaeRecipe, folder: Path, watch: Watch) -> Material:
    """Make every case small once, and sort them.

    Raises what :func:`casebase.networks.cae.prepared.enough` raises, and ``DataError`` where groups, which stay whole,
    leave no case of a class to learn from or to judge by.
    """
    known = tuple(network.classes or ())
    taking_part = enough(cases.labels, cases.predicted, recipe, known)
    classes = tuple(name for name in known if name in set(taking_part))
    named = cases.predicted if recipe.target == PREDICTED else cases.labels
    place = {name: number for number, name in enumerate(classes)}
    rows = np.array([row for row, name in enumerate(named) if name in place], np.intp)
    called = np.array([place[named[row]] for row in rows.tolist()], np.intp)
    learn, judge = _parts(called, [cases.groups[row] for row in rows.tolist()], recipe.seed)
    for part, what in ((learn, "learn from"), (judge, "judge by")):
        _all_there(called[part], classes, what)
    images = _images(network, cases, rows, recipe, folder, watch)
    targets = _targets(network, cases, recipe, rows, called, classes)
    order = {name: number for number, name in enumerate(known)}
    said = np.array([order[cases.predicted[row]] for row in rows.tolist()], np.intp)
    return Material(network, cases, classes, images, rows, called, said, targets, learn, judge)


class Pairs:
    """Pairs of images of different classes, a function of the step alone, so that a killed training goes on the same.

    Every ordered pair of classes is as likely as any other, and within a class every image: each individual code meets
    class codes of many images of the other class, which is what leaves only the class in them ("building-block
    coherency"). Half of the images are mirrored.
    """

    def __init__(self, material: Material, batch: int, seed: int) -> None:
        called = material.called[material.learn]
        self._of = [material.learn[called == one] for one in range(len(material.classes))]
        self._material, self._batch, self._seed = material, batch, seed

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Images ``(2n, 3, S, S)`` in [-1, 1], A's first, then their partners, and targets ``(2n, C)``."""
        rng = clock.generator(self._seed * 1_000_003 + step)
        firsts, seconds = [], []
        for _ in range(self._batch):
            one, other = rng.choice(len(self._of), 2, replace=False)
            firsts.append(rng.choice(self._of[one]))
            seconds.append(rng.choice(self._of[other]))
        index = np.array([*firsts, *seconds], np.intp)
        images = fed(self._material.pixels(index))
        mirrored = torch.from_numpy(rng.random(len(index)) < 0.5)
        images[mirrored] = images[mirrored].flip(3)
        return images, torch.from_numpy(self._material.targets[index])


def _images(
    network: ExplainedNetwork, cases: TrainingCases, rows: Index, recipe: CaeRecipe, folder: Path, watch: Watch
) -> CachedRows:
    side = recipe.plan.size.side
    key = {"preprocess": network.preprocess.short, "cases": _named(cases, rows), "side": side}
    found = CachedRows(folder, f"images-{side}", (len(rows), side, side, 3), key, "uint8")
    missing = found.missing()
    for start in range(0, len(missing), AT_ONCE):
        part = missing[start : start + AT_ONCE]
        watch(Progress("small images", len(rows) - len(missing) + start, len(rows)))
        found.put(part, reduced(cases.views[rows[part]], side))
    return found


def _targets(
    network: ExplainedNetwork, cases: TrainingCases, recipe: CaeRecipe, rows: Index, called: Index,
    classes: tuple[str, ...],
) -> NDArray[np.float32]:  # fmt: skip
    """What the discriminator is to call each image: the network's probabilities among the classes, or the label."""
    if recipe.target != PREDICTED:
        return np.eye(len(classes), dtype=np.float32)[called]
    if cases.answers is None:
        raise ModelError("the network's probabilities are what is learnt here, and the cases came without them")
    known = list(network.classes or ())
    columns = np.array([known.index(name) for name in classes], np.intp)
    among = cases.answers[np.ix_(rows, columns)]
    among = np.maximum(among, np.finfo(np.float32).tiny)
    normed: NDArray[np.float32] = among / among.sum(1, keepdims=True)
    return normed


def _all_there(called: Index, classes: Sequence[str], what: str) -> None:
    lacking = [name for place, name in enumerate(classes) if not (called == place).any()]
    if lacking:
        raise DataError(
            "cases are set aside to judge the training by, and groups stay whole: that leaves no case of "
            f"{printable(lacking[0])!r} to {what}; index images of more groups of that class"
        )


def _named(cases: TrainingCases, rows: Index) -> str:
    return hashing.of_json({"pixels": [cases.pixel_hashes[row] for row in rows.tolist()]})


def _parts(called: Index, groups: list[str | None], seed: int) -> tuple[Index, Index]:
    """Rows to learn from and to judge by: by class and group, 30 % aside, and no more than ``MOST_JUDGES`` of them."""
    together = groups if any(group is not None for group in groups) else None
    train, choose, report = linear_head.split(called, together, seed)
    aside = clock.generator(seed).permutation(np.concatenate([choose, report]))
    each = max(1, MOST_JUDGES // (int(called.max()) + 1))
    judge = np.concatenate([aside[called[aside] == one][:each] for one in np.unique(called)])
    left = np.setdiff1d(aside, judge) if together is None else np.empty(0, np.intp)  # a group stays whole, or out
    return np.sort(np.concatenate([train, left])), np.sort(judge)
