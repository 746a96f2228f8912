"""Which mistakes a person should look at first, and which of them may be no mistake of the network at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from casebase import hashing
from casebase.answers import Neighbour, Retrieval
from casebase.cases import Case, Status
from casebase.commands import named
from casebase.dossiers import Suspicion
from casebase.reading import percent, printable
from casebase.retrieve import SAME_LOOK_BITS, SAME_LOOK_DISTANCE

SURE = 0.9
"""From this softmax on the network counts as sure."""
FEWEST = 3
"""Fewer neighbours than this say nothing against a label."""


def agreeing(answer: Retrieval) -> int:
    """How many of the nearest cases are labelled and predicted as the answer: those that do not warn."""
    return len(answer.nearest) - len(answer.contradicting)


def care(answer: Retrieval) -> float:
    """How much a wrong answer matters, in [0, 1]: how sure the network is, and how little would have warned a reader.

    The mean of three shares: the softmax p of the wrong answer; the share of the nearest cases that are labelled and
    predicted as it says; and the trust score t as t / (1 + t), the place of its bar on the page. 1 means that the
    network was sure, that every neighbour took its part and that no rival was near; such a mistake passes unnoticed.
    A list or score that is missing counts as one half: it neither warns nor reassures.
    """
    total, trust = len(answer.nearest), answer.trust.trust_score
    neighbours = agreeing(answer) / total if total else 0.5
    nearness = 0.5 if trust is None else trust / (1.0 + trust)
    return (answer.prediction.confidence + neighbours + nearness) / 3.0


def suspicions(case: Case, answer: Retrieval, copies: Sequence[Case] = ()) -> list[Suspicion]:
    """What speaks against the label or the data rather than against the network; empty for most mistakes.

    A label is *suspected*, never called wrong, where the network is sure (softmax of at least 0.9) and all of the
    nearest cases, three at least, are labelled and predicted as it says; and where a copy of the image, pixel by pixel
    or by its look, has another label. ``copies`` are other stored images with exactly these pixels.
    """
    told: list[Suspicion] = []
    called, label = printable(answer.prediction.predicted), printable(case.label)
    confidence, total = answer.prediction.confidence, len(answer.nearest)
    wrong = answer.prediction.predicted != case.label
    if wrong and total >= FEWEST and agreeing(answer) == total and confidence >= SURE:
        told.append(
            Suspicion(
                "label",
                f"The label {label} is suspected to be wrong: the network is sure ({percent(confidence)}), and all "
                f"{total} nearest cases are labelled and predicted {called}. Or the cases share its mistake.",
            )
        )
    for other in sorted(copies, key=lambda one: one.id):
        if other.id == case.id:
            continue
        where = "held out as well" if other.status == Status.HELD_OUT else "among the cases"
        told += _copied("copy", f"has exactly these pixels and is {where}", other, case)
    told += _near_copies(case, answer)
    return told


def _near_copies(case: Case, answer: Retrieval) -> list[Suspicion]:
    rows: dict[str, Neighbour] = {}
    for row in (*answer.nearest, *answer.twins, *answer.counterfactuals):
        rows.setdefault(row.case.id, row)
    told: list[Suspicion] = []
    for row in sorted(rows.values(), key=lambda one: (one.distance, one.case.id)):
        bits = hashing.look_distance(case.look_hash, row.case.look_hash)
        if bits <= SAME_LOOK_BITS and row.distance <= SAME_LOOK_DISTANCE:
            text = f"looks like the same photograph ({bits} of 64 bits apart, distance {row.distance:.3f})"
            told += _copied("near-copy", text, row.case, case)
    return told


def _copied(kind: str, text: str, other: Case, case: Case) -> list[Suspicion]:
    """A copy, and what follows where its label differs."""
    path, label = printable(named(other)), printable(other.label)
    told = [Suspicion(kind, f"{path} {text}; its label is {label}.", other.id)]
    if other.label != case.label:
        doubt = f"One of two labels is suspected to be wrong: {printable(case.label)} here, {label} on {path}."
        told.append(Suspicion("label", doubt, other.id))
    return told


def order(care_of: Mapping[str, float], suspected: Mapping[str, bool]) -> list[str]:
    """Ids in the order of the dossier: suspected labels first, each part by falling care, ties by id.

    Suspected labels lead since a person can settle them at a glance, and since every figure of the part hangs on them.
    """
    return sorted(care_of, key=lambda name: (not suspected[name], -round(care_of[name], 9), name))
