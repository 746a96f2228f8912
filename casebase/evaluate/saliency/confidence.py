"""Average drop and increase in confidence, and the four occlusion columns."""

from __future__ import annotations

from casebase.evaluate.saliency.metric import Metric

METRICS: tuple[Metric, ...] = ()
