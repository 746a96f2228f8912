"""What needs no open base: checks before the work, training, maps and comparisons of any network."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import casebase
from casebase import clock, settings, wiring
from casebase.api.base import Base
from casebase.api.inputs import Image, IndexOptions, data_of, decoded
from casebase.data_audit import DataAudit
from casebase.datasets import Generated, Paired
from casebase.errors import StorageFailed
from casebase.evaluate import SaliencyOptions
from casebase.evaluations import Evaluation
from casebase.explain import Explainer
from casebase.indexer import (
    IndexSummary,
    Progress,
    dry_run,
    lines,
    open_source,
    stage_lines,
    training_lines,
)
from casebase.maps import Maps, MapsWanted
from casebase.storage import Finding, Findings
from casebase.trained import Onlooker, Trained
from casebase.wiring import GenerateOptions, ModelChoice, PairOptions, Scope, TrainOptions


def check_data(chosen: settings.Settings, data: str | Path | None) -> None:
    """Raise ``DataError`` where there is nothing to index, before anything is made for it."""
    open_source(data_of(chosen, data))


def check_out(folder: str | Path, kind: str | None = None) -> None:
    """Raise where the evaluation of a kind, or without one a dossier, cannot be saved to a folder: before the work.

    ``UsageError`` where something else would be lost, ``StorageFailed`` where no folder can be made.
    """
    wiring.check_out(Path(folder), kind)


def check_maps(folder: str | Path) -> None:
    """Raise where saliency maps cannot be saved to a folder, before the work: as :func:`check_out`."""
    wiring.check_maps(Path(folder))


def check_summary(target: str | Path) -> None:
    """Raise where a summary cannot be saved to a folder, or to a file ending in .html: as :func:`check_out`."""
    wiring.check_summary(Path(target))


def check_audit(target: str | Path) -> None:
    """Raise where the page of an audit cannot be saved to a file, before the work: as :func:`check_out`."""
    wiring.check_audit(Path(target))


def audit_data(
    chosen: settings.Settings,
    data: str | Path,
    model: ModelChoice | None = None,
    *,
    progress: bool | Progress = False,
    announce: Callable[[str], None] = lambda line: None,
) -> DataAudit:
    """Leaks, copies, unreadable files, balance and groups of a data set, before any training; no base is needed.

    With a ``model``, copies that are no exact ones are checked by its embedding too. Raises ``DataError``, and all
    errors of loading a network.
    """
    told = progress if callable(progress) else lines() if progress else lambda done, total, skipped: None
    return wiring.audit_data(chosen, Path(data), model, progress=told, announce=announce)


def saliency(
    chosen: settings.Settings,
    image: Image,
    wanted: MapsWanted | None = None,
    model: ModelChoice | None = None,
    *,
    command: str = "",
) -> Maps:
    """Where a network that belongs to no base looked in one image; see :meth:`Base.saliency`.

    Where a method starts from background images, it takes the mean colour.
    """
    name, picture = decoded(image, chosen)
    network, notes = wiring.network_alone(model or ModelChoice(), chosen)
    explainer = Explainer(network, network.classes or (), lambda pixel_hash: None, megapixels=chosen.max_megapixels)
    facts = {
        "casebase": casebase.__version__,
        "network": network.spec + (" (untrained)" if network.untrained else ""),
        "classifier": network.classifier_fingerprint or "",
        "seed": str(chosen.seed),
        "date": clock.now(),
        "command": command,
        "python": platform.python_version(),
    }
    found = explainer.look(name, picture, wanted or MapsWanted(seed=chosen.seed), facts)
    return replace(found, warnings=[*notes, *found.warnings], writer=wiring.maps_pages())


def preview(chosen: settings.Settings, data: str | Path | None, options: IndexOptions) -> IndexSummary:
    """What ``index`` would do, by path, size and time alone. Nothing is read, embedded or written."""
    source = open_source(data_of(chosen, data))
    with wiring.store_for_looking(chosen) as store:
        return dry_run(source, wiring.dry_plan(store, Scope(options.split, options.limit), options.spaces), store)


def train(
    chosen: settings.Settings,
    data: str | Path | None,
    options: TrainOptions | None = None,
    *,
    progress: bool | Onlooker = False,
    announce: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Fine-tune a classifier and save it as a model folder; an interrupted training goes on.

    ``progress=True`` writes lines to standard error. Seed, device, precision, workers and memory come from the
    settings. Raises ``DataError``, ``UsageError``, ``Diverged``, ``Locked`` and all errors of loading a network.
    """
    onlooker = progress if isinstance(progress, Onlooker) else training_lines() if progress else Onlooker()
    return wiring.train(chosen, data_of(chosen, data), options or TrainOptions(), onlooker, announce)


def generate(
    chosen: settings.Settings,
    out: str | Path,
    options: GenerateOptions | None = None,
    *,
    progress: bool | Callable[[str, int, int], None] = False,
    announce: Callable[[str], None] = lambda line: None,
) -> Generated:
    """Fill a folder with images from a diffusers pipeline; what is there already is not made again.

    Image i comes from the seed of the settings + i. ``progress=True`` writes lines to standard error; ``announce``
    hears the expected time before the first image. Raises ``UsageError``, ``ModelError`` and what is below it,
    ``DataError``, ``StorageFailed``, ``Locked``.
    """
    told = progress if callable(progress) else stage_lines() if progress else lambda stage, done, total: None
    return wiring.generate(chosen, Path(out), options or GenerateOptions(), told, announce)


def pair(
    chosen: settings.Settings,
    real: str | Path,
    generated: str | Path,
    out: str | Path,
    options: PairOptions | None = None,
    *,
    progress: bool | Callable[[str, int, int], None] = False,
) -> Paired:
    """Make a two-class set of photographs and generated images, all through one pipeline.

    ``real`` and ``generated`` are folders or manifests; ``out`` must not exist. Deterministic by the settings' seed.
    Raises ``UsageError``, ``DataError``, ``StorageFailed``.
    """
    told = progress if callable(progress) else stage_lines() if progress else lambda stage, done, total: None
    return wiring.pair(chosen, Path(real), Path(generated), Path(out), options or PairOptions(), told)


def evaluate_saliency(
    chosen: settings.Settings,
    options: SaliencyOptions,
    *,
    progress: bool | Progress = False,
    announce: Callable[[str], None] = lambda line: None,
    command: str = "",
) -> Evaluation:
    """Compare saliency methods on networks and images that ``options`` name; no base is needed.

    With a base, for its own network or its held-out images, it is ``Base.evaluate("saliency", options=…)``. What was
    computed is remembered in ``options.kept``, where that names a folder. Raises ``UsageError``, ``DataError``,
    ``MissingExtra``, ``ModelError`` and all errors of loading a network.
    """
    told = progress if callable(progress) else lines() if progress else None
    measured = wiring.compare_saliency(chosen, options, progress=told, announce=announce)
    facts = {
        "casebase": casebase.__version__, "date": clock.now(), "command": command, "python": platform.python_version(),
    }  # fmt: skip
    return replace(measured, settings={**facts, **measured.settings}, writer=wiring.evaluation_writer())


def check(chosen: settings.Settings, *, deep: bool = False) -> Findings:
    """``verify`` of a base that may be too damaged to be opened; that is a finding then, as any other."""
    try:
        with Base(chosen) as base:
            return base.verify(deep=deep)
    except StorageFailed as error:
        return Findings([Finding(str(error), repairable=False)], {}, [], deep, 0.0)


def doctor(chosen: settings.Settings) -> list[dict[str, Any]]:
    """Versions, devices and the store, each with whether it is as needed. Loads every heavy library."""
    return wiring.environment(chosen)
