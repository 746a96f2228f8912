"""A small tree in words: one line for each of its leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase.reading import percent, printable

Path = dict[int, tuple[float, float]]
"""For a column the values above the first and up to the second bound."""


def rules(
    tree: Any, values: NDArray[np.float64], codes: NDArray[np.intp], names: Sequence[str], classes: Sequence[str]
) -> list[str]:
    """``format = PNG: generated (50 of 50, 100.0 %)`` for each leaf of a fitted tree, the largest first."""
    told: list[tuple[int, str]] = []
    place = tree.apply(values)
    for leaf, path in _leaves(tree.tree_, 0, {}):
        inside = codes[place == leaf]
        counts = np.bincount(inside, minlength=len(classes))
        best = int(counts.argmax())
        when = " and ".join(_condition(names[column], *span, values[:, column]) for column, span in path.items())
        share = f"{counts[best]} of {len(inside)}, {percent(counts[best] / max(1, len(inside)))}"
        told.append((len(inside), f"{when or 'always'}: {printable(classes[best])} ({share})"))
    return [text for _, text in sorted(told, key=lambda one: (-one[0], one[1]))]


def _leaves(tree: Any, node: int, path: Path) -> Iterator[tuple[int, Path]]:
    column = int(tree.feature[node])
    if column < 0:
        yield node, path
        return
    low, high = path.get(column, (-np.inf, np.inf))
    bound = float(tree.threshold[node])
    yield from _leaves(tree, int(tree.children_left[node]), {**path, column: (low, min(high, bound))})
    yield from _leaves(tree, int(tree.children_right[node]), {**path, column: (max(low, bound), high)})


def _condition(name: str, low: float, high: float, values: NDArray[np.float64]) -> str:
    if set(np.unique(values).tolist()) <= {0.0, 1.0}:  # a yes or a no
        yes = high > 1.0
        if " = " in name:
            return name if yes else name.replace(" = ", " is not ")
        return name if yes else f"no: {name}"
    if np.isinf(low):
        return f"{name} up to {high:.4g}"
    if np.isinf(high):
        return f"{name} above {low:.4g}"
    return f"{name} above {low:.4g} and up to {high:.4g}"
