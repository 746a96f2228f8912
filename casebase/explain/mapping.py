"""From what a method gives to a map that is shown and judged; the same for ``query``, ``errors`` and ``saliency``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from casebase.explain import deletion
from casebase.explain.passes import GRADCAM, Passes
from casebase.explain.saliency.method import Method, RawMap, scaled, unsigned
from casebase.explanations import Deletion, Pixels, SaliencyMap

DEFAULT = GRADCAM
SIGN = "positive"
"""A report asks where the network looked *for* a class, and hides that to see whether the class goes. Of two classes
the attributions are each other's negative, so that absolute values would show both the same map."""
CHEAP = 10
"""Methods whose map costs at most as many forward passes as this also map the cases; the others only the query."""


def entry(name: str) -> Method:
    """A method of the catalogue; an unknown name raises ``UsageError``."""
    from casebase.explain.saliency import catalogue

    return catalogue.method(name)


def maps_cases(name: str) -> bool:
    """Whether a method is cheap enough to map the cases of a report as well."""
    return entry(name).passes <= CHEAP


def map_note(name: str) -> str | None:
    """Why the cases of a report have no saliency map; None where they have."""
    if maps_cases(name):
        return None
    one = entry(name)
    return (
        f"Only the query is mapped: a map by {one.title} costs about {one.passes:,} forward passes, "
        f"and the cases are mapped up to {CHEAP}."
    )


def shown_map(raw: RawMap, name: str, target: str, image: str, facts: Mapping[str, Any], sign: str) -> SaliencyMap:
    """A raw map as it is shown: without signs, scaled to [0, 1], with all that is known of how it was made."""
    signed = entry(name).signed
    values = unsigned(raw.values, sign) if signed else raw.values
    return scaled(values, name, target, image, {**facts, **raw.facts, **({"sign": sign} if signed else {})})


@dataclass(frozen=True, eq=False)
class Suspect:
    """A picture ``(H, W, 3) uint8`` and its maps that are to be checked; ``before`` are its class probabilities."""

    view: Pixels
    maps: Sequence[SaliencyMap]
    before: Mapping[str, float]


def checks(passes: Passes, suspects: Sequence[Suspect], seed: int) -> list[list[Deletion]]:
    """The deletion checks of every picture's maps, all in shared forward passes; none may be degenerate."""
    tried = [deletion.trial(one.view, [map_.values for map_ in one.maps], seed) for one in suspects]
    if not tried:
        return []
    after = passes.probabilities(np.concatenate([one.views for one in tried]))
    found: list[list[Deletion]] = []
    start = 0
    for one, suspect in zip(tried, suspects, strict=True):
        rows, start = after[start : start + len(one.views)], start + len(one.views)
        found.append(
            [
                deletion.outcome(
                    one, place, suspect.before[map_.target], rows[:, passes.place(map_.target)],
                    target=map_.target, method=map_.method,
                )
                for place, map_ in enumerate(suspect.maps)
            ]
        )  # fmt: skip
    return found
