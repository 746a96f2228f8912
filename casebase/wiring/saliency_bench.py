"""What the saliency bench is given: methods, metrics, networks, and the place where it remembers what is done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casebase.errors import UsageError
from casebase.evaluate.saliency.options import ALL, NO_WEIGHTS, SaliencyOptions
from casebase.evaluations import Evaluation
from casebase.reading import printable
from casebase.settings import Settings
from casebase.storage.writing import SqlCaseStore
from casebase.wiring.association import association_view
from casebase.wiring.bench_images import images_of
from casebase.wiring.explaining import unless

if TYPE_CHECKING:
    from casebase.evaluate.saliency.bench import BenchNetwork, Plan
    from casebase.evaluate.saliency.metric import Metric
    from casebase.explain.saliency.method import Method
    from casebase.networks.explained import ExplainedNetwork

KEPT = "saliency"
"""Folder of a base that remembers maps and scores."""
QUICK_METHODS = ("gradcam", "layercam", "integrated-gradients")
DECK_METHODS = ("gradcam", "shap")
DECK_METRICS = ("occlusion", "road", "iou")
QUICK_PASSES = 4
"""Metrics of no more forward passes a map are measured where none is named."""

Progress = Callable[[int, int, int], None]


def compare(
    settings: Settings,
    options: SaliencyOptions,
    store: SqlCaseStore | None,
    *,
    progress: Progress,
    announce: Callable[[str], None],
) -> Evaluation:
    """Run the bench. ``store`` None: every network and image is named in the options."""
    from casebase.evaluate.saliency import bench, study
    from casebase.evaluate.saliency.kept import Kept, plain

    plan = plan_of(settings, options)
    images, notes, masks = images_of(settings, options, store)
    networks = networks_for(settings, options, store)
    if store is not None and not options.models and any(method.association for method in plan.methods):
        found, why = unless(lambda: association_view(store, networks[0].load()))
        plan = replace(plan, chosen=replace(plan.chosen, association=found, no_association=why))
        if why is not None:  # the rows of other methods need not wait for it
            announce(f"no map of a counterfactual: {why}")
    folder = options.kept if options.kept is not None else None if store is None else store.folder / KEPT
    for note in notes:
        announce(note)
    kept = Kept(folder, fresh=options.fresh)
    outcome = bench.run(networks, images, plan, kept, bench.Told(progress, announce))
    more: dict[str, Any] = {
        "images from": [str(one) for one in options.images] or ["the held-out images of the base"],
        "masks": None if masks is None else plain(masks), "notes": notes,
        "kept": None if folder is None else str(folder),
    }  # fmt: skip
    return study.evaluation(outcome, plan, seed=settings.seed, against=options.against, more=more)


def plan_of(settings: Settings, options: SaliencyOptions) -> Plan:
    """Methods and metrics by their names; raises ``UsageError`` for one that is not there."""
    from casebase.evaluate.saliency.bench import Plan
    from casebase.explain.saliency.method import MethodSettings

    chosen = MethodSettings(options.layer, options.sign, options.samples, None, settings.seed, settings.batch_size)
    measured = replace(options.bench, seed=settings.seed)
    every = ALL in options.methods
    return Plan(
        _methods(options), _metrics(options), chosen, measured, asked=bool(options.methods) and not every, every=every
    )


def _methods(options: SaliencyOptions) -> list[Method]:
    from casebase.explain.saliency import catalogue

    if ALL in options.methods:
        return list(catalogue.METHODS.values())
    names = options.methods or (QUICK_METHODS if options.against is None else DECK_METHODS)
    return [catalogue.method(name) for name in dict.fromkeys(names)]


def _metrics(options: SaliencyOptions) -> list[Metric]:
    from casebase.evaluate.saliency import catalogue

    every = catalogue.METRICS.values()
    masked = options.masks is not None
    if ALL in options.metrics:
        return [one for one in every if masked or "mask" not in one.needs]
    if not options.metrics:
        quick = [one for one in every if one.passes(options.bench) <= QUICK_PASSES and one.needs <= {"mask"}]
        of_deck = DECK_METRICS if options.against is not None else ()
        return [one for one in every if (one in quick or one.name in of_deck) and (masked or "mask" not in one.needs)]
    found = [catalogue.metric(name) for name in dict.fromkeys(options.metrics)]
    blind = [one.name for one in found if "mask" in one.needs and not masked]
    if blind:
        raise UsageError(f"{', '.join(blind)} needs masks of the objects: name them with --masks, or leave it out")
    return found


def networks_for(settings: Settings, options: SaliencyOptions, store: SqlCaseStore | None) -> list[BenchNetwork]:
    """The networks that are named, else the base's own; each is loaded when its turn comes."""
    from casebase.evaluate.saliency.bench import BenchNetwork
    from casebase.networks import backbones
    from casebase.wiring.asking import networks_of

    if not options.models:
        if store is None:
            raise UsageError("no network named: give --model, or the --base whose network is to be explained")
        held = store
        explained = networks_of(held, settings)[1].with_precision("fp32")
        return [BenchNetwork(_untrained(explained.spec, explained), lambda: explained)]
    weights = [None if str(one) == NO_WEIGHTS else Path(one) for one in options.weights] or [None] * len(options.models)
    found = []
    for model, file in zip(options.models, weights, strict=True):
        spec = backbones.parse(model, None, file)  # a name that means nothing is told before anything is loaded
        if file is not None and not file.is_file():
            raise _no_file(file)
        name = Path(os.path.abspath(model)).name if spec.kind == "folder" else spec.text
        found.append(
            (name, file, backbones.Wanted(model, None, file, pretrained=not options.untrained, seed=settings.seed))
        )
    often = Counter(name for name, _, _ in found)
    named = []
    for place, (name, file, wanted) in enumerate(found, start=1):
        told = name if often[name] == 1 else f"{name} ({file.name if file is not None else place})"
        told = f"{told} (untrained)" if options.untrained and file is None and not Path(wanted.model).is_dir() else told
        named.append(BenchNetwork(told, partial(_loaded, wanted, settings)))
    if len({one.name for one in named}) < len(named):
        raise UsageError("the same network with the same weights was named twice; name each once")
    return named


def _loaded(wanted: Any, settings: Settings) -> ExplainedNetwork:
    from casebase.networks import backbones, devices
    from casebase.networks.explained import ExplainedNetwork

    return ExplainedNetwork(
        backbones.load(wanted), device=devices.choose(settings.device), batch_size=settings.batch_size
    )


def _untrained(name: str, network: ExplainedNetwork) -> str:
    return f"{name} (untrained)" if network.untrained else name


def _no_file(file: Path) -> Exception:
    from casebase.errors import WeightsMissing

    return WeightsMissing(f"no weights file at {printable(str(file))}; check the path given with --weights")
