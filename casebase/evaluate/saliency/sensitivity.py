"""Max-sensitivity: how far a map moves under noise that nobody sees.

C. Yeh et al., 2019, "On the (In)fidelity and Sensitivity of Explanations", https://arxiv.org/abs/1901.09392:

    SENS = max over |d|_inf <= r of |Phi(x + d) - Phi(x)|_2 / |Phi(x)|_2

The maximum is taken over a few draws, so it is a lower bound of the real one. Phi is the scaled map in [0, 1], each
image scaled by itself; the radius is in the units of the normalised image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.saliency.metric import BenchSettings, Figure, Image, Map, Metric, Scored, Subject


def max_sensitivity(map_: NDArray[np.floating[Any]], moved: NDArray[np.floating[Any]]) -> float | None:
    """The largest relative distance between a map ``(H, W)`` and maps of altered images ``(N, H, W)``.

    None where the map is zero everywhere or something is not finite. A moved map that says nothing is all zeros, and
    so at distance 1.
    """
    whole = map_.astype(np.float64)
    size = float(np.linalg.norm(whole))
    if not size > 0 or not np.isfinite(moved).all():
        return None
    away = np.linalg.norm((moved - whole).reshape(len(moved), -1), axis=1)
    found = float(away.max()) / size
    return found if np.isfinite(found) else None


def noisy(fed: Image, radius: float, draws: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Copies ``(draws, 3, H, W)`` of an image, every value moved by at most ``radius``, uniformly."""
    noise = random.uniform(-radius, radius, (draws, *fed.shape)).astype(np.float32)
    return fed[None] + noise


def _score(values: Map, subject: Subject, settings: BenchSettings) -> Scored:
    if subject.again is None:
        return Scored({"max_sensitivity": None})
    random = subject.generator(settings.seed, "max-sensitivity", settings.radius)
    moved = subject.again(noisy(subject.fed, settings.radius, settings.draws, random))
    return Scored({"max_sensitivity": max_sensitivity(values, moved)})


METRICS: tuple[Metric, ...] = (
    Metric(
        "max-sensitivity",
        "Max-sensitivity",
        "Yeh et al. 2019, https://arxiv.org/abs/1901.09392",
        (
            Figure(
                "max_sensitivity",
                "Max-sensitivity",
                "lower",
                help="largest change of the map under small noise, as a share of the map; a map that ignores the "
                "image has 0",
            ),
        ),
        _score,
        passes=lambda settings: settings.draws,
        settings=("radius", "draws", "seed"),
        needs=frozenset({"again"}),
    ),
)
"""``passes`` counts maps here, each at the cost of the method."""
