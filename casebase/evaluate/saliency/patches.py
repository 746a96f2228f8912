"""AOPC and PD: patches taken away in the order of a map.

W. Samek, A. Binder, G. Montavon, S. Lapuschkin, K.-R. Müller, "Evaluating the Visualization of What a Deep Neural
Network Has Learned", IEEE TNNLS 28 (2017), https://arxiv.org/abs/1509.06321. With x^(k) the image after k patches,

    AOPC = 1 / (L + 1) * sum_{k=0..L} [p(x^(0)) - p(x^(k))],    ABPC = AOPC_MoRF - AOPC_LeRF.

PD is the drop of the same MoRF curve, at its largest, its last and its first patch. The paper that introduced the name
(class association embedding, ICDE 2024) has not published how it counts: these are no reproduction of its figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.saliency.asking import ask, checked
from casebase.evaluate.saliency.hiding import space_of, substrate
from casebase.evaluate.saliency.metric import BenchSettings, Figure, Image, Map, Metric, Predict, Scored, Subject

Places = NDArray[np.intp]
UNIFORM = "uniform"


@dataclass(frozen=True, eq=False)
class Vanishing:
    """Scores ``(L + 1,)`` while patches vanish, from the untouched image on, and the share of pixels gone."""

    shares: NDArray[np.float64]
    scores: NDArray[np.float64]

    @property
    def drops(self) -> NDArray[np.float64]:
        """p(x^(0)) - p(x^(k)) for k = 1 ... L."""
        return np.asarray(self.scores[0] - self.scores[1:])

    @property
    def aopc(self) -> float:
        """The mean drop, the first of 0 included."""
        return float(self.drops.sum() / len(self.scores))


def squares(height: int, width: int, side: int) -> Places:
    """Which patch each pixel ``(H, W)`` belongs to: squares from the upper left corner, counted row by row.

    Where ``side`` does not divide the image, those at the right and lower edge are smaller.
    """
    across = -(-width // side)
    return np.asarray((np.arange(height) // side)[:, None] * across + np.arange(width) // side)


def ranked(values: Map, patch: Places, rank: str = "sum") -> Places:
    """Patches by falling sum (or mean) of the map; equal ones row by row. A sum puts smaller ones at the edge last."""
    weight = np.bincount(patch.ravel(), values.ravel().astype(np.float64))
    found = weight / np.bincount(patch.ravel()) if rank == "mean" else weight
    return np.argsort(-found, kind="stable")


def vanishing(image: Image, patch: Places, order: Places, predict: Predict, filling: Image, before: float) -> Vanishing:
    """The curve while the patches ``order (L,)`` of ``image (3, H, W)`` become those of ``filling``, one by one."""
    last = np.full(int(patch.max()) + 1, len(order))
    last[order] = np.arange(len(order))
    turn = last[patch]  # (H, W): which patches go before this pixel does

    def images() -> Iterator[Image]:
        for gone in range(1, len(order) + 1):
            yield np.where(turn < gone, filling, image).astype(np.float32)

    sizes = np.bincount(patch.ravel())[order]
    shares = np.concatenate([[0.0], np.cumsum(sizes) / patch.size])
    return Vanishing(shares, np.concatenate([[before], ask(predict, images())]))


def averaged(curves: Sequence[Vanishing]) -> Vanishing:
    """The mean of curves over the same patches with other fillings."""
    return Vanishing(curves[0].shares, np.mean([one.scores for one in curves], axis=0))


def _aopc(values: Map, subject: Subject, settings: BenchSettings) -> Scored:
    unit = settings.patch_fill == UNIFORM or space_of(settings.patch_fill) == "unit"
    image, predict = (subject.unit, subject.predict_unit) if unit else (subject.fed, subject.predict)
    height, width = checked(values, image).shape
    patch = squares(height, width, settings.patch)
    order = ranked(values, patch, settings.patch_rank)
    most = min(settings.patches, len(order))
    found = {
        name: averaged(
            [
                vanishing(image, patch, turn, predict, filling, subject.before)
                for filling in fillings(image, settings, subject)
            ]
        )
        for name, turn in (("morf", order[:most]), ("lerf", order[::-1][:most]))
    }
    morf, lerf = found["morf"], found["lerf"]
    figures = {
        "aopc_morf": morf.aopc,
        "aopc_lerf": lerf.aopc,
        "abpc": morf.aopc - lerf.aopc,
        "pd_max": float(morf.drops.max()),
        "pd_final": float(morf.drops[-1]),
        "pd_first": float(morf.drops[0]),
    }
    return Scored(figures, {f"patches_{key}": (one.shares.tolist(), one.scores.tolist()) for key, one in found.items()})


def fillings(image: Image, settings: BenchSettings, subject: Subject) -> Iterator[Image]:
    """What the squares become: one image, or as many of noise as there are repeats; both orders see the same."""
    if settings.patch_fill != UNIFORM:
        yield substrate(image, settings.patch_fill)
        return
    for repeat in range(settings.patch_repeats):
        yield subject.generator(settings.seed, "patches", repeat).random(image.shape, np.float32)


def _passes(settings: BenchSettings) -> int:
    """Of an image with at least ``settings.patches`` patches; smaller ones cost less."""
    return 2 * settings.patches * (settings.patch_repeats if settings.patch_fill == UNIFORM else 1)


METRICS: tuple[Metric, ...] = (
    Metric(
        name="aopc",
        title="AOPC and PD",
        source="Samek et al. 2017, https://arxiv.org/abs/1509.06321",
        figures=(
            Figure("aopc_morf", "AOPC", "higher", "points", "Mean drop of softmax while the most relevant patches "
                   "vanish."),
            Figure("aopc_lerf", "AOPC, least first", "lower", "points", "The same for the least relevant patches."),
            Figure("abpc", "ABPC", "higher", "points", "The difference of the two."),
            Figure("pd_max", "PD max", "higher", "points", "Largest drop while the most relevant patches vanish; not "
                   "the figure of the CAE paper, whose formula is not published."),
            Figure("pd_final", "PD final", "higher", "points", "Drop after the last patch."),
            Figure("pd_first", "PD first", "higher", "points", "Drop after the first patch."),
        ),
        score=_aopc,
        passes=_passes,
        settings=("patch", "patches", "patch_rank", "patch_fill", "patch_repeats", "seed"),
    ),
)  # fmt: skip
"""What this module measures."""
