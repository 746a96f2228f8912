"""The tables of ``casebase evaluate cae``: swaps first, then whose they are, the codes, the walks, what is nearer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from casebase.association import ROUTES, Walk
from casebase.evaluate.cae.map_tables import map_tables
from casebase.evaluate.cae.study import Study, mean
from casebase.evaluations import Cell, Column, Measured, Table
from casebase.networks.cae import checks
from casebase.networks.cae.checks import Whose
from casebase.reading import printable

Rows = list[Mapping[str, Cell]]
WHOSE = {
    "pixels": "swaps, in pixels", "features": "swaps, in the network's features", "pasted": "pasted NUN, in pixels",
}  # fmt: skip


def tables(found: Study) -> list[Table]:
    """All tables, in the order of the page."""
    return [_directions(found), _whose(found), _codes(found), *_walks(found), _nearer(found), *map_tables(found)]


def directions(found: Study) -> list[tuple[str, str, Measured, Measured]]:
    """From, to, share of swaps called what was wanted, the same of pasted images."""
    swaps, rows = found.swaps, []
    pooled = len(found.classes) > checks.MOST_PAIRED
    own = np.full(len(swaps.source), -1) if pooled else found.looked.called[swaps.source]
    for source, towards in sorted(set(zip(own.tolist(), swaps.wanted.tolist(), strict=True))):
        there = (own == source) & (swaps.wanted == towards)
        draws = found.edit_draws.of_rows(there)
        shares = [mean((called == swaps.wanted)[there], draws) for called in (swaps.called, swaps.pasted)]
        name = checks.ANY if source < 0 else found.classes[source]
        rows.append((printable(name), printable(found.classes[towards]), shares[0], shares[1]))
    return rows


def _directions(found: Study) -> Table:
    rows: Rows = [
        {"from": source, "to": towards, "reassigned": called, "pasted": pasted}
        for source, towards, called, pasted in directions(found)
    ]
    return Table(
        "directions",
        "Does a class code make the network say its class?",
        "Each image keeps its individual code and gets the class code of another class's image; the network judges. A "
        "high share alone proves nothing: pasting an image of the class achieves it as well.",
        [
            Column("from", "from"), Column("to", "to"),
            Column("reassigned", "reassigned", "share", "swaps that the network calls the lender's class, of all "
                   "classes it knows"),
            Column("pasted", "pasted NUN", "share", "the nearest image of that class in the swap's place"),
        ],
        rows,
    )  # fmt: skip


def _whose(found: Study) -> Table:
    rows: Rows = [
        {"what": title, **_whose_row(found.swaps.whose[name], found)} for name, title in WHOSE.items()
    ]  # fmt: skip
    ceiling = mean(found.rebuilt.own_first, found.draws)
    rows.insert(2, {"what": "reconstructions, in pixels", "own": ceiling, "chance_own": 1.0 / found.looked.n})
    return Table(
        "whose",
        "Whose image is a swap: its own, or its lender's?",
        "A decoder that hands out the lender's image reassigns every swap. In features a swap should come nearer to "
        "the lender's class, but not to the very image that lent the code.",
        [
            Column("what", "what"),
            Column("nearer", "nearer own", "share", "nearer to the image it was made from than to its lender; half "
                   "where it is as near"),
            Column("own", "own first", "share", "of all images, its own is the nearest"),
            Column("chance_own", "by chance", "share"),
            Column("donor", "lender first", "share", "of all images of the wanted class, its lender is the nearest"),
            Column("chance_donor", "by chance", "share"),
        ],
        rows,
        ["The pasted NUN is its own lender, so that its lender is always first."],
    )  # fmt: skip


def _whose_row(one: Whose, found: Study) -> dict[str, Cell]:
    draws = found.edit_draws
    return {
        "nearer": mean(one.nearer_source, draws), "own": mean(one.own_first, draws), "chance_own": 1.0 / one.sources,
        "donor": mean(one.donor_first, draws), "chance_donor": float((1.0 / one.lenders).mean()),
    }  # fmt: skip


def _codes(found: Study) -> Table:
    looked, rebuilt, read = found.looked, found.rebuilt, found.readable
    row: dict[str, Cell] = {
        "resized": mean(looked.resized, found.draws), "rebuilt": mean(rebuilt.called == looked.called, found.draws),
        "error": mean(rebuilt.error, found.draws), "separable": read.separable, "leak": read.leak,
        "chance": read.chance,
    }  # fmt: skip
    return Table(
        "codes",
        "What is lost, and what does either code hold?",
        "The class should be read from the class code, and hardly from the individual code.",
        [
            Column("resized", "reduced alike", "share", "images the network calls the same at the embedding's size"),
            Column("rebuilt", "rebuilt alike", "share", "reconstructions the network calls what it calls the image"),
            Column("error", "error", "number", "mean absolute error of a reconstruction, of the range of values"),
            Column("separable", "class code", "share", "balanced accuracy of a linear reader of the class, learnt on "
                   "cases"),
            Column("leak", "individual code", "share", "the same, pooled, in five folds; near chance is wanted"),
            Column("chance", "chance", "share"),
        ],
        [row],
        [f"The reader of class codes learnt from {read.nodes} cases."],
    )  # fmt: skip


def route(found: Study, name: str) -> dict[str, Measured]:
    """The figures of all walks along one route."""
    walks, draws = found.walked.walks[name], found.walk_draws
    none = "every walk was refused"

    def of(figure: Sequence[float | None]) -> Measured:
        return mean(np.array([np.nan if one is None else one for one in figure], np.float64), draws, none)

    made = [one.refused is None for one in walks]
    return {
        "made": of([float(one) for one in made]),
        "flips": of([float(walk.flip is not None) if there else None for walk, there in zip(walks, made, strict=True)]),
        "ends": of([float(_ends(walk)) if there else None for walk, there in zip(walks, made, strict=True)]),
        "monotone": of([walk.monotone if there else None for walk, there in zip(walks, made, strict=True)]),
        "alpha": of([None if walk.flip is None else walk.flip.at for walk in walks]),
        "covered": of(found.walked.coverage[name].tolist()),
        "gap": of([float(walk.gap) if there else None for walk, there in zip(walks, made, strict=True)]),
    }


def _ends(walk: Walk) -> bool:
    return walk.frames[-1].called == walk.rival


def _walks(found: Study) -> list[Table]:
    rows: Rows = [{"route": name, **route(found, name)} for name in ROUTES]
    return [
        Table(
            "walks",
            "Do walks lead to the other class?",
            f"Both routes start from the same {len(found.walked.rows)} images and lead to the most probable other "
            "class.",
            [
                Column("route", "route"),
                Column("made", "made", "share", "the others are refused: the network calls them otherwise once they "
                       "are reduced or rebuilt"),
                Column("flips", "flip", "share", "the network's class changes on the way"),
                Column("ends", "arrive", "share", "the last frame is called the rival"),
                Column("monotone", "rising", "share", "steps on which the rival's probability does not fall"),
            ],
            rows,
        ),
        Table(
            "ways",
            "By which ways do they go?",
            "A way near cases goes through what the training has seen.",
            [
                Column("route", "route"),
                Column("alpha", "flip at", "number", "part of the way at the flip, 0 the reconstruction, 1 the end"),
                Column("covered", "near cases", "share", "points of the way no farther from a case's code than 95 % "
                       "of cases are from another's"),
                Column("gap", "over a gap", "share", "walks that cross a stretch that no cases join"),
            ],
            rows,
        ),
    ]  # fmt: skip


def nearer(found: Study) -> dict[str, tuple[Measured, Measured, Measured]]:
    """By distance: of the flip frame, of the retrieved case, and how much nearer the flip frame is."""
    near = found.near
    there = np.zeros(len(found.walked.rows), np.bool_)
    there[near.rows] = True
    draws = found.walk_draws.of_rows(there)
    reason = "no walk with a flip and a retrieved case"
    return {
        name: (mean(flip, draws, reason), mean(case, draws, reason), mean(case - flip, draws, reason))
        for name, flip, case in (
            ("pixels", near.flip_pixels, near.retrieved_pixels),
            ("features", near.flip_features, near.retrieved_features),
        )
    }


def _nearer(found: Study) -> Table:
    rows: Rows = [
        {"distance": name, "flip": flip, "retrieved": case, "saved": saved}
        for name, (flip, case, saved) in nearer(found).items()
    ]
    return Table(
        "nearer",
        "Is the flip frame nearer to the image than the counterfactual that is retrieved?",
        "The retrieved one is a real case, the nearest in features that the network calls the rival; the flip frame is "
        "synthetic. All are compared at the embedding's size: in pixels by the mean absolute difference (0 to 1), in "
        "the network's features by 1 - cosine.",
        [
            Column("distance", "distance in"), Column("flip", "flip frame", "number"),
            Column("retrieved", "retrieved case", "number"),
            Column("saved", "nearer by", "number", "paired difference on the same images"),
        ],
        rows,
    )  # fmt: skip
