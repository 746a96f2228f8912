"""Tables of matches held against what people drew: masks of the object, places of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from casebase.evaluate.prototypes import annotated
from casebase.evaluate.prototypes.aim import KINDS
from casebase.evaluate.prototypes.figures import free, over_prototypes, picked
from casebase.evaluate.prototypes.study import Profile, Study
from casebase.evaluations import Cell, Column, Measured, Table
from casebase.shares import share

SET = Column("set", "prototypes")
Rows = list[Mapping[str, Cell]]
AIMED = {
    "cell": "best cell", "map": "similarity map", "random": "a cell at random", "centre": "the centre of the view",
}  # fmt: skip


def drawn_tables(found: Study) -> list[Table]:
    """Those for which masks or parts were given."""
    masked = any(one is not None for profile in found.profiles for one in profile.look.aims)
    return [*([_aims(found)] if masked else []), *([_parts(found)] if found.run.parts is not None else [])]


def aimed(
    one: Profile, found: Study, kind: str, figure: Literal["pointing", "energy"], over: str | None = None
) -> Measured:
    """One figure of one kind over the images with a mask; less that of ``over``, image by image, if it is named."""
    values: list[float | None] = []
    for each in one.look.aims:
        own = None if each is None else getattr(each[kind], figure)
        other = None if each is None or over is None else getattr(each[over], figure)
        if over is None:
            values.append(own)
        else:
            values.append(None if own is None or other is None else own - other)
    if over is None:
        return picked(values, found.draws, "no mask")
    there = np.array([value is not None for value in values], np.bool_)
    return free(np.array([value for value in values if value is not None], np.float64), found.draws.of_rows(there))


def _aims(found: Study) -> Table:
    rows: Rows = [
        {
            "set": one.found.profile, "where": AIMED[kind], "pointing": aimed(one, found, kind, "pointing"),
            "energy": aimed(one, found, kind, "energy"),
            "more": aimed(one, found, kind, "energy", "random") if kind != "random" else None,
        }
        for one in found.profiles
        for kind in KINDS
    ]  # fmt: skip
    return Table(
        "aims",
        "Do the strongest matches lie on the object?",
        "Inside the masks, for the strongest match of each image. A cell at random and the centre know nothing.",
        [
            SET, Column("where", "what"),
            Column("pointing", "pointing", "share", "images whose middle or peak lies on the object"),
            Column("energy", "energy", "share", "share of the cell, or of the map's mass, on the object"),
            Column("more", "over a random cell", "points", "energy less that of a random cell, paired"),
        ],
        rows,
    )  # fmt: skip


def _parts(found: Study) -> Table:
    rows: Rows = []
    for one in found.profiles:
        if one.consistency is None or one.part_purity is None:
            continue
        judged = one.consistency.judged
        rows.append({
            "set": one.found.profile,
            "consistency": share(int(one.consistency.consistent[judged].sum()), int(judged.sum())),
            "stability": picked(one.look.hits_kept, found.sample, "no sampled image with parts"),
            "purity": over_prototypes(one.part_purity, found.run.seed, "fewer than 10 images with parts"),
        })  # fmt: skip
    return Table(
        "parts",
        "Do prototypes find the same part each time?",
        f"On {int(found.looked.annotated.sum())} images with annotated parts; boxes scale with the view.",
        [
            SET,
            Column("consistency", "consistent", "share", "prototypes with one part in their box in at least "
                   f"{annotated.ALWAYS:.0%} of their class's images that show it (EvalProtoPNet); n counts prototypes"),
            Column("stability", "stable", "share", "of the image's class, those that hit the same parts under noise; "
                   "mean over images"),
            Column("purity", "part purity", "share", "of a prototype's ten most similar patches, those with one part "
                   "(PIP-Net), left and right taken as one; n counts prototypes"),
        ],
        rows,
    )  # fmt: skip
