"""Calibrated evidence, the panel and re-ranking in plain words. All text is safe to print."""

from __future__ import annotations

from casebase.answers import Retrieval
from casebase.calibration import at_most
from casebase.correctness import FEWEST_ERRORS, Calibrated, Comparison, Difference
from casebase.explain.sentences import counted
from casebase.panel import LOW_MARGIN, Contender, low_margin
from casebase.reading import percent, printable
from casebase.rerank import Gain, Reranked


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" (95 % interval {percent(low)} to {percent(high)})"


def similar_answers(found: Calibrated) -> str:
    """How many answers with evidence like this were right: ``Of 41 held-out answers …, 39 were right (…).``"""
    if found.p is None:
        return not_calibrated(found)
    were = "was" if found.n_right == 1 else "were"
    right = "all of them" if not found.n_errors else f"{found.n_right:,}"
    interval = _interval(found.low, found.high)
    return f"Of {found.n:,} held-out answers with evidence like this, {right} {were} right{interval}."


def similar_errors(found: Calibrated) -> str:
    """The share of errors among answers with similar evidence, for a page about one error."""
    if found.p is None or found.low is None or found.high is None:
        return not_calibrated(found)
    were = "was" if found.n_errors == 1 else "were"
    return (
        f"Among {found.n:,} held-out answers with similar evidence, {found.n_errors:,} {were} wrong: "
        f"{percent(1 - found.p)}{_interval(1 - found.high, 1 - found.low)}."
    )


def not_calibrated(found: Calibrated) -> str:
    """Why a score is not read as a chance of being right, with the plain share where there is one."""
    said = f"Not calibrated to a chance of being right: {printable(found.reason or 'no reference')}."
    if not found.n:
        return said
    share = f" {counted(found.n_errors, 'error')} among {counted(found.n, found.reference.removesuffix('s'))}"
    if found.n_errors:
        return f"{said}{share}."
    return f"{said}{share}: an error rate of at most {percent(at_most(found.n))} at 95 %."


def verdict_on_trust(found: Comparison) -> str:
    """Which of softmax and trust score finds wrong answers better on held-out images, in few words."""
    if found.augrc is None:
        few = f"Too few errors ({found.n_errors} among {found.n:,}{_with_own(found)})"
        return f"{few} to tell whether it finds wrong answers better than softmax."
    if found.augrc.high < 0:
        return "Here it finds wrong answers better than softmax."
    if found.augrc.low > 0:
        return "Here softmax finds wrong answers better: go by softmax."
    return "Here it does not find wrong answers better than softmax."


def comparison(found: Comparison) -> str:
    """Softmax and trust score against each other, with the figures; where trust does not win, it is said."""
    over = f"{counted(found.n, 'held-out image')}{_with_own(found)}, {counted(found.n_errors, 'error')}"
    if found.augrc is None or found.brier is None:
        return (
            f"Whether the trust score finds wrong answers better than softmax cannot be told ({over}; "
            f"{FEWEST_ERRORS} errors are needed)."
        )
    if found.augrc.high < 0:
        verdict = "The trust score finds wrong answers better than softmax"
    elif found.augrc.low > 0:
        verdict = "Softmax finds wrong answers better than the trust score"
    else:
        verdict = "The trust score does not find wrong answers better than softmax"
    risk, error = _against(found.augrc, 1000, 1), _against(found.brier, 1, 3)
    return f"{verdict} ({over}). AUGRC, in thousandths: {risk}. Brier score of P(correct): {error}. Less is better."


def _with_own(found: Comparison) -> str:
    """Why the count is larger than that of every reference of a held-out query: it is left out there."""
    return f", {found.own} of them the query's own" if found.own else ""


def _against(found: Difference, times: float, digits: int) -> str:
    trust, softmax, gap, low, high = (
        times * value for value in (found.trust, found.softmax, found.gap, found.low, found.high)
    )
    return (
        f"{trust:.{digits}f} for the trust score, {softmax:.{digits}f} for softmax, difference {gap:+.{digits}f}, "
        f"95 % interval {low:+.{digits}f} to {high:+.{digits}f}"
    ).replace("-", "−")


def panel_lead(answer: Retrieval) -> str:
    """Why the classes stand side by side."""
    ranked = answer.prediction.ranked
    what = "The nearest case of each probable class at the same size, the answer first."
    if len(ranked) > 1 and ranked[0][1] - ranked[1][1] < LOW_MARGIN:
        gap = 100 * (ranked[0][1] - ranked[1][1])
        return f"The two most probable classes are {gap:.1f} points apart. {what}"
    if low_margin(answer):
        return f"Answers with evidence like this are often wrong. {what}"
    return what


def no_case(found: Contender) -> str:
    """Why no case stands for a class."""
    name = printable(found.name)
    if not found.available:
        return f"No case of this base is predicted {name}."
    if not found.searched:
        return f"No case predicted {name} is left once the query's own copies are taken out."
    looked = "the only case" if found.searched == 1 else f"the {found.searched} nearest cases"
    return f"None of {looked} predicted {name} is labelled so."


def reranked(found: Reranked) -> str:
    """The classifier's own answer beside the re-ranked one, the weight, and what it was worth."""
    own, now, choice = printable(found.classifier), printable(found.predicted), found.choice
    if choice.beta == 0:
        why = printable(choice.reason or "the weight of the neighbours is 0")
        tried = "" if choice.gain is None else f" Cross-validated: {_gain(choice.gain)}."
        return f"Re-ranking changes nothing: {why}.{tried}"
    if found.changed:
        said = (
            f"Re-ranked with neighbours: {now}. The classifier alone says {own}. Twins and rivals below are for {now}."
        )
    else:
        said = f"Re-ranked with neighbours: still {now}, as the classifier alone says."
    weight = f" Weight of the neighbours {choice.beta:g}"
    if choice.gain is None:
        return f"{said}{weight}."
    return f"{said}{weight}; cross-validated on {counted(choice.gain.n, 'held-out image')}: {_gain(choice.gain)}."


def _gain(gain: Gain) -> str:
    return (
        f"accuracy {percent(gain.before)} to {percent(gain.after)}, {100 * gain.value:+.1f} points "
        f"(95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    ).replace("-", "−")
