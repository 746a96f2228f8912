"""Every figure about a network on one part, with its interval and, where there is one, its control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from casebase.evaluate import scores
from casebase.evaluate.intervals import Rows, bootstrap_all
from casebase.evaluate.outcomes import Outcomes, copies
from casebase.evaluations import Measured
from casebase.ports import CaseBase
from casebase.reading import printable
from casebase.shares import DRAWS, grouped_share

MANY = 20_000
"""Beyond this many images a fifth of the resamples is drawn: the intervals are narrow, and time counts."""
TOP = 5
NEVER = "never predicted"
NO_IMAGE = "no image of it here"


@dataclass(frozen=True, slots=True)
class ClassScores:
    """One class: images with this label, answers naming it, both; and the scores made of them."""

    name: str
    known: bool
    labelled: int
    called: int
    right: int
    precision: Measured
    recall: Measured
    f1: Measured
    label_share: Measured
    answer_share: Measured


@dataclass(frozen=True, eq=False)
class Found:
    """What was measured. A control answers without looking: always ``usual``, or with the shares of the labels.

    ``width_if_calibrated`` and ``mass_if_calibrated`` are the calibration errors of a network that is right with
    exactly its confidence on as many images, with their spread; ``calibrated_chance`` is how often such a network
    shows an error (equal width) as large as the one measured.
    """

    outcomes: Outcomes
    classes: Sequence[ClassScores]
    usual: str
    accuracy: Measured
    usual_accuracy: Measured
    gain: Measured
    averages: Mapping[str, Measured]
    balanced_gain: Measured
    top: Measured | None
    usual_top: Measured | None
    log_loss: Measured
    usual_log_loss: float
    brier: Measured
    usual_brier: float
    gap: Measured
    mean_confidence: Measured
    width: scores.Bins
    mass: scores.Bins
    width_error: Measured
    mass_error: Measured
    width_if_calibrated: Measured
    mass_if_calibrated: Measured
    calibrated_chance: float
    copied: int
    accuracy_without_copies: Measured | None


def resamples_of(n: int) -> int:
    """How many bootstrap samples are drawn for ``n`` images."""
    return DRAWS if n <= MANY else DRAWS // 5


def find(base: CaseBase, outcomes: Outcomes, seed: int) -> Found:
    """Measure everything; the same base, part and seed give the same figures."""
    truth, right, confidence = outcomes.truth, outcomes.right, outcomes.confidence
    known, groups, n = outcomes.known, outcomes.groups, outcomes.n
    labelled = np.bincount(truth, minlength=len(outcomes.names))[:known]
    usual = int(labelled.argmax())
    usual_right = truth == usual
    in_top = scores.ranks(outcomes.probabilities, truth) < TOP
    usual_in_top = np.isin(truth, np.argsort(-labelled, kind="stable")[:TOP])
    many = iter(bootstrap_all(_Statistics(outcomes, usual_right), n, groups=groups, seed=seed, draws=resamples_of(n)))
    averages = {name: next(many) for name in scores.AVERAGES}
    gain, balanced_gain, log_loss, brier, gap, mean_confidence, width_error, mass_error = many
    if_width, if_mass = scores.errors_if_calibrated(confidence, seed, resamples_of(n))
    copied = np.zeros(n, np.bool_) if outcomes.part.training else copies(base, outcomes)
    kept = [group for group, again in zip(groups, copied, strict=True) if not again]
    inside = int((truth < known).sum())
    shares = labelled[labelled > 0] / max(1, inside)
    return Found(
        outcomes=outcomes,
        classes=class_scores(outcomes, seed),
        usual=printable(outcomes.names[usual]),
        accuracy=grouped_share(right, groups, seed),
        usual_accuracy=grouped_share(usual_right, groups, seed),
        gain=gain,
        averages=averages,
        balanced_gain=balanced_gain,
        top=grouped_share(in_top, groups, seed) if known > TOP else None,
        usual_top=grouped_share(usual_in_top, groups, seed) if known > TOP else None,
        log_loss=replace(log_loss, n=inside),
        usual_log_loss=float(-(shares * np.log(shares)).sum()),
        brier=replace(brier, n=inside),
        usual_brier=float(1 - (shares**2).sum()),
        gap=gap,
        mean_confidence=mean_confidence,
        width=scores.equal_width(confidence, right),
        mass=scores.equal_mass(confidence, right),
        width_error=width_error,
        mass_error=mass_error,
        width_if_calibrated=_spread(if_width, n),
        mass_if_calibrated=_spread(if_mass, n),
        calibrated_chance=float((if_width >= (width_error.value or 0.0) - 1e-12).mean()),
        copied=int(copied.sum()),
        accuracy_without_copies=grouped_share(right[~copied], kept, seed) if copied.any() else None,
    )


class _Statistics:
    """What is resampled, as a function of rows ``(m,)``: the averages, then gains, losses and calibration, ``(14,)``.

    It remembers what does not depend on the rows.
    """

    def __init__(self, outcomes: Outcomes, usual_right: scores.Truths) -> None:
        self.of, self.usual_right = outcomes, usual_right
        inside = np.flatnonzero(outcomes.truth < outcomes.known)
        self.losses, self.briers = np.full(outcomes.n, np.nan), np.full(outcomes.n, np.nan)
        self.losses[inside] = scores.log_losses(outcomes.probabilities[inside], outcomes.truth[inside])
        self.briers[inside] = scores.brier_scores(outcomes.probabilities[inside], outcomes.truth[inside])
        self.right, self.confidence = outcomes.right, outcomes.confidence

    def __call__(self, rows: Rows) -> scores.Floats:
        truth, right, confidence = self.of.truth[rows], self.right[rows], self.confidence[rows]
        averages = scores.averages(truth, self.of.called[rows], len(self.of.names))
        losses, briers = self.losses[rows], self.briers[rows]
        inside = np.isfinite(losses)
        rest = [
            right.mean() - self.usual_right[rows].mean(),
            averages[0] - 1 / len(np.unique(truth)),
            losses[inside].mean() if inside.any() else np.nan,
            briers[inside].mean() if inside.any() else np.nan,
            confidence.mean() - right.mean(),
            confidence.mean(),
            scores.equal_width(confidence, right).error,
            scores.equal_mass(confidence, right).error,
        ]
        return np.concatenate([averages, rest])


def class_scores(outcomes: Outcomes, seed: int) -> list[ClassScores]:
    """Scores of every class that has an image here or was named in an answer, in the network's order.

    F1 is 2J / (1 + J) of the share J of images that are both among those that are either: its interval is J's.
    """
    truth, called, groups = outcomes.truth, outcomes.called, outcomes.groups
    grouped = outcomes.clustered

    def share_of(good: scores.Truths, among: scores.Truths, reason: str) -> Measured:
        rows = np.flatnonzero(among).tolist()
        if not rows:
            return Measured(None, n=0, reason=reason)
        return grouped_share(good[rows], [groups[row] for row in rows] if grouped else [None] * len(rows), seed)

    everything = np.ones(outcomes.n, np.bool_)
    found = []
    for number in np.union1d(truth, called).tolist():
        is_it, said = truth == number, called == number
        both = is_it & said
        overlap = share_of(both, is_it | said, NO_IMAGE)
        unseen = NEVER if number < outcomes.known else "the network has no such class"
        found.append(
            ClassScores(
                name=outcomes.names[number],
                known=number < outcomes.known,
                labelled=int(is_it.sum()),
                called=int(said.sum()),
                right=int(both.sum()),
                precision=share_of(both, said, unseen),
                recall=share_of(both, is_it, NO_IMAGE),
                f1=_f1(overlap) if is_it.any() else Measured(None, n=0, reason=NO_IMAGE),
                label_share=share_of(is_it, everything, NO_IMAGE),
                answer_share=share_of(said, everything, NO_IMAGE),
            )
        )
    return found


def _f1(overlap: Measured) -> Measured:
    value, low, high = (None if j is None else 2 * j / (1 + j) for j in (overlap.value, overlap.low, overlap.high))
    return Measured(value, low, high, overlap.n)


def _spread(drawn: scores.Floats, n: int) -> Measured:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Measured(float(drawn.mean()), float(low), float(high), n)
