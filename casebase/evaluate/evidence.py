"""Calibrated evidence, judged: how well softmax and trust score say P(correct), and which finds errors better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from casebase import comparison
from casebase.calibration import LEAST_BLOCK, LEAST_IMAGES, Flags, Scores
from casebase.correctness import FEWEST_ERRORS
from casebase.evaluate.intervals import Rows, bootstrap
from casebase.evaluate.scores import BINS, equal_width
from casebase.evaluations import Cell, Column, Measured, Table
from casebase.evidence import EvidenceTable
from casebase.explanations import Statement

KEY = "evidence"
RAW = "softmax, as the network gives it"
Statistic = Callable[[Scores, Flags], float]
"""A figure of P(correct), or of a score, ``(n,)`` and of what was right ``(n,)``."""

COLUMNS = (
    Column("score", "score"),
    Column("n", "images", "count"),
    Column("errors", "errors", "count", "how many of them the network has wrong"),
    Column("brier", "Brier", "number", "mean squared error of P(correct); less is better"),
    Column("ece", "ECE", "share", "mean distance of P(correct) from the share of right answers; less is better"),
    Column("augrc", "AUGRC", "number", "risk of undetected errors, averaged over coverages; less is better"),
)


def measure(tables: Mapping[str, EvidenceTable], *, seed: int = 0, draws: int = 1000) -> Table:
    """Brier, ECE and AUGRC of softmax and trust score, each space's ``EvidenceTable`` by its name.

    P(correct) is cross-fitted in five folds by group, so no image is judged by a fit it was part of. Both scores of a
    space are measured on the images that have both; the row of the difference is paired. Where no fit has more than
    one block, P(correct) is the base rate whatever the score, and is not judged as if it were read from it.
    """
    rows: list[Mapping[str, Cell]] = []
    for space, table in tables.items():
        rows += _rows(space, table, seed, draws)
    return Table(
        KEY,
        "Evidence as P(correct)",
        "What softmax and trust score are worth as a chance of being right, on held-out images.",
        (Column("space", "space"), *COLUMNS),
        rows,
        (
            f"Intervals: bootstrap by group, 95 %. ECE: {BINS} bins of equal width (Guo et al. 2017).",
            f"With fewer than {FEWEST_ERRORS} errors AUGRC has a wide interval, and which score is better is not told.",
            *(str(row["remark"]) for row in rows if row.get("remark")),
        ),
    )


def findings(table: Table) -> list[Statement]:
    """What must be said of the figures even where only the screen is read."""
    return [Statement(str(row["remark"])) for row in table.rows if row.get("remark")]


def _rows(space: str, table: EvidenceTable, seed: int, draws: int) -> list[Mapping[str, Cell]]:
    everything, both = np.ones(len(table), bool), np.isfinite(table.trust)
    if _enough(both, table):
        return _judged(space, table.rows(both), ("softmax", "trust score"), seed, draws)
    if _enough(everything, table):  # softmax needs no unlike case
        return [
            *_judged(space, table, ("softmax",), seed, draws),
            _refused(space, "trust score → P(correct)", both, table),
        ]
    return [_refused(space, "softmax", everything, table), _refused(space, "trust score", both, table)]


def _enough(rows: Flags, table: EvidenceTable) -> bool:
    return bool(rows.sum() >= LEAST_IMAGES and (rows & ~table.right).any())


def _judged(space: str, table: EvidenceTable, names: Sequence[str], seed: int, draws: int) -> list[Mapping[str, Cell]]:
    """Raw softmax, each named score as P(correct), and their difference where there are two; on all rows."""
    right, clusters = table.right, table.clusters
    n, errors = len(right), int((~right).sum())
    fold = comparison.folds(comparison.numbered(clusters), seed)
    scores = {name: table.softmax if name == "softmax" else table.trust for name in names}
    shares = {name: comparison.cross_fitted(score, right, fold) for name, score in scores.items()}
    flat = all(_constant(share, fold) for share in shares.values())
    judged = {RAW: (scores["softmax"], scores["softmax"])}
    judged |= {f"{name} → P(correct)": (scores[name], shares[name]) for name in scores}

    def measured(of: str, against: str | None = None) -> dict[str, Cell]:
        found: dict[str, Cell] = {"space": space, "n": n, "errors": errors}
        for key, statistic in (("brier", brier), ("ece", ece), ("augrc", augrc)):
            if key != "augrc" and flat and of != RAW:
                found[key] = Measured(None, n=n, reason="the base rate" if against is None else "both the base rate")
                continue
            if key == "augrc" and errors < FEWEST_ERRORS and against is not None:
                found[key] = Measured(None, n=n, reason=f"{errors} errors, under {FEWEST_ERRORS}")
                continue

            def value(rows: Rows, key: str = key, statistic: Statistic = statistic) -> float:
                def one(name: str) -> float:
                    score, share = judged[name]
                    return statistic((score if key == "augrc" else share)[rows], right[rows])

                return one(of) if against is None else one(of) - one(against)

            found[key] = bootstrap(value, n, groups=clusters, seed=seed, draws=draws)
        return found

    named = list(judged)
    remarks = _remarks(scores["softmax"], shares, right, fold, flat=flat)  # of each row of ``judged``
    rows: list[Mapping[str, Cell]] = [
        {"score": name, **measured(name), "remark": remark} for name, remark in zip(named, remarks, strict=True)
    ]
    if len(names) == 1:
        return rows
    return [*rows, {"score": "trust score − softmax", **measured(named[2], named[1])}]


def _refused(space: str, score: str, rows: Flags, table: EvidenceTable) -> Mapping[str, Cell]:
    """A row for a score that cannot be judged: how many images and errors there are, and why that is not enough."""
    n, errors = int(rows.sum()), int((rows & ~table.right).sum())
    lack = f"{n} images, {LEAST_IMAGES} are needed" if n else "no image has it"
    none = Measured(None, n=n, reason=lack if n < LEAST_IMAGES else "no error")
    return {"space": space, "score": score, "n": n, "errors": errors, "brier": none, "ece": none, "augrc": none}


def _constant(share: Scores, fold: NDArray[np.intp]) -> bool:
    """Whether P(correct) is one number in every fold, so that it says nothing about one image against another."""
    return all(np.ptp(share[fold == number]) == 0 for number in np.unique(fold))


def _remarks(
    softmax: Scores, shares: Mapping[str, Scores], right: Flags, fold: NDArray[np.intp], *, flat: bool
) -> list[str | None]:
    """What to say beside raw softmax, then beside each P(correct)."""
    raw = brier(softmax, right)
    if not flat:
        return [None, *(_worse(name, brier(share, right), raw) for name, share in shares.items())]
    room = min(int((fold != number).sum()) for number in np.unique(fold))
    why = (
        f"a fit on {room} images has no room for two blocks of {LEAST_BLOCK}"
        if room < 2 * LEAST_BLOCK
        else "no score here orders right and wrong answers"
    )
    said = f"P(correct) is the base rate, the same for every answer: {why}."
    held = brier(shares["softmax"], right)
    if held > raw:
        said += f" Its Brier score, {held:.4g}, is worse than that of softmax as the network gives it, {raw:.4g}."
    return [None, said, *[None] * (len(shares) - 1)]


def _worse(name: str, value: float, raw: float) -> str | None:
    if value <= raw:
        return None
    return (
        f"Read as P(correct), {'' if name == 'softmax' else 'the '}{name} has a worse Brier score, {value:.4g}, than "
        f"softmax as the network gives it, {raw:.4g}."
    )


def brier(share: Scores, right: Flags) -> float:
    """Mean of ``(P - right)²`` (Brier 1950)."""
    return float(np.mean((share - right) ** 2))


def ece(share: Scores, right: Flags) -> float:
    """The expected calibration error that ``casebase evaluate model`` gives, of P(correct) in place of softmax."""
    return equal_width(share, right).error


def augrc(score: Scores, right: Flags) -> float:
    """Area under the generalised risk-coverage curve (Traub et al. 2024); see :mod:`casebase.comparison`."""
    return float(comparison.area(score, right)(np.ones((1, len(score))))[0])
