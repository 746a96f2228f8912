"""Maps and their checks in plain words. All text is safe to print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase.explain import mapping
from casebase.explain.sentences import SLIGHT, against
from casebase.explanations import SEGMENTS, Deletion, Level, SaliencyMap, Statement
from casebase.reading import printable

DRAWN_CELLS = (56, 56)
DRAWN_PERCENTILE = 99.0
"""Maps of single pixels are drawn in cells and in full colour from here on."""


MUCH_CHANCE = 0.2
"""A map whose pixels have a larger standard error than this share of its range is called one of chance."""


def speckled(found: SaliencyMap) -> bool:
    """Whether a map is one of single pixels, to be drawn coarser than it is."""
    return SEGMENTS not in found.facts and of_pixels(found.values)


def of_pixels(values: NDArray[np.float32]) -> bool:
    """Whether a map ``(H, W)`` is so fine that single pixels of it cannot be seen."""
    return bool(min(values.shape) > 2 * max(DRAWN_CELLS))


def title(method: str) -> str:
    """A method as it is shown."""
    return mapping.entry(method).title


def facts(found: SaliencyMap) -> dict[str, str]:
    """How a map was made, by name, for the provenance."""
    told = {"layer": found.layer} if found.layer else {}
    for name, value in found.facts.items():
        if value is not None and name not in ("layer", SEGMENTS):
            told[name.replace("_", " ")] = _value(value)
    return told


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(inner)}" for name, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_value, value))
    return str(value)


def hangs_nowhere(check: Deletion) -> bool:
    """Whether hiding changes nothing wherever it is done, so that the check speaks neither for nor against the map."""
    return not check.convincing and abs(check.marked) <= SLIGHT and abs(check.random) <= SLIGHT


def shows_later(check: Deletion) -> bool:
    """Whether a map that changes nothing at a fifth falls below every random order where more is hidden."""
    return (
        hangs_nowhere(check)
        and len(check.shares) > 0
        and check.marked_curve[-1] < check.random_low[-1] - SLIGHT
        and check.marked_curve[-1] < check.marked_curve[0] - SLIGHT
    )


def fades(check: Deletion) -> bool:
    """Whether a map that counts at a fifth counts for no more than the mean random order where most is hidden."""
    return check.convincing and len(check.shares) > 0 and check.marked_curve[-1] >= check.random_curve[-1]


def said(check: Deletion) -> Statement:
    """What a check says of its map, in a few words."""
    if fades(check):
        share, last = (f"{value:.0%}".replace("%", " %") for value in (check.share, check.shares[-1]))
        return Statement(
            f"Hiding what this map marks counts for more than chance with {share} hidden, and for no more than chance "
            f"with {last}.",
            Level.CAUTION,
        )
    if check.convincing:
        return Statement("Hiding what this map marks counts for more than chance.")
    if shows_later(check):
        share = f"{check.shares[-1]:.0%}".replace("%", " %")
        return Statement(
            f"Hiding a fifth changes nothing, wherever it lies; with {share} hidden this map counts for more than each "
            f"of {check.random_draws[-1]} random ones."
        )
    if hangs_nowhere(check):
        return Statement("Hiding a fifth changes nothing, wherever it lies: the check says nothing of this map.")
    name = printable(check.target)
    if against(check):
        return Statement(
            f"Hiding what this map marks raises P({name}), more than any of {check.draws} random choices: it marks "
            f"what speaks against {name}, not for it.",
            Level.CAUTION,
        )
    return Statement(
        f"Hiding what this map marks lowers P({name}) no more than chance: here the map means nothing.", Level.CAUTION
    )


def figures(check: Deletion) -> str:
    """What a fifth hidden does to the probability: ``20 % hidden P −0.31, at random −0.04: more than chance``."""
    share = f"{check.share:.0%}".replace("%", " %")
    if hangs_nowhere(check):
        return f"{share} hidden changes nothing, wherever it lies"
    marked, random = (f"{-drop:+.2f}".replace("-", "−") for drop in (check.marked, check.random))
    if against(check):
        return f"{share} hidden P {marked}, at random {random}: against the class, more than chance"
    return f"{share} hidden P {marked}, at random {random}: {'' if check.convincing else 'no '}more than chance"


def curve_alt(check: Deletion) -> str:
    """The numbers of the curve, for those who do not see it."""
    name = printable(check.target)
    steps = [
        f"{share:.0%} hidden {marked:.2f}, at random {random:.2f} ({low:.2f} to {high:.2f})".replace("%", " %", 1)
        for share, marked, random, low, high in zip(
            check.shares[1:], check.marked_curve[1:], check.random_curve[1:], check.random_low[1:],
            check.random_high[1:], strict=True,
        )
    ]  # fmt: skip
    return f"Deletion curve: P({name}) {check.marked_curve[0]:.2f} with nothing hidden; {'; '.join(steps)}."


def notes(found: SaliencyMap) -> list[Statement]:
    """What to know of how one map was made: LIME's fit, SHAP's gap, a walk, a stand-in, blindness."""
    told: list[Statement] = []
    given = found.facts
    if given.get("fit") is not None:
        over = f"{given['superpixels']} superpixels, {given['samples']} samples"
        told.append(Statement(f"R² {given['fit']:.2f}: a linear model of {over}."))
    if given.get("poor_fit"):
        told.append(Statement(f"A poor fit, its weights mean little: {printable(given['poor_fit'])}.", Level.CAUTION))
    if given.get("additivity_gap") is not None:
        told.append(
            Statement(
                f"The shares should sum to {_signed(given['difference'])}, the score against that of the background; "
                f"they miss it by {_signed(given['additivity_gap'])}."
            )
        )
    if given.get("chance") is not None:
        error = f"{given['chance']:.0%}".replace("%", " %")
        level = Level.CAUTION if given["chance"] > MUCH_CHANCE else Level.PLAIN
        text = f"The standard error of a pixel is {error} of the map's range ({given['samples']} masks)."
        told.append(Statement(f"{text} Another seed may show another map." if level is Level.CAUTION else text, level))
    if given.get("class_agnostic"):
        told.append(Statement("This method takes no notice of the class: the map is the same for every one."))
    if speckled(found):
        told.append(
            Statement(
                f"A map of single pixels, drawn in {DRAWN_CELLS[1]} x {DRAWN_CELLS[0]} cells, in full colour from the "
                f"{DRAWN_PERCENTILE:.0f}th percentile on."
            )
        )
    if given.get("flipped") is not None:
        told += _walked(given)
    if given.get("stand_in"):
        told.append(Statement(f"Made by {printable(given['stand_in'])}."))
    return told


def _walked(given: Mapping[str, Any]) -> list[Statement]:
    """How a map of a synthetic counterfactual came about, and where it should not be believed."""
    rival = printable(given["rival"])
    made = f"Synthetic: the difference from {given['compared_with']} of a walk to {rival}"
    if not given["flipped"]:
        text = f"{made}, on which the class never flips, so that the map shows what the whole way changes."
        return [Statement(text, Level.CAUTION)]
    share = f"{given['flip']:.0%}".replace("%", " %")
    told = [Statement(f"{made}, where the class flips, at {share} of the way.")]
    if given["flipped_to"] != given["rival"]:
        other = printable(given["flipped_to"])
        told.append(Statement(f"The class flips to {other} before it could become {rival}.", Level.CAUTION))
    if given["gap"]:
        told.append(Statement("The way crosses a stretch of the map of codes that no cases join.", Level.CAUTION))
    return told


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
