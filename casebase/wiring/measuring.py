"""The evaluations by their kinds, and what writes them down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from casebase import parts
from casebase.errors import UsageError
from casebase.evaluate import CaeOptions, PrototypeOptions, SaliencyOptions, TwinOptions
from casebase.evaluations import Evaluation
from casebase.explanations import Level, Statement
from casebase.reading import printable
from casebase.settings import Settings
from casebase.storage.writing import SqlCaseStore
from casebase.wiring import cae_bench, prototype_bench, saliency_bench
from casebase.wiring.asking import networks_of
from casebase.writers import EvaluationWriter

EVALUATIONS = ("model", "twins", "saliency", "prototypes", "cae")
"""What can be evaluated; each kind is a command of ``casebase evaluate`` too."""
Options = TwinOptions | SaliencyOptions | PrototypeOptions | CaeOptions


def evaluate(
    store: SqlCaseStore,
    settings: Settings,
    kind: str,
    *,
    split: str | None = None,
    options: Options | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Measure one kind on one part of a base; raises ``UsageError`` for a kind that does not exist.

    ``options`` are those of the kind; ``progress`` is told of forward passes, or of maps and scores, where there are
    any; ``announce`` hears what will take long.
    """
    _fitting(kind, options)
    if kind == "model":
        from casebase.evaluate import model

        return model.measure(store, split=split, seed=settings.seed)
    if kind == "twins":
        chosen = options if isinstance(options, TwinOptions) else TwinOptions()
        return _twins(store, settings, split, chosen, progress)
    if kind == "saliency":
        wanted = options if isinstance(options, SaliencyOptions) else SaliencyOptions()
        wanted = wanted if split is None else replace(wanted, split=split)
        return saliency_bench.compare(settings, wanted, store, progress=progress or _silent, announce=announce)
    if kind == "prototypes":
        asked = options if isinstance(options, PrototypeOptions) else PrototypeOptions()
        return prototype_bench.measured(store, settings, split, asked, progress or _silent)
    if kind == "cae":
        given = options if isinstance(options, CaeOptions) else CaeOptions()
        return cae_bench.measured(store, settings, split, given, progress or _silent, announce)
    raise UsageError(f"nothing called {printable(kind)!r} can be evaluated; there is {', '.join(EVALUATIONS)}")


def compare_saliency(
    settings: Settings,
    options: SaliencyOptions,
    *,
    progress: Callable[[int, int, int], None] | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """The saliency bench without a base: networks and images are those of ``options``."""
    return saliency_bench.compare(settings, options, None, progress=progress or _silent, announce=announce)


def _silent(done: int, total: int, skipped: int) -> None:
    """Nobody wants to know."""


def _fitting(kind: str, options: Options | None) -> None:
    wanted = {
        "twins": TwinOptions, "saliency": SaliencyOptions, "prototypes": PrototypeOptions, "cae": CaeOptions,
    }.get(kind)  # fmt: skip
    if kind in EVALUATIONS and options is not None and (wanted is None or not isinstance(options, wanted)):
        what = "takes no options" if wanted is None else f"takes {wanted.__name__}"
        raise UsageError(f"the evaluation {kind!r} {what}, not {type(options).__name__}")


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
    found = twins.measure(store, part, options, measured, run)
    said = [Statement(text, Level.CAUTION) for space, text in networks.cautions.items() if space in store.spaces()]
    return replace(found, statements=[*said, *found.statements])


def evaluation_writer() -> EvaluationWriter:
    """What writes evaluations."""
    from casebase.explain.render_evaluation import EvaluationPages

    return EvaluationPages()
