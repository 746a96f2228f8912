"""A class association embedding as a page: its gates, its log, the map of all cases, and samples of what it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from casebase.association import COMPLETE, Association, Coordinates, Direction, Manifold, Standing
from casebase.association_pages import AssociationPage, Grid, Swap
from casebase.explain.cae import walk_words
from casebase.explain.cae.map_section import map_section
from casebase.explain.sentences import counted
from casebase.explanations import Level, Statement
from casebase.networks.cae import checks
from casebase.reading import percent, printable, some
from casebase.reuse import wilson

PASSED, MISSED, TOLD = "passed", "missed", "told only"


def page(
    found: Association,
    facts: Mapping[str, str],
    *,
    manifold: Manifold | None,
    swaps: Sequence[Swap] = (),
    coordinates: Coordinates | None = None,
    seed: int = 0,
) -> AssociationPage:
    """An embedding with its gates; without a ``manifold`` its pictures are held back, and a sentence says so."""
    held = None
    if manifold is None:
        held = Statement(
            f"Held back: {walk_words.gates(found.failed)}. --untrusted shows them all the same, marked.", Level.CAUTION
        )
    size = found.size
    learnt = "what the network says" if found.target == "predicted" else "the labels"
    return AssociationPage(
        found=found,
        title=f"Class association embedding of {counted(len(found.classes), 'class', 'classes')}",
        lead=(
            f"Preset {printable(found.preset)}, {size.side} x {size.side} pixels, class codes of {size.code} numbers, "
            f"trained on {learnt}: {some(list(found.classes))}."
        ),
        warnings=_warnings(found, shown=manifold is not None),
        gates=gates(found.standing),
        directions=directions(found.standing),
        log=log(found.log, found.standing),
        map=None if manifold is None else map_section(manifold, seed=seed),
        manifold=manifold,
        swaps=swaps,
        held_back=held,
        reading=reading(),
        facts=facts,
        effects=None if coordinates is None else effects(coordinates),
        coordinates=coordinates,
    )


def in_short(found: Association) -> AssociationPage:
    """What a training has just ended with: gates, directions and log, without pictures."""
    short = page(found, {}, manifold=None)
    passed = [Statement("Every gate was passed.")] if found.trustworthy else []
    return replace(short, held_back=None, warnings=[*short.warnings, *passed])


def gates(standing: Standing) -> Grid:
    """What must hold before a view may be shown, as measured; and what is told beside it."""
    worst = standing.worst
    rows = []
    if worst is not None:
        low, high = wilson(round(worst.reassigned * worst.n), worst.n)
        rows.append([
            f"reassigned, worst direction ({_way(worst)})",
            f"{percent(worst.reassigned)} of {worst.n} edits ({percent(low)} to {percent(high)})",
            *_least(worst.reassigned, checks.REASSIGNED),
        ])  # fmt: skip
    most = checks.most_donors(standing)
    rows += [
        ["edits nearer to their source than to their lender", percent(standing.nearer_source),
         f"more than {percent(checks.NEARER)}", _verdict(standing.nearer_source > checks.NEARER)],
        ["edits nearest, of all lenders, to their own", _by_chance(standing.donor_rank1, standing.chance_donor),
         f"at most {percent(most)}", _verdict(standing.donor_rank1 <= most)],
        ["the network agrees with itself on reconstructions", percent(standing.rebuilt),
         *_least(standing.rebuilt, checks.REBUILT)],
        ["the network agrees with itself on images at this size", percent(standing.resized),
         *_least(standing.resized, checks.RESIZED)],
    ]  # fmt: skip
    if standing.monotone is not None:
        held = _least(standing.monotone, checks.MONOTONE)
        rows.append(["steps of a walk on which the rival's probability does not fall", percent(standing.monotone),
                     *held])  # fmt: skip
    return Grid(
        ("gate", "measured", "asked", "verdict"),
        [*rows, *_beside(standing)],
        f"Measured on {counted(standing.n, 'image')} that the training has not learnt from, after "
        f"{standing.iteration:,} iterations; every edit is judged by the explained network over all its classes.",
    )


def directions(standing: Standing) -> Grid:
    """Reassignment from each class to each."""
    rows = []
    for one in standing.directions:
        low, high = wilson(round(one.reassigned * one.n), one.n) if one.n else (0.0, 1.0)
        rows.append([printable(one.source), printable(one.towards), percent(one.reassigned),
                     f"{percent(low)} to {percent(high)}", str(one.n)])  # fmt: skip
    return Grid(
        ("from", "to", "reassigned", "95 % interval", "edits"), rows,
        "Share of edits that the network gives to the lender's class; Wilson's interval.",
    )  # fmt: skip


def log(standings: Sequence[Standing], chosen: Standing) -> Grid:
    """A row for each checkpoint; the one that was chosen has a disc."""
    heads = ("iteration", "worst direction", "kept when rebuilt", "error", "nearer source", "own first",
             "lender first", "codes separable", "leak")  # fmt: skip
    rows = [
        [
            f"{'● ' if one.iteration == chosen.iteration else ''}{one.iteration:,}",
            "–" if one.worst is None else percent(one.worst.reassigned),
            percent(one.rebuilt), percent(one.error), percent(one.nearer_source), percent(one.own_rank1),
            percent(one.donor_rank1), _share(one.separable), _share(one.leak),
        ]
        for one in standings
    ]  # fmt: skip
    return Grid(
        heads, rows,
        "Training does not get better step by step: the checkpoint kept (●) is the one whose worst direction of "
        "reassignment is best on validation images, of those that hold the other gates before those that do not.",
    )  # fmt: skip


def effects(found: Coordinates) -> Grid:
    """What moving each of the code's numbers by one standard deviation does, the largest effect first."""
    moved = [_moved_most(found, place) for place in found.order]
    rows = [
        [str(place), f"{found.spread[place]:.3g}", printable(found.classes[of]), _points(found.below[place, of]),
         _points(found.above[place, of]), percent(float(found.flipped[place]))]
        for place, of in zip(found.order, moved, strict=True)
    ]  # fmt: skip
    return Grid(
        ("number", "SD", "class moved most", "one SD down", "one SD up", "called otherwise"), rows,
        "Mean change of the probability of the class that moves most, in points, over "
        f"{counted(found.n, 'image')} of the sample sheet; called otherwise: where either move makes the network "
        "say another class.",
    )  # fmt: skip


def _moved_most(found: Coordinates, place: int) -> int:
    """The class whose probability a number of the code moves most."""
    return int(np.maximum(abs(found.below[place]), abs(found.above[place])).argmax())


def _points(change: float) -> str:
    text = f"{100 * float(change):+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def reading() -> list[Statement]:
    """How to read the pages."""
    return [
        Statement(
            "A walk shows what would change the network's answer in this embedding's pictures; it does not show what "
            "the answer rests on, and another embedding may show another change."
        ),
        Statement(
            "Pictures marked synthetic were made by a decoder. Compare them with the retrieved counterfactual, which "
            "is a real case: what both show is worth more than what one shows."
        ),
        Statement(
            "What changed is the flip frame less the reconstruction, not less the image: what the decoder cannot draw "
            "is in both and cancels out."
        ),
    ]


def _warnings(found: Association, *, shown: bool) -> list[Statement]:
    ended = str(found.settings.get("ended", COMPLETE))
    told = [] if ended == COMPLETE else [Statement(f"The training ended early: {printable(ended)}.", Level.CAUTION)]
    if found.trustworthy:
        return told
    return [*told, walk_words.untrusted(found.failed)] if shown else [*told, *walk_words.failed(found)]


def _beside(standing: Standing) -> list[list[str]]:
    """What is measured and told, and no gate."""
    rows = [
        ["edits nearest, of all sources, to their own", _by_chance(standing.own_rank1, standing.chance_own)],
        ["reconstructions nearest, of all sources, to their own",
         _by_chance(standing.rebuilt_rank1, standing.chance_own)],
        ["error of the reconstruction, of the range of values", percent(standing.error)],
    ]  # fmt: skip
    if standing.nearer_source_features is not None:
        rows.append(["edits nearer to their source in the network's features",
                     percent(standing.nearer_source_features)])  # fmt: skip
    if standing.donor_rank1_features is not None:
        rows.append(["edits nearest, of all lenders, to their own in the network's features",
                     _by_chance(standing.donor_rank1_features, standing.chance_donor)])  # fmt: skip
    if standing.separable is not None:
        rows.append(["a linear reader tells the class from class codes", percent(standing.separable)])
    if standing.leak is not None:
        rows.append(["and from individual codes, where it should not",
                     _by_chance(standing.leak, standing.chance_class)])  # fmt: skip
    if standing.flips is not None:
        rows.append(["walks that end with the network calling it the rival", percent(standing.flips)])
    return [[*row, "–", TOLD] for row in rows]


def _by_chance(value: float, chance: float | None) -> str:
    return percent(value) if chance is None else f"{percent(value)}, by chance {percent(chance)}"


def _least(value: float, least: float) -> list[str]:
    return [f"at least {percent(least)}", _verdict(value >= least)]


def _verdict(held: bool) -> str:  # noqa: FBT001  # a comparison, named where it is made
    return PASSED if held else MISSED


def _way(one: Direction) -> str:
    return f"{printable(one.source)} → {printable(one.towards)}"


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)
