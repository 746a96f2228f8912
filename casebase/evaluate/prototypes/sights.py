"""What a set of prototypes said of many images, as arrays; P prototypes, C classes, n images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.ports import PrototypeView
from casebase.prototypes import Activation, Floats, PrototypeSet

Indices = NDArray[np.intp]
LOCAL = 0.1
"""A contribution above this share of the largest belongs to the local explanation."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A set to be measured: its ``view`` on the network and the vectors ``(P, D) float32`` behind it."""

    view: PrototypeView
    vectors: Floats

    @property
    def found(self) -> PrototypeSet:
        """The set."""
        return self.view.found

    @property
    def owners(self) -> Indices:
        """``(P,)``: the number of each prototype's class among ``found.classes``."""
        number = {name: place for place, name in enumerate(self.found.classes)}
        return np.array([number[one.of_class] for one in self.found.prototypes], np.intp)


@dataclass(frozen=True, eq=False)
class Sight:
    """``similarity (n, P)`` of the best cells ``(n, P, 2)`` (row, column), class scores ``(n, C)``.

    ``support (n, P)`` is what each prototype adds to the score of the class that the prototypes choose, ``own (n, P)``
    whether it is a prototype of that class.
    """

    similarity: Floats
    cells: Indices
    scores: Floats
    support: Floats
    own: NDArray[np.bool_]

    @classmethod
    def of(cls, activations: Sequence[Activation], owners: Indices, classes: int) -> Sight:
        """Activations in order; also of none. ``owners (P,)`` are the numbers of the prototypes' classes."""
        n, parts = len(activations), len(owners)
        found = cls(
            np.zeros((n, parts), np.float32), np.zeros((n, parts, 2), np.intp), np.zeros((n, classes), np.float32),
            np.zeros((n, parts), np.float32), np.zeros((n, parts), np.bool_),
        )  # fmt: skip
        for row, one in enumerate(activations):
            found.similarity[row], found.cells[row], found.scores[row] = one.similarity, one.cells, one.scores
            called = int(one.scores.argmax())
            found.support[row], found.own[row] = one.contributions[called], owners == called
        return found

    @property
    def called(self) -> Indices:
        """The class that the prototypes choose, ``(n,)``; the first of equals."""
        return np.asarray(self.scores.argmax(axis=1), np.intp)

    @property
    def top(self) -> Indices:
        """The prototype of that class that adds most to it, ``(n,)``; of any class where it has none.

        A rival's part that is absent may add more; but where it was looked for in vain is no place.
        """
        there = self.own | ~self.own.any(axis=1, keepdims=True)
        return np.asarray(np.where(there, self.support, -np.inf).argmax(axis=1), np.intp)

    def local_size(self) -> NDArray[np.float64]:
        """How many contributions ``(n,)`` exceed a tenth of the largest in size; 0 where all are zero."""
        size = np.abs(self.support)
        largest = size.max(axis=1, keepdims=True) if size.shape[1] else np.zeros((len(size), 1))
        return np.asarray(((size > LOCAL * largest) & (largest > 0)).sum(axis=1), np.float64)

    def nearest(self, number: int, most: int = 10) -> Indices:
        """The ``most`` images most similar to a prototype, the nearest first; of equals the earlier image."""
        return np.argsort(-self.similarity[:, number], kind="stable")[:most]


def joined(parts: Sequence[Sight]) -> Sight:
    """Several blocks of images as one."""
    return Sight(*(np.concatenate([getattr(one, name) for one in parts])
                   for name in ("similarity", "cells", "scores", "support", "own")))  # fmt: skip
