"""AOPC and PD: patches taken away in the order of a map."""

from __future__ import annotations

from casebase.evaluate.saliency.metric import Metric

METRICS: tuple[Metric, ...] = ()
