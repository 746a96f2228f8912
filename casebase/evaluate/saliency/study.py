"""``casebase evaluate saliency``: from a run of the bench to the tables, curves and sheets that a person reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from casebase.evaluate.saliency import deck, findings, plots, sheet, tables
from casebase.evaluate.saliency.bench import Plan
from casebase.evaluate.saliency.kept import plain
from casebase.evaluate.saliency.marks import Outcome
from casebase.evaluate.saliency.scoring import RESIZE
from casebase.evaluate.saliency.summary import Summary
from casebase.evaluations import Evaluation


def evaluation(
    outcome: Outcome, plan: Plan, *, seed: int, against: str | None = None, more: Mapping[str, Any] | None = None
) -> Evaluation:
    """Tables, findings, curves and contact sheets of a run. ``more`` joins the settings.

    ``against`` names published rows that are printed beside these: ``deck``.
    """
    summary = Summary(outcome, seed)
    images = len(outcome.images) - len(outcome.skipped)
    networks = outcome.networks
    on = networks[0] if len(networks) == 1 else f"{len(networks)} networks"
    return Evaluation(
        kind="saliency",
        title=f"Saliency methods on {on}, {images} {'image' if images == 1 else 'images'}",
        statements=[*findings.statements(summary), *(deck.statements(summary) if against else ())],
        tables=[*(deck.tables(summary) if against else ()), *tables.tables(summary)],
        plots=[*plots.plots(summary), *sheet.sheets(outcome)],
        settings={
            "network": ", ".join(networks), "images": images, "networks": plain(outcome.facts),
            "methods": [method.name for method in plan.methods], "metrics": [metric.name for metric in plan.metrics],
            "class explained": "the predicted one", "score": "softmax of that class; gradients are of its logit",
            "resize": RESIZE, "sign": plan.chosen.sign, "layer": plan.chosen.layer or "chosen by the method",
            "samples": plan.chosen.samples or "chosen by the method", "metric settings": plain(asdict(plan.settings)),
            "left out": len(outcome.skipped) + len(outcome.unmasked) + sum(r.refused is not None for r in outcome.rows),
            "seed": seed, "resamples": summary.resamples,
            "interval": "95 %, percentile bootstrap over images; differences are paired", **(more or {}),
        },
        per_query=tables.per_map(summary),
    )  # fmt: skip
