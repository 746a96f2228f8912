"""AOPC and PD of maps, as class association embedding is judged by: two fillings, a share of the image, a number.

Patches of a 32nd of the image's side are taken away, most relevant first, until 30 % of the area is gone. The score is
asked after the first, every 16th, the 100th and the last patch, and read off in between; the definitions are those of
:mod:`casebase.evaluate.saliency.patches`. A filling of uniform noise is what the method was first judged under; blur is
nearer to what a network has seen. The paper has published neither patches nor steps nor filling: these are no
reproduction of its figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.saliency.asking import checked
from casebase.evaluate.saliency.metric import BenchSettings, Figure, Map, Metric, Scored, Subject
from casebase.evaluate.saliency.patches import UNIFORM, Places, averaged, fillings, ranked, squares, vanishing

BLUR = "blur"
FILLS = (UNIFORM, BLUR)
SIDES, AREA, HUNDRED, STRIDE = 32, 0.3, 100, 16
AOPC, PD = "aopc_area", "pd_max"
"""The two figures that a map is compared in."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Scores ``(L + 1,)`` after 0 ... L patches, read off between the ``stops`` at which the network was asked."""

    scores: NDArray[np.float64]
    stops: Places

    @property
    def drops(self) -> NDArray[np.float64]:
        """p(x^(0)) - p(x^(k)) for k = 0 ... L."""
        return np.asarray(self.scores[0] - self.scores)

    def aopc(self, most: int | None = None) -> float:
        """The mean drop up to ``most`` patches, the first of 0 included; all of them by default."""
        return float(self.drops[: None if most is None else most + 1].mean())


def stops(most: int) -> Places:
    """After how many patches the network is asked.

    >>> stops(40).tolist()
    [1, 16, 32, 40]
    """
    wanted = {1, most, *range(STRIDE, most, STRIDE), *([HUNDRED] if most >= HUNDRED else [])}
    return np.array(sorted(wanted), np.intp)


def patch_side(height: int, width: int) -> int:
    """A 32nd of the shorter side: 7 pixels of 224, 2 of 64."""
    return max(1, round(min(height, width) / SIDES))


def merged(patch: Places, order: Places, at: Places) -> Places:
    """Which stop ``(H, W)`` takes each pixel away, counted from 0; pixels that stay have the number of stops."""
    turn = np.full(int(patch.max()) + 1, len(at), np.intp)
    turn[order[: at[-1]]] = np.searchsorted(at, np.arange(at[-1]), side="right")
    return np.asarray(turn[patch], np.intp)


def _curve(values: Map, subject: Subject, settings: BenchSettings, *, least_first: bool) -> Curve:
    unit = settings.patch_fill == UNIFORM
    image, predict = (subject.unit, subject.predict_unit) if unit else (subject.fed, subject.predict)
    height, width = checked(values, image).shape
    patch = squares(height, width, patch_side(height, width))
    order = ranked(values, patch)[:: -1 if least_first else 1]
    at = stops(max(1, round(AREA * len(order))))
    steps = merged(patch, order, at)
    found = averaged([
        vanishing(image, steps, np.arange(len(at)), predict, filling, subject.before)
        for filling in fillings(image, settings, subject)
    ])  # fmt: skip
    return Curve(np.interp(np.arange(at[-1] + 1), np.concatenate([[0], at]), found.scores), at)


def _score(fill: str, values: Map, subject: Subject, settings: BenchSettings) -> Scored:
    filled = replace(settings, patch_fill=fill)
    most, least = (_curve(values, subject, filled, least_first=turned) for turned in (False, True))
    last = len(most.scores) - 1
    figures = {
        AOPC: most.aopc(), "aopc_100": most.aopc(HUNDRED) if last >= HUNDRED else None, "lerf": least.aopc(),
        "abpc": most.aopc() - least.aopc(), PD: float(most.drops[most.stops].max()),
        "pd_final": float(most.drops[-1]), "pd_first": float(most.drops[1]),
    }  # fmt: skip
    share = (np.arange(last + 1) / last * AREA).tolist()
    return Scored(figures, {f"morf_{fill}": (share, most.scores.tolist())})


def _passes(fill: str, settings: BenchSettings) -> int:
    """Of an image with as many patches as the side has room for; both orders."""
    return 2 * len(stops(round(AREA * SIDES**2))) * (settings.patch_repeats if fill == UNIFORM else 1)


def _figures() -> Iterator[Figure]:
    area = f"{AREA:.0%} of the area"
    yield Figure(AOPC, "AOPC", "higher", "points", f"mean drop of softmax while {area} vanishes, most relevant first")
    yield Figure("aopc_100", "AOPC, 100", "higher", "points", "the same over the first 100 patches")
    yield Figure("lerf", "least first", "lower", "points", f"the same drop over {area}, least relevant first")
    yield Figure("abpc", "ABPC", "higher", "points", "most relevant first less least relevant first")
    yield Figure(PD, "PD max", "higher", "points", "the largest drop; not the figure of the CAE paper, whose formula "
                 "is not published")  # fmt: skip
    yield Figure("pd_final", "PD final", "higher", "points", "the drop after the last patch")
    yield Figure("pd_first", "PD first", "higher", "points", "the drop after the first patch")


METRICS = {
    fill: Metric(
        name=f"removal_{fill}", title=f"Taken away, filled with {what}",
        source="Samek et al. 2017, https://arxiv.org/abs/1509.06321", figures=tuple(_figures()),
        score=partial(_score, fill), passes=partial(_passes, fill),
        settings=("patch_repeats", "seed") if fill == UNIFORM else ("seed",),
    )
    for fill, what in ((UNIFORM, "uniform noise"), (BLUR, "a blurred copy"))
}  # fmt: skip
"""By filling."""
