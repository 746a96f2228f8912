"""Calibrated evidence, judged: how well softmax and trust score say P(correct), and which finds errors better."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from casebase import comparison
from casebase.calibration import LEAST_IMAGES, Flags, Scores
from casebase.correctness import FEWEST_ERRORS
from casebase.evaluate.intervals import Rows, bootstrap
from casebase.evaluate.scores import BINS, equal_width
from casebase.evaluations import Cell, Column, Measured, Table
from casebase.evidence import EvidenceTable

Statistic = Callable[[Scores, Flags], float]
"""A figure of P(correct), or of a score, ``(n,)`` and of what was right ``(n,)``."""

COLUMNS = (
    Column("score", "score"),
    Column("n", "images", "count"),
    Column("errors", "errors", "count", "how many of them the network has wrong"),
    Column("brier", "Brier", "number", "mean squared error of P(correct); less is better"),
    Column("ece", "ECE", "number", "mean distance of P(correct) from the share of right answers; less is better"),
    Column("augrc", "AUGRC", "number", "risk of undetected errors, averaged over coverages; less is better"),
)


def measure(tables: Mapping[str, EvidenceTable], *, seed: int = 0, draws: int = 1000) -> Table:
    """Brier, ECE and AUGRC of softmax and trust score, each space's ``EvidenceTable`` by its name.

    P(correct) is cross-fitted in five folds by group, so no image is judged by a fit it was part of. Both scores of a
    space are measured on the images that have both; the row of the difference is paired.
    """
    rows: list[Mapping[str, Cell]] = []
    for space, table in tables.items():
        rows += _rows(space, table, seed, draws)
    return Table(
        "evidence",
        "Evidence as P(correct)",
        "What softmax and trust score are worth as a chance of being right, on held-out images.",
        (Column("space", "space"), *COLUMNS),
        rows,
        (
            f"Intervals: bootstrap by group, 95 %. ECE: {BINS} bins of equal width (Guo et al. 2017).",
            f"With fewer than {FEWEST_ERRORS} errors no AUGRC is told.",
        ),
    )


def _rows(space: str, table: EvidenceTable, seed: int, draws: int) -> list[Mapping[str, Cell]]:
    usable = np.isfinite(table.trust)
    n, errors = int(usable.sum()), int((usable & ~table.right).sum())
    if n < LEAST_IMAGES or not errors:
        reason = "no error" if n >= LEAST_IMAGES else f"{n} images"
        none = Measured(None, n=n, reason=reason)
        return [{"space": space, "score": "softmax and trust", "n": n, "errors": errors, "brier": none, "ece": none}]
    right = table.right[usable]
    clusters = [name for name, kept in zip(table.clusters, usable.tolist(), strict=True) if kept]
    fold = comparison.folds(comparison.numbered(clusters), seed)
    scores = {"softmax": table.softmax[usable], "trust score": table.trust[usable]}
    shares = {name: comparison.cross_fitted(score, right, fold) for name, score in scores.items()}
    judged = {"softmax, as the network gives it": (scores["softmax"], scores["softmax"])}
    judged |= {f"{name} → P(correct)": (scores[name], shares[name]) for name in scores}

    def measured(of: str, against: str | None = None) -> dict[str, Cell]:
        found: dict[str, Cell] = {"space": space, "n": n, "errors": errors}
        for key, statistic in (("brier", brier), ("ece", ece), ("augrc", augrc)):
            if key == "augrc" and errors < FEWEST_ERRORS:
                found[key] = Measured(None, n=n, reason=f"{errors} errors")
                continue

            def value(rows: Rows, key: str = key, statistic: Statistic = statistic) -> float:
                def one(name: str) -> float:
                    score, share = judged[name]
                    return statistic((score if key == "augrc" else share)[rows], right[rows])

                return one(of) if against is None else one(of) - one(against)

            found[key] = bootstrap(value, n, groups=clusters, seed=seed, draws=draws)
        return found

    named = list(judged)
    rows: list[Mapping[str, Cell]] = [{"score": name, **measured(name)} for name in named]
    return [*rows, {"score": "trust score − softmax", **measured(named[2], named[1])}]


def brier(share: Scores, right: Flags) -> float:
    """Mean of ``(P - right)²`` (Brier 1950)."""
    return float(np.mean((share - right) ** 2))


def ece(share: Scores, right: Flags) -> float:
    """The expected calibration error that ``casebase evaluate model`` gives, of P(correct) in place of softmax."""
    return equal_width(share, right).error


def augrc(score: Scores, right: Flags) -> float:
    """Area under the generalised risk-coverage curve (Traub et al. 2024); see :mod:`casebase.comparison`."""
    return float(comparison.area(score, right)(np.ones((1, len(score))))[0])
