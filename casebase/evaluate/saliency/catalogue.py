"""Every metric by its name."""

from __future__ import annotations

from collections.abc import Mapping

from casebase.errors import UsageError
from casebase.evaluate.saliency import agreement, confidence, patches, removal, road, sanity, sensitivity, sparseness
from casebase.evaluate.saliency.metric import Metric
from casebase.reading import printable

METRICS: Mapping[str, Metric] = {
    one.name: one
    for one in (
        *confidence.METRICS, *road.METRICS, *patches.METRICS, *removal.METRICS, *agreement.METRICS, *sanity.METRICS,
        *sensitivity.METRICS, *sparseness.METRICS,
    )
}  # fmt: skip


def metric(name: str) -> Metric:
    """A metric of the catalogue; an unknown name raises ``UsageError`` and lists those that exist."""
    if name not in METRICS:
        raise UsageError(f"no metric {printable(name)!r}; there is {', '.join(METRICS)}")
    return METRICS[name]
