"""What must hold before prototypes are handed over: a broken explainer is worse than none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from casebase.errors import GateFailed
from casebase.networks.prototypes.prepared import Places, Prepared
from casebase.prototypes import Stage
from casebase.reading import printable

NEAREST = 10
SHARE = 0.6


def purity(similarities: NDArray[np.float32], label: Places, name: int, source: int) -> tuple[float | None, int]:
    """Share of a class among the ten images most similar to a prototype, and how many those were.

    Fewer than ten where the class has fewer; the prototype's own source (-1: none among these) does not count.
    """
    column = similarities.astype(np.float64)
    there = np.ones(len(column), bool)
    if source >= 0:
        there[source] = False
    most = min(NEAREST, int((label[there] == name).sum()))
    if most < 1:
        return None, 0
    order = np.flatnonzero(there)[np.argsort(-column[there], kind="stable")[:most]]
    return float((label[order] == name).mean()), most


def needed(prior: float) -> float:
    """The mean purity below which prototypes are not of their class: 0.8 for two equal classes.

    >>> round(needed(0.5), 2), round(needed(0.1), 2)
    (0.8, 0.64)
    """
    return prior + SHARE * (1.0 - prior)


def check(task: Prepared, stages: Sequence[Stage], purities: Sequence[float | None]) -> None:
    """Raise :class:`GateFailed` with the first thing that does not hold after the last stage, and what to try next."""
    last = stages[-1]
    said = list(last.alarms)
    known = [value for value in purities if value is not None]
    chance = 1.0 / len(task.classes)
    if known and float(np.mean(known)) < needed(chance):
        said.append(
            f"of the images most like a prototype only {np.mean(known):.0%} are of its class; "
            f"{needed(chance):.0%} is the least here"
        )
    if said:
        more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
        raise GateFailed(f"no prototypes are kept, since {printable(said[0])}{more}; {_next(task)}", stages)


def _next(task: Prepared) -> str:
    """The next thing to try: more prototypes, then an earlier layer, then no prototypes at all."""
    profile = "" if task.recipe.profile == "signed" else "--profile signed, or "
    scarce = int(np.bincount(task.target[task.target >= 0]).min())
    if task.k < 10 and scarce > 2 * task.k:
        return f"try {profile}--k {2 * task.k}"
    if task.recipe.layer is None:
        return f"try {profile}--layer with an earlier layer, where the map has more places"
    return f"try {profile}`casebase prototypes summarize`, which shows typical cases and learns nothing"
