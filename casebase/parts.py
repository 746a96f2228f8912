"""Which images of a case base a measurement is made on: a held-out split, or, with an alarm, the training images.

A figure measured on images that chose or fitted the network flatters it; so the default is ``test`` where there is
one, then ``val``, then everything that is held out, and what the choice does to the figures is said beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from casebase.cases import Status
from casebase.errors import EmptyCaseBase, UsageError
from casebase.explanations import Level, Statement
from casebase.reading import printable

TEST = ("test", "testing")
VALIDATION = ("val", "valid", "validation", "dev")
TRAINING = ("train", "training")
"""Names of splits that mean the same; the indexer knows the same ones."""

HOW = (
    "put images that the network was not trained on into a folder test beside train, or mark them test in a manifest's "
    "split column, and run `casebase index` again"
)


@dataclass(frozen=True, slots=True)
class Part:
    """The images chosen: ``CaseBase.examined(space, part.status, split=part.split)`` gives them.

    ``split`` None takes every image of that status. ``note`` says what the choice does to the figures, or is None.
    """

    status: Status
    split: str | None
    n: int
    note: str | None = None

    @property
    def training(self) -> bool:
        """Whether these are the cases themselves, which the network was trained on as far as anybody knows."""
        return self.status is Status.ACTIVE

    @property
    def name(self) -> str:
        """The part in words: ``test``, ``all held-out images``, ``all cases``."""
        if self.split is not None:
            return printable(self.split)
        return "all cases" if self.training else "all held-out images"

    def statements(self) -> list[Statement]:
        """The note as a finding: an alarm for training images, else a caution."""
        if self.note is None:
            return []
        return [Statement(self.note, Level.ALARM if self.training else Level.CAUTION)]


def choose(parts: Mapping[tuple[Status, str | None], int], split: str | None = None, *, or_cases: bool = False) -> Part:
    """The part called ``split``, or the fairest there is; ``parts`` are those of ``CaseBase.parts``.

    ``train`` also means all cases of a base that has no splits; ``or_cases`` takes them where nothing is held out.
    Raises ``UsageError`` for a split that does not exist and where nothing is held out, ``EmptyCaseBase`` where there
    is no image at all.
    """
    if not any(parts.values()):
        raise EmptyCaseBase("this case base holds no image yet; run `casebase index DATA` to its end first")
    if split is not None:
        return _named(parts, split)
    for names in (TEST, VALIDATION):
        for name in names:
            found = _of(parts, Status.HELD_OUT, name)
            if found is not None:
                return found
    held = sum(n for (status, _), n in parts.items() if status is Status.HELD_OUT)
    if not held and or_cases:
        cases = sum(parts.values())
        return Part(Status.ACTIVE, None, cases, _flattering(cases))
    if not held:
        raise UsageError(
            f"no image of this base is held out, so nothing can be measured fairly: {HOW}; "
            "`--split train` measures on the training images, which flatters the network"
        )
    note = "No part of this base is called test or val, so all held-out images were taken together."
    return Part(Status.HELD_OUT, None, held, note)


def _named(parts: Mapping[tuple[Status, str | None], int], split: str) -> Part:
    for status in (Status.HELD_OUT, Status.ACTIVE):
        found = _of(parts, status, split)
        if found is not None:
            return found
    if split.lower() in TRAINING:
        cases = sum(n for (status, _), n in parts.items() if status is Status.ACTIVE)
        unnamed = all(name is None for status, name in parts if status is Status.ACTIVE)
        if cases and unnamed:
            return Part(Status.ACTIVE, None, cases, _flattering(cases))
    raise UsageError(f"no split {printable(split)!r} in this base; it has {_listed(parts)}")


def _of(parts: Mapping[tuple[Status, str | None], int], status: Status, wanted: str) -> Part | None:
    """The part of that very name, else one whose name means the same."""
    meanings = next((names for names in (TEST, VALIDATION, TRAINING) if wanted.lower() in names), (wanted.lower(),))
    there = {name: n for (held, name), n in parts.items() if held is status and name is not None and n}
    like = (name for name in sorted(there) if name.lower() in meanings)
    name = wanted if wanted in there else next(like, None)
    if name is None:
        return None
    if status is Status.ACTIVE:
        note: str | None = _flattering(there[name])
    elif name.lower() in VALIDATION:
        note = (
            f"These are the {there[name]} images of the part {printable(name)}. If it chose anything about the network "
            "(when to stop, which weights, which settings), its figures are optimistic; a test part that chose nothing "
            "is the fair measure."
        )
    else:
        note = None
    return Part(status, name, there[name], note)


def _flattering(n: int) -> str:
    return (
        f"These {n} images are cases of the base: training images, which the network has seen. Every figure on them "
        "flatters it and says little about new images."
    )


def _listed(parts: Mapping[tuple[Status, str | None], int]) -> str:
    kinds = {Status.HELD_OUT: "held-out images", Status.ACTIVE: "cases"}
    told = [
        f"{'no split' if name is None else printable(name)} ({n} {kinds[status]})"
        for (status, name), n in parts.items()
        if status in kinds and n
    ]
    return ", ".join(told)
