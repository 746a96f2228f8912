"""ROAD: remove and debias, with noisy linear imputation.

Y. Rong, T. Leemann, V. Borisov, G. Kasneci, E. Kasneci, "A Consistent and Efficient Evaluation Strategy for Attribution
Methods", ICML 2022, https://arxiv.org/abs/2202.00449. The score per image and fraction is p(imputed) - p(x): MoRF takes
the most relevant pixels away (more negative is better), LeRF the least relevant (nearer to 0 or above is better);
combined = (mean LeRF - mean MoRF) / 2, half the gap between the two curves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from casebase.errors import UsageError
from casebase.evaluate.saliency.asking import BATCH, ask, checked
from casebase.evaluate.saliency.hiding import Mask, whole
from casebase.evaluate.saliency.imputation import NOISE, imputed
from casebase.evaluate.saliency.metric import BenchSettings, Figure, Image, Map, Metric, Predict, Scored, Subject
from casebase.explain.album import cores

MORF, LERF = "morf", "lerf"
FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
THREADS = 8
"""Most masks solved at once: at 224 x 224 each holds up to 40 MB meanwhile."""
Generators = Callable[[str, float], np.random.Generator]
"""A generator for an order (or ``ties``) and a fraction."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What is taken away: shares of all pixels; how they are counted (see :func:`removed`); noise, image's units."""

    fractions: Sequence[float] = FRACTIONS
    rule: str = "count"
    noise: float = NOISE


@dataclass(frozen=True, eq=False)
class Curves:
    """Scores ``(F,)`` after removal of each fraction, most relevant first and least relevant first."""

    fractions: Sequence[float]
    morf: NDArray[np.float64]
    lerf: NDArray[np.float64]

    def figures(self, before: float) -> tuple[float, float, float]:
        """Mean change of MoRF, of LeRF, and (LeRF - MoRF) / 2, for the score ``before`` of the untouched image."""
        morf, lerf = float(np.mean(self.morf - before)), float(np.mean(self.lerf - before))
        return morf, lerf, (lerf - morf) / 2


def shuffled_ties(values: Map, random: np.random.Generator) -> NDArray[np.intp]:
    """Flat positions ``(H * W,)`` by falling value; equal ones in an order of chance."""
    chance = random.permutation(values.size)
    return np.asarray(chance[np.argsort(-values.ravel()[chance], kind="stable")])


def removed(values: Map, fraction: float, order: NDArray[np.intp], rule: str = "count") -> tuple[Mask, Mask]:
    """The pixels ``(H, W) bool`` that MoRF and LeRF take away.

    ``count``: exactly floor(fN) from the front and from the back of ``order``, but never the last one. ``percentile``,
    as in pytorch-grad-cam 1.5.7: all but those strictly below the percentile 100 (1 - f) of S, or of 1 - S; on ties it
    takes too many, down to the whole image.
    """
    if rule == "percentile":
        share = float(100 * (1 - Fraction(repr(float(fraction)))))
        return _at_least(values, share), _at_least(1 - values, share)
    count = min(whole(fraction, values.size), values.size - 1)
    most, least = np.zeros((2, values.size), np.bool_)
    most[order[:count]] = True
    least[order[values.size - count :]] = True
    return most.reshape(values.shape), least.reshape(values.shape)


def _at_least(values: Map, share: float) -> Mask:
    return np.asarray(~(values < np.percentile(values, share)))


def road(values: Map, image: Image, predict: Predict, removal: Removal, generators: Generators) -> Curves:
    """Both curves of a map ``(H, W)`` on ``image (3, H, W)``, in whichever space ``predict`` takes.

    Two forward passes per fraction, together in as few calls as their number allows. Raises ``UsageError`` where the
    rule leaves no pixel known.
    """
    order = shuffled_ties(checked(values, image), generators("ties", 0.0))

    def job(one: tuple[str, float]) -> Image:
        name, fraction = one
        most, least = removed(values, fraction, order, removal.rule)
        return imputed(image, most if name == MORF else least, removal.noise, generators(name, fraction))

    jobs = [(name, fraction) for fraction in removal.fractions for name in (MORF, LERF)]
    scores = ask(predict, in_threads(job, jobs)).reshape(len(removal.fractions), 2)
    return Curves(removal.fractions, scores[:, 0], scores[:, 1])


def in_threads(job: Callable[[tuple[str, float]], Image], jobs: Sequence[tuple[str, float]]) -> Iterator[Image]:
    """The images of ``jobs``, in order, made by as many threads as there are cores (at most :data:`THREADS`).

    No more than one call's worth of images is made ahead.
    """
    with ThreadPoolExecutor(min(cores(), THREADS)) as pool:
        for start in range(0, len(jobs), BATCH):
            yield from pool.map(job, jobs[start : start + BATCH])


def _road(values: Map, subject: Subject, settings: BenchSettings) -> Scored:
    unit = settings.road_space == "unit"
    image, predict = (subject.unit, subject.predict_unit) if unit else (subject.fed, subject.predict)
    removal = Removal(settings.road_fractions, settings.road_rule, settings.road_noise)
    checked(values, image)
    try:
        curves = road(values, image, predict, removal, lambda *about: subject.generator(settings.seed, "road", *about))
    except UsageError:  # the percentile of a map full of ties took every pixel: this map has no figures
        return Scored(dict.fromkeys(("road_morf", "road_lerf", "road_combined")))
    morf, lerf, combined = curves.figures(subject.before)
    shares = [0.0, *curves.fractions]
    return Scored(
        {"road_morf": morf, "road_lerf": lerf, "road_combined": combined},
        {
            "road_morf": (shares, [subject.before, *map(float, curves.morf)]),
            "road_lerf": (shares, [subject.before, *map(float, curves.lerf)]),
        },
    )


METRICS: tuple[Metric, ...] = (
    Metric(
        name="road",
        title="ROAD",
        source="Rong et al. 2022, https://arxiv.org/abs/2202.00449",
        figures=(
            Figure("road_lerf", "ROAD b", "higher", "points", "Mean change of softmax while the least relevant pixels "
                   "are imputed from the others."),
            Figure("road_morf", "ROAD s", "lower", "points", "Mean change of softmax while the most relevant pixels "
                   "are imputed from the others."),
            Figure("road_combined", "ROAD combined", "higher", "points", "Half the gap between the two curves."),
        ),
        score=_road,
        passes=lambda settings: 2 * len(settings.road_fractions),
        settings=("road_fractions", "road_noise", "road_space", "road_rule", "seed"),
    ),
)  # fmt: skip
"""What this module measures."""
