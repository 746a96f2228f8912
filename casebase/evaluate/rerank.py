"""Re-ranking with neighbours, judged: what the weight is, and what it gains where it was not chosen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from casebase import comparison
from casebase.evaluate.intervals import Rows, bootstrap
from casebase.evaluations import Cell, Column, Measured, Table
from casebase.evidence import EvidenceTable
from casebase.parts import VALIDATION
from casebase.rerank import BETAS, LEAST_IMAGES, choose, cross_validated, hits
from casebase.shares import grouped_share

COLUMNS = (
    Column("space", "space"),
    Column("chosen", "weight chosen"),
    Column("beta", "β in use", "number", "weight of the neighbours; 0 leaves the classifier alone"),
    Column("n", "images", "count"),
    Column("classifier", "classifier", "share", "accuracy of the classifier alone"),
    Column("reranked", "re-ranked", "share", "accuracy with the neighbours' weight"),
    Column("gain", "gain", "share", "re-ranked minus classifier; paired bootstrap by group"),
    Column("mended", "mended", "count", "wrong answers that became right"),
    Column("spoilt", "spoilt", "count", "right answers that became wrong"),
)


def measure(tables: Mapping[str, EvidenceTable], *, seed: int = 0, draws: int = 1000) -> Table:
    """One row per space and way of choosing β, each measured on images that it was not chosen on.

    ``in five folds``: chosen on four, measured on the fifth, by group. ``on the validation part``: chosen there and
    measured on the other held-out images, where the base has both.
    """
    rows: list[Mapping[str, Cell]] = []
    for space, table in tables.items():
        rows += _rows(space, table, seed, draws)
    return Table(
        "rerank",
        "Re-ranking with neighbours",
        "argmax of log P + β · mean of the three best cosines to the class, over the ten most probable classes.",
        COLUMNS,
        rows,
        ("β in use is 0 unless the cross-validated gain is beyond its interval.",),
    )


def _rows(space: str, table: EvidenceTable, seed: int, draws: int) -> list[Mapping[str, Cell]]:
    if len(table) < LEAST_IMAGES:
        none = Measured(None, n=len(table), reason=f"{len(table)} images, {LEAST_IMAGES} are needed")
        return [{"space": space, "chosen": "not at all", "beta": 0.0, "n": len(table), "gain": none}]
    right, number = hits(table), comparison.numbered(table.clusters)
    after = cross_validated(right, number, seed=seed)
    everything = np.ones(len(table), bool)
    beta = choose(table, seed=seed).beta
    rows = [_row(space, "in five folds", beta, table, right[0], after, everything, seed, draws)]
    on = np.array([(split or "").lower() in VALIDATION for split in table.splits])
    # images of one group on both sides would let the choice see what it is measured on
    shared = {c for c, inside in zip(table.clusters, on.tolist(), strict=True) if inside}
    rest = ~on & np.array([c not in shared for c in table.clusters])
    if on.sum() >= LEAST_IMAGES and rest.sum() >= LEAST_IMAGES:
        used = choose(table.rows(on), seed=seed).beta
        moved = right[BETAS.index(used)]
        rows.append(_row(space, "on the validation part", used, table, right[0], moved, rest, seed, draws))
    return rows


def _row(
    space: str, chosen: str, beta: float, table: EvidenceTable, before: NDArray[np.bool_], after: NDArray[np.bool_],
    over: NDArray[np.bool_], seed: int, draws: int,
) -> Mapping[str, Cell]:  # fmt: skip
    one, other = before[over], after[over]
    clusters = [name for name, kept in zip(table.clusters, over.tolist(), strict=True) if kept]

    def moved(rows: Rows) -> float:
        return float(other[rows].mean() - one[rows].mean())

    n = len(one)
    return {
        "space": space,
        "chosen": chosen,
        "beta": beta,
        "n": n,
        "classifier": grouped_share(one, clusters, seed),
        "reranked": grouped_share(other, clusters, seed),
        "gain": bootstrap(moved, n, groups=clusters, seed=seed, draws=draws),
        "mended": int((other & ~one).sum()),
        "spoilt": int((one & ~other).sum()),
    }
