"""The images of a base as arrays: the cases that answer, and the held-out queries they are measured on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from casebase.cases import Case, Status
from casebase.errors import EmptyCaseBase, UsageError
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


def load(base: CaseBase, split: str | None) -> Sides:
    """Active cases and held-out images of a split (None: all of them), as the network sees them.

    Raises ``EmptyCaseBase`` without cases, ``UsageError`` without held-out images: a network agrees with the cases it
    was fitted on, so nothing can be measured on them.
    """
    cases = list(base.examined(NETWORK_SPACE, Status.ACTIVE)) if base.count() else []
    if not cases:
        raise EmptyCaseBase("this case base holds no case yet; run `casebase index DATA`")
    queries = list(base.examined(NETWORK_SPACE, Status.HELD_OUT, split=split))
    if not queries:
        have = ", ".join(f"{part or 'no split'} ({n})" for (s, part), n in base.parts().items() if s == Status.HELD_OUT)
        where = "" if split is None else f" in the split {split!r}"
        told = f"there are held-out images in {have}" if have else "index a set with a val or test split first"
        raise UsageError(f"this case base has no held-out image{where} to measure twins on; {told}")
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
