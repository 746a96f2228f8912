"""From cases to prototypes: the recipe by its profile, the gates, and the set that is handed over."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from casebase import __version__, clock, hashing
from casebase.errors import Diverged, GateFailed
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.prototypes import classic, features, gates, signed
from casebase.networks.prototypes.model import Tensors
from casebase.networks.prototypes.prepared import Prepared, held_against, prepare
from casebase.networks.prototypes.recipe import PrototypeRecipe, Watch
from casebase.networks.resuming import Resuming
from casebase.networks.training_cases import TrainingCases
from casebase.prototypes import CLASSIC, SIGNED, Patch, Prototype, PrototypeSet, cell_box


def train(
    network: ExplainedNetwork,
    cases: TrainingCases,
    recipe: PrototypeRecipe,
    folder: Path,
    watch: Watch,
    *,
    fresh: bool = False,
) -> tuple[PrototypeSet, Tensors]:
    """Make a set of prototypes for a network; ``digest`` is empty until the tensors are saved.

    ``folder`` keeps what was computed, so that the same call goes on after an interruption; ``fresh`` begins anew; who
    calls removes it once the set is kept. Raises ``GateFailed`` where no explanation may be handed over, ``Diverged``,
    ``UsageError`` and ``DataError`` for cases too few for the recipe, ``NoTargetLayer`` for a network without a map of
    places, ``ModelError`` for what cannot be learnt from.
    """
    began = clock.seconds()
    read = features.at_layer(network, recipe.layer)
    task = prepare(read, cases, recipe)
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        made = _made(task, folder, watch)
        found = _set(task, made, network)
        gates.check(task, found.stages, [one.purity for one in found.prototypes])
    except (Diverged, GateFailed):  # both name other choices to try: nothing to go on with, but the maps are kept
        Resuming(folder, {}).forget_state()
        classic.forget(folder / CLASSIC, inputs=False)
        raise
    settings = {**found.settings, "seconds": clock.seconds() - began}
    return replace(found, settings=settings), made.tensors


def _made(task: Prepared, folder: Path, watch: Watch) -> signed.Made:
    rows = features.cached(task.network, task.cases, folder, watch)
    fair = held_against(task, rows)
    if task.recipe.profile == SIGNED:
        return signed.make(fair, rows, watch, Resuming(folder, _key(task)))
    return _classic(fair, folder / CLASSIC, watch)


def _classic(task: Prepared, folder: Path, watch: Watch) -> signed.Made:
    """The published recipe, in the positions of this task's classes."""
    known = list(task.network.classes or ())
    place = np.array([known.index(name) for name in task.classes], np.intp)

    def in_network(rows: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.where(rows < 0, -1, place[rows])

    made = classic.classic(
        task.network, task.cases, in_network(task.target), replace(task.recipe, k=task.k), folder, watch,
        judged=task.judge if task.aside else None, labels=in_network(task.label),
        reference=None if task.reference is None else in_network(task.reference),
    )  # fmt: skip
    tensors = _of_classes(made.tensors, place)
    of_class = np.array([int(np.flatnonzero(place == name)[0]) for name in made.of_class.tolist()], np.intp)
    weight = tensors.head.numpy()[of_class, np.arange(len(of_class))].astype(np.float64)
    return signed.Made(
        tensors, of_class, list(made.patches), weight, made.similarities, list(made.stages), made.settings
    )


def _of_classes(tensors: Tensors, place: NDArray[np.intp]) -> Tensors:
    """The head's rows of some classes alone, after earlier stages too."""
    earlier = {name: _of_classes(one, place) for name, one in tensors.earlier.items()}
    return replace(tensors, head=tensors.head[place], bias=tensors.bias[place], earlier=earlier)


def _key(task: Prepared) -> Mapping[str, Any]:
    recipe = task.recipe
    return {
        "network": task.network.classifier_fingerprint, "layer": task.network.spatial_layer, "k": task.k,
        "target": recipe.target, "steps": recipe.steps, "seed": recipe.seed, "cases": list(task.cases.pixel_hashes),
        "called": list(task.cases.predicted), "labels": list(task.cases.labels), "torch": torch.__version__,
        "learnt from": hashing.of_json({"rows": task.learn.tolist()}),
    }  # fmt: skip


def _set(task: Prepared, made: signed.Made, network: ExplainedNetwork) -> PrototypeSet:
    grid = task.network.anatomy.grid or (1, 1)
    decides = _decides(made)
    known = [task.judge, task.label[task.judge]]
    prototypes = []
    for number, (name, (image, row, column)) in enumerate(zip(made.of_class.tolist(), made.patches, strict=True)):
        source = np.flatnonzero(known[0] == image)
        pure, count = gates.purity(
            made.similarities[known[0], number], known[1], name, int(source[0]) if len(source) else -1
        )
        patch = Patch(task.cases.ids[image], task.cases.pixel_hashes[image], row, column, cell_box(row, column, grid))
        prototypes.append(
            Prototype(number, task.classes[name], patch, float(made.weight[number]), pure, count, decides[number])
        )
    return PrototypeSet(
        profile=task.recipe.profile,
        classifier=network.classifier_fingerprint or "",
        digest="",
        layer=task.network.spatial_layer or "",
        grid=grid,
        view=network.preprocess.crop,
        receptive_field=features.receptive_field(task.network),
        classes=task.classes,
        target=task.recipe.target,
        prototypes=prototypes,
        stages=made.stages,
        settings={
            "k": task.k, "seed": task.recipe.seed, "cases": len(task.cases), "learnt_from": len(task.learn),
            "judged_on": len(task.judge), "aside": task.aside, "casebase": __version__, "torch": torch.__version__,
            **made.facts,
        },
        created=clock.now(),
    )  # fmt: skip


def _decides(made: signed.Made) -> list[float]:
    """Of the cases called a prototype's class by the prototypes, the share in which it adds most to that class."""
    tensors = made.tensors
    standard: NDArray[np.float32] = (made.similarities - tensors.shift.numpy()) / tensors.scale.numpy()
    matrix = tensors.head.numpy()
    called = (tensors.bias.numpy() + standard @ matrix.T).argmax(1)
    found = np.zeros(len(made.of_class))
    for name in np.unique(made.of_class).tolist():
        rows = np.flatnonzero(called == name)
        if len(rows):
            most = (standard[rows] * matrix[name]).argmax(1)
            found += np.bincount(most, minlength=len(found)) / len(rows) * (made.of_class == name)
    return [float(value) for value in found]
