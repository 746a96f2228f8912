"""Prototype evidence in plain words. All text is safe to print; minus signs are real ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from casebase.explain.prototypes.checking import GROWN
from casebase.explanations import Level, Statement
from casebase.prototypes import SIGNED, PartCheck, PartMatch, Parts, Prototype, missing
from casebase.reading import printable

UNIT = "score before softmax"
_LIKE = (
    "This patch looks like that patch, in this network's feature space: not why the network answers so, and not a part "
    "that a person has named."
)
_ADDS = (
    "The contribution is what a match adds to the class's score before softmax; bias, matches and the rest add up to "
    "that score. A negative one speaks against the class."
)
READING = (_LIKE, _ADDS)


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign: ``+1.20``, ``−0.04``; one that rounds to zero has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def plain(value: float, digits: int = 2) -> str:
    """A number with a sign only where it is negative."""
    return signed(value, digits).removeprefix("+")


def equation(parts: Parts, name: str) -> str:
    """``bias +0.10, shown +1.20, rest −0.05: score +1.25``, as a sum."""
    shown = sum(match.contribution for match in parts.matches[name])
    terms = f"bias {signed(parts.bias[name], 3)}, shown {signed(shown, 3)}, rest {signed(parts.rest[name], 3)}"
    if parts.absent[name]:
        terms += f", other parts that are missing {signed(parts.absent[name], 3)}"
    return f"{terms}; together the score {signed(parts.score[name], 3)}"


def seen(grid: Sequence[int], field: Sequence[int], view: Sequence[int]) -> str:
    """How much of the picture a cell has seen: always told, since the box marks much less."""
    rows, columns = grid
    height, width = min(field[0], view[0]), min(field[1], view[1])
    sees = f"One cell of {rows} x {columns} sees up to {height} x {width} of {view[0]} x {view[1]} pixels"
    if (height, width) == tuple(view):
        return f"{sees}, that is the whole view: the box marks where the match is strongest, not all it rests on."
    share = height * width / (view[0] * view[1])
    return f"{sees}, {share:.0%} of the view: the box marks the cell, not all it has seen.".replace("%", " %")


def absent(match: PartMatch, profile: str) -> bool:
    """Whether a contribution comes from what is not there; see :func:`casebase.prototypes.missing`."""
    own = np.array([match.prototype.of_class == match.target])
    return bool(missing(profile, own, np.array([match.contribution]))[0])


def check(match: PartMatch, profile: str) -> Statement:
    """Whether hiding the matched place lowers the similarity more than hiding as large a box elsewhere."""
    if absent(match, profile):
        return Statement(
            "Not a match: this part is missing, and the box is only where the picture comes nearest to it; nothing is "
            "there to be blurred."
        )
    found = match.check
    if found is None:
        return Statement("Not checked: the picture has no room for as large a box elsewhere.")
    text = (
        f"Blurring the box, grown by {GROWN:g} of a cell on every side, {_moved(found.hidden)}; as large a box "
        "elsewhere "
        f"{_moved(found.elsewhere).replace('the similarity', 'it')} on average, and {_as_much(found)}."
    )
    if found.agrees:
        return Statement(text)
    return Statement(f"{text} The box does not mark what the similarity rests on.", Level.CAUTION)


def brief(match: PartMatch, profile: str) -> tuple[str, str]:
    """What blurring the box does to the similarity, and blurring elsewhere; a failed check begins with ``!``."""
    if absent(match, profile):
        return "absent", "–"
    found = match.check
    if found is None:
        return "no room", "–"
    own = signed(-found.hidden)
    return own if found.agrees else f"! {own}", signed(-found.elsewhere)


def sense(match: PartMatch, profile: str) -> Statement | None:
    """What is special about a contribution: it speaks against the class, or it comes from what is not there."""
    own, less = match.prototype.of_class == match.target, match.contribution < 0
    if match.contribution == 0 or (own and not less):
        return None
    target, of_class = printable(match.target), printable(match.prototype.of_class)
    if profile != SIGNED:
        return Statement(f"Speaks against {target}.", Level.CAUTION) if less else None
    if own:
        return Statement(f"Speaks against {target}: less alike than usual; this part is hardly there.", Level.CAUTION)
    if less:
        return Statement(f"Speaks against {target}: a part of {of_class} is more alike than usual.", Level.CAUTION)
    return Statement(f"Speaks for {target} by its absence: a part of {of_class} is less alike than usual.")


def _moved(fall: float) -> str:
    if round(abs(fall), 3) == 0:
        return "leaves the similarity as it is"
    return f"{'lowers' if fall > 0 else 'raises'} the similarity by {abs(fall):.3f}"


def _as_much(found: PartCheck) -> str:
    if not found.as_much:
        return f"in none of {found.draws} places by as much"
    return f"in {found.as_much} of {found.draws} places by as much"


def lost(problem: str, one: Prototype) -> str:
    """A prototype whose source cannot be shown."""
    text = f"{problem}; prototype {one.number} of {printable(one.of_class)} is shown without it."
    return text[:1].upper() + text[1:]


def lead(parts: Parts) -> str:
    """What a reader is told before the first match."""
    kind = "signed cosine prototypes" if parts.profile == "signed" else f"{printable(parts.profile)} prototypes"
    return (
        f"Matches of {kind}, each a patch of one case, parts that are there before "
        f"parts that are missing, by the size of what they add to the {UNIT}. Alike in this "
        "network's feature space; what speaks against a class is marked."
    )
