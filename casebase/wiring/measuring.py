"""The evaluations by their kinds, and what writes them down."""

from __future__ import annotations

from collections.abc import Callable

from casebase import parts
from casebase.errors import UsageError
from casebase.evaluate import TwinOptions
from casebase.evaluations import Evaluation
from casebase.ports import EvaluationWriter
from casebase.reading import printable
from casebase.settings import Settings
from casebase.storage.writing import SqlCaseStore
from casebase.wiring.asking import networks_of

EVALUATIONS = ("model", "twins")
"""What can be evaluated; each kind is a command of ``casebase evaluate`` too."""


def evaluate(
    store: SqlCaseStore,
    settings: Settings,
    kind: str,
    *,
    split: str | None = None,
    options: TwinOptions | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> Evaluation:
    """Measure one kind on one part of a base; raises ``UsageError`` for a kind that does not exist.

    ``options`` are those of the kind; ``progress`` is told of forward passes, where there are any.
    """
    if kind == "model":
        from casebase.evaluate import model

        return model.measure(store, split=split, seed=settings.seed)
    if kind == "twins":
        return _twins(store, settings, split, options or TwinOptions(), progress)
    raise UsageError(f"nothing called {printable(kind)!r} can be evaluated; there is {', '.join(EVALUATIONS)}")


def _twins(
    store: SqlCaseStore,
    settings: Settings,
    split: str | None,
    options: TwinOptions,
    progress: Callable[[int, int, int], None] | None,
) -> Evaluation:
    part = parts.choose(store.parts(), split)  # a split that is not there is told before anything is loaded
    from casebase.evaluate import twins
    from casebase.evaluate.twin_fidelity import Head
    from casebase.networks.untrained import randomised

    networks, explained = networks_of(store, settings)
    weight, bias = explained.head_weights()
    measured = twins.TwinNetworks(
        fingerprint=networks.classifier.fingerprint,
        head=None if weight is None or bias is None else Head(weight, bias),
        embedder=lambda: explained,
        untrained=lambda: randomised(explained, settings.seed, layer=store.setting("layer")),
    )
    run = twins.TwinRun(settings.seed, settings.max_megapixels, progress or twins.silent)
    return twins.measure(store, part, options, measured, run)


def evaluation_writer() -> EvaluationWriter:
    """What writes evaluations."""
    from casebase.explain.render_evaluation import EvaluationPages

    return EvaluationPages()
