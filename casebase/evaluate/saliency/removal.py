"""Deletion and insertion curves."""

from __future__ import annotations

from casebase.evaluate.saliency.metric import Metric

METRICS: tuple[Metric, ...] = ()
