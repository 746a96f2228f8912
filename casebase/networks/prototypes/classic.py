"""The profile ``classic``: the published prototype network on the network's own last stage, counted in steps.

Stages and rates of C. Chen et al., "This Looks Like That", NeurIPS 2019, https://arxiv.org/abs/1806.10574: warm (add-on
and prototypes), joint (the last stage too), push, last layer, pruning and last layer again. Ours, because sets here
have a few hundred images: lengths in steps instead of epochs, batches of 32 instead of 80, mirror images as the only
augmentation, batch norms in eval mode, only the last stage tuned instead of the whole network, and a push that prefers
different source images.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from casebase import hashing
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.loaded import seeded
from casebase.networks.prototypes.classic_plan import Data, Plan
from casebase.networks.prototypes.classic_run import Place, Run
from casebase.networks.prototypes.model import Tensors
from casebase.networks.prototypes.published import Index
from casebase.networks.prototypes.recipe import PrototypeRecipe, Watch
from casebase.networks.prototypes.stage import cached_inputs, cached_maps, last_stage
from casebase.networks.resuming import Resuming
from casebase.networks.training import repeatable
from casebase.networks.training_cases import TrainingCases
from casebase.prototypes import CLASSIC, Stage


@dataclass(frozen=True, eq=False)
class Outcome:
    """What :func:`classic` hands back.

    ``of_class (P,)`` are positions in the network's classes, ``patches`` (case position, row, column) for each
    prototype, ``grid`` (rows, columns) of the map of places. ``similarities (N, P)`` are those of all cases,
    ``stages`` the log, ``settings`` tell as JSON what was done.
    """

    tensors: Tensors
    of_class: Index
    patches: Sequence[Place]
    grid: tuple[int, int]
    similarities: NDArray[np.float32]
    stages: Sequence[Stage]
    settings: Mapping[str, Any]


def classic(
    network: ExplainedNetwork, cases: TrainingCases, targets: Index, recipe: PrototypeRecipe, folder: Path,
    watch: Watch, *, judged: Index | None = None, labels: Index | None = None, reference: Index | None = None,
    fresh: bool = False, plan: Plan | None = None,
) -> Outcome:  # fmt: skip
    """Train, or go on with, the published prototype network.

    ``targets (N,)`` are positions in ``network.classes`` of what the head is fitted to. ``judged`` are rows on which
    every stage is judged and nothing is trained; None: all rows are trained on and judged. ``labels`` and
    ``reference`` ``(N,)`` are what they are judged by and held against; None: the targets, and the network's own
    answers. ``folder`` keeps the cached inputs and, after every stage and every 50 joint steps, the state: the same
    call goes on from it bit for bit, ``fresh`` begins anew, :func:`forget` clears up. Stages are told to ``watch``.

    Raises ``ModelError`` where the network has no last stage that can be tuned or fewer than two classes have cases,
    ``UsageError`` for the state of another training in ``folder`` and ``Diverged`` where a cost is no number.
    """
    chosen = plan or Plan.of(recipe)
    key = _key(network, cases, targets, recipe, chosen, judged)
    resuming = Resuming(folder, key)
    if fresh:
        resuming.forget_state()
    stage = last_stage(network)
    made_of = {name: key[name] for name in ("network", "pictures", "device")}
    inputs = cached_inputs(stage, cases.views, folder, made_of, batch=network.batch_size, watch=watch)
    maps = cached_maps(stage, inputs, folder, made_of, batch=network.batch_size, watch=watch)
    names = {name: at for at, name in enumerate(network.classes or ())}
    answers = np.array([names[one] for one in cases.predicted], np.intp)
    with seeded(recipe.seed), repeatable(network.device):
        data = Data(inputs, maps, targets, answers, network.classes or (), judged, labels, reference)
        run = Run(stage, data, chosen, network.device, recipe.seed)
        run.go(resuming, watch)
        similar: NDArray[np.float32] = run.similarities().numpy()
    done = {**asdict(chosen), "stage": list(stage.names), "inputs": stage.dtype, "torch": torch.__version__}
    return Outcome(run.tensors(), run.of_class, list(run.patches or ()), run.grid, similar, list(run.logs), done)


def forget(folder: Path, *, inputs: bool = True) -> None:
    """Remove state and, unless another try may want them, cached ``inputs``."""
    Resuming(folder, {}).forget_state()
    for name in ("stage-inputs", "stage-maps") if inputs else ():
        for path in folder.glob(f"{name}.*"):
            path.unlink(missing_ok=True)


def _key(
    network: ExplainedNetwork, cases: TrainingCases, targets: Index, recipe: PrototypeRecipe, plan: Plan,
    judged: Index | None,
) -> dict[str, Any]:  # fmt: skip
    """Everything that decides the final weights."""
    pictures = hashing.of_json({"ids": list(cases.ids), "pixels": list(cases.pixel_hashes)})
    rows = hashing.of_json({"targets": targets.tolist(), "judged": None if judged is None else judged.tolist()})
    return {
        "profile": CLASSIC, "network": network.classifier_fingerprint or network.fingerprint.short,
        "pictures": pictures, "targets": rows, "layer": network.spatial_layer, "seed": recipe.seed,
        "target": recipe.target, "plan": hashing.of_json(asdict(plan)), "device": network.device,
        "torch": torch.__version__, "threads": torch.get_num_threads(), "machine": platform.machine(),
    }  # fmt: skip
