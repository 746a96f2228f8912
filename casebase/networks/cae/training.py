"""From cases to a class association embedding: trained on what the network calls them, judged, handed over."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from casebase import __version__, clock, hashing
from casebase.association import Association, Nodes
from casebase.errors import Diverged
from casebase.networks.cae import checks, losses
from casebase.networks.cae.coder import AT_ONCE, Coder, Floats, judged
from casebase.networks.cae.judging import Judge, judges
from casebase.networks.cae.material import Index, Material, gather
from casebase.networks.cae.reader import Tensors
from casebase.networks.cae.recipe import CaeRecipe, Progress, Watch
from casebase.networks.cae.run import BETAS, DECAY, Run
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.resuming import Resuming
from casebase.networks.training_cases import TrainingCases

MOST_NODES = 400
"""Codes that a walk may go along, at most; each costs one forward pass of the explained network to admit."""


def train(
    network: ExplainedNetwork,
    cases: TrainingCases,
    recipe: CaeRecipe,
    folder: Path,
    watch: Watch,
    *,
    fresh: bool = False,
) -> tuple[Association, Tensors]:
    """Train an embedding for a network; ``digest`` is empty until the tensors are saved.

    Where a gate is not passed, :attr:`Association.failed` says so. ``folder`` keeps what was computed, so that the
    same call goes on after an interruption, and the sample sheets; ``fresh`` begins anew. Raises ``DataError`` and
    ``UsageError`` for cases too few, ``Diverged`` where nothing can be kept.
    """
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    material = gather(network, cases, recipe, folder, watch)
    state = Resuming(folder, _key(material, recipe))
    run = Run(material, recipe, folder)
    try:
        run.go(state, watch)
    except Diverged:
        state.forget_state()
        raise
    net = run.chosen()
    coder = Coder(net, torch.device(network.device))
    watch(Progress("judging", 0, 1))
    best = run.best
    assert best is not None  # noqa: S101  # a training without a checkpoint has raised; for the type checker
    standing = Judge(coder, judges(material, recipe.seed)).whole(best.iteration)
    mean = _mean(coder, material)
    nodes = _nodes(coder, material, mean, recipe.seed)
    plan = recipe.plan
    settings: dict[str, Any] = {
        "seed": recipe.seed, "iterations": plan.iterations, "batch": plan.batch, "rate": plan.rate,
        "rate_halved": plan.halved, "adam": [*BETAS], "weight_decay": DECAY, "moving_average": run.moving,
        "weights": losses.WEIGHTS, "discriminator_weights": losses.DISCRIMINATOR, "ended": run.ended,
        "cases": len(material.called), "learnt_from": len(material.learn), "judged_on": len(material.judge),
        "left_out": sorted(set(cases.predicted) - set(material.classes)), "nodes": len(nodes.case_ids),
        "seconds": run.seconds, "torch": torch.__version__, "casebase": __version__,
    }  # fmt: skip
    found = Association(
        classifier=network.classifier_fingerprint or "", digest="", preset=recipe.preset, size=plan.size,
        view=network.preprocess.crop, classes=material.classes, target=recipe.target, standing=standing, log=run.log,
        failed=checks.gates(standing), settings=settings, created=clock.now(),
    )  # fmt: skip
    return found, Tensors(net.state_dict(), torch.from_numpy(mean), nodes)


def _key(material: Material, recipe: CaeRecipe) -> dict[str, Any]:
    network = material.network
    cases = {"ids": material.ids(np.arange(len(material.rows))), "called": material.called.tolist()}
    return {
        "recipe": asdict(recipe), "plan": asdict(recipe.plan), "classifier": network.classifier_fingerprint,
        "preprocess": network.preprocess.short, "cases": hashing.of_json(cases), "casebase": __version__,
    }  # fmt: skip


def _mean(coder: Coder, material: Material) -> Floats:
    """The mean class code ``(code,)`` of what was learnt from, every class counting the same."""
    called = material.called[material.learn]
    codes = np.concatenate([coder.codes(material.pixels(part)) for part in _parts(material.learn)])
    found: Floats = np.mean([codes[called == one].mean(0) for one in np.unique(called)], axis=0, dtype=np.float32)
    return found


def _nodes(coder: Coder, material: Material, mean: Floats, seed: int) -> Nodes:
    """Codes of cases that the network still calls the same once they are reconstructed, as many of every class.

    Cases that are labelled otherwise than they are called are none: a walk leads to what the network says.
    """
    rng = clock.generator(seed)
    each, called = MOST_NODES // len(material.classes), material.called[material.learn]
    rows = np.concatenate([rng.permutation(material.learn[called == one])[:each] for one in np.unique(called)])
    sure, codes = list[Index](), list[Floats]()
    for part in _parts(rows):
        found, individual = coder.encode(material.pixels(part))
        said = judged(material.network, coder.decode(found, individual)).argmax(1)
        good = (said == material.network_called[part]) & (said == material.place[material.called[part]])
        sure.append(part[good])
        codes.append(found[good] - mean)
    kept = np.concatenate(sure)
    return Nodes(np.concatenate(codes), material.called[kept], material.ids(kept))


def _parts(rows: Index) -> list[Index]:
    return [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
