"""The service behind ``casebase prototypes summarize``: a case base in, the typical cases of its classes out.

Only stored vectors are read. One pass over the base says which cases a class has; of each class at most as many as
were asked for are then held at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from casebase import clock, parts, typical
from casebase.cases import Case, Status
from casebase.distance import unit
from casebase.errors import EmptyCaseBase, NoLike, UnknownClass, UsageError
from casebase.evaluations import Measured
from casebase.explanations import Level, Statement
from casebase.ports import CaseBase, Examined, Matrix
from casebase.reading import printable, some
from casebase.retrieve import one_photograph
from casebase.shares import grouped_share
from casebase.spaces import CONTRIBUTION
from casebase.summaries import ClassSummary, Criticism, Summary, SummaryWanted, Typical

SOME_ONLY = "needs the typical cases of all classes"


def summarize(
    case_base: CaseBase,
    wanted: SummaryWanted,
    facts: Mapping[str, str],
    progress: Callable[[int, int, int], None] = lambda done, total, skipped: None,
) -> Summary:
    """Typical cases and criticisms of the classes of a base, and how far the typical ones alone would answer.

    ``progress`` is told (classes done, in all, 0).
    Raises ``EmptyCaseBase`` without a case, ``UnknownClass`` and ``NoLike`` for a class that is not there or has no
    case, ``UsageError`` for a space without vectors of its own.
    """
    started = clock.seconds()
    if not case_base.count():
        raise EmptyCaseBase("this case base holds no case yet; run `casebase index DATA` to its end first")
    if wanted.space == CONTRIBUTION:
        raise UsageError("the space contribution depends on the class of a query; name avgpool or clip with --space")
    members = _members(case_base, wanted)
    names = _chosen(members, wanted, case_base.class_names())
    found: list[ClassSummary] = []
    progress(0, len(names), 0)
    for name in names:
        found.append(_of_class(case_base, name, members[name], wanted))
        progress(len(found), len(names), 0)
    measured = _Nearest(case_base, wanted, found, whole=not wanted.classes)
    found = [replace(one, recognised=measured.recognised(one.name)) for one in found]
    return Summary(
        wanted, _sorted(found, wanted.sort), measured.accuracy, measured.agreement, measured.own, measured.on,
        measured.statements, facts, clock.seconds() - started,
    )  # fmt: skip


def _members(case_base: CaseBase, wanted: SummaryWanted) -> dict[str, list[tuple[str, bool]]]:
    """Of every class the ids of its cases and whether they are disputed, in order of ids."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for block in case_base.examined(wanted.space, Status.ACTIVE):
        for case in block.cases:
            found.setdefault(_class_of(case, wanted.by), []).append((case.id, case.disputed))
    return {name: sorted(found[name]) for name in sorted(found)}


def _class_of(case: Case, by: str) -> str:
    return case.label if by == "label" else case.predicted


def _chosen(members: Mapping[str, object], wanted: SummaryWanted, known: Sequence[str]) -> list[str]:
    if not wanted.classes:
        return list(members)
    for name in wanted.classes:
        if name not in members and name in known:
            how = "called" if wanted.by == "predicted" else "labelled"
            raise NoLike(f"no case of this base is {how} {printable(name)!r}, so that class has no typical case")
        if name not in members:
            raise UnknownClass(f"no class {printable(name)!r} in this base; it has {some(list(members))}")
    return list(dict.fromkeys(wanted.classes))


def _sorted(found: Sequence[ClassSummary], sort: str) -> list[ClassSummary]:
    def key(one: ClassSummary) -> tuple[float, float, str]:
        if sort == "disputed":
            return -one.disputed, -one.left, one.name
        return (-one.left if sort == "residual" else 0.0), 0.0, one.name

    return sorted(found, key=key)


def _of_class(
    case_base: CaseBase, name: str, members: Sequence[tuple[str, bool]], wanted: SummaryWanted
) -> ClassSummary:
    ids, notes = [case for case, _ in members], []
    if len(ids) > wanted.most:
        drawn = np.sort(clock.generator(wanted.seed).choice(len(ids), wanted.most, replace=False))
        notes.append(f"{wanted.most} of its {len(ids)} cases were drawn with seed {wanted.seed}; the rest was not read")
        ids = [ids[place] for place in drawn]
    held = case_base.get(ids)
    vectors = case_base.vectors(wanted.space, ids)
    groups = one_photograph([held[one] for one in ids], vectors)
    cases, sizes = [held[ids[group[0]]] for group in groups], [len(group) for group in groups]
    vectors = vectors[[group[0] for group in groups]]
    if len(cases) < len(ids):
        n = len(ids) - len(cases)
        repeated = "1 near-duplicate was folded into the case it repeats"
        notes.append(repeated if n == 1 else f"{n} near-duplicates were folded into the cases they repeat")
    bandwidth = typical.median_distance(vectors, wanted.seed)
    kernel = typical.Kernel(vectors, bandwidth or 1.0)
    means = kernel.means()
    chosen = typical.typical(kernel, wanted.k, means)
    odd = typical.criticisms(kernel, chosen, wanted.criticisms)
    notes += _fewer(cases, chosen, odd, wanted, apart=bandwidth is not None)
    total = sum(chosen.weights)
    others = max(1, len(cases) - 1)
    return ClassSummary(
        name, len(members), sum(disputed for _, disputed in members), len(cases),
        [Typical(cases[p], w, w / total, sizes[p]) for p, w in zip(chosen.places, chosen.weights, strict=True)],
        [Criticism(cases[p], float(chosen.witness[p]), float((means > means[p]).sum() / others), sizes[p])
         for p in odd],
        bandwidth, chosen.residual, chosen.nothing,
        typical.by_chance(kernel, means, len(chosen.places), wanted.seed),
        typical.residual(kernel, means, [*chosen.places, *odd]), chosen.optimality,
        Measured(None, reason=SOME_ONLY), notes,
    )  # fmt: skip


def _fewer(
    cases: Sequence[Case], chosen: typical.Chosen, odd: Sequence[int], wanted: SummaryWanted, *, apart: bool
) -> list[str]:
    """Why a class has less than was asked for."""
    if not apart:
        one = len(cases) == 1
        return ["it has one case" if one else f"all {len(cases)} cases have the same vector, so one stands for all"]
    if len(chosen.places) == len(cases):
        return [f"all {len(cases)} cases are typical ones, so none is left to be odd"]
    told = []
    if len(chosen.places) < wanted.k:
        n = len(chosen.places)
        told.append(f"{n} of {wanted.k} typical cases: of its {len(cases)} cases, no other adds anything")
    if len(odd) < wanted.criticisms:
        told.append(f"{len(odd)} of {wanted.criticisms} criticisms: the typical cases account for all others")
    return told


class _Nearest:
    """What the nearest typical case says of held-out images, or, where there are none, of all other cases."""

    def __init__(
        self, case_base: CaseBase, wanted: SummaryWanted, found: Sequence[ClassSummary], *, whole: bool
    ) -> None:
        self.statements: list[Statement] = []
        self._said: list[str] = []
        self._images: list[tuple[str, str, str | None]] = []  # label, predicted, group
        self.on = SOME_ONLY
        if whole and len(found) > 1:
            self._measure(case_base, wanted, found)
        elif whole:
            self.on = "there is only one class"
        labels, called = [label for label, _, _ in self._images], [called for _, called, _ in self._images]
        self.own = self._share(called, labels)
        self.accuracy = self._share(self._said, labels)
        self.agreement = self._share(self._said, called)
        self._classes = labels if wanted.by == "label" else called

    def recognised(self, name: str) -> Measured:
        """Of the images of one class, the share whose nearest typical case is of it."""
        kept = [place for place, of_class in enumerate(self._classes) if of_class == name]
        return self._share(self._said, self._classes, kept)

    def _share(self, said: Sequence[str], true: Sequence[str], kept: Sequence[int] | None = None) -> Measured:
        if not self._images:
            return Measured(None, reason=self.on)
        places = range(len(true)) if kept is None else kept
        good = np.array([said[place] == true[place] for place in places], dtype=np.bool_)
        return grouped_share(good, [self._images[place][2] for place in places])

    def _measure(self, case_base: CaseBase, wanted: SummaryWanted, found: Sequence[ClassSummary]) -> None:
        ids = [one.case.id for of_class in found for one in of_class.typical]
        names = [of_class.name for of_class in found for _ in of_class.typical]
        vectors = case_base.vectors(wanted.space, ids)
        held = case_base.parts()
        if any(status is Status.HELD_OUT and n for (status, _), n in held.items()):
            part = parts.choose(held)
            self.on = part.name if part.split is None else f"the {part.n} held-out images of {part.name}"
            blocks, own = case_base.examined(wanted.space, part.status, split=part.split), frozenset[str]()
        else:
            self.on = "all other cases"
            blocks, own = case_base.examined(wanted.space, Status.ACTIVE), frozenset(ids)
        for cases, nearest in _nearest(blocks, vectors, own):
            self._images += [(case.label, case.predicted, case.group) for case in cases]
            self._said += [names[place] for place in nearest]
        if not self._images:
            self.on = "every case is a typical one"
        elif own:
            self.statements.append(
                Statement("No image of this base is held out: the nearest typical case was tried on all other cases, "
                          "which the network has seen.", Level.CAUTION)
            )  # fmt: skip


def _nearest(
    blocks: Iterator[Examined], vectors: Matrix, own: frozenset[str]
) -> Iterator[tuple[list[Case], NDArray[np.intp]]]:
    """Images with the place of the nearest typical vector of ``(m, D)``, ties to the first; ``own`` are left out."""
    towards = vectors.astype(np.float64).T
    for block in blocks:
        kept = [place for place, case in enumerate(block.cases) if case.id not in own]
        if kept:
            rows = unit(block.features[kept])[0].astype(np.float64)
            yield [block.cases[place] for place in kept], np.argmax((rows @ towards).round(9), axis=1)
