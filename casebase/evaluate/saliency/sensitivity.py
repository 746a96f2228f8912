"""Max-sensitivity: how far a map moves under noise that nobody sees."""

from __future__ import annotations

from casebase.evaluate.saliency.metric import Metric

METRICS: tuple[Metric, ...] = ()
