"""What the bench found, in sentences: worst news first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from casebase.evaluate.saliency.marks import NO_MAPS, Outcome, Row
from casebase.evaluate.saliency.summary import FEWEST, Against, Summary
from casebase.evaluations import told
from casebase.explain.verdict import worst_first
from casebase.explanations import Level, Statement
from casebase.reading import some

NAMED = 3
"""Examples that are named in a sentence."""
FEW = 20
"""Below this many images a bootstrap knows too little of the tails."""


def statements(summary: Summary) -> list[Statement]:
    """All findings."""
    outcome = summary.outcome
    return worst_first([
        *_untrained(outcome),
        *_refused(outcome),
        *_silent(outcome),
        *_clear(summary),
        *_flips(summary),
        *_left_out(outcome),
    ])  # fmt: skip


def _name(outcome: Outcome, row: Row) -> str:
    return f"{row.title} on {row.network}" if len(outcome.networks) > 1 else row.title


def _refused(outcome: Outcome) -> Iterator[Statement]:
    for row in outcome.rows:
        if row.refused is not None:
            yield Statement(f"{_name(outcome, row)} has no row of figures: {row.refused}.", Level.ALARM)


def _untrained(outcome: Outcome) -> Iterator[Statement]:
    names = [name for name, facts in outcome.facts.items() if facts.get("untrained")]
    if names:
        yield Statement(
            f"The weights of {some(names, NAMED)} are random (untrained): these figures show that the bench runs, and "
            "nothing about an explanation.",
            Level.ALARM,
        )


def _silent(outcome: Outcome) -> Iterator[Statement]:
    for row in outcome.rows:
        marks = row.degenerate
        if marks:
            names = some([f"{mark.image}: {mark.degenerate}" for mark in marks], NAMED)
            yield Statement(
                f"{len(marks)} of {len(row.marks)} maps of {_name(outcome, row)} say nothing ({names}). They count as "
                "maps of zeros, and a second mean leaves them out.",
                Level.ALARM if 2 * len(marks) > len(row.marks) else Level.CAUTION,
            )


def _clear(summary: Summary) -> Iterator[Statement]:
    """For each method how often it beats the best baseline, and where it does not."""
    outcome = summary.outcome
    for row in outcome.rows:
        if row.baseline or row.refused is not None:
            continue
        found = [summary.cleared(row, metric, figure) for metric, figure in outcome.figures()]
        judged = [one for one in found if one is not None and one.difference.n > 0]
        if not judged or judged[0].difference.n < FEWEST:
            continue
        failed = [one for one in judged if not one.ahead]
        if not failed:
            said = f"{_name(outcome, row)} is clear of the best baseline in all {len(judged)} figures"
            yield Statement(f"{said}, n = {judged[0].difference.n}.", Level.CALM)
            continue
        names = some([f"{one.figure.title} ({one.other.title.lower()})" for one in failed], NAMED)
        none = len(failed) == len(judged)
        yield Statement(
            f"{_name(outcome, row)} is not clear of the best baseline in {'any of ' if none else ''}"
            f"{len(failed) if not none else len(judged)} {'' if none else f'of {len(judged)} '}figures: {names}; "
            f"n = {judged[0].difference.n}.",
            Level.ALARM if none else Level.CAUTION,
        )


def _flips(summary: Summary) -> Iterator[Statement]:
    """Pairs of methods of which either is ahead, beyond chance, in some figure."""
    pairs: dict[tuple[str, str, str], list[Against]] = {}
    for found in summary.pairs():
        if found.one.network == found.other.network:
            pairs.setdefault((found.one.network, found.one.method, found.other.method), []).append(found)
    several = len(summary.outcome.networks) > 1
    flipped = 0
    for (network, _, _), group in pairs.items():
        ahead, behind = [f for f in group if f.ahead], [f for f in group if f.behind]
        if ahead and behind:
            flipped += 1
            one, other = group[0].one.title, group[0].other.title
            where = f"On {network} the" if several else "The"
            yield Statement(
                f"{where} order of {one} and {other} flips between metrics: {one} is ahead in {_figures(ahead)}; "
                f"{other} in {_figures([found.turned for found in behind])}; n = {group[0].difference.n}.",
                Level.CAUTION,
            )
    if pairs and not flipped:
        seeming = sum(_disagree(group) for group in pairs.values())
        more = f", though the means of {seeming} of {len(pairs)} pairs do" if seeming else ""
        yield Statement(f"No order of two methods flips between metrics beyond chance{more}.", Level.PLAIN)


def _disagree(group: Sequence[Against]) -> bool:
    values = [found.difference.value for found in group if found.difference.value]
    return bool(values) and min(values) < 0 < max(values)


def _figures(group: Sequence[Against]) -> str:
    return some([f"{found.figure.title} by {told(found.difference, difference_kind(found))}" for found in group], NAMED)


def difference_kind(found: Against) -> str:
    """How a difference is shown: that of shares in points."""
    return "points" if found.figure.kind in ("share", "points") else "number"


def _left_out(outcome: Outcome) -> Iterator[Statement]:
    if outcome.skipped:
        names = some([f"{name}: {why}" for name, why in outcome.skipped.items()], NAMED)
        yield Statement(
            f"{len(outcome.skipped)} of {len(outcome.images)} images were left out ({names}).", Level.CAUTION
        )
    n = len(outcome.images) - len(outcome.skipped)
    if n < FEW:
        few = f"{n} {'image is' if n == 1 else 'images are'} few: "
        rough = "intervals over so little are rough, and narrower than they should be."
        nothing = f"with fewer than {FEWEST} no method is said to beat a baseline or another method."
        yield Statement(few + (nothing if n < FEWEST else rough), Level.CAUTION)
    if outcome.damaged:
        yield Statement(f"{outcome.damaged} damaged files of earlier runs were made anew.", Level.PLAIN)
    if outcome.problem is not None:
        yield Statement(f"The next run starts from the beginning: {outcome.problem}.", Level.CAUTION)
    reasons: dict[tuple[str, ...], list[str]] = {}
    for metric in outcome.metrics:
        lacking = {
            m.image: m.problems[metric.name]
            for row in outcome.rows
            for m in row.marks
            if m.problems.get(metric.name, NO_MAPS) != NO_MAPS
        }
        if lacking:
            reasons.setdefault(tuple(f"{name}: {why}" for name, why in lacking.items()), []).append(metric.title)
    for named, titles in reasons.items():
        verb = "lacks" if len(titles) == 1 else "lack"
        said = f"{', '.join(titles)} {verb} figures for {len(named)} of {len(outcome.images)} images"
        yield Statement(f"{said} ({some(named, NAMED)}).", Level.CAUTION)
