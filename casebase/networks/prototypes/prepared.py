"""What every recipe starts from: the cases in the classes they are called, some of them kept aside to judge by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase.errors import DataError, ModelError, UsageError
from casebase.networks import linear_head
from casebase.networks.cached_rows import CachedRows
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.prototypes import collapse, features
from casebase.networks.prototypes.recipe import PrototypeRecipe
from casebase.networks.training_cases import TrainingCases
from casebase.prototypes import CLASSIC, Stage
from casebase.reading import printable

K_FEW, K_MANY, FEW, K_CLASSIC = 5, 10, 2, 10
"""Prototypes a class where nobody says: signed 5 for two classes and 10 for more, classic 10 as published."""
FEWEST_JUDGES = 20
"""With fewer cases aside than this, stages are judged on all cases, those learnt from; the figures say so."""
Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Prepared:
    """The cases as positions of ``classes``, those to learn from and those to judge by.

    ``target (N,)`` is what the head is fitted to, ``label (N,)`` the label, ``predicted (N,)`` the network's answer; -1
    for a class that has no prototypes. ``learn`` and ``judge`` are rows; they overlap only where ``aside`` is False.
    ``reference (N,)`` are the answers the prototypes are held against, None for the network's own.
    """

    network: ExplainedNetwork
    cases: TrainingCases
    recipe: PrototypeRecipe
    k: int
    classes: tuple[str, ...]
    target: Places
    label: Places
    predicted: Places
    learn: Places
    judge: Places
    aside: bool
    reference: Places | None = None

    def stage(self, name: str, scores: NDArray[Any], similarities: NDArray[Any], **told: Any) -> Stage:
        """The collapse detector on the judging cases, of ``scores (N, K)`` and ``similarities (N, P)`` of all cases."""
        rows = self.judge[self.label[self.judge] >= 0]
        found = collapse.stage(
            name, scores=scores[rows], similarities=similarities[rows], targets=self.label[rows],
            network_predicted=self.predicted[rows], classes=self.classes,
            reference=None if self.reference is None else self.reference[rows], **told,
        )  # fmt: skip
        figures = {**found.figures, "n": len(rows), "aside": int(self.aside)}
        return Stage(found.name, figures, found.alarms, found.steps, found.seconds)


def enough(labels: Sequence[str], predicted: Sequence[str], recipe: PrototypeRecipe, known: Sequence[str]) -> int:
    """Prototypes a class, if the cases of these ``labels`` and answers are enough for them: asked before any is read.

    ``known`` are the network's classes. Raises ``DataError`` for one class alone and for labels the network does not
    know, ``UsageError`` for a class with fewer cases than prototypes and one to try them on.
    """
    named = predicted if recipe.target == "predicted" else labels
    counts = Counter(named)
    if len(counts) < 2:
        only = f"all {len(named)} cases are called {printable(next(iter(counts)))!r}" if counts else "there is no case"
        several = len(set(labels))
        other = f"--target labels learns the {several} labels" if named is predicted and several > 1 else ""
        raise DataError(f"prototypes tell classes apart, and {only}; {other or 'index images of a second class'}")
    k = recipe.k or (K_CLASSIC if recipe.profile == CLASSIC else K_FEW if len(counts) <= FEW else K_MANY)
    scarce, fewest = min(counts.items(), key=lambda item: (item[1], item[0]))
    if fewest < k + 1:
        raise UsageError(
            f"the class {printable(scarce)!r} has {fewest} {'case' if fewest == 1 else 'cases'}, too few for {k} "
            f"prototypes, each from a case of its own, and one case to try them on; "
            + (f"choose --k {fewest - 1} or fewer" if fewest > 1 else "index more images of it")
        )
    strange = [name for name in counts if known and name not in known]
    if strange:
        n = sum(counts[name] for name in strange)
        raise DataError(
            f"--target labels fits the network's own classes, and {n} of {len(named)} cases are labelled otherwise, "
            f"{printable(strange[0])!r} for one; use --target predicted, or index them again with labels it knows"
        )
    return k


def prepare(network: ExplainedNetwork, cases: TrainingCases, recipe: PrototypeRecipe) -> Prepared:
    """Sort the cases; raises what :func:`enough` raises, and ``ModelError`` without a class signal."""
    named = cases.predicted if recipe.target == "predicted" else cases.labels
    k, known = enough(cases.labels, cases.predicted, recipe, network.classes or ()), network.classes or ()
    counts = Counter(named)
    order = {name: place for place, name in enumerate(known)}
    classes = tuple(sorted(counts, key=lambda name: (order.get(name, len(order)), name)))
    place = {name: number for number, name in enumerate(classes)}
    target, label, predicted = (
        np.array([place.get(name, -1) for name in names], np.intp)
        for names in (named, cases.labels, cases.predicted)
    )  # fmt: skip
    learn, judge, aside = _parts(target, cases.groups, k, recipe.seed)
    found = Prepared(network, cases, recipe, k, classes, target, label, predicted, learn, judge, aside)
    _signal(found)
    return found


def held_against(task: Prepared, rows: CachedRows) -> Prepared:
    """The same with what its prototypes are fairly held against on the cases set aside.

    The network has, as a rule, learnt from all the cases, so its answers to them say nothing of others. A linear head
    fitted to its pooled map on the cases learnt from has seen as much as the prototypes have.
    """
    if not task.aside:
        return task
    pooled = features.pooled(rows, np.arange(len(task.cases)))
    names = [task.classes[place] for place in task.target[task.learn].tolist()]
    probe = linear_head.fit(pooled[task.learn], names, seed=task.recipe.seed)
    place = np.array([task.classes.index(name) for name in probe.classes])
    answers = place[(pooled @ probe.weight.T + probe.bias).argmax(1)]
    return replace(task, reference=answers)


def _parts(target: Places, groups: Sequence[str | None], k: int, seed: int) -> tuple[Places, Places, bool]:
    """Rows to learn from and to judge by: 15 % aside, by class and group, where that leaves enough of both."""
    everything = np.arange(len(target))
    together = groups if any(group is not None for group in groups) else None
    train, choose, report = linear_head.split(target, together, seed)
    learn = np.sort(np.concatenate([train, choose]))
    left = np.bincount(target[learn], minlength=int(target.max()) + 1)
    if len(report) < FEWEST_JUDGES or int(left[left > 0].min()) < k + 1:
        return everything, everything, False
    return learn, report, True


def _signal(found: Prepared) -> None:
    """Gate 0: the network tells the labels apart, or there is nothing to explain."""
    rows = np.flatnonzero(found.label >= 0)
    if not len(rows):
        raise ModelError("no case's label is a class of this network, so nothing can be judged; label the cases")
    reached = collapse.balanced_accuracy(found.predicted[rows], found.label[rows])
    chance = 1.0 / len(np.unique(found.label[rows]))
    wanted = chance + 0.2 * (1.0 - chance)
    if reached < wanted:
        raise ModelError(
            f"no class signal to explain: the network's balanced accuracy on its own cases is {reached:.2f}, and "
            f"{wanted:.2f} is the least here; `casebase train` fine-tunes a network on these images first"
        )
