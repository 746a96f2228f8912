"""Does a low score find wrong answers? Four figures of one ranking, with ties, for one sample or a thousand draws.

A score is a confidence: high means trusted. Images are put in order from most to least trusted; images with equal
scores are one tie, and every figure is its mean over all orders of the tied images. So no figure depends on the order
in which images were read, and a bootstrap draw, in which images come several times, is the same formula with counts.

* AUROC: the chance that a right answer is trusted more than a wrong one, ties half.
* AURC = (1/n) sum_j err(top j) / j — Y. Geifman, G. Uziel, R. El-Yaniv, 2019, "Bias-Reduced Uncertainty Estimation
  for Deep Neural Classifiers", https://arxiv.org/abs/1805.08206.
* AUGRC = (1/n) sum_j #err(top j) / n — J. Traub et al., 2024, "Overcoming Common Flaws in the Evaluation of Selective
  Classification Systems", https://arxiv.org/abs/2407.01032.
* FPR@95: the share of wrong answers still trusted where 95 % of the right ones are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.ratios import ratio

Values = NDArray[np.float64]
TRUSTED = 0.95


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows from most to least trusted; ``starts (G,)`` where each tie begins; ``wrong (n,)`` in the given order."""

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    wrong: NDArray[np.bool_]

    @classmethod
    def of(cls, score: Values, wrong: NDArray[np.bool_]) -> Ranking:
        """Of finite scores ``(n,)``, high = trusted, and where the answers are wrong ``(n,)``; n at least 1."""
        order = np.argsort(-score, kind="stable")
        held = score[order]
        starts = np.flatnonzero(np.r_[True, held[1:] != held[:-1]])
        return cls(order, starts, wrong)

    def ties(self, counts: NDArray[np.float32] | None = None) -> Ties:
        """Images and errors of each tie; ``counts (B, n)`` says how often each image was drawn, None: once each."""
        drawn = np.ones((1, len(self.order))) if counts is None else counts.astype(np.float64)
        drawn = drawn[:, self.order]
        images = np.add.reduceat(drawn, self.starts, axis=1)
        errors = np.add.reduceat(drawn * self.wrong[self.order], self.starts, axis=1)
        return Ties(images, errors)


@dataclass(frozen=True, eq=False)
class Ties:
    """``images`` and ``errors (B, G)`` of each tie, most trusted first, for B samples; integers as float64."""

    images: Values
    errors: Values

    @property
    def n(self) -> Values:
        """``(B,)`` images in all."""
        return np.asarray(self.images.sum(axis=1))

    def auroc(self) -> Values:
        """``(B,)``; NaN where all answers are right, or all wrong."""
        right = self.images - self.errors
        before = np.cumsum(right, axis=1) - right
        pairs = right.sum(axis=1) * self.errors.sum(axis=1)
        found = (self.errors * (before + right / 2)).sum(axis=1)
        return ratio(found, pairs)

    def aurc(self) -> Values:
        """``(B,)`` mean over j of the error rate among the j most trusted; the error rate if the score says nothing."""
        seen = np.cumsum(self.images, axis=1)
        before = seen - self.images
        missed = np.cumsum(self.errors, axis=1) - self.errors
        rate = np.divide(self.errors, self.images, out=np.zeros_like(self.errors), where=self.images > 0)
        most = int(seen[:, -1].max(initial=0))
        harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, most + 1))])  # H(j) = 1 + 1/2 + … + 1/j
        spread = harmonic[seen.astype(np.intp)] - harmonic[before.astype(np.intp)]
        # inside a tie errors come evenly: #err(top j) = missed + rate (j - before), divided by j and summed
        return ratio((self.errors + (missed - rate * before) * spread).sum(axis=1), self.n)

    def augrc(self) -> Values:
        """``(B,)`` mean over j of (errors among the j most trusted) / n; in [0, 1/2] times the error rate's scale."""
        missed = np.cumsum(self.errors, axis=1) - self.errors
        return ratio((self.images * missed + self.errors * (self.images + 1) / 2).sum(axis=1), self.n**2)

    def fpr95(self) -> Values:
        """``(B,)`` share of wrong answers at least as trusted as the threshold that keeps 95 % of the right ones."""
        right = self.images - self.errors
        all_right, all_wrong = right.sum(axis=1), self.errors.sum(axis=1)
        kept = np.cumsum(right, axis=1) >= TRUSTED * all_right[:, None] - 1e-9
        at = kept.argmax(axis=1)
        trusted = np.cumsum(self.errors, axis=1)[np.arange(len(at)), at]
        return np.where(all_right > 0, ratio(trusted, all_wrong), np.nan)

    def risk(self) -> tuple[Values, Values]:
        """Coverage and error rate ``(G,)`` after each tie of the first sample: the risk–coverage curve."""
        seen = np.cumsum(self.images[0])
        return seen / seen[-1], np.cumsum(self.errors[0]) / seen
