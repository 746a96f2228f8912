"""Does the map change when the network's weights do, and when the class does?

J. Adebayo et al., 2018, "Sanity Checks for Saliency Maps", https://arxiv.org/abs/1810.03292. A map that stays the same
shows the image, not what the network has learnt. Raw maps are compared, at the method's own resolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from casebase.evaluate.saliency.likeness import likeness
from casebase.evaluate.saliency.metric import BenchSettings, Figure, Map, Metric, Scored, Subject

STAGES = 5
"""Steps in which the weights are redrawn, from the output downwards; the last one has redrawn all of them."""
MEASURES = ("spearman", "spearman_abs", "ssim", "hog")
_SOURCE = "Adebayo et al. 2018, https://arxiv.org/abs/1810.03292"


def _randomisation(_values: Map, subject: Subject, _settings: BenchSettings) -> Scored:
    """The mean over the stages; the map of the network as it is, alike to itself by 1, is no stage."""
    stages = [] if subject.randomised is None else list(subject.randomised())
    rows = [likeness(subject.raw, raw) for _, raw in stages]
    figures = {f"mprt_{name}": _mean([row[name] for row in rows]) for name in MEASURES}
    figures["mprt_all"] = rows[-1]["spearman_abs"] if rows else None
    figures["mprt_blank"] = float(np.mean([row["spearman_abs"] is None for row in rows])) if rows else None
    curves = {}
    for name in MEASURES:
        points = [(float(stage), found) for stage, row in enumerate(rows, 1) if (found := row[name]) is not None]
        if points:
            curves[f"mprt_{name}"] = ([x for x, _ in points], [y for _, y in points])
    return Scored(figures, curves)


def _other_class(_values: Map, subject: Subject, _settings: BenchSettings) -> Scored:
    row = dict.fromkeys(MEASURES) if subject.other is None else likeness(subject.raw, subject.other())
    return Scored({f"other_{name}": row[name] for name in MEASURES})


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def _columns(prefix: str, title: str) -> tuple[Figure, ...]:
    return (
        Figure(f"{prefix}_spearman", f"{title}: Spearman", "lower", help="rank correlation with signs; 1 is the same"),
        Figure(f"{prefix}_spearman_abs", f"{title}: Spearman of sizes", "lower", help="the same without signs"),
        Figure(f"{prefix}_ssim", f"{title}: SSIM", "lower", help="window 7, range 1; none for maps below 7 x 7"),
        Figure(f"{prefix}_hog", f"{title}: HOG", "lower", help="cells of 16 pixels; none for maps below 48 x 48"),
    )


METRICS: tuple[Metric, ...] = (
    Metric(
        "randomisation",
        "Parameter randomisation",
        _SOURCE,
        (
            *_columns("mprt", "Redrawn"),
            Figure("mprt_all", "All redrawn: Spearman of sizes", "lower", help="with no trained weight left"),
            Figure("mprt_blank", "Blank maps", None, "share", "stages whose map is the same everywhere: not compared"),
        ),
        _randomisation,
        passes=lambda settings: STAGES,
        settings=("seed",),
        needs=frozenset({"randomised"}),
    ),
    Metric(
        "other-class",
        "Another class",
        _SOURCE,
        _columns("other", "Runner-up"),
        _other_class,
        passes=lambda settings: 1,
        needs=frozenset({"other"}),
    ),
)
"""``passes`` counts maps here, each at the cost of the method: the network's scores alone tell nothing."""
