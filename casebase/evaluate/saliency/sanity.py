"""Does the map change when the network's weights do, and when the class does?"""

from __future__ import annotations

from casebase.evaluate.saliency.metric import Metric

METRICS: tuple[Metric, ...] = ()
