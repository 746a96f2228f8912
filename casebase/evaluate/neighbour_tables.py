"""What the neighbours add to ``evaluate model``: evidence read as P(correct), and re-ranking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from casebase.evaluate import evidence, rerank
from casebase.evaluate.model_scores import resamples_of
from casebase.evaluations import Table
from casebase.explanations import Statement
from casebase.parts import Part
from casebase.ports import CaseBase
from casebase.spaces import NETWORK_SPACE


def tables(case_base: CaseBase, part: Part, *, seed: int = 0) -> list[Table]:
    """The tables of a held-out part; none of training images, which are near themselves, and none without cases.

    Evidence is judged on the part, re-ranking on all held-out images, since its weight is chosen on some of them.
    """
    whole = None if part.training else case_base.evidence(NETWORK_SPACE)
    if whole is None:
        return []
    inside = np.array([part.split in (None, split) for split in whole.splits], bool)
    draws = resamples_of(len(whole))
    found = [rerank.measure({NETWORK_SPACE: whole}, seed=seed, draws=draws)]
    if inside.any():
        found.insert(0, evidence.measure({NETWORK_SPACE: whole.rows(inside)}, seed=seed, draws=draws))
    return found


def findings(tables: Sequence[Table]) -> list[Statement]:
    """What must be said of these tables in words, after everything about the network itself."""
    return [said for table in tables if table.key == evidence.KEY for said in evidence.findings(table)]
