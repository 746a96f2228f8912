"""Average drop and increase in confidence, and the four occlusion columns."""

from __future__ import annotations

import numpy as np

from casebase.errors import UsageError
from casebase.evaluate.saliency.asking import ask, checked
from casebase.evaluate.saliency.hiding import Mask, hidden, mask_of, space_of
from casebase.evaluate.saliency.metric import BenchSettings, Figure, Image, Map, Metric, Predict, Scored, Subject

SAME = 1e-6
"""Scores of one image differ by about a tenth of this between batches: a smaller rise is a tie, which is no rise."""


def drop(before: float, after: float) -> float:
    """max(0, Y - O) / Y for the softmax Y of the image and O of the altered one: in [0, 1]."""
    return float(max(0.0, before - after) / before)


def increase(before: float, after: float) -> float:
    """1 where the score rises (Y < O, by more than :data:`SAME`), else 0."""
    return float(after - before > SAME)


def kept(values: Map, image: Image, predict: Predict) -> float:
    """The score of ``image (3, H, W)``, normalised, times the map ``(H, W)``: unimportant pixels go to the mean colour.

    A. Chattopadhyay, A. Sarkar, P. Howlader, V. Balasubramanian, "Grad-CAM++: Generalized Gradient-Based Visual
    Explanations for Deep Convolutional Networks", WACV 2018, https://arxiv.org/abs/1710.11063. Over N images average
    drop is (100 / N) sum max(0, Y - O) / Y and increase in confidence (100 / N) sum 1[Y < O].
    """
    return float(ask(predict, [(image * checked(values, image)).astype(np.float32)])[0])


def occluded(
    image: Image, mask: Mask, fill: str, random: np.random.Generator | None = None, noise: float = 0.0
) -> tuple[Image, Image]:
    """``image (3, H, W)`` with its background hidden ("b": ``mask`` is left), and with its subject hidden ("s").

    The image is in the space that :func:`casebase.evaluate.saliency.hiding.space_of` names for the fill.
    """
    return hidden(image, ~mask, fill, random, noise), hidden(image, mask, fill, random, noise)


def _confidence(values: Map, subject: Subject, _: BenchSettings) -> Scored:
    after = kept(values, subject.fed, subject.predict)
    return Scored(
        {
            "average_drop": drop(subject.before, after),
            "increase": increase(subject.before, after),
            "map_mean": float(np.mean(values, dtype=np.float64)),
        }
    )


def _occlusion(values: Map, subject: Subject, settings: BenchSettings) -> Scored:
    mask = mask_of(checked(values, subject.fed), settings.threshold, settings.cut)
    unit = space_of(settings.fill) == "unit"
    image, predict = (subject.unit, subject.predict_unit) if unit else (subject.fed, subject.predict)
    share: dict[str, float | None] = {"mask_share": float(mask.mean())}
    try:
        both = occluded(image, mask, settings.fill, subject.generator(settings.seed, "occlusion"), settings.road_noise)
    except UsageError:  # the fill ``road`` where all or nothing is salient: this map has no figures
        return Scored({**dict.fromkeys(_COLUMNS), **share})
    before, (b, s) = subject.before, ask(predict, both)
    found = (increase(before, b), drop(before, b), increase(before, s), drop(before, s))
    return Scored({**dict(zip(_COLUMNS, found, strict=True)), **share})


_COLUMNS = ("increase_b", "drop_b", "increase_s", "drop_s")

METRICS: tuple[Metric, ...] = (
    Metric(
        name="confidence",
        title="Average drop and increase in confidence",
        source="Chattopadhyay et al. 2018, Grad-CAM++, https://arxiv.org/abs/1710.11063",
        figures=(
            Figure("average_drop", "Average drop", "lower", "share", "Relative loss of softmax when the image is "
                   "multiplied by its map; a map of ones scores a perfect 0, so read it beside the map's mean.",
                   given=frozenset({"ones"})),
            Figure("increase", "Increase in confidence", "higher", "share", "Share of images whose softmax rises when "
                   "the image is multiplied by its map.", counted=True),
            Figure("map_mean", "Mean of the map", None, "share", "How much of the image the map lets through."),
        ),
        score=_confidence,
        passes=lambda settings: 1,
    ),
    Metric(
        name="occlusion",
        title="Background (b) or subject (s) occluded",
        source="the course study's columns; saliency.md 2.2",
        figures=(
            Figure("increase_b", "% ↑ b", "higher", "share", "Share of images whose softmax rises when all but the "
                   "salient area is hidden.", counted=True),
            Figure("drop_b", "% ↓ b", "lower", "share", "Relative loss of softmax when all but the salient area is "
                   "hidden."),
            Figure("increase_s", "% ↑ s", "lower", "share", "Share of images whose softmax rises when the salient area "
                   "is hidden.", counted=True),
            Figure("drop_s", "% ↓ s", "higher", "share", "Relative loss of softmax when the salient area is hidden."),
            Figure("mask_share", "Salient area", None, "share", "Share of the image that the threshold calls salient."),
        ),
        score=_occlusion,
        passes=lambda settings: 2,
        settings=("threshold", "level", "fill", "road_noise", "seed"),
    ),
)  # fmt: skip
"""What this module measures."""
