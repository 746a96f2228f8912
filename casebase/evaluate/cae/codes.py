"""What a linear reader finds of the class in either code: much in the class code, nothing in the individual one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from casebase.association import Nodes
from casebase.evaluate.cae.looking import Looked, Places
from casebase.evaluate.intervals import Rows, bootstrap
from casebase.evaluations import Measured
from casebase.networks.cae import checks

FOLDS = 5
FEWEST = 3
"""Images of a class in a fold's training, at least."""


@dataclass(frozen=True, eq=False)
class Readable:
    """Balanced accuracy of a linear reader of the network's class, and what chance gives.

    ``separable``: learnt from class codes of ``nodes`` cases, asked about these images. ``leak``: of individual codes,
    pooled to a mean and an SD of each channel, learnt and asked in five folds of these images.
    """

    separable: Measured
    leak: Measured
    chance: float
    nodes: int


def read(looked: Looked, nodes: Nodes, seed: int) -> Readable:
    """Ask both readers."""
    truth = looked.called
    said = checks.reader_called(nodes.codes, nodes.called, looked.codes.of_class)
    pooled = checks.pooled(looked.codes.individual)
    groups = [case.group for case in looked.cases]
    return Readable(
        separable=_balanced(said, truth, groups, seed, "the cases have one class"),
        leak=_balanced(_folded(pooled, truth, seed), truth, groups, seed, "a class has too few images"),
        chance=1.0 / len(np.unique(truth)), nodes=len(nodes.called),
    )  # fmt: skip


def _folded(features: NDArray[np.float32], truth: Places, seed: int) -> Places | None:
    """The answers ``(n,)`` of readers that have not seen the images they are asked about."""
    least = int(np.bincount(truth)[np.unique(truth)].min())
    folds = min(FOLDS, least)
    if least < FEWEST or folds < 2:
        return None
    said = np.empty(len(truth), np.intp)
    parted = StratifiedKFold(folds, shuffle=True, random_state=seed).split(features, truth)
    for learn, ask in parted:
        found = checks.reader_called(features[learn], truth[learn], features[ask])
        if found is None:
            return None
        said[ask] = found
    return said


def _balanced(said: Places | None, truth: Places, groups: list[str | None], seed: int, reason: str) -> Measured:
    if said is None:
        return Measured(None, n=len(truth), reason=reason)
    right, names = said == truth, np.unique(truth)

    def mean(rows: Rows) -> float:
        each = [right[rows][truth[rows] == one] for one in names]
        return float(np.mean([one.mean() for one in each])) if all(map(len, each)) else float("nan")

    return bootstrap(mean, len(truth), groups=groups, seed=seed)
