"""Tables of what matches are worth: under noise, re-encoded, with their patches hidden, with their boxes checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.prototypes.figures import free, picked
from casebase.evaluate.prototypes.formats import Swap, title
from casebase.evaluate.prototypes.study import Profile, Study
from casebase.evaluate.resampling import Draws
from casebase.evaluations import Cell, Column, Measured, Table
from casebase.reading import printable

SET = Column("set", "prototypes")
Rows = list[Mapping[str, Cell]]


def match_tables(found: Study) -> list[Table]:
    """Those of the sampled images; none without a sample."""
    if not len(found.looked.sampled):
        return []
    return [_steadiness(found), _formats(found), _by_class(found), _deletion(found), _checks(found)]


def steadiness(one: Profile, found: Study) -> dict[str, Measured]:
    """The three figures of one set under noise; refused without a sample."""
    steady = one.look.steady
    there = np.array([each is not None for each in steady], np.bool_)
    tops = np.array([each.top_stayed for each in steady if each is not None], np.bool_)
    return {
        "cells": picked([None if each is None else each.cells for each in steady], found.sample, _NO_OWN),
        "top": found.sample.of_rows(there).mean(tops, _NO_OWN),
        "region": picked([None if each is None else each.region for each in steady], found.sample, _NO_OWN),
    }


def _steadiness(found: Study) -> Table:
    rows: Rows = [{"set": one.found.profile, **steadiness(one, found)} for one in found.profiles]
    return Table(
        "steadiness",
        "Do matches stay where they are under noise?",
        "Gaussian noise of 0.2 on the normalised image, cut at 0.25, as in EvalProtoPNet: nobody sees another picture.",
        [
            SET,
            Column("cells", "same cell", "share", "prototypes of the class they choose whose best cell "
                   "stays; mean over images"),
            Column("top", "same cell, strongest", "share", "images in which the strongest match stays in its cell"),
            Column("region", "overlap of the top 5 %", "share", "intersection over union of the most similar 5 % of "
                   "the view, before and after"),
        ],
        rows,
    )  # fmt: skip


_NO_OWN = "no prototype of the class called"


def _formats(found: Study) -> Table:
    everything = np.ones(len(found.looked.sampled), np.bool_)
    rows: Rows = [
        {"set": one.found.profile, "change": title(quality), **_swapped(found, change, quality, everything)}
        for one in found.profiles
        for quality, change in one.swaps.items()
    ]
    return Table(
        "formats",
        "Do matches survive another encoding?",
        "The whole image is saved as JPEG and read again. Where matches jump and the picture looks the same, they hang "
        "on traces of the encoding.",
        [SET, Column("change", "image"), *_FORMATS],
        rows,
    )


_FORMATS = (
    Column("top", "same strongest", "share", "images whose strongest match is still the same prototype"),
    Column("class", "other class", "share", "images that the prototypes now call something else"),
    Column("network", "network changes", "share", "control: images that the network itself now calls something else"),
    Column(
        "relative",
        "fall in SD",
        "number",
        "how far the similarity of the strongest match falls, in standard deviations "
        "of it over images; negative: it rises. As it is, not divided, it is in the file",
    ),
)


def _swapped(found: Study, change: Swap, quality: int | None, rows: NDArray[np.bool_]) -> Mapping[str, Cell]:
    draws = found.sample.of_rows(rows)
    return {
        "top": draws.mean(change.same_top[rows]), "class": draws.mean(change.changed[rows]),
        "network": draws.mean(found.network_changed[quality][rows]),
        "fall": free(change.fall[rows], draws), "relative": free(change.relative[rows], draws),
    }  # fmt: skip


def by_class(found: Study) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each label of the sampled images, with which of them have it."""
    truth = found.truth[found.looked.sampled]
    for number in np.unique(truth).tolist():
        yield found.outcomes.names[number], truth == number


def _by_class(found: Study) -> Table:
    rows: Rows = [
        {"set": one.found.profile, "label": printable(name), "change": title(quality),
         **_swapped(found, change, quality, where)}
        for one in found.profiles
        for quality, change in one.swaps.items() if quality is not None
        for name, where in by_class(found)
    ]  # fmt: skip
    return Table(
        "formats_classes",
        "Whose matches hang on the encoding?",
        "The same by label: where one class came as JPEG and the other as PNG, saving again moves one of them.",
        [SET, Column("label", "label"), Column("change", "image"), *_FORMATS],
        rows,
        shown=16,
        detail=True,
    )


def _deletion(found: Study) -> Table:
    rows: Rows = []
    for one in found.profiles:
        drops = one.look.drops
        there = np.array([each is not None for each in drops], np.bool_)
        known = [each for each in drops if each is not None]
        draws = found.sample.of_rows(there)
        for over, matched, random in (
            ("the network's probability", [each.network for each in known], [each.network_random for each in known]),
            ("the prototypes' score", [each.score for each in known], [each.score_random for each in known]),
        ):
            ours, theirs = np.array(matched, np.float64), np.array(random, np.float64)
            rows.append({
                "set": one.found.profile, "of": over, "matched": free(ours, draws), "random": free(theirs, draws),
                "more": free(ours - theirs, draws),
            })  # fmt: skip
    return Table(
        "deletion",
        "Does the answer rest on the matched patches?",
        "The three strongest matched cells are blurred, against as many cells elsewhere (five draws). The probability "
        "is that of the class the network answers, the score that of the class the prototypes choose.",
        [
            SET, Column("of", "fall of"),
            Column("matched", "matched hidden", "number", "mean fall when the matched cells are hidden"),
            Column("random", "others hidden", "number", "mean fall when as many others are hidden"),
            Column("more", "difference", "number", "above 0: matched patches count for more than others; paired"),
        ],
        rows,
    )  # fmt: skip


def rests_on_box(one: Profile, found: Study) -> tuple[Measured, Measured]:
    """The share of matches that rest on their box, and what boxes that mean nothing would reach."""
    checks = one.look.checks
    draws = Draws(found.sample.counts[:, : len(checks)], found.sample.cluster[: len(checks)])
    agrees = [float(np.mean([each.agrees for each in several])) if several else None for several in checks]
    # of k + 1 boxes that mean nothing each is as likely to be any place in the order of their falls
    chance = [(each.draws // 8 + 1) / (each.draws + 1) for several in checks for each in several]
    return picked(agrees, draws, _NO_ROOM), Measured(float(np.mean(chance)) if chance else None, n=len(chance))


def _checks(found: Study) -> Table:
    rows: Rows = []
    for one in found.profiles:
        agrees, chance = rests_on_box(one, found)
        rows.append({"set": one.found.profile, "matches": chance.n, "agrees": agrees, "chance": chance})
    return Table(
        "localisation",
        "Do similarities rest on the box that is shown?",
        "The box of a match is blurred, against boxes elsewhere: a cell has seen more of the view than it marks.",
        [
            SET, Column("matches", "matches", "count"),
            Column("agrees", "rests on its box", "share", "matches whose similarity falls more than with nearly any "
                   "other box (at most 1 in 8); mean over images"),
            Column("chance", "by chance", "share", "what boxes that mean nothing would reach"),
        ],
        rows,
    )  # fmt: skip


_NO_ROOM = "no room for boxes elsewhere"
