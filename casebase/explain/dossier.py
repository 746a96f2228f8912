"""From stored predictions to a dossier: the wrong ones of a part, asked again and ordered, without a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from casebase.answers import Retrieval
from casebase.cases import Case
from casebase.commands import about
from casebase.correctness import FEWEST_ERRORS
from casebase.dossiers import Dossier, Entry
from casebase.errors import EmptyCaseBase, UsageError
from casebase.explain import care, sentences, verdict
from casebase.explanations import Level, Statement
from casebase.parts import Part, choose
from casebase.ports import CaseBase, Vector
from casebase.query import Ask, Networks, Remembered, ask_again
from casebase.reading import percent
from casebase.shares import grouped_share
from casebase.spaces import NETWORK_SPACE

SHORTLIST = 12
"""Right answers of the nearest softmax that are asked again for every contrast wanted."""

Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """What goes into a dossier: the part, the most entries, right answers per mistake, rows per list, the space.

    ``seed`` draws the groups for the interval of the accuracy, where images belong together.
    """

    split: str | None = None
    limit: int | None = None
    correct: int = 0
    k: int = 5
    space: str = NETWORK_SPACE
    seed: int = 0

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit must be at least 1, not {self.limit}")
        if self.correct < 0:
            raise UsageError(f"correct must be at least 0, not {self.correct}")
        if self.k < 1:
            raise UsageError(f"k must be at least 1, not {self.k}")


@dataclass(eq=False)
class _Found:
    """What one walk over a part showed: the confusion, the wrong images, and how sure the right answers were."""

    confusion: dict[str, dict[str, int]] = field(default_factory=dict)
    total: int = 0
    wrong: list[Remembered] = field(default_factory=list)
    right: list[tuple[str, str, float]] = field(default_factory=list)
    """(id, predicted, softmax) of every right answer; kept only where a contrast is asked for."""
    good: list[bool] = field(default_factory=list)
    groups: list[str | None] = field(default_factory=list)


def gather(
    base: CaseBase,
    networks: Networks,
    choice: Choice,
    sha256: Callable[[Sequence[str]], Mapping[str, str]],
    facts: Mapping[str, str],
) -> Dossier:
    """The dossier of a part of a base. ``sha256`` gives the hashes of stored images' files by id.

    Raises as :func:`casebase.parts.choose` and :func:`casebase.query.ask`; ``Moved`` where the base was changed
    meanwhile.
    """
    still = base.snapshot()
    part = choose(still.parts(), choice.split)
    found = _walk(still, part, choice)
    asking = Ask(choice.k, choice.space)

    def answers(images: Sequence[Remembered]) -> Iterator[tuple[Remembered, Retrieval]]:
        known = sha256([image.case.id for image in images])
        named = [replace(image, sha256=known.get(image.case.id, "")) for image in images]
        yield from zip(named, ask_again(named, asking, networks, still), strict=True)

    drafts = [_draft(image.case, answer, still) for image, answer in answers(found.wrong)]
    by_id = {draft.case.id: draft for draft in drafts}
    names = care.order({n: d.care for n, d in by_id.items()}, {n: d.suspected for n, d in by_id.items()})
    shown = [replace(by_id[name], place=place) for place, name in enumerate(names[: choice.limit], start=1)]
    contrasts: list[Entry] = []
    if choice.correct and shown:
        near = _shortlist(shown, found.right, choice.correct)
        asked = [_draft(image.case, answer, still) for image, answer in answers(_again(still, part, choice, near))]
        shown, contrasts = _matched(shown, asked, choice.correct)
    if not found.total:
        raise EmptyCaseBase(f"no image of {part.name} has a prediction; run `casebase index DATA` to its end first")
    return Dossier(
        part=part,
        total=found.total,
        wrong=len(found.wrong),
        entries=shown,
        contrasts=contrasts,
        confusion={label: dict(sorted(row.items())) for label, row in sorted(found.confusion.items())},
        accuracy=grouped_share(np.array(found.good), found.groups, choice.seed),
        statements=verdict.worst_first([*part.statements(), *_findings(drafts, len(shown), found.total)]),
        facts=facts,
        settings=_settings(choice, part),
    )


def _walk(base: CaseBase, part: Part, choice: Choice) -> _Found:
    found = _Found()
    names = list(base.class_names())
    for block in base.examined(choice.space, part.status, split=part.split):
        best = block.probabilities.argmax(axis=1)
        for row, case in enumerate(block.cases):
            called = names[int(best[row])]
            counts = found.confusion.setdefault(case.label, {})
            counts[called] = counts.get(called, 0) + 1
            found.total += 1
            found.good.append(called == case.label)
            found.groups.append(case.group)
            if called != case.label:
                found.wrong.append(_remembered(case, block.features[row], block.probabilities[row]))
            elif choice.correct:
                found.right.append((case.id, called, float(block.probabilities[row].max())))
    return found


def _remembered(case: Case, vector: Vector, probabilities: Vector) -> Remembered:
    return Remembered(case, "", vector.copy(), probabilities.copy())  # copies: a row must not keep its block alive


def _again(base: CaseBase, part: Part, choice: Choice, wanted: set[str]) -> list[Remembered]:
    """The stored images of some ids, in the order of the base."""
    return [
        _remembered(case, block.features[row], block.probabilities[row])
        for block in base.examined(choice.space, part.status, split=part.split)
        for row, case in enumerate(block.cases)
        if case.id in wanted
    ]


def _draft(case: Case, answer: Retrieval, base: CaseBase) -> Entry:
    # On a training part every query is a known image; that is said once, of the part, and not of each answer.
    worst, _ = verdict.verdicts(replace(answer, query=replace(answer.query, held_out=True)))
    copies = base.known_pixels(case.pixel_hash)
    return Entry(
        place=0, case=case, retrieval=answer, care=care.care(answer), agreeing=care.agreeing(answer), verdict=worst,
        suspicions=care.suspicions(case, answer, copies),
    )  # fmt: skip


def _shortlist(entries: Sequence[Entry], right: Sequence[tuple[str, str, float]], each: int) -> set[str]:
    """Ids of the right answers whose softmax is nearest to each mistake's; those called the same come first."""
    chosen: set[str] = set()
    for entry in entries:
        sure = entry.retrieval.prediction.confidence
        ranked = sorted(right, key=lambda one: (one[1] != entry.predicted, abs(one[2] - sure), one[0]))
        chosen |= {name for name, _, _ in ranked[: SHORTLIST * each]}
    return chosen


def _matched(entries: Sequence[Entry], right: Sequence[Entry], each: int) -> tuple[list[Entry], list[Entry]]:
    """Every mistake with its ``each`` right answers of the most similar evidence, and these answers.

    Similar means: called the same where there is such an answer, then near in softmax and in trust score t (drawn as
    t / (1 + t)), both in [0, 1]; ties by id. One right answer may stand beside several mistakes.
    """

    def apart(one: Entry, other: Entry) -> float:
        softmax = one.retrieval.prediction.confidence - other.retrieval.prediction.confidence
        return abs(softmax) + abs(_trust(one) - _trust(other))

    pairs: dict[str, list[str]] = {}
    matched = []
    for entry in entries:
        ranked = sorted(right, key=lambda one: (one.predicted != entry.predicted, apart(entry, one), one.case.id))
        names = [one.case.id for one in ranked[:each]]
        matched.append(replace(entry, contrast=names))
        for name in names:
            pairs.setdefault(name, []).append(entry.case.id)
    by_id = {one.case.id: one for one in right}
    contrasts = [
        replace(by_id[name], place=place, alike=beside) for place, (name, beside) in enumerate(pairs.items(), start=1)
    ]
    return matched, contrasts


def _trust(entry: Entry) -> float:
    trust = entry.retrieval.trust.trust_score
    return 0.5 if trust is None else trust / (1.0 + trust)


def _findings(entries: Sequence[Entry], shown: int, total: int) -> list[Statement]:
    """What all mistakes ``entries`` have in common. Under a limit, too: the first ones were picked for being silent."""
    n = wrong = len(entries)
    if not wrong:
        return [Statement(f"No answer of these {sentences.counted(total, 'image')} is wrong.", Level.CALM)]
    told: list[Statement] = []
    of = f"of {sentences.counted(n, 'mistake')}"
    suspected = sum(entry.suspected for entry in entries)
    silent = sum(entry.silent for entry in entries)
    copied = sum(bool(entry.copied) for entry in entries)
    if silent:
        where = "its page" if silent == 1 else "their pages"
        warned = f"{silent} {of} came without any warning: nothing on {where} speaks against the answer."
        told.append(Statement(warned, Level.ALARM if 2 * silent > wrong else Level.CAUTION))
    if suspected:
        doubt = (
            "a label that is suspected to be wrong; it stands"
            if suspected == 1
            else ("labels that are suspected to be wrong; they stand")
        )
        told.append(Statement(f"{suspected} {of} may be {doubt} first.", Level.CAUTION))
    if copied:
        have = "has" if copied == 1 else "have"
        told.append(Statement(f"{copied} {of} {have} a copy, or nearly one, in the base.", Level.CAUTION))
    if not told:
        told.append(Statement(f"Each of these {sentences.counted(n, 'mistake')} came with a warning.", Level.CALM))
    if shown < wrong:
        most = "most important one" if shown == 1 else f"{shown:,} most important"
        told.append(Statement(f"The {most} of {wrong:,} mistakes {'is' if shown == 1 else 'are'} shown."))
    if wrong < FEWEST_ERRORS:
        share = percent(wrong / total)
        told.append(
            Statement(
                f"{wrong} mistakes ({share} of {total:,}) are too few to compare classes or kinds of mistakes by."
            )
            if wrong != 1
            else Statement(f"One mistake ({share} of {total:,}) says nothing about which classes are hard.")
        )
    return told


def _settings(choice: Choice, part: Part) -> dict[str, Any]:
    return {
        "split": part.split, "part": part.name, "status": str(part.status), "images": part.n, "k": choice.k,
        "space": choice.space, "limit": choice.limit, "correct": choice.correct,
    }  # fmt: skip


def entry_commands(entry: Entry, base: str) -> list[str]:
    """What to type about one entry; a name that cannot be typed as it is printed is not offered."""
    label = entry.case.label
    return about(entry.case, base, rival=label if entry.retrieval.of_rival(label) else None)
