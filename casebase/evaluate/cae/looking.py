"""The images that an embedding is measured on, as the network and the embedding see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from casebase import clock
from casebase.association import Bytes, Codes, Floats
from casebase.cases import Case
from casebase.errors import DataError
from casebase.evaluate.pictures import Missing, Progress, Views, again
from casebase.networks.cae.coder import batches, enlarged
from casebase.parts import Part
from casebase.ports import AssociationView, CaseBase, Embedder
from casebase.reading import DEFAULT_MEGAPIXELS, printable
from casebase.spaces import NETWORK_SPACE

Places = NDArray[np.intp]


def silent(done: int, total: int, skipped: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, eq=False)
class Sight:
    """What the images are looked at with: the embedding's ``view`` and the ``network`` it explains."""

    view: AssociationView
    network: Embedder
    megapixels: float = DEFAULT_MEGAPIXELS
    progress: Progress = silent

    @property
    def classes(self) -> Sequence[str]:
        """The classes that take part."""
        return self.view.found.classes

    def called(self, images: Bytes) -> Places:
        """What the network calls images ``(N, ...)``, as positions in :attr:`classes`; -1 for any other."""
        place = {name: at for at, name in enumerate(self.classes)}
        of = np.array([place.get(name, -1) for name in self.view.classes], np.intp)
        found: Places = of[self.view.judge(images).argmax(axis=1)]
        return found

    def features(self, images: Bytes) -> Floats:
        """The network's features ``(N, D)`` of images ``(N, S, S, 3)``, enlarged to its view."""
        crop = self.network.preprocess.crop
        return np.concatenate([self.network.read(enlarged(part, crop)).features for part in batches(images)])


@dataclass(frozen=True, eq=False)
class Looked:
    """``n`` images: their ``views``, ``small (n, S, S, 3)`` as the embedding is fed, ``called (n,)`` and codes.

    ``features (n, D)`` are of the small images, enlarged again, so that what is compared with them has lost as much.
    ``outside`` are images the network calls a class that takes no part, ``of`` all that there were.
    """

    cases: Sequence[Case]
    views: Views
    small: Bytes
    called: Places
    resized: NDArray[np.bool_]
    codes: Codes
    features: Floats
    missing: Missing
    outside: int
    of: int

    @property
    def n(self) -> int:
        """How many."""
        return len(self.cases)


def look(base: CaseBase, part: Part, most: int, seed: int, sight: Sight) -> Looked:
    """At most ``most`` images of a part, as many of every predicted class, read again and encoded.

    Raises ``DataError`` where no image can be read, or the network calls all of them the same.
    """
    cases = [case for block in base.examined(NETWORK_SPACE, part.status, split=part.split) for case in block.cases]
    of, inside = len(cases), [case for case in cases if case.predicted in sight.classes]
    chosen = [inside[row] for row in evenly([case.predicted for case in inside], most, seed)]
    missing = Missing()
    read = list(_read(chosen, missing, sight))
    if not read:
        why = missing.told() or "the network calls none of them a class that takes part"
        raise DataError(f"none of the {of} images of {part.name} can be measured ({why})")
    views = np.stack([view for _, view in read])
    called = sight.called(views)
    known = called >= 0  # the network may answer otherwise than it did when the base was made
    cases = [case for (case, _), kept in zip(read, known, strict=True) if kept]
    views, called = views[known], called[known]
    if len(np.unique(called)) < 2:
        names = " and ".join(repr(sight.classes[one]) for one in np.unique(called)) or "nothing that takes part"
        raise DataError(
            f"the network calls all {len(read)} images of {part.name} that were read {printable(names)}: "
            "there is no other class code to lend; take another part with --split"
        )
    small = sight.view.reduced(views)
    return Looked(
        cases=cases, views=views, small=small, called=called, resized=sight.called(small) == called,
        codes=sight.view.encode(views), features=sight.features(small), missing=missing,
        outside=of - len(inside) + int((~known).sum()), of=of,
    )  # fmt: skip


def evenly(names: Sequence[object], most: int, seed: int) -> list[int]:
    """At most ``most`` rows drawn at random, in turn from every class, in order.

    >>> evenly(["a", "a", "a", "b"], 2, 0)[1]
    3
    """
    random = clock.generator(seed)
    turns: list[tuple[int, int]] = []
    for name in dict.fromkeys(names):
        rows = [row for row, one in enumerate(names) if one == name]
        turns += [(turn, rows[at]) for turn, at in enumerate(random.permutation(len(rows)).tolist())]
    return sorted(row for _, row in sorted(turns)[:most])


def view_of(case: Case, sight: Sight) -> Views | None:
    """One case as the network sees it ``(1, H, W, 3)``; None where its file is no longer what it was."""
    ((_, picture),) = again([case], sight.megapixels, Missing())
    return None if picture is None else np.stack([sight.network.preprocess.pixels(picture.image)])


def _read(cases: Sequence[Case], missing: Missing, sight: Sight) -> Iterator[tuple[Case, Views]]:
    told: Callable[[int], None] = partial(_tell, sight.progress, len(cases), missing)
    for row, picture in again(cases, sight.megapixels, missing):
        told(row + 1)
        if picture is not None:
            yield cases[row], sight.network.preprocess.pixels(picture.image)


def _tell(progress: Progress, total: int, missing: Missing, done: int) -> None:
    progress(done, total, missing.total)
