"""Which classes a training swaps codes between: asked before any image is read. Knows no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from casebase.association import PREDICTED
from casebase.errors import DataError, UsageError
from casebase.networks.cae.recipe import PRESETS, CaeRecipe
from casebase.reading import printable

FEWEST = 10
"""Cases of a class, at least: some of them are set aside to judge by, and every swap borrows from the others."""


def enough(labels: Sequence[str], predicted: Sequence[str], recipe: CaeRecipe, known: Sequence[str]) -> tuple[str, ...]:
    """The classes that take part, in the order of ``known``, the network's classes.

    Those with at least ``FEWEST`` cases of these ``labels`` and answers. Raises ``DataError`` where that leaves fewer
    than two, and for labels the network does not know; ``UsageError`` for a step of more pairs than there are cases.
    """
    counts = _counted(labels, predicted, recipe)
    if len(counts) < 2:
        raise DataError(_alone(counts, labels, recipe))
    strange = [name for name in counts if name not in known]
    if strange:
        n = sum(counts[name] for name in strange)
        raise DataError(
            f"--target labels swaps between the network's own classes, and {n} of {len(labels)} cases are labelled "
            f"otherwise, {printable(strange[0])!r} for one; use --target predicted, or index them again with labels it "
            "knows"
        )
    found = tuple(name for name in known if counts[name] >= FEWEST)
    if len(found) < 2:
        more = ", …" if len(counts) > 4 else ""
        there = ", ".join(f"{printable(name)!r} has {n}" for name, n in counts.most_common(4))
        raise DataError(
            f"class codes are swapped between classes of at least {FEWEST} cases each, and fewer than two have so many "
            f"that are {_said(recipe)} so: {there}{more}; index more images of a second class"
        )
    cases = sum(counts[name] for name in found)
    if recipe.plan.batch > cases:
        raise UsageError(
            f"--batch-size {recipe.plan.batch:,} asks for more pairs a step than the {cases:,} cases that take part; "
            f"name at most {cases:,}; the preset's own is {PRESETS[recipe.preset].batch}"
        )
    return found


def scarce(
    labels: Sequence[str], predicted: Sequence[str], recipe: CaeRecipe, taking_part: Sequence[str]
) -> Mapping[str, int]:
    """The classes that some cases have and that do not take part, with their number of cases."""
    return {n: count for n, count in _counted(labels, predicted, recipe).items() if n not in taking_part}


def _counted(labels: Sequence[str], predicted: Sequence[str], recipe: CaeRecipe) -> Counter[str]:
    return Counter(predicted if recipe.target == PREDICTED else labels)


def _alone(counts: Mapping[str, int], labels: Sequence[str], recipe: CaeRecipe) -> str:
    said = _said(recipe)
    only = ", ".join(f"all {n} cases are {said} {printable(name)!r}" for name, n in counts.items())
    several = len(set(labels))
    other = f"--target labels learns the {several} labels" if recipe.target == PREDICTED and several > 1 else ""
    return (
        "a class association embedding swaps what belongs to a class between two classes, and "
        f"{only or 'there is no case'}; {other or 'index images of a second class'}"
    )


def _said(recipe: CaeRecipe) -> str:
    return "called" if recipe.target == PREDICTED else "labelled"
