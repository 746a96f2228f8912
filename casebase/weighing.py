"""What an answer weighs: its scores read as chances of being right, its classes side by side, its neighbours' vote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from casebase.answers import Comparable, Neighbour, Prediction, Rival, Role, Support
from casebase.correctness import FEWEST_COMPARED, HELD_OUT, uncalibrated
from casebase.evidence import COPY
from casebase.panel import MOST, Contender, contender
from casebase.ports import CaseBase, Vector, Where
from casebase.rerank import Neighbourhood, Reranked, chosen_for, rerank
from casebase.retrieve import Answer, Question, Themselves
from casebase.reuse import wilson
from casebase.spaces import CONTRIBUTION, NETWORK_SPACE


def weighed(
    prediction: Prediction, vector: Vector, space: str, case_base: CaseBase, themselves: Themselves
) -> Reranked:
    """The answer with the neighbours' weight, which was chosen without the query and its group."""
    table = case_base.evidence(space)
    choice = chosen_for(table, themselves.pixel_hash, themselves.groups)
    return rerank(prediction, Neighbourhood(case_base, space, vector, themselves), choice)


def usual(
    called: str, distance: float | None, space: str, case_base: CaseBase, themselves: Themselves
) -> Comparable | None:
    """How usual a nearest-twin distance is for a class; None without a twin, and with too few reference images.

    A query that is itself held out, or whose group is, would be counted among the images it is compared with; for it
    the share is taken anew over the others.
    """
    found = None if distance is None else case_base.comparable(space, called, distance)
    if found is None or distance is None or found.reference != HELD_OUT:
        return found
    table = case_base.evidence(space)
    keep = None if table is None else table.strangers(themselves.pixel_hash, themselves.groups)
    if table is None or keep is None:
        return found
    place = list(case_base.class_names()).index(called)
    others = table.twin[keep & (table.probable[:, 0] == place) & np.isfinite(table.twin)]
    n, farther = len(others), int((others >= distance - COPY).sum())
    return None if n < FEWEST_COMPARED else Comparable(farther / n, n, *wilson(farther, n), HELD_OUT)


def calibrated(
    trust: Support, space: str, case_base: CaseBase, themselves: Themselves, reranked: Reranked | None
) -> Support:
    """Softmax and trust score read as P(correct) on held-out images, without the query and its group."""
    if reranked is not None and reranked.changed:
        reason = "the answer is the re-ranked one, and the reference holds answers of the classifier alone"
        return replace(trust, softmax_correct=uncalibrated(reason), trust_correct=uncalibrated(reason))
    table = case_base.evidence(NETWORK_SPACE)
    if table is None:
        none = uncalibrated("this base has no held-out images")
        return replace(trust, softmax_correct=none, trust_correct=none)
    softmax, score = table.calibrators_for(themselves.pixel_hash, themselves.groups)
    read = replace(trust, softmax_correct=softmax.at(trust.softmax))
    if space == CONTRIBUTION:
        none = uncalibrated("contribution weighs by the predicted class, and its distances have no held-out reference")
        return replace(read, trust_correct=none)
    if space != NETWORK_SPACE:
        table = case_base.evidence(space)
        if table is None:
            return replace(read, trust_correct=uncalibrated("this space has no held-out images"))
        score = table.calibrators_for(themselves.pixel_hash, themselves.groups)[1]
    compared = table.compared
    keep = table.strangers(themselves.pixel_hash, themselves.groups)
    if compared is not None and keep is not None:
        usable = np.isfinite(table.trust) & np.isfinite(table.softmax)
        compared = replace(compared, own=int((usable & ~keep).sum()))
    return replace(read, trust_correct=score.at(trust.trust_score), comparison=compared)


def panel(
    question: Question, prediction: Prediction, called: str, classes: Mapping[str, int], twins: Answer,
    rivals: Sequence[Rival], unlike: Sequence[Answer],
) -> tuple[Contender, ...]:  # fmt: skip
    """The called class and its likeliest rivals, each with the nearest case that stands for it."""
    lists = dict(zip([rival.name for rival in rivals if rival.available], unlike, strict=True))
    shown = [(called, Role.TWIN, twins.rows)]
    shown += [(r.name, Role.COUNTERFACTUAL, lists[r.name].rows if r.name in lists else ()) for r in rivals[: MOST - 1]]
    found = []
    for name, role, rows in shown:

        def deeper(k: int, name: str = name, role: Role = role) -> Sequence[Neighbour]:
            return replace(question, k=k).list(role, where=Where((name,))).rows

        ranked = [replace(row, rank=rank) for rank, row in enumerate(rows, start=1)]
        p = prediction.probabilities.get(name, 0.0)
        found.append(contender(name, p, classes.get(name, 0), ranked, question.k, deeper))
    return tuple(found)
