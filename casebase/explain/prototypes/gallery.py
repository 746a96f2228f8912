"""The prototypes of a network as a page: each beside its source case, with what is known of it; warnings in front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from casebase.commands import named
from casebase.errors import UnknownClass
from casebase.explain.prototypes import part_words
from casebase.explain.prototypes.evidence import Evidence
from casebase.explain.prototypes.section import patch_figure, source_figure
from casebase.explain.sentences import counted
from casebase.explanations import Grid, Level, Statement
from casebase.prototype_pages import ClassPrototypes, PrototypeCard, PrototypesPage, Source
from casebase.prototypes import Prototype, PrototypeSet, Stage
from casebase.reading import percent, printable, some

ALIKE = 0.8
"""Prototypes of a class whose cosines are above this on average show one cue several times."""
_HEADS = ("stage", "balanced accuracy", "held against", "gap", "agreement", "prototypes", "distinct", "sources")


def page(
    evidence: Evidence, facts: Mapping[str, str], classes: Sequence[str] = (), top: int | None = None
) -> PrototypesPage:
    """The prototypes of a network with their sources; a source that cannot be shown is said where it would stand.

    Cards are those of ``classes``, by default all, and the ``top`` weightiest of each. Raises ``UnknownClass``.
    """
    found = evidence.view.found
    for one in classes:
        if one not in found.classes:
            raise UnknownClass(f"no class {printable(one)!r} among these prototypes; there is {some(found.classes)}")
    sources = evidence.sources(found.prototypes)
    count = counted(len(found.prototypes), "prototype")
    return PrototypesPage(
        found=found,
        sources=sources,
        title=f"{count} of {counted(len(found.classes), 'class', 'classes')}",
        lead=f"Profile {printable(found.profile)}, fitted to {_target(found.target)}, on {printable(found.layer)}.",
        seen=part_words.seen(found.grid, found.receptive_field, found.view),
        warnings=warnings(found, sources),
        classes=[_of_class(name, found.of_class(name), sources, top) for name in classes or found.classes],
        stages=stages(found.stages),
        reading=reading(found),
        facts=facts,
    )


def warnings(found: PrototypeSet, sources: Mapping[int, Source]) -> list[Statement]:
    """What to know before reading on: the last stage's alarms, lost sources, classes without prototypes, one cue."""
    told = []
    if found.stages:
        told += [Statement(_sentence(one), Level.ALARM) for one in found.stages[-1].alarms]
        alike = found.stages[-1].figures.get("cosine_within")
        if alike is not None and alike > ALIKE:
            told.append(
                Statement(
                    f"The prototypes of a class are nearly alike (mean cosine {alike:.2f}): several views of one cue, "
                    "rather than several parts.",
                    Level.CAUTION,
                )
            )
    lost = [
        part_words.lost(problem, one)
        for one in found.prototypes
        if (problem := sources[one.number].problem) is not None
    ]
    told += [Statement(one, Level.CAUTION) for one in lost]
    bare = [name for name in found.classes if not found.of_class(name)]
    if bare:
        told.append(
            Statement(f"No prototype of {some(bare, 5)}: only the bias and other classes speak there.", Level.CAUTION)
        )
    return told


def stages(log: Sequence[Stage]) -> Grid:
    """The log of the training, a row for each stage; a figure that was not taken is a dash."""
    rows = [
        [
            printable(one.name),
            *(_share(one.figures.get(name)) for name in ("balanced_accuracy", "network_balanced_accuracy")),
            _points(one.figures.get("gap")),
            _share(one.figures.get("agreement")),
            *(_whole(one.figures.get(name)) for name in ("prototypes", "distinct", "sources")),
        ]
        for one in log
    ]
    return Grid(_HEADS, rows, _judged(log[-1].figures if log else {}))


def _judged(figures: Mapping[str, float | int | None]) -> str:
    """On which cases the stages were judged, and what they were held against there."""
    n = counted(int(figures.get("n") or 0), "case")
    if figures.get("aside", 1):
        on = f"the {n} set aside from the training" if figures.get("n") else "cases set aside from the training"
        against = "a linear head on the network's features that has learnt from as much as they have"
    else:
        on = f"the {n} they were learnt from, too few to set any aside"
        against = "the network"
    return (
        f"Balanced accuracy of the prototypes on {on}, and there of what they are held against: {against}; gap: "
        "prototypes less that, in points; agreement: how often they answer as the network itself does."
    )


def reading(found: PrototypeSet) -> list[Statement]:
    """How to read the page."""
    return [
        Statement(part_words.seen(found.grid, found.receptive_field, found.view)),
        Statement(
            "A prototype is a patch of one case. Weight: its share in its class's score. Decides: in how many of the "
            f"training images called so it is the largest contribution. Purity: how many of the cases {_aside(found)} "
            "that are most like it are of its class; with two classes half of them are by chance."
        ),
        *(Statement(one) for one in part_words.READING),
    ]


def _aside(found: PrototypeSet) -> str:
    return "set aside from the training" if found.settings.get("aside", True) else "learnt from, its own left out,"


def _of_class(
    name: str, prototypes: Sequence[Prototype], sources: Mapping[int, Source], top: int | None
) -> ClassPrototypes:
    ranked = sorted(prototypes, key=lambda one: (-one.weight, one.number))
    cases = len({one.patch.case_id for one in ranked})
    spoken = printable(name)
    return ClassPrototypes(
        name=spoken,
        lead=f"{counted(len(ranked), 'prototype')} of {counted(cases, 'case')}, the weightiest first.",
        cards=[_card(one, sources[one.number]) for one in ranked[:top]],
        empty=None if ranked else f"No prototype of {spoken} is left.",
    )


def _card(one: Prototype, source: Source) -> PrototypeCard:
    what = f"prototype {one.number} of {printable(one.of_class)}"
    case = source.case
    return PrototypeCard(
        number=one.number,
        picture=source_figure(source, one.patch.box, what),
        patch=patch_figure(source, one.patch.box, what),
        weight=f"{one.weight:.3f}",
        purity=_purity(one),
        decides=percent(one.decides),
        case_id=printable(one.patch.case_id),
        path=None if case is None else printable(named(case)),
        label=None if case is None else printable(case.label),
        predicted=None if case is None else printable(case.predicted),
    )


def _purity(one: Prototype) -> str:
    if one.purity is None or not one.purity_n:
        return "unknown"
    return f"{round(one.purity * one.purity_n)} of {one.purity_n}"


def _target(target: str) -> str:
    return "what the network says" if target == "predicted" else "the labels"


def _sentence(text: str) -> str:
    spoken = printable(text)
    return f"{spoken[:1].upper()}{spoken[1:]}{'' if spoken.endswith('.') else '.'}"


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _points(value: float | None) -> str:
    return "–" if value is None else part_words.signed(100 * value, 1)


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
