"""Prototypes against annotated parts: does one always find the same part, in its class and wherever it is strongest?

All places are fractions (x, y) of the view; NaN where a part is not visible. n images, P prototypes, A parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.prototypes.sights import Sight

Points = NDArray[np.float64]
Bits = NDArray[np.bool_]
HALF_BOX = 36 / 224
"""Of EvalProtoPNet's box of 72 x 72 pixels in a view of 224."""
HALF_PATCH = 16 / 224
"""Of PIP-Net's patch of 32 x 32 pixels in a view of 224."""
ALWAYS = 0.8
LEAST = 3
"""Images in which a part must be visible before it can be found consistently: our own rule, so that not one decides."""
NEAREST = 10


@dataclass(frozen=True, eq=False)
class Consistency:
    """``share (P,)`` of images in which a prototype's best part lies in its box, NaN where no part could be judged.

    ``part (P,)`` is the number of that part, -1 where there is none, and ``shown (P,)`` how many images show it.
    """

    share: NDArray[np.float64]
    part: NDArray[np.intp]
    shown: NDArray[np.intp]

    @property
    def judged(self) -> Bits:
        """Which prototypes ``(P,)`` could be judged."""
        return np.isfinite(self.share)

    @property
    def consistent(self) -> Bits:
        """Which of all ``(P,)`` find one part in at least 80 % of the images that show it."""
        return np.asarray(np.nan_to_num(self.share, nan=-1.0) >= ALWAYS)


def hits(places: Points, parts: Points, half: float) -> Bits:
    """Which parts ``(A, 2)`` lie in the box round each place ``(P, 2)``: ``(P, A)``.

    The box reaches ``half`` to either side, its edge included; a part that is not visible is in no box.
    """
    away = np.abs(places[:, None, :] - parts[None, :, :])
    return np.asarray((away <= half).all(axis=2))


def consistency(
    peaks: Points, parts: Points, truth: NDArray[np.intp], owners: NDArray[np.intp], half: float = HALF_BOX
) -> Consistency:
    """EvalProtoPNet's consistency over the images of each prototype's own class.

    Q. Huang et al., ICCV 2023, https://arxiv.org/abs/2212.05946. ``peaks (n, P, 2)`` are where the enlarged maps have
    their maximum, ``parts (n, A, 2)``; ``truth (n,)`` labels and ``owners (P,)`` classes, in one numbering.
    """
    count = len(owners)
    share, part, images = np.full(count, np.nan), np.full(count, -1, np.intp), np.zeros(count, np.intp)
    visible: Bits = np.asarray(np.isfinite(parts).all(axis=2))  # (n, A)
    for number in range(count):
        rows = np.flatnonzero(truth == owners[number])
        inside = np.array([hits(peaks[row, number][None], parts[row], half)[0] for row in rows.tolist()])
        shown = visible[rows].sum(axis=0)
        judged = np.asarray(shown >= LEAST)
        if not judged.any():
            continue
        shares = np.where(judged, inside.sum(axis=0) / np.maximum(shown, 1), -1.0)
        best = int(shares.argmax())
        part[number], share[number], images[number] = best, shares[best], shown[best]
    return Consistency(share, part, images)


def part_purity(
    sight: Sight, centres: Points, parts: Points, annotated: Bits, groups: Sequence[Sequence[int]],
    half: float = HALF_PATCH,
) -> NDArray[np.float64]:  # fmt: skip
    """PIP-Net's purity ``(P,)``: of the ten most similar patches, the share that holds the same best part.

    M. Nauta et al., "PIP-Net: Patch-Based Intuitive Prototypes for Interpretable Image Classification", CVPR 2023,
    https://openaccess.thecvf.com/CVPR2023. One patch an image, of 32 x 32 pixels round the best cell's middle
    ``centres (n, P, 2)``; only images with annotations, ``annotated (n,)``, can be among the ten. ``groups`` are
    numbers of parts that count as one (:func:`sides_joined`). NaN where fewer than ten images are annotated.
    """
    rows = np.flatnonzero(annotated)
    found = np.full(sight.similarity.shape[1], np.nan)
    if len(rows) < NEAREST:
        return found
    for number in range(len(found)):
        best = rows[np.argsort(-sight.similarity[rows, number], kind="stable")[:NEAREST]]
        inside = np.array([hits(centres[row, number][None], parts[row], half)[0] for row in best.tolist()])
        found[number] = max((float(inside[:, group].any(axis=1).mean()) for group in groups), default=np.nan)
    return found


def sides_joined(names: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """Parts of which there is a left and a right one as one part: its name, and the numbers that it stands for.

    >>> sides_joined(["beak", "left eye", "right eye"])
    (['beak', 'eye'], [[0], [1, 2]])
    """
    found: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        found.setdefault(name.removeprefix("left ").removeprefix("right "), []).append(number)
    return list(found), list(found.values())
