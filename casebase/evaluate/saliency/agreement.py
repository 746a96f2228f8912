"""Agreement with a mask drawn by a person: IoU, pointing game, energy, rank."""

from __future__ import annotations

from casebase.evaluate.saliency.metric import Metric

METRICS: tuple[Metric, ...] = ()
