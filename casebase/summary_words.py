"""Summaries in words: what was summarised, what is left unexplained, and why a case is odd."""

from __future__ import annotations

from casebase.evaluations import told
from casebase.reading import percent, printable
from casebase.summaries import ClassSummary, Criticism, Summary


def title(summary: Summary) -> str:
    """What was summarised: ``Typical cases of 2 classes``."""
    n = len(summary.classes)
    how = "as the network calls them" if summary.wanted.by == "predicted" else "as they are labelled"
    return f"Typical cases of {n} class{'' if n == 1 else 'es'}, {how}"


def why(found: Criticism, name: str) -> str:
    """Why a case is odd, in one or two sentences; a disputed label first."""
    case, said = found.case, []
    if case.disputed:
        said.append(
            f"Labelled {printable(case.label)}, called {printable(case.predicted)} with "
            f"{percent(case.confidence)}: look whether the label is right."
        )
    if found.witness > 0:
        said.append(f"{printable(name)} has more like it than the typical cases account for.")
    else:
        said.append(f"The typical cases stand for more like it than {printable(name)} has.")
    odder = "all others" if found.odder_than == 1.0 else f"{percent(found.odder_than)} of the others"
    said.append(f"It is less like its class than {odder}.")
    return " ".join(said)


def left(one: ClassSummary) -> str:
    """How much of a class its typical cases leave unexplained, beside the control."""
    m = len(one.typical)
    if m == one.considered or one.bandwidth is None:
        return "One case stands for the whole class." if m == 1 else "Every case is a typical one."
    random = percent(one.chance / one.nothing)
    with_odd = percent(one.with_criticisms / one.nothing)
    many = f"{m} cases drawn at random" if m > 1 else "a case drawn at random"
    and_odd = f", {with_odd} with the odd cases among them" if one.criticisms else ""
    return (
        f"{percent(one.left)} of the class is left over (MMD² {one.residual:.4f} of {one.nothing:.4f}){and_odd}; "
        f"{many} leave {random}, on average of 20 draws."
    )


def recognised(one: ClassSummary) -> str | None:
    """How often the nearest typical case is of this class, for measured images of the class."""
    if one.recognised.value is None:
        return None
    figure = told(one.recognised, "share")
    return f"For {figure} of its {one.recognised.n} measured images, the nearest typical case is of this class."


def nearest_in_words(summary: Summary) -> str:
    """How far the nearest typical case alone would answer, with intervals; or why that was not measured."""
    accuracy, agreement = summary.accuracy, summary.agreement
    if accuracy.value is None:
        return f"How far the nearest typical case would answer was not measured: {summary.measured_on}."
    return (
        f"The nearest typical case has the right label for {told(accuracy, 'share')} of {summary.measured_on} "
        f"(n = {accuracy.n}) and says what the network says for {told(agreement, 'share')}; the network itself is "
        f"right for {told(summary.own_accuracy, 'share')}."
    )


def left_out(summary: Summary) -> str:
    """How many classes are not shown, and how to see them."""
    order = {"disputed": "most disputed cases", "residual": "largest share left over", "name": "their names"}
    shown = len(summary.shown)
    return (
        f"{summary.left_out} of {len(summary.classes)} classes are not shown: these are the first {shown} in order of "
        f"{order[summary.wanted.sort]}. --class NAME shows one, --shown N more; the JSON has all."
    )
