"""Which scores find the network's mistakes: those of the twins beside those of the network alone.

Trust score: H. Jiang, B. Kim, M. Guan, M. Gupta, 2018, "To Trust Or Not To Trust A Classifier",
https://arxiv.org/abs/1805.11783, here with ``1 - cosine`` (the square of the Euclidean ratio: same ranking), by
predicted class (ours) and by label (theirs, alpha = 0). k-NN distance: Y. Sun et al., 2022, "Out-of-Distribution
Detection with Deep Nearest Neighbors", https://arxiv.org/abs/2204.06507. Max-softmax: D. Hendrycks and K. Gimpel, 2017,
https://arxiv.org/abs/1610.02136. Max-logit: D. Hendrycks et al., 2022, https://arxiv.org/abs/1911.11132.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.correctness import FEWEST_ERRORS
from casebase.evaluate.images import Images, Sides
from casebase.evaluate.neighbours import (
    Lists,
    labelled_as_predicted,
    labelled_otherwise,
    other_predicted,
    same_predicted,
    search,
)
from casebase.evaluate.ranking import Ranking, Ties
from casebase.evaluate.ratios import ratio
from casebase.evaluate.resampling import Draws
from casebase.evaluate.twin_fidelity import Fidelity
from casebase.evaluations import Measured
from casebase.reuse import EPSILON
from casebase.shares import interval

Values = NDArray[np.float64]
FEW_ERRORS = 100
"""Under ``FEWEST_ERRORS`` errors no AUROC is given, and under this many a warning with it."""
MOST = 0.9
"""A score that fewer than this share of the images have is not compared with others."""
CELLS = 4_000_000
SOFTMAX = "softmax"
FIGURES = ("auroc", "aurc", "augrc", "fpr95")


@dataclass(frozen=True, eq=False)
class Score:
    """A confidence ``values (m,)``, high = trusted, NaN where an image has none; ``source`` is twins or network.

    Minus infinity is a value: what has no twin at all is trusted least.
    """

    key: str
    title: str
    source: str
    values: Values


@dataclass(frozen=True, eq=False)
class Evidence:
    """The lists of the network's own space that scores are made of: nearest, twin, NUN, and both by label."""

    nearest: Lists
    twin: Values
    unlike: Values
    unlike_case: NDArray[np.intp]
    labelled_twin: Values
    labelled_unlike: Values

    @classmethod
    def gather(cls, sides: Sides, k: int) -> Evidence:
        """From plain cosine in ``sides``."""
        cases, queries = sides.cases, sides.queries
        found = search(
            cases,
            queries,
            {
                "nearest": (k, None),
                "twin": (1, same_predicted(cases, queries)),
                "unlike": (1, other_predicted(cases, queries)),
                "labelled_twin": (1, labelled_as_predicted(cases, queries)),
                "labelled_unlike": (1, labelled_otherwise(cases, queries)),
            },
        )
        distances = {name: lists.first for name, lists in found.items()}
        return cls(
            found["nearest"], distances["twin"], distances["unlike"], found["unlike"].index[:, 0],
            distances["labelled_twin"], distances["labelled_unlike"],
        )  # fmt: skip

    @property
    def trust(self) -> Values:
        """``d(q, NUN) / (d(q, twin) + 1e-12)``; minus infinity without a twin, NaN without a rival."""
        return _apart(self.unlike, self.twin)

    @property
    def radius(self) -> Values:
        """``r_k = ||u_q - u_(k)||`` of the last of the k nearest, on unit vectors: ``sqrt(2 d)``."""
        last = self.nearest.filled.sum(axis=1) - 1
        distance = self.nearest.distance[np.arange(len(last)), np.maximum(last, 0)]
        return np.where(last >= 0, np.sqrt(2 * np.where(np.isfinite(distance), distance, 0.0)), np.nan)

    def agreeing(self, cases: Images, queries: Images) -> Values:
        """Share of the k nearest whose *predicted* class is the query's: ``k_same / k``."""
        same = (cases.predicted[np.maximum(self.nearest.index, 0)] == queries.predicted[:, None]) & self.nearest.filled
        number = self.nearest.filled.sum(axis=1)
        return ratio(same.sum(axis=1), number)


def of_twins(sides: Sides, evidence: Evidence, percentile: Values | None) -> list[Score]:
    """The scores that neighbours give, from the network's own space; ``percentile (m,)`` 0..100 where there is one."""
    found = [
        Score("trust", "trust score", "twins", evidence.trust),
        Score(
            "trust_by_label", "trust score by label", "twins",
            _apart(evidence.labelled_unlike, evidence.labelled_twin),
        ),
        Score("margin", "margin of distances", "twins", _less(evidence.unlike, evidence.twin)),
        Score("knn_distance", "k-NN distance", "twins", -evidence.radius),
        Score("agreement", "agreement of the k nearest", "twins", evidence.agreeing(sides.cases, sides.queries)),
    ]  # fmt: skip
    if percentile is not None and np.isfinite(percentile).any():
        found.append(Score("percentile", "percentile of the nearest twin", "twins", percentile))
    return found


def of_space(found: Fidelity) -> Score:
    """The trust score of another space."""
    return Score(f"trust_{found.space}", f"trust score in {found.space}", "twins",
                 _apart(found.unlike.first, found.twins.first))  # fmt: skip


def of_network(queries: Images, logits: NDArray[np.float64] | None) -> list[Score]:
    """The scores the network gives alone.

    Stored probabilities are float32 and end at exactly 1, so the surest answers would tie, to the network's harm. Where
    there is a linear head its ``logits (m, C)`` float64 give the same rankings without that: ``log(p / (1 - p))`` for
    max-softmax, ``-log(1 - (p1 - p2))`` for the margin.
    """
    said = queries.probabilities.astype(np.float64)
    if logits is None:
        ranked = np.sort(said, axis=1)
        surest, second = ranked[:, -1], ranked[:, -2] if said.shape[1] > 1 else 0.0
        most: Values | None = None
        p, log_p = said, np.log(np.maximum(said, 1e-300))
        entropy = -(p * log_p).sum(axis=1)
        margin = surest - second
    else:
        most = logits.max(axis=1)
        raised = logits - most[:, None]
        at = logits.argmax(axis=1)[:, None]
        rest = np.exp(raised)
        np.put_along_axis(rest, at, 0.0, axis=1)
        others = rest.sum(axis=1)  # (1 - p) / p
        surest = -np.log(np.maximum(others, 1e-300))
        second = rest.max(axis=1) if logits.shape[1] > 1 else np.zeros(len(others))
        margin = -np.log(np.maximum((others + second) / (1.0 + others), 1e-300))
        total = np.log1p(others)  # log sum exp, the largest taken out
        entropy = total - (rest * np.where(rest > 0, raised, 0.0)).sum(axis=1) / (1.0 + others)
    found = [
        Score(SOFTMAX, "max-softmax", "network", np.asarray(surest)),
        Score("softmax_margin", "softmax margin", "network", np.asarray(margin)),
        Score("entropy", "entropy", "network", -entropy),
    ]
    if most is not None:
        found.append(Score("max_logit", "max-logit", "network", most))
    return found


@dataclass(frozen=True, eq=False)
class Detection:
    """How well one score finds wrong answers, and its differences to max-softmax on the same images.

    AUROC, FPR@95 and every difference to max-softmax are refused under 30 errors; AURC and AUGRC are given, with their
    interval, from one error on. ``n`` images have the score, ``errors`` of them are wrong.
    """

    score: Score
    n: int
    errors: int
    figures: Mapping[str, Measured]
    against: Mapping[str, Measured]
    curve: tuple[Values, Values] | None


def detect(scores: Sequence[Score], wrong: NDArray[np.bool_], draws: Draws) -> list[Detection]:
    """All figures of every score, with bootstrap intervals by group; paired differences use the same draws."""
    baseline = next(score for score in scores if score.key == SOFTMAX)
    return [_detected(score, baseline, wrong, draws) for score in scores]


def _detected(score: Score, baseline: Score, wrong: NDArray[np.bool_], draws: Draws) -> Detection:
    rows = ~np.isnan(score.values) & ~np.isnan(baseline.values)
    n, errors = int(rows.sum()), int(wrong[rows].sum())
    if n < MOST * len(rows) or n == 0:  # figures of other images cannot be compared with those in the other rows
        none = Measured(None, n=n, reason=f"only {n} of {len(rows)} images have it" if n else "no image has it")
        return Detection(score, n, errors, dict.fromkeys(FIGURES, none), {}, None)
    here = draws.of_rows(rows)
    own = _drawn(score.values[rows], wrong[rows], here)
    held = None if score is baseline else _drawn(baseline.values[rows], wrong[rows], here)
    refused = _refused(errors, n)
    figures = {name: _measured(name, own[name], n, refused, none_wrong=not errors) for name in FIGURES}
    against = {} if held is None else {
        name: Measured(None, n=n, reason=refused)
        if refused is not None
        else _measured(name, own[name] - held[name], n, None)
        for name in ("auroc", "augrc")
    }  # fmt: skip
    curve = Ranking.of(score.values[rows], wrong[rows]).ties().risk()
    return Detection(score, n, errors, figures, against, curve)


def _drawn(score: Values, wrong: NDArray[np.bool_], draws: Draws) -> dict[str, Values]:
    """Every figure ``(1 + draws,)``: of the sample itself, then of each draw."""
    ranking = Ranking.of(score, wrong)
    parts: list[Ties] = [ranking.ties()]
    step = max(1, CELLS // len(score))
    parts += [ranking.ties(draws.counts[start : start + step]) for start in range(0, len(draws.counts), step)]
    return {name: np.concatenate([getattr(ties, name)() for ties in parts]) for name in FIGURES}


def _measured(name: str, found: Values, n: int, refused: str | None, *, none_wrong: bool = False) -> Measured:
    if refused is not None and name in ("auroc", "fpr95"):
        return Measured(None, n=n, reason=refused)
    if none_wrong:
        return Measured(None, n=n, reason="no error")
    if not np.isfinite(found[0]):
        return Measured(None, n=n, reason="not defined on these images")
    low, high = interval(found[1:])
    return Measured(float(found[0]), low, high, n)


def _refused(errors: int, n: int) -> str | None:
    right = n - errors
    if errors < FEWEST_ERRORS:
        return f"{errors} errors, under {FEWEST_ERRORS}"
    return f"{right} right, under {FEWEST_ERRORS}" if right < FEWEST_ERRORS else None


def _apart(unlike: Values, twin: Values) -> Values:
    both = np.isfinite(unlike) & np.isfinite(twin)
    found = ratio(np.where(both, unlike, 0.0), np.where(both, twin + EPSILON, 0.0))
    return np.where(np.isfinite(unlike) & ~np.isfinite(twin), -np.inf, found)


def _less(unlike: Values, twin: Values) -> Values:
    known = np.isfinite(unlike)
    return np.where(known, np.where(known, unlike, 0.0) - twin, np.nan)
