"""The images of a base as arrays: the cases that answer, and the queries they are measured on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from casebase.cases import Case, Status
from casebase.errors import EmptyCaseBase, UsageError
from casebase.parts import Part
from casebase.ports import CaseBase, Examined, Matrix
from casebase.spaces import NETWORK_SPACE, stored_space

Codes = NDArray[np.intp]
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Images:
    """``n`` images: ``labels`` and ``predicted (n,)`` are codes into ``names``, whose first are the network's classes.

    ``features (n, D) float32`` of one space, not normalised; ``probabilities (n, C) float32``.
    """

    cases: Sequence[Case]
    names: Sequence[str]
    labels: Codes
    predicted: Codes
    features: Matrix
    probabilities: Matrix

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """``(n,)``: where the network's answer is not the label."""
        return np.asarray(self.labels != self.predicted)

    @property
    def groups(self) -> list[str | None]:
        """The group of each image (one animal, one patient, one video), or None."""
        return [case.group for case in self.cases]

    def seen_as(self, features: Matrix) -> Images:
        """The same images in another space: ``features (n, D')``."""
        return replace(self, features=features)

    def take(self, rows: Rows) -> Images:
        """Some of the images, in the order of ``rows``."""
        return Images(
            [self.cases[i] for i in rows.tolist()], self.names, self.labels[rows], self.predicted[rows],
            self.features[rows], self.probabilities[rows],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sides:
    """Cases and queries of one snapshot, coded alike."""

    cases: Images
    queries: Images

    def seen_as(self, cases: Matrix, queries: Matrix) -> Sides:
        """Both in another space."""
        return Sides(self.cases.seen_as(cases), self.queries.seen_as(queries))


def load(base: CaseBase, part: Part) -> Sides:
    """Active cases, and the images of ``part`` as queries, as the network sees them.

    Raises ``EmptyCaseBase`` without cases, ``UsageError`` where the part holds no image.
    """
    cases = list(base.examined(NETWORK_SPACE, Status.ACTIVE))
    if not cases:
        raise EmptyCaseBase("this base has no case that could be a twin; run `casebase index DATA` on training images")
    queries = list(base.examined(NETWORK_SPACE, part.status, split=part.split))
    if not queries:
        raise UsageError(f"the part {part.name} of this base holds no image; `casebase stats` lists the parts")
    names = _names(base.class_names(), [*cases, *queries])
    return Sides(_joined(cases, names), _joined(queries, names))


def features(base: CaseBase, space: str, status: Status, images: Images) -> Matrix | None:
    """Features ``(n, D)`` of the same images in another space; None where one of them has no vector there."""
    wanted = {case.id: row for row, case in enumerate(images.cases)}
    rows: list[int] = []
    found: list[Matrix] = []
    for block in base.examined(stored_space(space), status):
        kept = [i for i, case in enumerate(block.cases) if case.id in wanted]
        rows += [wanted[block.cases[i].id] for i in kept]
        found.append(block.features[kept])
    if len(rows) != len(images):
        return None
    joined = np.concatenate(found)
    placed = np.empty_like(joined)
    placed[rows] = joined
    return placed


def _names(classes: Sequence[str], blocks: Iterable[Examined]) -> list[str]:
    """The network's classes, then labels that are none of them."""
    seen = {name for block in blocks for case in block.cases for name in (case.label, case.predicted)}
    return [*classes, *sorted(seen - set(classes))]


def _joined(blocks: Sequence[Examined], names: Sequence[str]) -> Images:
    code = {name: i for i, name in enumerate(names)}
    cases = [case for block in blocks for case in block.cases]
    return Images(
        cases,
        names,
        np.array([code[case.label] for case in cases], np.intp),
        np.array([code[case.predicted] for case in cases], np.intp),
        np.concatenate([block.features for block in blocks]),
        np.concatenate([block.probabilities for block in blocks]),
    )
