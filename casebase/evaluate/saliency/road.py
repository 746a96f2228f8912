"""ROAD: remove and debias, with noisy linear imputation."""

from __future__ import annotations

from casebase.evaluate.saliency.metric import Metric

METRICS: tuple[Metric, ...] = ()
