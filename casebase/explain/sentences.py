"""Readings in plain words: every number with its unit, its n, and what it does not say. All text is safe to print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from casebase.answers import Comparable, Neighbour, Retrieval, Rival, Role
from casebase.explanations import Deletion, Level, Statement, WhereMap
from casebase.reading import percent, printable, some

RARE = 0.05
"""Below this share of the reference a nearest twin is too far away to be called comparable."""
TIE = 0.1
"""Two classes whose probabilities differ by less than this are called nearly undecided."""
CARRIES = 0.5
"""A where map that explains less of the similarity than this is not shown."""
_REASONS = {
    "named": "the class you asked about",
    "probable": "probable enough to ask about",
    "runner-up": "the runner-up",
    "nearest": "the class of the nearest case that is predicted otherwise",
    "label": "the label of this image",
}

SLIGHT = 0.01
"""A change of the probability that is as good as none."""


def counted(n: int, one: str, many: str | None = None) -> str:
    """``1 case``, ``1,204 cases``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def times(ratio: float) -> str:
    """A ratio as ``1.8×``; below a hundredth and above 99 only a bound, as more digits would mean nothing."""
    if ratio > 99:
        return ">99×"
    if ratio < 0.01:
        return "<0.01×"
    return f"{ratio:.2f}×" if ratio < 1 else f"{ratio:.1f}×"


def whole_percent(value: float) -> str:
    """A percentile in [0, 100] without decimals; 0 and 100 only when it is exactly that."""
    if 0 < value < 1:
        return "<1 %"
    if 99 < value < 100:
        return ">99 %"
    return f"{value:.0f} %"


def objection(row: Neighbour, called: str) -> str | None:
    """Why a case speaks against ``called``, or None: what it is, and what the network calls it."""
    label, predicted = printable(row.case.label), printable(row.case.predicted)
    if called not in (row.case.predicted, row.case.label):
        return f"labelled and predicted {label}" if label == predicted else f"labelled {label}, predicted {predicted}"
    if row.case.predicted != called:
        return f"predicted {predicted}, though labelled {label}"
    if row.case.label != called:
        return f"labelled {label}, though predicted {predicted}"
    return None


def objections(rows: Sequence[Neighbour], called: str) -> str:
    """The kinds of contradiction in some rows, counted: ``2 are labelled and predicted dog; 1 is …``."""
    kinds = Counter(reason for row in rows if (reason := objection(row, called)))
    return "; ".join(f"{n} {'is' if n == 1 else 'are'} {reason}" for reason, n in kinds.most_common())


def alike(row: Neighbour) -> tuple[str, str]:
    """The percentile as shown large, and the words that belong to it."""
    predicted = printable(row.case.predicted)
    if row.percentile is None:
        return "–", f"how alike is not known: too few pairs predicted {predicted} to compare with"
    return whole_percent(row.percentile), f"of {predicted} pairs are no more alike than these two"


def detail(row: Neighbour) -> str:
    """The distance, from what to what, and the near-duplicates folded into the row."""
    folded = f" · ×{row.group_size} near-duplicates" if row.group_size > 1 else ""
    return f"distance {row.distance:.3f}{folded}"


def comparable(gate: Comparable, called: str) -> str:
    """How usual the nearest twin's distance is, with n and interval."""
    return (
        f"{percent(gate.share)} of {counted(gate.n, 'image')} predicted {printable(called)} have their own nearest "
        f"twin as far away or farther (95 % interval {percent(gate.low)} to {percent(gate.high)})."
    )


def rival_lead(rival: Rival, called_probability: float) -> str:
    """What a rival's section says first: its probability, why it is asked about, how many cases there are."""
    why = _REASONS.get(rival.reason, printable(rival.reason))
    asked = f"Softmax {percent(rival.probability)}, against {percent(called_probability)} for the answer; {why}."
    if not rival.available:
        return asked
    are = "is" if rival.available == 1 else "are"
    return f"{asked} {counted(rival.available, 'case')} of this base {are} predicted so."


def against(check: Deletion) -> bool:
    """Whether hiding the marked part raises the probability, and more than every random choice does."""
    return check.marked < -SLIGHT and check.draws > 0 and check.as_much == check.draws


def deletion(check: Deletion) -> Statement:
    """Whether hiding the marked part changes the answer more than hiding as much at random."""
    name = printable(check.target)

    def moved(drop: float) -> str:
        return f"raises P({name}) by {-drop:.2f}" if drop <= -0.005 else f"lowers P({name}) by {max(drop, 0.0):.2f}"

    random = moved(check.random).replace(f"P({name})", "it")
    text = (
        f"Hiding the {check.share:.0%} of the picture that the map for {name} marks {moved(check.marked)}; hiding as "
        f"much at random {random} on average, and in {check.as_much} of {check.draws} draws by as much."
    ).replace("%", " %", 1)
    if check.convincing:
        return Statement(text)
    if abs(check.marked) <= SLIGHT and abs(check.random) <= SLIGHT:
        return Statement(f"{text} The answer hangs on no single place, so this says nothing for or against the map.")
    if against(check):
        return Statement(f"{text} This map marks what speaks against {name}, not for it.", Level.CAUTION)
    return Statement(f"{text} This map does not mark what P({name}) depends on.", Level.CAUTION)


def carried(map_: WhereMap) -> float:
    """The share of a pair's similarity that its where map explains, in [0, 1]."""
    return max(0.0, 1.0 - map_.residual / max(abs(map_.similarity), 1e-12))


def where_check(maps: Sequence[WhereMap]) -> Statement | None:
    """How much of the likeness the where maps explain, at the worst; None without maps."""
    if not maps:
        return None
    shares = [carried(one) for one in maps]
    hidden = sum(share < CARRIES for share in shares)
    text = (
        f"The where maps explain at least {percent(min(shares))} of the likeness they stand for "
        f"({counted(len(maps), 'pair')}; largest residual {max(one.residual for one in maps):.3f} of cosine)."
    )
    if not hidden:
        return Statement(text)
    left_out = f" {counted(hidden, 'map')} that {'explains' if hidden == 1 else 'explain'} less than half left out."
    return Statement(text + left_out, Level.CAUTION)


def disagreement(rows: Sequence[Neighbour]) -> Statement | None:
    """Which of the cases shown have a label the network does not share; None where all agree."""
    cases = {row.case.id: row.case for row in rows}
    wrong = [one.id for one in cases.values() if one.disputed]
    if not wrong:
        return None
    are = "is" if len(wrong) == 1 else "are"
    return Statement(
        f"{len(wrong)} of the {counted(len(cases), 'case')} shown {are} labelled otherwise than predicted "
        f"({some(wrong, 4)}): there either the label is wrong or the network is.",
        Level.CAUTION,
    )


def emptiness(answer: Retrieval, role: Role) -> str:
    """Why a list has no row, said where the row would stand."""
    called = printable(answer.called)
    if role == Role.NEAREST:
        return "No case to compare with: this base holds nothing but the query itself."
    if role == Role.TWIN:
        return f"No case predicted {called} in this base; nothing here can be called a twin."
    if not answer.twins or not answer.counterfactuals:
        return "This needs a twin and a case of another class, and one of them is missing."
    return f"No case predicted {called} lies between the query and its nearest rival case."
