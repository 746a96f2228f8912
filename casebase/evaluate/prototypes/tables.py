"""The tables of ``casebase evaluate prototypes``: the network and its sets first, then what each match is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from casebase.evaluate.prototypes import annotated
from casebase.evaluate.prototypes.census import NEAREST
from casebase.evaluate.prototypes.drawn_tables import drawn_tables
from casebase.evaluate.prototypes.figures import free, over_prototypes
from casebase.evaluate.prototypes.match_tables import match_tables
from casebase.evaluate.prototypes.standing import Standing
from casebase.evaluate.prototypes.study import Profile, Study
from casebase.evaluations import Cell, Column, Measured, Table
from casebase.prototypes import Stage
from casebase.reading import printable
from casebase.shares import share

SET = Column("set", "prototypes")
Rows = list[Mapping[str, Cell]]


def tables(found: Study) -> list[Table]:
    """All tables, in the order of the page."""
    return [_standing(found), *_stages(found), _makeup(found), *match_tables(found), *drawn_tables(found), _each(found)]


def _standing(found: Study) -> Table:
    rows: Rows = [_stood("the network", found.network, found)]
    rows += [_stood(one.found.profile, one.standing, found) for one in found.profiles]
    return Table(
        "standing",
        "How often are they right, beside the network?",
        f"All rows use the same {found.n} images. A gap of 0 means that the prototypes are as good as the network they "
        "explain; without agreement they explain something else.",
        [
            Column("set", "answers of"),
            Column("accuracy", "accuracy", "share", "how often the answer is the label"),
            Column("balanced", "balanced accuracy", "share", "mean over classes of the share of their images that is "
                   "answered rightly"),
            Column("gap", "gap", "points", "balanced accuracy less the network's, in points; the interval is paired"),
            Column("agreement", "agreement", "share", "how often the prototypes answer as the network does"),
            Column("agreement_on_errors", "on its errors", "share", "the same where the network is wrong"),
            Column("most", "named too often", "text", "the class whose share of the answers exceeds its share of the "
                   "labels most"),
            Column("excess", "by", "points", "that excess; a collapsed class shows here"),
        ],
        rows,
    )  # fmt: skip


def _stood(name: str, one: Standing, found: Study) -> Mapping[str, Cell]:
    beyond = one.excess > 0
    return {
        "set": name, "accuracy": one.accuracy, "balanced": one.balanced, "gap": one.gap,
        "agreement": one.agreement, "agreement_on_errors": one.agreement_on_errors,
        "most": printable(found.outcomes.names[one.swallowed]) if beyond else None,
        "excess": Measured(one.excess, n=found.n) if beyond else None,
    }  # fmt: skip


def _stages(found: Study) -> list[Table]:
    rows: Rows = []
    for one in found.profiles:
        measured = {**one.earlier, one.found.stages[-1].name: one.standing} if one.found.stages else {}
        rows += [
            {"set": one.found.profile, "stage": printable(stage.name), **_stage(stage, measured.get(stage.name))}
            for stage in one.found.stages
            if stage.figures.get("accuracy") is not None
        ]
    if not rows:
        return []
    return [Table(
        "stages",
        "What did each step of the training cost?",
        f"The first columns are measured on the same {found.n} images as above; of the first stage, whose map of the "
        "cells was another one, nothing is kept. The judged ones are what the training itself saw.",
        [
            SET, Column("stage", "stage"),
            Column("accuracy", "accuracy", "share", "how often the answer is the label"),
            Column("balanced", "balanced accuracy", "share", "mean over classes"),
            Column("gap", "gap", "points", "balanced accuracy less the network's; the interval is paired"),
            Column("judged", "judged in training", "share", "accuracy on the cases that the training judged by"),
            Column("prototypes", "number", "count"),
        ],
        rows,
        [f"{row['set']}: judged in training on {row['cases']}." for row in {str(r["set"]): r for r in rows}.values()],
    )]  # fmt: skip


def _stage(stage: Stage, here: Standing | None) -> Mapping[str, Cell]:
    figures, n = stage.figures, int(stage.figures.get("n") or 0)
    accuracy = float(figures["accuracy"] or 0.0)
    aside = "kept aside (validation)" if figures.get("aside", 1) else "learnt from too"
    return {
        "cases": f"{n} cases {aside}" if n else None,
        "accuracy": None if here is None else here.accuracy,
        "balanced": None if here is None else here.balanced,
        "gap": None if here is None else here.gap,
        "judged": share(round(accuracy * n), n) if n else Measured(accuracy),
        **{name: _count(figures.get(name)) for name in ("prototypes", "distinct", "sources")},
        "alarms": len(stage.alarms),
    }


def _count(value: float | None) -> int | None:
    return None if value is None else int(value)


def _makeup(found: Study) -> Table:
    rows: Rows = []
    for one in found.profiles:
        made = one.census
        rows.append({
            "set": one.found.profile, "count": made.count,
            "per_class": f"{made.fewest}–{made.most}" if made.fewest != made.most else str(made.most),
            "distinct": Measured(made.distinct / made.count, n=made.count),
            "sources": Measured(made.sources / made.count, n=made.count),
            "cosine": Measured(made.cosine, n=made.pairs, reason=None if made.pairs else "no class has two"),
            "purity": over_prototypes(one.purity, found.run.seed),
            "local": free(one.look.sight.local_size(), found.draws),
        })  # fmt: skip
    return Table(
        "makeup",
        "What do the sets consist of?",
        "A set may be right with ten copies of one part; then it explains little.",
        [
            SET, Column("count", "number", "count"), Column("per_class", "per class"),
            Column("distinct", "distinct", "share", "share with a patch of their own: another image, row or column"),
            Column("sources", "source images", "share", "different source images per prototype; 100 % is one each"),
            Column("cosine", "cosine within class", "number", "mean over pairs of one class; 1 means copies"),
            Column("purity", "purity@10", "share", "of the ten images most similar to a prototype, the share with "
                   "its class as label; mean and bootstrap interval over prototypes"),
            Column("local", "local size", "number", "contributions above a tenth of the largest, mean over "
                   "images"),
        ],
        rows,
    )  # fmt: skip


def _each(found: Study) -> Table:
    rows: Rows = [row for one in found.profiles for row in _prototypes(one, found)]
    known = found.run.parts is not None
    extra: Sequence[Column] = [
        Column("part", "finds", "text", "the part it finds most consistently in its class"),
        Column("consistency", "in", "share", "of the images of its class that show the part"),
        Column("part_purity", "part purity", "share", "of its ten most similar patches, those with one part"),
    ]  # fmt: skip
    return Table(
        "each",
        "Which prototype is worth what?",
        "One row per prototype; `casebase prototypes show` has their pictures.",
        [
            SET, Column("prototype", "id", "count"), Column("class", "class"), Column("case", "source case"),
            Column("weight", "weight", "number"), Column("purity", "purity@10", "share"),
            Column("strongest", "strongest in", "count", "images here in which it adds most to the answer"),
            *(extra if known else ()),
        ],
        rows,
        shown=12,
        detail=True,
    )  # fmt: skip


def _prototypes(one: Profile, found: Study) -> Rows:
    rows: Rows = []
    strongest = np.bincount(one.look.sight.top, minlength=len(one.owners))
    names = () if found.run.parts is None else found.run.parts.names
    for place, prototype in enumerate(one.found.prototypes):
        looked_at = min(NEAREST, int((found.truth == one.owners[place]).sum()))
        row: dict[str, Cell] = {
            "set": one.found.profile, "prototype": prototype.number, "class": printable(prototype.of_class),
            "case": prototype.patch.case_id, "weight": prototype.weight,
            "purity": Measured(_known(one.purity[place]), n=looked_at), "strongest": int(strongest[place]),
        }  # fmt: skip
        if one.consistency is not None and one.part_purity is not None:
            part = int(one.consistency.part[place])
            row |= {
                "part": printable(names[part]) if part >= 0 else None,
                "consistency": Measured(_known(one.consistency.share[place]), n=int(one.consistency.shown[place])),
                "part_purity": Measured(_known(one.part_purity[place]), n=annotated.NEAREST),
            }
        rows.append(row)
    return rows


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
