"""``casebase evaluate model``: how good the explained network is on images it was not trained on.

Everything comes from the predictions stored in the base; no image is read and no network is loaded.
``outcomes`` reads the answers, ``scores`` has the formulas, ``model_scores`` puts intervals and controls to them,
``model_findings`` says what they mean, ``model_tables`` and ``model_plots`` show them.
"""

from __future__ import annotations

from casebase import parts
from casebase.evaluate import model_findings, model_plots, model_tables, neighbour_tables, scores
from casebase.evaluate.model_scores import find, resamples_of
from casebase.evaluate.outcomes import read
from casebase.evaluations import Evaluation
from casebase.ports import CaseBase


def measure(case_base: CaseBase, *, split: str | None = None, seed: int = 0) -> Evaluation:
    """Accuracy, per-class scores, confusion and calibration on one part, each figure with n and 95 % interval.

    ``split`` None takes the fairest part there is (:func:`casebase.parts.choose`, whose errors it raises).
    """
    base = case_base.snapshot()
    part = parts.choose(base.parts(), split)
    outcomes = read(base, part)
    found = find(base, outcomes, seed)
    beside = neighbour_tables.tables(base, part, seed=seed)
    return Evaluation(
        kind="model",
        title=f"The network on {outcomes.n} {'training images' if part.training else f'images of {part.name}'}",
        statements=[*model_findings.statements(found), *neighbour_tables.findings(beside)],
        tables=[*model_tables.tables(found), *beside],
        plots=model_plots.plots(found),
        settings={
            "split": part.split, "status": str(part.status), "images": outcomes.n, "errors": outcomes.wrong,
            "classes": outcomes.known, "unknown_labels": list(outcomes.unknown),
            "groups": len({group for group in outcomes.groups if group is not None}),
            "images_digest": outcomes.digest, "seed": seed, "resamples": resamples_of(outcomes.n),
            "bins": scores.BINS, "log_loss_floor": scores.FLOOR,
            "interval": "95 %; shares: Wilson (1927), by group where images belong together; else bootstrap",
        },
        per_query=model_tables.per_query(outcomes),
    )  # fmt: skip
