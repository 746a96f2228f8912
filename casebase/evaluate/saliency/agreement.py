"""Agreement with a mask drawn by a person: IoU, pointing game, energy, rank, pixel AUC.

A mask without a pixel is an error, never a score. Pixels that the mask leaves open (the border of a trimap, the void of
Pascal VOC) count neither for nor against. How much of an agreement is owed to chance is what the baselines' rows say.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from casebase.errors import DataError, UsageError
from casebase.evaluate.saliency import hiding
from casebase.evaluate.saliency.metric import BenchSettings, Figure, Map, Metric, Scored, Subject
from casebase.reading import printable

Mask = NDArray[np.bool_]
"""``(H, W)``, the size of the map."""
CURVE_POINTS = 21
"""Thresholds of the stored IoU curve, at equal steps from 0 to 1."""


def iou(part: Mask, mask: Mask) -> float:
    """Intersection over union, |P and G| / |P or G|, in [0, 1]; ``mask`` is not empty."""
    return float(np.count_nonzero(part & mask) / np.count_nonzero(part | mask))


def best_iou(values: NDArray[np.floating], mask: Mask) -> tuple[float, float]:
    """The largest IoU that any threshold of the map reaches, and that threshold: P = {S >= t}.

    The idea is MaxBoxAcc's (J. Choe et al., 2020, "Evaluating Weakly Supervised Object Localization Methods Right",
    https://arxiv.org/abs/2001.07437), but with a threshold for each image, so an upper bound of theirs.
    """
    order = np.argsort(-values.ravel(), kind="stable")
    falling, inside = values.ravel()[order], mask.ravel()[order]
    hits = np.cumsum(inside)
    taken = np.arange(1, inside.size + 1)
    found = hits / (taken + hits[-1] - hits)
    ends = np.append(falling[1:] != falling[:-1], True)  # pixels of one value are taken together
    best = int(np.argmax(np.where(ends, found, -1.0)))
    return float(found[best]), float(falling[best])


def iou_curve(values: NDArray[np.floating], mask: Mask) -> tuple[list[float], list[float]]:
    """Thresholds 0 ... 1 of the scaled map, and the IoU of {S >= t} at each: MaxBoxAcc over images is made of these."""
    cuts = np.linspace(0.0, 1.0, CURVE_POINTS)
    return cuts.tolist(), [iou(values >= cut, mask) for cut in cuts]


def pointing(values: NDArray[np.floating], mask: Mask, tolerance: float) -> float:
    """1 where the map's maximum lies in the mask or nearer to it than ``tolerance`` pixels, else 0.

    Of several equal maxima, the share that hits. TorchRay's rule: a strict disc, distance^2 < tolerance^2, here about
    the pixel (row, column). J. Zhang et al., 2018, "Top-down Neural Attention by Excitation Backprop",
    https://arxiv.org/abs/1608.00507.
    """
    from scipy.ndimage import distance_transform_edt

    away = distance_transform_edt(~mask)  # to the nearest pixel of the mask; 0 in it
    return float(np.mean((mask | (away < tolerance))[values == values.max()]))


def energy(values: NDArray[np.floating], mask: Mask) -> float | None:
    """Share of the map's positive mass that lies in the mask; None where there is no such mass.

    H. Wang et al., 2020, "Score-CAM", https://arxiv.org/abs/1910.01279.
    """
    positive = np.maximum(values.astype(np.float64), 0.0)
    total = float(positive.sum())
    return float(positive[mask].sum()) / total if total > 0 else None


def rank_accuracy(values: NDArray[np.floating], mask: Mask) -> float:
    """Share of the |G| largest pixels that lie in the mask G; of equal ones at the cut, the share expected by chance.

    L. Arras, A. Osman, W. Samek, 2022, "CLEVR-XAI", https://arxiv.org/abs/2003.07258.
    """
    k = np.count_nonzero(mask)
    cut = np.partition(values.ravel(), values.size - k)[values.size - k]  # the k-th largest
    above, tied = values > cut, values == cut
    left = k - np.count_nonzero(above)
    hits = np.count_nonzero(above & mask) + left * np.count_nonzero(tied & mask) / np.count_nonzero(tied)
    return float(hits / k)


def auc(values: NDArray[np.floating], mask: Mask) -> float | None:
    """How often a pixel of the mask has a larger value than one outside it, equal ones half; None for a full mask.

    The area under the ROC curve of pixels (T. Fawcett, 2006, "An introduction to ROC analysis").
    """
    inside = int(np.count_nonzero(mask))
    outside = mask.size - inside
    if not outside:
        return None
    _, place, often = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(often) - (often - 1) / 2)[place]  # from 1, the mean rank for equal values
    return float((ranks[mask.ravel()].sum() - inside * (inside + 1) / 2) / (inside * outside))


def _compared(values: Map, subject: Subject) -> tuple[Mask, Mask]:
    """The mask ``(H, W)`` and which pixels count ``(H, W)``; refuses what would score nonsense."""
    mask = subject.mask
    if mask is None:
        raise UsageError(f"there is no mask for {printable(subject.name)}; name a folder of masks, or leave it out")
    if mask.shape != values.shape:
        raise UsageError(
            f"the mask of {printable(subject.name)} has {mask.shape[1]}x{mask.shape[0]} pixels, "
            f"its map {values.shape[1]}x{values.shape[0]}; masks are cropped as the network crops the image"
        )
    counts = np.ones(mask.shape, np.bool_) if subject.ignored is None else ~subject.ignored
    if not (mask & counts).any():
        raise DataError(
            f"the mask of {printable(subject.name)} has no pixel of the object in the part that the network sees; "
            "leave this image out, or correct its mask"
        )
    return mask, counts


def _iou(values: Map, subject: Subject, settings: BenchSettings) -> Scored:
    mask, counts = _compared(values, subject)
    part = hiding.mask_of(values, settings.threshold, settings.cut)[counts]
    among, object_ = values[counts], mask[counts]
    best, _ = best_iou(among, object_)
    return Scored({"iou": iou(part, object_), "iou_max": best}, {"iou": iou_curve(among, object_)})


def _pointing(values: Map, subject: Subject, settings: BenchSettings) -> Scored:
    mask, counts = _compared(values, subject)
    among = np.where(counts, values, -np.inf)
    return Scored({"pointing": pointing(among, mask & counts, settings.pointing_tolerance)})


def _on_counted(key: str, measure: Callable[[NDArray[np.float32], Mask], float | None]) -> Callable[..., Scored]:
    def score(values: Map, subject: Subject, _settings: BenchSettings) -> Scored:
        mask, counts = _compared(values, subject)
        return Scored({key: measure(values[counts], mask[counts])})

    return score


def _no_passes(_settings: BenchSettings) -> int:
    return 0


METRICS: tuple[Metric, ...] = (
    Metric(
        "iou",
        "IoU with the mask",
        "Choe et al. 2020, https://arxiv.org/abs/2001.07437",
        (
            Figure("iou", "IoU", "higher", help="the map at the recorded threshold against the mask"),
            Figure(
                "iou_max", "IoU, best", "higher", help="at the threshold that suits this image best: an upper bound"
            ),
        ),
        _iou,
        _no_passes,
        settings=("threshold", "level"),
        needs=frozenset({"mask"}),
    ),
    Metric(
        "pointing",
        "Pointing game",
        "Zhang et al. 2018, https://arxiv.org/abs/1608.00507",
        (
            Figure(
                "pointing",
                "Pointing",
                "higher",
                "share",
                "share of images whose maximum lies in the mask or near it; the mean over images, not over classes",
                counted=True,
            ),
        ),
        _pointing,
        _no_passes,
        settings=("pointing_tolerance",),
        needs=frozenset({"mask"}),
    ),
    Metric(
        "energy",
        "Energy in the mask",
        "Wang et al. 2020, https://arxiv.org/abs/1910.01279",
        (Figure("energy", "Energy", "higher", "share", "share of the map's mass in the mask; all-ones has its area"),),
        _on_counted("energy", energy),
        _no_passes,
        needs=frozenset({"mask"}),
    ),
    Metric(
        "rank",
        "Relevance rank accuracy",
        "Arras et al. 2022, https://arxiv.org/abs/2003.07258",
        (Figure("rank", "Rank accuracy", "higher", "share", "of as many top pixels as the mask has, those in it"),),
        _on_counted("rank", rank_accuracy),
        _no_passes,
        needs=frozenset({"mask"}),
    ),
    Metric(
        "auc",
        "Pixel AUC",
        "Fawcett 2006, https://doi.org/10.1016/j.patrec.2005.10.010",
        (Figure("auc", "Pixel AUC", "higher", "number", "how often a pixel of the mask has more than one outside"),),
        _on_counted("auc", auc),
        _no_passes,
        needs=frozenset({"mask"}),
    ),
)
