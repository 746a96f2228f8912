"""The evaluations by their kinds, and what writes them down."""

from __future__ import annotations

from casebase.errors import UsageError
from casebase.evaluations import Evaluation
from casebase.ports import EvaluationWriter
from casebase.reading import printable
from casebase.settings import Settings
from casebase.storage.writing import SqlCaseStore

EVALUATIONS = ("model",)
"""What can be evaluated; each kind is a command of ``casebase evaluate`` too."""


def evaluate(store: SqlCaseStore, settings: Settings, kind: str, *, split: str | None = None) -> Evaluation:
    """Measure one kind on one part of a base; raises ``UsageError`` for a kind that does not exist."""
    if kind == "model":
        from casebase.evaluate import model

        return model.measure(store, split=split, seed=settings.seed)
    raise UsageError(f"nothing called {printable(kind)!r} can be evaluated; there is {', '.join(EVALUATIONS)}")


def evaluation_writer() -> EvaluationWriter:
    """What writes evaluations."""
    from casebase.explain.render_evaluation import EvaluationPages

    return EvaluationPages()
