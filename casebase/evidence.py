"""What the network said of held-out images, and how near the cases lie to them: the reference of calibrated evidence.

One row per held-out image, measured once per generation. Cases with an image's own pixels, practically its own vector,
or its own group never count, as in an answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.calibration import Calibrator, fit
from casebase.comparison import compare
from casebase.correctness import Comparison
from casebase.distance import Matrix, unit
from casebase.ports import Examined
from casebase.reuse import EPSILON

MOST_IMAGES = 10_000
"""More held-out images are sampled: at this many even a 99 % share has an interval of 0.4 points."""
PROBABLE = 10
"""Classes per image whose nearest cases are kept for re-ranking (PCNN's K, Nguyen et al., TMLR 2024)."""
BEST = 3
COPY = 1e-6
"""A case this near (1 - cosine) is taken for a copy."""
_BLOCK = 64
_GONE = np.float32(-2.0)

Floats = NDArray[np.float64]


class Relatives:
    """Which cases belong to an image: those with its pixels and those of its group (one video, one patient).

    Pixels and groups become whole numbers, the same for equal ones; -1 is a group of none, or one no case has.
    """

    def __init__(self, pixels: Sequence[str], groups: Sequence[str | None]) -> None:
        self._codes: tuple[dict[str, int], dict[str, int]] = ({}, {})
        for known, names in zip(self._codes, (pixels, groups), strict=True):
            for name in names:
                if name is not None:
                    known.setdefault(name, len(known))
        self.codes = self.of_images(pixels, groups)
        """``(N, 2) int64``: pixels and group of every case, in the order given."""
        self._order = [np.argsort(column, kind="stable") for column in self.codes.T]
        self._sorted = [column[order] for column, order in zip(self.codes.T, self._order, strict=True)]

    def of_images(self, pixels: Sequence[str], groups: Sequence[str | None]) -> NDArray[np.int64]:
        """The codes ``(n, 2)`` of any images."""
        columns = [
            np.fromiter((-1 if name is None else known.get(name, -1) for name in names), np.int64, len(names))
            for known, names in zip(self._codes, (pixels, groups), strict=True)
        ]
        return np.stack(columns, axis=1)

    def positions(self, codes: NDArray[np.int64]) -> NDArray[np.intp]:
        """Positions of the cases that share pixels or group with one image, whose ``codes`` are ``(2,)``."""
        found = []
        for code, order, held in zip(codes.tolist(), self._order, self._sorted, strict=True):
            if code >= 0:
                start, stop = np.searchsorted(held, [code, code + 1])
                found.append(order[start:stop])
        return np.concatenate(found) if found else np.empty(0, np.intp)


def related(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs of images, by their codes ``(n, 2)``, share pixels or a group."""
    shared: NDArray[np.bool_] = ((one == other) & (one >= 0)).any(axis=1)
    return shared


@dataclass(frozen=True, eq=False)
class EvidenceTable:
    """One row per held-out image.

    ``softmax (n,)`` is the network's confidence, ``twin`` and ``unlike`` ``(n,)`` the distances (1 - cosine) of the
    nearest case of the predicted class and of any other, NaN where there is none; ``right (n,)`` says whether
    predicted is the label. For re-ranking: ``label (n,)`` and ``probable (n, K)`` are places in the class list (-1 for
    none), in falling probability, ``probabilities (n, K)`` theirs, and ``closeness (n, K)`` the mean of the three best
    cosines to cases predicted so.
    """

    ids: Sequence[str]
    pixels: Sequence[str]
    groups: Sequence[str | None]
    splits: Sequence[str | None]
    softmax: Floats
    twin: Floats
    unlike: Floats
    right: NDArray[np.bool_]
    label: NDArray[np.int64]
    probable: NDArray[np.int64]
    probabilities: Floats
    closeness: Floats
    compared: Comparison | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def trust(self) -> Floats:
        """The trust score ``(n,)``; NaN where there is no twin or no case of another class."""
        scores: Floats = self.unlike / (self.twin + EPSILON)
        return scores

    @cached_property
    def clusters(self) -> list[str]:
        """What must stay together in folds and draws: an image's group, else its pixels."""
        return [f"group {g}" if g is not None else f"pixels {p}" for g, p in zip(self.groups, self.pixels, strict=True)]

    @cached_property
    def calibrators(self) -> tuple[Calibrator, Calibrator]:
        """P(correct) learnt from all rows: of softmax, and of the trust score."""
        return fit(self.softmax, self.right), fit(self.trust, self.right)

    @cached_property
    def _places(self) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """The rows of every pixel hash and of every group."""
        found: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
        for row, (pixels, group) in enumerate(zip(self.pixels, self.groups, strict=True)):
            found[0].setdefault(pixels, []).append(row)
            if group is not None:
                found[1].setdefault(group, []).append(row)
        return found

    def strangers(self, pixels: str, groups: Collection[str]) -> NDArray[np.bool_] | None:
        """Which rows ``(n,)`` have nothing to do with an image of these pixels; None where all have.

        Those are not its pixels, in none of its groups, nor in any group that an image of its pixels is in. An image
        must never be part of the reference it is judged by.
        """
        by_pixels, by_group = self._places
        own = by_pixels.get(pixels, [])
        related = {*groups, *(group for row in own if (group := self.groups[row]) is not None)}
        gone = [*own, *(row for group in related for row in by_group.get(group, []))]
        if not gone:
            return None
        keep = np.ones(len(self), bool)
        keep[gone] = False
        return keep

    def without(self, pixels: str, groups: Collection[str]) -> EvidenceTable:
        """The table of the strangers of an image; the table itself, where all are."""
        keep = self.strangers(pixels, groups)
        return self if keep is None else self.rows(keep)

    def calibrators_for(self, pixels: str, groups: Collection[str]) -> tuple[Calibrator, Calibrator]:
        """P(correct) of softmax and of the trust score, learnt without an image of these pixels and groups."""
        keep = self.strangers(pixels, groups)
        if keep is None:
            return self.calibrators
        return fit(self.softmax[keep], self.right[keep]), fit(self.trust[keep], self.right[keep])

    def rows(self, keep: NDArray[np.bool_]) -> EvidenceTable:
        """Some of the rows, with the comparison of all of them."""
        at = np.flatnonzero(keep).tolist()
        arrays: dict[str, Any] = {name: getattr(self, name)[keep] for name in ARRAYS}
        texts: dict[str, Any] = {name: [getattr(self, name)[i] for i in at] for name in TEXTS}
        return EvidenceTable(**texts, **arrays, compared=self.compared)


TEXTS = ("ids", "pixels", "groups", "splits")
ARRAYS = (
    "softmax", "twin", "unlike", "right", "label", "probable", "probabilities", "closeness",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Remembered:
    """The cases to measure against: unit vectors ``rows (N, D)`` sorted by predicted class, each class a slice."""

    rows: Matrix
    slices: Mapping[str, slice]
    relatives: Relatives


def sample(n: int, seed: int) -> NDArray[np.intp]:
    """Which of ``n`` held-out images are measured: all, or a seeded choice of :data:`MOST_IMAGES`, in order."""
    if n <= MOST_IMAGES:
        return np.arange(n)
    return np.sort(clock.generator(seed).permutation(n)[:MOST_IMAGES])


def measure(
    cases: Remembered, held: Sequence[Examined], classes: Sequence[str], *, seed: int = 0
) -> EvidenceTable | None:
    """Measure held-out images against the cases; None without any. ``classes`` orders the probabilities of ``held``."""
    images = [case for block in held for case in block.cases]
    if not images:
        return None
    vectors = unit(np.concatenate([block.features for block in held]))[0]
    softmax = np.concatenate([block.probabilities for block in held]).astype(np.float64)
    code = {name: place for place, name in enumerate(classes)}
    own = np.array([code[case.predicted] for case in images], np.int64)
    codes = cases.relatives.of_images([c.pixel_hash for c in images], [c.group for c in images])
    near = [
        _nearest(cases, vectors[i : i + _BLOCK], codes[i : i + _BLOCK], own[i : i + _BLOCK], code)
        for i in range(0, len(images), _BLOCK)
    ]
    twin, unlike, close = (np.concatenate([part[j] for part in near]) for j in range(3))
    probable = np.argsort(-softmax, axis=1, kind="stable")[:, :PROBABLE]
    values: dict[str, Any] = {
        "softmax": softmax[np.arange(len(own)), own],
        "twin": twin,
        "unlike": unlike,
        "right": np.array([case.predicted == case.label for case in images], bool),
        "label": np.array([code.get(case.label, -1) for case in images], np.int64),
        "probable": probable.astype(np.int64),
        "probabilities": np.take_along_axis(softmax, probable, axis=1),
        "closeness": np.take_along_axis(close, probable, axis=1),
    }
    table = EvidenceTable(
        [case.id for case in images], [case.pixel_hash for case in images], [case.group for case in images],
        [case.split for case in images], **values,
    )  # fmt: skip
    return replace(table, compared=compare(table.softmax, table.trust, table.right, table.clusters, seed=seed))


def _nearest(
    cases: Remembered, block: Matrix, codes: NDArray[np.int64], own: NDArray[np.int64], code: Mapping[str, int]
) -> tuple[Floats, Floats, Floats]:
    """Of a block ``(b, D)``: twin and unlike distance ``(b,)``, closeness per class ``(b, C)``."""
    scores = block @ cases.rows.T  # (b, N) float32
    for row, image in enumerate(codes):
        scores[row, cases.relatives.positions(image)] = _GONE
    scores[scores > 1.0 - COPY] = _GONE
    size, count = len(block), len(code)
    best = np.full((size, count), _GONE, np.float32)
    place = np.zeros((size, count), np.intp)
    close = np.full((size, count), np.nan)
    for name, part in cases.slices.items():
        if part.stop == part.start or name not in code:
            continue
        within = scores[:, part]
        at = within.argmax(axis=1)
        place[:, code[name]] = at + part.start
        best[:, code[name]] = within[np.arange(size), at]
        close[:, code[name]] = _best_mean(within)
    lines = np.arange(size)
    twin = _distances(cases.rows, block, place[lines, own], best[lines, own])
    best[lines, own] = _GONE
    other = best.argmax(axis=1)
    unlike = _distances(cases.rows, block, place[lines, other], best[lines, other])
    return twin, unlike, close


def _best_mean(scores: Matrix) -> Floats:
    """Mean of the three largest scores ``(b, n)`` of each row, of as many as there are; NaN without any."""
    kept = min(BEST, scores.shape[1])
    top = np.partition(scores, scores.shape[1] - kept, axis=1)[:, -kept:].astype(np.float64)
    there = top > _GONE
    total = np.where(there, top, 0.0).sum(axis=1)
    mean: Floats = np.divide(total, there.sum(axis=1), out=np.full(len(top), np.nan), where=there.any(axis=1))
    return mean


def _distances(rows: Matrix, block: Matrix, at: NDArray[np.intp], score: NDArray[np.float32]) -> Floats:
    """``1 - cos`` to the rows ``at (b,)``, in float64 and rounded as in an answer; NaN where nothing was found."""
    found: Floats = np.full(len(block), np.nan)
    there = score > _GONE
    if there.any():
        left, right = block[there].astype(np.float64), np.asarray(rows[at[there]]).astype(np.float64)
        lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        found[there] = np.maximum(1.0 - np.einsum("nd,nd->n", left, right) / lengths, 0.0).round(9)
    return found
