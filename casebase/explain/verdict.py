"""The verdict strip: the worst news in one sentence, and the bars beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from casebase.answers import Retrieval, Role
from casebase.correctness import Calibrated
from casebase.explain import evidence_words, sentences
from casebase.explanations import Bar, Level, Statement
from casebase.panel import LOW_MARGIN
from casebase.reading import percent, printable

WEIGHT = {Level.ALARM: 0, Level.CAUTION: 1, Level.PLAIN: 2, Level.CALM: 3}
_CALM = Statement("Nothing here speaks against the answer.", Level.CALM)
_Fact = tuple[Statement, ...]


def worst_first(said: Sequence[Statement]) -> list[Statement]:
    """Alarms, then cautions; what is no warning keeps its order."""
    return sorted(said, key=lambda one: min(WEIGHT[one.level], WEIGHT[Level.PLAIN]))


def verdicts(answer: Retrieval) -> tuple[Statement, list[Statement]]:
    """The worst news as one sentence, and everything else that weighs, worst first, each with its reason behind it."""
    told = [*_known(answer), *_far(answer), *_contradicted(answer), *_unsure(answer)]
    told.sort(key=lambda fact: WEIGHT[fact[0].level])  # stable: within a level the order above holds
    flat = [statement for fact in told for statement in fact]
    if not flat or WEIGHT[flat[0].level] > WEIGHT[Level.CAUTION]:
        return _CALM, [_agreement(answer), *flat]
    return flat[0], flat[1:]


def _agreement(answer: Retrieval) -> Statement:
    called = printable(answer.called)
    nearest = "The nearest case is" if len(answer.nearest) == 1 else f"All {len(answer.nearest)} nearest cases are"
    return Statement(f"{nearest} labelled and predicted {called}. That is agreement, not proof.")


def _known(answer: Retrieval) -> list[_Fact]:
    if answer.query.known_case is None or answer.query.held_out:
        return []
    known = printable(answer.query.known_case)
    why = f"Case {known} has exactly these pixels; it is left out of the lists, and the network may know it by heart."
    return [(Statement("The query is a training image.", Level.ALARM), Statement(why))]


def _far(answer: Retrieval) -> list[_Fact]:
    gate, called = answer.trust.comparable, answer.called
    if answer.twins and gate is None:
        unknown = f"Whether a nearest twin this far away is usual for {printable(called)} is not known: too few images."
        return [(Statement(unknown),)]
    if gate is not None and gate.share >= sentences.RARE:
        return []
    why = sentences.emptiness(answer, Role.TWIN) if gate is None else f"Only {sentences.comparable(gate, called)}"
    return [(Statement("No comparable case in this base.", Level.ALARM), Statement(why))]


def _contradicted(answer: Retrieval) -> list[_Fact]:
    against, total = answer.contradicting, len(answer.nearest)
    if against:
        level = Level.ALARM if 2 * len(against) > total else Level.CAUTION
        cases = "case contradicts" if total == 1 else "cases contradict" if len(against) > 1 else "cases contradicts"
        text = f"{len(against)} of {total} nearest {cases} this answer."
        kinds = sentences.objections(against, answer.called)
        return [(Statement(text, level), Statement(f"Of the {total} nearest, {kinds}."))]
    if not answer.counterfactuals and answer.nearest:
        silent = "No case of this base is predicted otherwise, so no counterfactual could speak against the answer."
        return [(Statement(silent, Level.CAUTION),)]
    return []


def _unsure(answer: Retrieval) -> list[_Fact]:
    told: list[_Fact] = []
    trust, ranked = answer.trust.trust_score, answer.prediction.ranked
    if trust is not None and trust < 1:
        text = f"A case of another class is nearer than the nearest twin ({sentences.times(trust)} its distance)."
        told.append((Statement(text, Level.CAUTION),))
    if len(ranked) > 1 and ranked[0][1] - ranked[1][1] < sentences.TIE:
        pair = ", ".join(f"{printable(name)} {percent(p)}" for name, p in ranked[:2])
        told.append((Statement(f"The network is nearly undecided: {pair}.", Level.CAUTION),))
    return [*told, *_often_wrong(answer)]


def _often_wrong(answer: Retrieval) -> list[_Fact]:
    """The score whose like was wrong most often, where that is more than one answer in four."""
    named = (("softmax", answer.trust.softmax_correct), ("trust score", answer.trust.trust_correct))
    told = [(one.p, name, one) for name, one in named if one is not None and one.p is not None]
    if not told or 2 * min(told)[0] - 1 >= LOW_MARGIN:
        return []
    _, name, worst = min(told, key=lambda one: one[0])
    text = f"Of {worst.n:,} held-out answers with a {name} like this, only {worst.n_right:,} were right."
    return [(Statement(text, Level.CAUTION),)]


def bars(answer: Retrieval) -> list[Bar]:
    """Softmax and trust score side by side, and how usual the nearest twin's distance is."""
    return [_softmax_bar(answer), _trust_bar(answer), _comparable_bar(answer)]


def _softmax_bar(answer: Retrieval) -> Bar:
    said, called = answer.prediction, printable(answer.called)
    share = answer.trust.softmax
    other = ""
    if answer.runner_up is not None:
        other = f", {percent(said.probabilities[answer.runner_up])} to {printable(answer.runner_up)}"
    raw = f"The network gives {percent(share)} to {called}{other}."
    found = answer.trust.softmax_correct
    if found is not None and found.p is not None:
        return _correct_bar("Softmax", found, raw)
    classes = sentences.counted(len(said.probabilities), "class", "classes")
    return Bar("Softmax", share, percent(share), raw, f"Over {classes}. {_lacking(found)}")


def _trust_bar(answer: Retrieval) -> Bar:
    trust, found, judged = answer.trust.trust_score, answer.trust.trust_correct, answer.trust.comparison
    if trust is None or not math.isfinite(trust):
        text = "No trust score: it needs a twin and a case of another class."
        return Bar("Trust score", None, "–", text, "Distances of two cases, 1 − cosine.")
    raw = f"The nearest case of another class is {sentences.times(trust)} as far as the nearest twin."
    if found is not None and found.p is not None:
        better = "" if judged is None else f" {evidence_words.verdict_on_trust(judged)}"
        return _correct_bar("Trust", found, f"{raw}{better}")
    return Bar(
        name="Trust score",
        value=trust / (1.0 + trust),
        figure=sentences.times(trust),
        reading=raw,
        note=f"Two cases' distances, 1 − cosine. {_lacking(found)}",
        mark="Drawn as t / (1 + t); the mark means equally far.",
        tick=0.5,
    )


def _correct_bar(name: str, found: Calibrated, raw: str) -> Bar:
    """A score as P(correct): what is drawn is the share of right answers among those with evidence like this."""
    return Bar(
        name=f"{name} → P(correct)",
        value=found.p,
        figure=percent(found.p or 0.0),
        reading=evidence_words.similar_answers(found),
        note=raw,
        mark="The thin line is the 95 % interval.",
        low=found.low,
        high=found.high,
    )


def _lacking(found: Calibrated | None) -> str:
    if found is None:
        return "Not calibrated to a chance of being right."
    return evidence_words.not_calibrated(found)


def _comparable_bar(answer: Retrieval) -> Bar:
    gate = answer.trust.comparable
    if gate is None:
        text = "Not known: too few images of the predicted class to compare with."
        return Bar("Comparable", None, "–", text, "How usual the nearest twin's distance is.")
    return Bar(
        name="Comparable",
        value=gate.share,
        figure=percent(gate.share),
        reading=sentences.comparable(gate, answer.called),
        note=f"Compared with: {printable(gate.reference)}.",
        mark=f"Left of the mark, at {percent(sentences.RARE)}, no case counts as comparable.",
        low=gate.low,
        high=gate.high,
        tick=sentences.RARE,
    )
