"""What the network answered on the images of one part, read from the base: no image is looked at again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase import hashing
from casebase.cases import Case
from casebase.parts import Part
from casebase.ports import CaseBase
from casebase.spaces import NETWORK_SPACE


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The answers on ``n`` images.

    ``names`` are the network's ``known`` classes, in its order, then the labels it does not know, by name. ``truth``
    and ``called`` ``(n,) intp`` are numbers of names; ``probabilities (n, known) float64`` lie in [0, 1].
    """

    part: Part
    names: Sequence[str]
    known: int
    cases: Sequence[Case]
    truth: NDArray[np.intp]
    called: NDArray[np.intp]
    probabilities: NDArray[np.float64]

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.cases)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is the label, ``(n,)``."""
        return np.equal(self.truth, self.called)

    @property
    def wrong(self) -> int:
        """Number of wrong answers."""
        return int((self.truth != self.called).sum())

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Softmax probability of each answer, ``(n,)``."""
        return self.probabilities[np.arange(self.n), self.called]

    @property
    def groups(self) -> Sequence[Hashable | None]:
        """The group of each image (one animal, one patient), None where it has none."""
        return [case.group for case in self.cases]

    @property
    def unknown(self) -> Sequence[str]:
        """Labels of these images that the network has no class for."""
        return self.names[self.known :]

    @property
    def clustered(self) -> bool:
        """Whether some images belong together, so that they are no independent evidence."""
        named = [group for group in self.groups if group is not None]
        return len(set(named)) < len(named)

    @property
    def repeated(self) -> int:
        """Images whose very pixels occur earlier in this part."""
        return self.n - len({case.pixel_hash for case in self.cases})

    @property
    def digest(self) -> str:
        """A hash of these images and their labels: equal for the same measurement, whatever the order."""
        return hashing.of_json({"images": sorted([case.pixel_hash, case.label] for case in self.cases)})


def read(case_base: CaseBase, part: Part) -> Outcomes:
    """The stored answers on a part's images, in the order of the base."""
    classes = list(case_base.class_names())
    cases: list[Case] = []
    blocks = []
    for block in case_base.examined(NETWORK_SPACE, part.status, split=part.split):
        cases += block.cases
        blocks.append(block.probabilities.astype(np.float64))
    labels = Counter(case.label for case in cases)
    names = [*classes, *sorted(set(labels) - set(classes))]
    number = {name: place for place, name in enumerate(names)}
    return Outcomes(
        part,
        names,
        len(classes),
        cases,
        np.array([number[case.label] for case in cases], np.intp),
        np.array([number[case.predicted] for case in cases], np.intp),
        np.clip(np.concatenate(blocks), 0.0, 1.0),
    )


def copies(case_base: CaseBase, outcomes: Outcomes) -> NDArray[np.bool_]:
    """Which of the held-out images ``(n,)`` have exactly the pixels of a case: they are no test of anything."""
    return np.array(
        [
            any(other.status == "active" for other in case_base.known_pixels(case.pixel_hash) if other.id != case.id)
            for case in outcomes.cases
        ],
        np.bool_,
    )
