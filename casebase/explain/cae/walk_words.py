"""Walks in plain words. All text is safe to print; nothing here says "because"."""

from __future__ import annotations

from collections.abc import Sequence

from casebase.association import GRAPH, Association, Walk
from casebase.explain.sentences import counted
from casebase.explanations import Level, Statement
from casebase.reading import percent, printable, some

REAL = "the retrieved counterfactuals above are real cases"
STEADY = 0.8
"""A walk on which the rival's probability falls at more than a fifth of the steps is told of."""


def title(predicted: str, rival: str) -> str:
    """The section's heading."""
    return f"Walk: what would change from {printable(predicted)} to {printable(rival)}"


def lead(walk: Walk, found: Association) -> str:
    """What a reader is told before the first picture."""
    return (
        "Synthetic pictures, no photographs: a decoder makes each from the image's own individual code and a class "
        f"code that moves from {printable(walk.predicted)} to {printable(walk.rival)}, at {found.size.side} x "
        f"{found.size.side} pixels; the explained network judges every one."
    )


def no_walk(failed: Sequence[str]) -> str:
    """What stands in a report where the embedding failed its gates."""
    why = f" ({gates(failed)})" if failed else ""
    return f"No trustworthy generated view can be had for this set{why}; {REAL}."


def gates(failed: Sequence[str]) -> str:
    """Failed gates inside a sentence."""
    return "; ".join(printable(one).rstrip(".") for one in failed)


def untrusted(failed: Sequence[str]) -> Statement:
    """The banner over pictures of an embedding that failed its gates."""
    return Statement(
        f"Not trustworthy, shown because it was asked for: this embedding failed its gates ({gates(failed)}). What "
        "these pictures change may have nothing to do with the network's classes.",
        Level.ALARM,
    )


def leak(found: Association) -> list[Statement]:
    """A caution where the individual codes give the class away: halfway from chance to certainty, or more."""
    one = found.standing
    if one.leak is None or one.chance_class is None or one.leak < (1.0 + one.chance_class) / 2:
        return []
    return [
        Statement(
            f"What should be the image's own knows its class: a linear reader tells it from individual codes with "
            f"{percent(one.leak)} (by chance {percent(one.chance_class)}), so a walk need not have changed all of it.",
            Level.CAUTION,
        )
    ]


def flip(walk: Walk) -> Statement:
    """Where the answer first changes, or what it is at the end; what is amiss, the walk's own warnings say."""
    classes, rival = list(walk.classes), printable(walk.rival)
    if walk.flip is None:
        last = walk.frames[-1]
        share = percent(float(last.probabilities[classes.index(walk.rival)]))
        return Statement(
            f"No flip: at the end of the way the network still says {printable(last.called)}, with {share} for "
            f"{rival}.",
            Level.CAUTION,
        )
    share = percent(float(walk.flip.probabilities[classes.index(walk.flip.called)]))
    level = Level.PLAIN if walk.flip.called == walk.rival else Level.CAUTION
    where = _whole(walk.flip.at)
    said = printable(walk.flip.called)
    return Statement(f"The network first says {said} at {where} of the way, with {share}.", level)


def told(walk: Walk) -> list[Statement]:
    """What to know of a walk: its steadiness, its error, the way it took."""
    rival = printable(walk.rival)
    found = [_steady(walk, rival)] if walk.monotone is not None else []
    found.append(
        Statement(
            f"The reconstruction misses the image by {percent(walk.error)} of the range of values on average. Changes "
            "are taken against the reconstruction, so that this error is not shown as a change."
        )
    )
    found.append(Statement(_way(walk, rival)))
    return found


def warning(text: str) -> Statement:
    """A walk's own warning as a sentence."""
    return Statement(_sentence(text), Level.CAUTION)


def refused(walk: Walk) -> Statement:
    """Why there is no walk for this image."""
    why = printable(walk.refused or "").rstrip(".")
    return Statement(f"No walk is shown for this image: {why}.", Level.CAUTION)


def still(walk: Walk, at: float, called: str, share: str) -> str:
    """A frame in words, for those who do not see it."""
    where = "the reconstruction" if at == 0 else f"{_whole(at)} of the way to {printable(walk.rival)}"
    return f"Synthetic image, {where}: the network says {printable(called)}, with {share} for {printable(walk.rival)}."


def curve(walk: Walk, at: Sequence[float], rival: Sequence[float]) -> str:
    """The curve of probabilities in words."""
    name = printable(walk.rival)
    text = f"Probability of {name} along the walk: {percent(rival[0])} at its start, {percent(rival[-1])} at its end"
    if walk.flip is None:
        return f"{text}; the answer never changes."
    return f"{text}; the answer changes at {_whole(walk.flip.at)} of the way ({counted(len(at), 'image')} judged)."


def where(at: float) -> str:
    """A place on the way, short."""
    return _whole(at)


def failed(found: Association) -> list[Statement]:
    """Every gate that was not passed, as an alarm."""
    return [Statement(_sentence(one), Level.ALARM) for one in found.failed]


def no_rival() -> str:
    """Where there is nowhere to walk to."""
    return "No walk is shown: there is no other class to walk to."


def no_picture() -> str:
    """Where a stored image's file is gone."""
    return "No walk is shown: the picture of this image is not at hand."


def failed_walk(error: str) -> str:
    """Where a walk could not be made."""
    return f"No walk is shown: {printable(error).rstrip('.')}."


def missing_class(name: str, found: Association) -> str:
    """Why there is no walk to a class."""
    known = some(list(found.classes))
    return f"No walk is shown: {printable(name)} takes no part in the embedding; it knows {known}."


def _steady(walk: Walk, rival: str) -> Statement:
    steps = len(walk.frames) - 1
    held = round((walk.monotone or 0.0) * steps)
    text = f"P({rival}) rises or holds at {held} of {steps} steps."
    if held < STEADY * steps:
        return Statement(f"{text} A walk that goes back and forth shows no steady change.", Level.CAUTION)
    return Statement(text)


def _way(walk: Walk, rival: str) -> str:
    end = f"the mean code of the cases called {rival}"
    if walk.reference is not None:
        end = f"the code of case {printable(walk.reference)}, which the network calls {rival}"
    if walk.route != GRAPH:
        return f"The way is the straight line to {end}."
    return f"The way leads along the codes of {counted(len(walk.passed), 'case')} to {end}."


def _whole(at: float) -> str:
    return f"{100 * at:.0f} %"


def _sentence(text: str) -> str:
    spoken = printable(text)
    return f"{spoken[:1].upper()}{spoken[1:]}{'' if spoken.endswith('.') else '.'}"
