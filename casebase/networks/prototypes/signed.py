"""The profile ``signed``: parts found by clustering class evidence, compared by learnt cosine, under a convex head.

(1) In each image of a class, the cells whose share of the network's own score is largest; spherical k-means; every
centre becomes the real patch nearest to it. (2) One linear map of the cells is learnt with them (``refine``).
(3) Every prototype is projected onto a patch of a training case, each of a case of its own. (4) The head is fitted,
(5) what hardly counts, repeats another or is found in other classes goes, and the head is fitted again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from casebase import clock
from casebase.errors import ModelError
from casebase.networks import linear_head
from casebase.networks.cached_rows import CachedRows
from casebase.networks.prototypes import clusters, features, head, pruning, refine
from casebase.networks.prototypes.model import Tensors, cells_of
from casebase.networks.prototypes.prepared import Places, Prepared
from casebase.networks.prototypes.recipe import Watch
from casebase.networks.resuming import Resuming
from casebase.prototypes import SIGNED, Stage

EVIDENT = 4
"""Cells of largest evidence taken from each image."""
BLOCK = 32
EARLIER = ("before push", "after push", "after head")
"""Stages whose prototypes are kept, to be measured on other images."""


@dataclass(frozen=True, eq=False)
class Made:
    """What a recipe hands back: tensors, of each prototype its class and patch (row of the cases, grid row, column).

    ``similarities (N, P)`` are those of all cases, ``own`` not counted where a case is a prototype's own source.
    """

    tensors: Tensors
    of_class: Places
    patches: list[tuple[int, int, int]]
    weight: NDArray[np.float64]
    similarities: NDArray[np.float32]
    stages: list[Stage]
    facts: Mapping[str, Any]


def make(task: Prepared, rows: CachedRows, watch: Watch, resuming: Resuming | None = None) -> Made:
    """All five steps on cached maps; raises ``ModelError`` where the cases cannot carry as many prototypes."""
    run = _Run(task, rows)
    began = clock.seconds()
    vectors, of_class, patches = run.start(_weights(task, rows))
    run.log("start", vectors, of_class, patches, run.even(vectors, of_class, patches), began, 0, first=True)
    steps = refine.STEPS if task.recipe.steps is None else task.recipe.steps
    began = clock.seconds()
    learnt = refine.learn(
        refine.Task(
            rows, task.learn, task.target[task.learn], run.said(), run.mean, of_class, task.recipe.seed
        ),
        run.projection.numpy(), vectors, steps, watch, resuming,
    )  # fmt: skip
    run.projection = learnt.projection
    vectors = learnt.vectors.numpy()
    run.log("before push", vectors, of_class, None, run.even(vectors, of_class, None), began, steps, first=True)
    began = clock.seconds()
    patches = run.push(vectors, of_class)
    vectors = run.vectors_at(patches)
    run.log("after push", vectors, of_class, patches, run.even(vectors, of_class, patches), began, 0, first=True)
    began = clock.seconds()
    watch("weighing the prototypes", 0, 1)
    similar = run.similarities(vectors, patches, of_class)
    fitted = head.fit(
        similar[task.learn], task.target[task.learn], of_class.tolist(), len(task.classes), seed=task.recipe.seed
    )
    run.log("after head", vectors, of_class, patches, (similar, fitted), began, 0)
    began = clock.seconds()
    pure = pruning.pure(
        similar[task.learn], task.target[task.learn], of_class.tolist(),
        [int(np.searchsorted(task.learn, image)) for image, _, _ in patches],
    )  # fmt: skip
    keep, gone = pruning.kept(fitted.weight, vectors, of_class.tolist(), pure, min(2, task.k))
    vectors, of_class, patches = vectors[keep], of_class[keep], [patches[number] for number in keep]
    similar = similar[:, keep]
    while True:  # a head of fewer prototypes may leave others without weight
        fitted = head.at_strength(
            similar[task.learn], task.target[task.learn], of_class.tolist(), len(task.classes), fitted.strength
        )
        keep, more = pruning.kept(fitted.weight, vectors, of_class.tolist(), [True] * len(of_class), min(2, task.k))
        if len(keep) == len(of_class):
            break
        vectors, of_class, patches = vectors[keep], of_class[keep], [patches[number] for number in keep]
        similar = similar[:, keep]
        gone = {reason: count + more[reason] for reason, count in gone.items()}
    run.log("after pruning", vectors, of_class, patches, (similar, fitted), began, 0, facts=gone)
    watch("weighing the prototypes", 1, 1)
    tensors = replace(run.tensors(vectors, fitted), earlier=run.earlier)
    facts = {"strength": fitted.strength, "loss": learnt.loss, "pruned": gone, "steps": steps}
    return Made(tensors, of_class, patches, fitted.weight, similar, run.stages, facts)


class _Run:
    """One making: the cached maps with what has been learnt so far, and the log of the stages."""

    def __init__(self, task: Prepared, rows: CachedRows) -> None:
        self.task, self.rows = task, rows
        self.mean = features.mean_cell(rows, task.learn)
        self.projection = torch.from_numpy(refine.start(rows, task.learn, self.mean, task.recipe.seed))
        self.stages: list[Stage] = []
        self.earlier: dict[str, Tensors] = {}
        self._width = rows.rows(task.learn[:1]).shape[3]

    def cells(self, index: Places) -> tuple[NDArray[np.float32], Tensor]:
        """Raw cells ``(n, P, C)`` less their mean, and unit cells as a map ``(n, D, h, w)``."""
        maps = torch.from_numpy(self.rows.rows(index))
        raw = (maps - torch.from_numpy(self.mean)[:, None, None]).flatten(2).transpose(1, 2)
        return raw.numpy(), cells_of(maps, self._plain(), SIGNED)

    def start(self, weights: NDArray[np.float32]) -> tuple[NDArray[np.float32], Places, list[tuple[int, int, int]]]:
        """Unit vectors ``(P, D)``, classes ``(P,)`` and patches of the clusters of every class."""
        task = self.task
        of_class: list[int] = []
        patches: list[tuple[int, int, int]] = []
        for name in range(len(task.classes)):
            own = task.learn[task.target[task.learn] == name]
            against = weights[name] - np.delete(weights, name, axis=0).mean(0)
            parts = []
            for block in features.blocks(own, BLOCK):
                raw, unit = self.cells(block)
                flat = unit.flatten(2).transpose(1, 2).numpy()
                parts.append(clusters.of_evidence(flat, raw, block, against, EVIDENT))
            found = clusters.Candidates(
                np.concatenate([part.vectors for part in parts]), np.concatenate([part.images for part in parts]),
                np.concatenate([part.cells for part in parts]),
            )  # fmt: skip
            centres = clusters.centres(found.vectors, task.k, task.recipe.seed)
            chosen = clusters.nearest_real(found.vectors @ centres.T, found.images, found.cells)
            patches += [(image, *divmod(cell, self._width)) for image, cell in chosen]
            of_class += [name] * task.k
        return self.vectors_at(patches), np.array(of_class, np.intp), patches

    def push(self, vectors: NDArray[np.float32], of_class: Places) -> list[tuple[int, int, int]]:
        """For each prototype the most similar patch of a case of its class, no case twice where there are enough."""
        task = self.task
        patches: dict[int, tuple[int, int, int]] = {}
        for name in range(len(task.classes)):
            own = task.learn[task.target[task.learn] == name]
            numbers = np.flatnonzero(of_class == name)
            best, at = [], []
            for block in features.blocks(own, BLOCK):
                similar = self._similar(self.cells(block)[1], vectors[numbers]).flatten(2)
                top = similar.max(2)
                best.append(top.values.numpy())
                at.append(top.indices.numpy())
            score, cell = np.concatenate(best), np.concatenate(at)
            chosen = clusters.nearest_real(score, np.arange(len(own)), np.zeros(len(own), np.intp))
            for number, column, (place, _) in zip(numbers.tolist(), range(len(numbers)), chosen, strict=True):
                patches[number] = (int(own[place]), *divmod(int(cell[place, column]), self._width))
        return [patches[number] for number in range(len(of_class))]

    def vectors_at(self, patches: list[tuple[int, int, int]]) -> NDArray[np.float32]:
        """The unit cells ``(P, D)`` at patches."""
        images, rows, columns = (np.array(numbers, np.intp) for numbers in zip(*patches, strict=True))
        found = []
        for part in features.blocks(np.arange(len(patches)), BLOCK):
            cells = self.cells(images[part])[1]
            found.append(
                cells[torch.arange(len(part)), :, torch.from_numpy(rows[part]), torch.from_numpy(columns[part])]
            )
        vectors: NDArray[np.float32] = torch.cat(found).numpy()
        return vectors

    def similarities(
        self, vectors: NDArray[np.float32], patches: list[tuple[int, int, int]] | None, of_class: Places
    ) -> NDArray[np.float32]:
        """``(N, P)`` of all cases; for a likeness of a source to itself stands the next best of its class."""
        task = self.task
        similar = np.concatenate(
            [
                self._similar(self.cells(block)[1], vectors).amax((2, 3)).numpy()
                for block in features.blocks(np.arange(len(task.cases)), BLOCK)
            ]
        )
        for number, (image, _, _) in enumerate(patches or ()):
            others = task.learn[(task.target[task.learn] == of_class[number]) & (task.learn != image)]
            if len(others):
                similar[image, number] = similar[others, number].max()
        return similar

    def even(
        self, vectors: NDArray[np.float32], of_class: Places, patches: list[tuple[int, int, int]] | None
    ) -> tuple[NDArray[np.float32], head.Head]:
        """Similarities, and a head that weighs all prototypes alike: what stands before any is fitted."""
        similar = self.similarities(vectors, patches, of_class)
        learn = similar[self.task.learn]
        count = len(self.task.classes)
        matrix = head.signs(of_class.tolist(), count) / self.task.k
        scale = np.maximum(learn.std(0, dtype=np.float64), 1e-6)
        shift = learn.mean(0, dtype=np.float64)
        return similar, head.Head(np.ones(len(of_class)), np.zeros(count), shift, scale, matrix, 0.0)

    def log(
        self, name: str, vectors: NDArray[np.float32], of_class: Places,
        patches: list[tuple[int, int, int]] | None, scored: tuple[NDArray[np.float32], head.Head], began: float,
        steps: int, *, first: bool = False, facts: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        """Ask the collapse detector; before a head is fitted, one class may be called more often."""
        similar, weighed = scored
        told: dict[str, Any] = {"share_limit": 0.25} if first else {}
        stage = self.task.stage(
            name, weighed.scores(similar), similar, vectors=vectors, of_class=of_class, patches=patches, steps=steps,
            seconds=clock.seconds() - began, **told,
        )  # fmt: skip
        if name in EARLIER:
            self.earlier[name] = self.tensors(vectors, weighed).weighed()
        more = {f"pruned_{reason}": count for reason, count in (facts or {}).items()}
        self.stages.append(Stage(stage.name, {**stage.figures, **more}, stage.alarms, stage.steps, stage.seconds))

    def said(self) -> NDArray[np.float32]:
        """The explained network's probabilities ``(n, K)`` over the classes, of the cases to learn from.

        From the head where it follows the mean of the maps; else its answers, taken as certain to 90 %.
        """
        task = self.task
        count = len(task.classes)
        weights = features.evidence(task.network, task.classes)
        if weights is None or task.network.classes is None:
            answers = np.where(task.predicted < 0, task.target, task.predicted)[task.learn]
            soft = np.full((len(task.learn), count), 0.1 / count, np.float32)
            soft[np.arange(len(task.learn)), answers] += 0.9
            return soft
        bias = task.network.head_weights()[1]
        rows = [task.network.classes.index(name) for name in task.classes]
        scores = features.pooled(self.rows, task.learn) @ weights.T + (0.0 if bias is None else bias[rows])
        found: NDArray[np.float32] = torch.softmax(torch.from_numpy(scores), 1).numpy()
        return found

    def _similar(self, cells: Tensor, vectors: NDArray[np.float32]) -> Tensor:
        return torch.nn.functional.conv2d(cells, torch.from_numpy(vectors)[:, :, None, None])

    def tensors(self, vectors: NDArray[np.float32], weighed: head.Head) -> Tensors:
        """The numbers of prototypes under a head."""
        return Tensors(
            vectors=torch.from_numpy(vectors), mean=torch.from_numpy(self.mean), shift=_float(weighed.shift),
            scale=_float(weighed.scale), head=_float(weighed.matrix), bias=_float(weighed.bias),
            add_on={"weight": self.projection[:, :, None, None].clone()},
        )  # fmt: skip

    def _plain(self) -> Tensors:
        nothing = torch.zeros(0)
        mean = torch.from_numpy(self.mean)
        add_on = {"weight": self.projection[:, :, None, None]}
        return Tensors(nothing, mean, nothing, nothing, nothing, nothing, add_on)


def _weights(task: Prepared, rows: CachedRows) -> NDArray[np.float32]:
    """What of a cell speaks for each class ``(K, C)``: the network's head, or at another layer a probe fitted there."""
    own = features.evidence(task.network, task.classes)
    if own is not None:
        return own
    if task.recipe.layer is None:
        raise ModelError(
            "signed prototypes start from the head's weights, and this network's head is not one linear layer over the "
            "mean of its map; --layer NAME fits a probe at that layer, --profile classic needs none"
        )
    names = [task.classes[place] for place in task.target[task.learn].tolist()]
    probe = linear_head.fit(features.pooled(rows, task.learn), names, seed=task.recipe.seed)
    found: NDArray[np.float32] = probe.weight[[probe.classes.index(name) for name in task.classes]]
    return found


def _float(value: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(value.astype(np.float32))
