"""What ``casebase.open()`` and ``casebase.create()`` return. Thin: every method is one or two calls of a service."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import casebase
from casebase import clock, reading, settings, wiring
from casebase.answers import Retrieval
from casebase.cases import Case
from casebase.commands import typed
from casebase.dossiers import Dossier
from casebase.errors import CasebaseError, DataError, ImageError, NotFound, StorageFailed, UsageError
from casebase.evaluate import BenchSettings, PrototypeOptions, SaliencyOptions, TwinOptions
from casebase.evaluations import Evaluation
from casebase.explain import METHOD_NAMES, Explainer, Wanted, compose, gather, saliency_drawn
from casebase.explain import Choice as ErrorsChoice
from casebase.explanations import QUERY_ID, Explanation, Level, Statement
from casebase.indexer import (
    IndexSummary,
    Progress,
    dry_run,
    index,
    lines,
    open_source,
    stage_lines,
    training_lines,
    write_set,
)
from casebase.maps import Maps, MapsWanted
from casebase.prototype_pages import PartsPage, PrototypesPage
from casebase.prototypes import PrototypeSet
from casebase.query import Ask, ask
from casebase.spaces import NETWORK_SPACE
from casebase.storage import Finding, Findings, Stats, plan, repair, stats, verify
from casebase.summaries import Summary, SummaryWanted
from casebase.summarize import summarize
from casebase.trained import Onlooker, Trained
from casebase.wiring import EVALUATIONS, ModelChoice, PrototypeRecipe, Recipe, Scope, TrainOptions

__all__ = [
    "EVALUATIONS",
    "METHOD_NAMES",
    "Base",
    "BenchSettings",
    "Demo",
    "Dossier",
    "ErrorsChoice",
    "Evaluation",
    "Findings",
    "IndexOptions",
    "IndexSummary",
    "Maps",
    "MapsWanted",
    "ModelChoice",
    "Onlooker",
    "PrototypeOptions",
    "PrototypeRecipe",
    "PrototypeSet",
    "Recipe",
    "SaliencyOptions",
    "Stats",
    "Summary",
    "SummaryWanted",
    "TrainOptions",
    "Trained",
    "TwinOptions",
    "check",
    "check_data",
    "check_maps",
    "check_out",
    "check_summary",
    "data_of",
    "demo",
    "doctor",
    "evaluate_saliency",
    "plan",
    "preview",
    "saliency",
    "train",
]

Image = str | Path | bytes
"""A path, or the bytes of an image file."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """Everything ``index`` can be told beyond the data: networks, spaces, and which part of the data."""

    model: ModelChoice | None = None
    spaces: Sequence[str] = ()
    split: str | None = None
    limit: int | None = None
    thumbnails: bool = True

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit must be at least 1, not {self.limit}")


def data_of(chosen: settings.Settings, data: str | Path | None) -> Path:
    """What to index: the folder named, else the ``data`` setting, else ``./data``; else ``DataError``."""
    if data is not None:
        return Path(data)
    if chosen.data is not None:
        named = Path(chosen.data)
        return named if chosen.origin.get("data") in ("environment", "flag") else chosen.base / named
    if Path("data").is_dir():
        return Path("data")
    raise DataError("no data named: give a folder or a manifest, or set `data` in casebase.toml")


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
    name, picture = _picture(image, chosen)
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


def _silent(done: int, total: int, skipped: int) -> None:
    """Nobody wants to know."""


def _picture(image: Image, chosen: settings.Settings) -> tuple[str, reading.Picture]:
    name = reading.STANDARD_INPUT if isinstance(image, bytes) else str(image)
    try:
        source = image if isinstance(image, bytes) else Path(image)
        return name, reading.read(source, megapixels=chosen.max_megapixels)
    except ImageError as error:
        raise ImageError(f"{reading.printable(name)}: {error}") from None


def _unwatched(stage: str, done: int, total: int) -> None:
    """Nobody wants to know."""


class Base:
    """A case base. Use :func:`casebase.open` or :func:`casebase.create`; close it, or use it in a ``with`` block."""

    def __init__(self, chosen: settings.Settings, *, create: bool = False, model: ModelChoice | None = None) -> None:
        self.settings = chosen
        self._create = create
        self._model = model or ModelChoice()
        self._store = wiring.store_for_writing(chosen) if create else wiring.store_for_reading(chosen)
        self._explainers = wiring.Explainers(chosen)

    # -- making --------------------------------------------------------------------------------------------------

    def index(
        self,
        data: str | Path | None = None,
        options: IndexOptions | None = None,
        *,
        progress: bool | Progress = False,
        announce: Callable[[str], None] = lambda line: None,
    ) -> IndexSummary:
        """Bring the case base in line with a folder of class folders or a manifest.

        ``progress=True`` writes lines to standard error; a function is called with (done, total, skipped). Raises
        ``DataError``, ``Locked``, ``FingerprintMismatch``, ``StorageFailed`` and all
        errors of loading a network; a bad image is listed in the summary and skipped.
        """
        wanted = options or IndexOptions()
        choice = wanted.model or self._model
        source = open_source(data_of(self.settings, data))
        scope = Scope(wanted.split, wanted.limit, wanted.thumbnails)
        if self._create:  # a first run that failed at once has taken the folder away again
            self._store = wiring.made_anew(self._store, self.settings)
        with self._store.writing("index") as run:  # locked before the first image, not after hours
            prepared = wiring.prepare(self._store, source, self.settings, choice, scope, wanted.spaces)
            announce(prepared.describe)
            if callable(progress):
                summary = index(prepared.source, prepared.plan, self._store, run, progress)
            elif progress:
                summary = index(prepared.source, prepared.plan, self._store, run, lines())
            else:
                summary = index(prepared.source, prepared.plan, self._store, run)
            wiring.tidy(self._store)
        self._explainers.forget()
        return replace(summary, warnings=[*prepared.notes, *summary.warnings])

    # -- asking --------------------------------------------------------------------------------------------------

    def query(
        self, image: Image, *, k: int = 5, space: str = NETWORK_SPACE, rival: str | None = None, rerank: bool = False
    ) -> Retrieval:
        """Prediction, nearest, twins, counterfactuals, semi-factuals and trust of one image.

        ``rerank`` lets the neighbours weigh in, as far as held-out images show that it helps; twins and rivals are
        then those of ``Retrieval.called``.
        """
        return self.query_many([image], k=k, space=space, rival=rival, rerank=rerank)[0]

    def query_many(
        self,
        images: Sequence[Image],
        *,
        k: int = 5,
        space: str = NETWORK_SPACE,
        rival: str | None = None,
        rerank: bool = False,
    ) -> list[Retrieval]:
        """The same for several images, with their forward passes in batches."""
        pictures = [_picture(image, self.settings) for image in images]
        networks = self._explainers.networks(self._store, space)
        return ask(pictures, Ask(k, space, rival, rerank), networks, self._store)

    def explain(
        self,
        image: Image,
        *,
        k: int = 5,
        space: str = NETWORK_SPACE,
        rival: str | None = None,
        saliency: str | None = "gradcam",
        rerank: bool = False,
        panel: bool = False,
        command: str = "",
    ) -> Explanation:
        """A query with everything that can be seen of it; ``save("report.html")`` writes the page.

        ``saliency`` is a method of ``METHOD_NAMES``; None leaves out all maps. One that cannot explain this network
        raises ``ModelError``, ``NoTargetLayer`` or ``MissingExtra``; only the default one ends in a warning. ``panel``
        shows the probable classes side by side at any margin, as a page about an error does; else they are shown at low
        margin only. Overlays are written to the base's ``reports/`` where it may be written.
        """
        wanted = Wanted(saliency, self.settings.seed, panel)
        name, picture = _picture(image, self.settings)
        networks = self._explainers.networks(self._store, space)
        (retrieval,) = ask([(name, picture)], Ask(k, space, rival, rerank), networks, self._store)
        explainer, left_out = self._explainers.of(self._store, space)
        explainer.ready(wanted)
        seen = next(explainer.explain([(retrieval, picture)], wanted, self._facts(command)))
        overlays, problem = self._overlays(seen, saliency) if saliency is not None else ({}, None)
        warnings = (*seen.warnings, *([] if problem is None else [problem]), *left_out)
        seen = replace(seen, overlays=overlays, warnings=warnings, renderer=wiring.renderer())
        facts = seen.facts
        return replace(
            seen,
            report=compose(
                seen, base=str(self.settings.base), network=facts["network"], date=facts["date"],
                provenance=list(facts.items()), synthetic=self._store.setting("synthetic"),
            ),
        )  # fmt: skip

    def saliency(
        self,
        image: Image,
        methods: Sequence[str] = ("gradcam",),
        classes: Sequence[str] = (),
        *,
        layer: str | None = None,
        samples: int | None = None,
        sign: str = "positive",
        command: str = "",
    ) -> Maps:
        """Where the network looked in one image: maps by ``methods``, for the predicted class and for ``classes``.

        ``save(folder)`` writes a page, pictures and the raw maps. A method that cannot explain this network has a row
        that says why; where none can, its error is raised. Raises ``UsageError`` for a method that is not there and
        ``UnknownClass``.
        """
        wanted = MapsWanted(tuple(methods), tuple(classes), layer, samples, sign, self.settings.seed)
        name, picture = _picture(image, self.settings)
        found = self._explainers.of(self._store, NETWORK_SPACE)[0].look(name, picture, wanted, self._facts(command))
        return replace(found, synthetic=self._store.setting("synthetic"), writer=wiring.maps_pages())

    # -- prototypes ----------------------------------------------------------------------------------------------

    def train_prototypes(
        self,
        recipe: PrototypeRecipe | None = None,
        *,
        fresh: bool = False,
        progress: bool | Callable[[str, int, int], None] = False,
        announce: Callable[[str], None] = lambda line: None,
    ) -> PrototypeSet:
        """Learn prototypes of this base's network from its cases, in the place of those of the same profile.

        An interrupted training goes on unless ``fresh``. ``progress=True`` writes lines to standard error; a function
        is called with (stage, done, total). Raises ``NoTargetLayer`` and ``ModelError`` for a network that has no
        prototypes, and where a gate fails: nothing is replaced then; ``EmptyCaseBase``, ``DataError``, ``Locked``.
        """
        told = progress if callable(progress) else stage_lines() if progress else _unwatched
        return wiring.train_prototypes(
            self._store, self.settings, recipe or PrototypeRecipe(), fresh=fresh, progress=told, announce=announce
        )

    def prototypes(self, profile: str | None = None) -> PrototypeSet | None:
        """The prototypes of a profile, by default ``signed``, else ``classic``; None where there are none.

        Raises ``FingerprintMismatch`` where they explain another network than the one that answers here.
        """
        return wiring.prototype_set(self._store, profile)

    def prototypes_page(
        self, profile: str | None = None, classes: Sequence[str] = (), *, top: int | None = None, command: str = ""
    ) -> PrototypesPage:
        """The prototypes with their source cases; ``save(file)`` writes the page.

        ``classes`` and ``top``, the weightiest of each class, choose what is shown. Raises ``NotFound`` where there
        are none, ``UnknownClass``, ``FingerprintMismatch``, ``WeightsMissing``.
        """
        found = self._explainers.of_prototypes(self._store, profile).prototypes(self._facts(command), classes, top)
        return replace(found, synthetic=self._store.setting("synthetic"), writer=wiring.prototype_pages())

    def parts(
        self,
        image: Image,
        profile: str | None = None,
        classes: Sequence[str] = (),
        *,
        top: int = 5,
        command: str = "",
    ) -> PartsPage:
        """What the prototypes say of one image: for the predicted class and ``classes``, by default the runner-up.

        ``save(file)`` writes the page. Raises as :meth:`prototypes_page`, and ``ImageError``.
        """
        name, picture = _picture(image, self.settings)
        explainer = self._explainers.of_prototypes(self._store, profile)
        found = explainer.parts(name, picture, self.settings.seed, self._facts(command), classes, top)
        return replace(found, synthetic=self._store.setting("synthetic"), writer=wiring.prototype_pages())

    def summarize(
        self,
        k: int = 5,
        criticisms: int = 3,
        by: str = "predicted",
        classes: Sequence[str] = (),
        space: str = NETWORK_SPACE,
        *,
        sort: str = "disputed",
        shown: int | None = None,
        progress: bool | Progress = False,
        command: str = "",
    ) -> Summary:
        """Of every class, or of ``classes``, ``k`` typical cases with weights and the cases they say least of.

        From stored vectors alone: nothing is trained and no network is loaded. ``by`` is ``predicted`` (what the
        network takes for a class) or ``label``. ``save("summary.html")`` or ``save(folder)`` writes the page, on which
        the first ``shown`` classes stand in order of ``sort``: ``disputed``, ``residual`` or ``name``. ``progress`` is
        told of classes, as that of ``index`` of images. Raises ``UsageError``, ``UnknownClass``, ``NoLike`` and
        ``EmptyCaseBase``.
        """
        wanted = SummaryWanted(k, criticisms, by, tuple(classes), space, sort, seed=self.settings.seed)
        wanted = wanted if shown is None else replace(wanted, shown=shown)
        told = progress if callable(progress) else lines(what="classes") if progress else _silent
        found = summarize(self._store.snapshot(), wanted, self._facts(command), told)
        said = [*wiring.leaks_told(self._store.setting(wiring.LEAKS)), *found.statements]
        return replace(
            found, statements=said, synthetic=self._store.setting("synthetic"),
            writer=wiring.summary_pages(self._store, self.settings),
        )  # fmt: skip

    # -- measuring -----------------------------------------------------------------------------------------------

    def evaluate(
        self,
        kind: str,
        *,
        split: str | None = None,
        options: TwinOptions | SaliencyOptions | PrototypeOptions | None = None,
        progress: bool | Progress = False,
        announce: Callable[[str], None] = lambda line: None,
        command: str = "",
    ) -> Evaluation:
        """Measure on a part of the base; ``save(folder)`` writes the page, JSON, tables and plots.

        ``kind`` is one of ``EVALUATIONS``. ``split`` None takes ``test``, else ``val``, else all held-out images.
        ``options`` are for the kinds ``twins``, ``saliency`` and ``prototypes``; ``progress`` is told of forward
        passes, of maps and scores, or of images, as that of ``index``; ``announce`` is called with a line about what
        takes long.
        Raises ``UsageError`` for an unknown kind or split, and where no image is held out.
        """
        told = progress if callable(progress) else lines() if progress else None
        measured = wiring.evaluate(
            self._store, self.settings, kind, split=split, options=options, progress=told, announce=announce
        )
        return replace(
            measured,
            statements=[*wiring.leaks_told(self._store.setting(wiring.LEAKS)), *measured.statements],
            settings={**self._facts(command), **measured.settings},
            synthetic=self._store.setting("synthetic"),
            writer=wiring.evaluation_writer(),
        )

    def errors(
        self,
        split: str | None = None,
        choice: ErrorsChoice | None = None,
        *,
        saliency: str | None = "gradcam",
        command: str = "",
        progress: Progress = lambda done, total, skipped: None,
    ) -> Dossier:
        """Every wrong answer of a part (``test``, else ``val``, else all that is held out), most important first.

        ``save(folder)`` writes index, pages, JSON and CSV; ``progress`` is then called with (pages made, in all, 0).
        Stored predictions are used: nothing is read or predicted before pages are made. Raises ``UsageError`` for a
        part that is not there.
        """
        chosen = replace(choice or ErrorsChoice(), seed=self.settings.seed)
        if split is not None:
            chosen = replace(chosen, split=split)
        wanted = Wanted(saliency, self.settings.seed, panel=True)
        networks = self._explainers.networks(self._store, chosen.space)
        explainer, left_out = self._explainers.of(self._store, chosen.space)
        explainer.ready(wanted)
        found = gather(self._store, networks, chosen, partial(wiring.file_hashes, self._store), self._facts(command))
        writer = wiring.dossier_pages(explainer, wanted, self.settings, progress)
        said = [*wiring.leaks_told(self._store.setting(wiring.LEAKS)), *found.statements]
        said += [Statement(one, Level.CAUTION) for one in left_out]
        return replace(found, statements=said, synthetic=self._store.setting("synthetic"), writer=writer)

    def _overlays(self, seen: Explanation, method: str) -> tuple[Mapping[str, Path | None], str | None]:
        found = seen.saliency.get((QUERY_ID, seen.retrieval.called))
        if found is None or found.degenerate is not None:
            return {method: None}, None
        drawn = saliency_drawn(seen.shown[QUERY_ID].view, found)
        target = self.settings.base / "reports" / f"{seen.retrieval.query.sha256[:16]}-{method}.png"
        try:
            wiring.save_picture(target, drawn)
        except CasebaseError as error:
            return {method: None}, f"the overlay was not saved: {error}"
        return {method: target}, None

    def _facts(self, command: str) -> dict[str, str]:
        known = self._store.setting("classifier") or {}
        view = self._store.view()
        return {
            "casebase": casebase.__version__,
            "base": str(self.settings.base),
            "network": str(known.get("spec", "")) + (" (untrained)" if known.get("untrained") else ""),
            "classifier": f"{known.get('kind', '')}, {known.get('fingerprint', '')}",
            "generation": str(view.generation),
            "spaces": ", ".join(f"{name} {f.short} ({f.precision}, {f.dim})" for name, f in view.fingerprints.items()),
            "cases": str(sum(view.classes.values())),
            "seed": str(self.settings.seed),
            "date": clock.now(),
            "command": command,
            "python": platform.python_version(),
        }

    def case(self, name: str) -> Case:
        """One case by its id, whatever its status; ``NotFound`` where there is none."""
        found = self._store.get([name]).get(name)
        if found is None:
            raise NotFound(f"no case {reading.printable(name)!r} in {self.settings.base}; ids stand in every report")
        return found

    # -- looking after -------------------------------------------------------------------------------------------

    def stats(self) -> Stats:
        """Counts per class, split and space, store sizes, generation and fingerprint."""
        return stats(self._store)

    def verify(self, *, deep: bool = False) -> Findings:
        """Check that nothing is lost or damaged; ``deep`` reads every vector and measures recall."""
        return verify(self._store, deep=deep)

    def repair(self) -> Sequence[str]:
        """Rebuild what is derived from ``cases.db``; returns what was done. Source images are never touched."""
        steps = plan()
        repair(self._store)
        return steps

    def mark_synthetic(self, sentence: str) -> None:
        """Record that all images of this base are synthetic; every report says so."""
        self._store.remember("synthetic", sentence)

    def examples(self) -> list[Path]:
        """Files of an image that the network gets right and of one that it gets wrong, held-out ones before cases."""
        return wiring.examples(self._store)

    @cached_property
    def folder(self) -> Path:
        """The case base's folder."""
        return self.settings.base

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def to_dict(self) -> Mapping[str, Any]:
        """The statistics as JSON."""
        return self.stats().to_dict()


SYNTHETIC = "These birds were drawn by casebase. They show how a report reads, not how good a network is."
DRAWN = 240
DRAWN_SPLITS = {"train": 0.75, "val": 0.125, "test": 0.125}


@dataclass(frozen=True)
class Demo:
    """What ``demo`` made: a base, and one explanation of a right answer and one of a wrong one, if there was one."""

    folder: Path
    summary: IndexSummary
    explanations: Sequence[Explanation]
    reports: Sequence[Path]

    def to_dict(self) -> dict[str, Any]:
        """Schema ``casebase.demo/1``."""
        return {
            "schema": "casebase.demo/1", "folder": str(self.folder), "index": self.summary.to_dict(),
            "queries": [seen.to_dict() for seen in self.explanations], "reports": [str(path) for path in self.reports],
        }  # fmt: skip

    def closing(self) -> list[str]:
        """The last lines: what to try, and last of all the page to open."""
        base = self.folder / "base"
        lines = [*typed("stats", base=base), *typed("verify", "--deep", base=base)]
        told = [f"{'     ' if place else 'try: '}{line}" for place, line in enumerate(lines)]
        return [*told, *(str(path.resolve()) for path in self.reports)]


def demo(
    folder: Path,
    chosen: settings.Settings,
    *,
    dataset: str = "birds",
    shortcut: bool = False,
    announce: Callable[[str], None] = lambda line: None,
    progress: bool | Progress = False,
) -> Demo:
    """Draw birds (or fetch pets), train, index, ask about an image the network gets right and one it gets wrong.

    Everything is written below ``folder``; what an earlier demo of the same kind left there is used again. Raises
    ``UsageError`` for an unknown data set, ``DataError`` where pets cannot be downloaded.
    """
    if dataset not in ("birds", "pets"):
        raise UsageError(f"no demo data set {dataset!r}; there is birds, pets")
    name = "pets" if dataset == "pets" else "birds-shortcut" if shortcut else "birds"
    options = IndexOptions()
    if dataset == "pets":
        announce("downloading Oxford-IIIT Pet")
        data = wiring.fetch_pets(folder / name)
    else:
        data = folder / name
        if not data.exists():
            announce(f"drawing {4 * DRAWN} birds of four species (synthetic)")
            write_set(
                data, per_class=DRAWN, seed=chosen.seed, shortcut=shortcut, splits=DRAWN_SPLITS,
                processes=wiring.workers(chosen),
            )  # fmt: skip
        model = folder / f"model-{name}"
        if not (model / "model.json").exists():
            announce("training a ten-layer residual network from scratch")
            wiring.train_birds(data, model, chosen, announce)
        options = IndexOptions(model=ModelChoice(model=str(model)))
    chosen = replace(chosen, base=folder / f"base-{name}" if name != "birds" else folder / "base")
    with Base(chosen, create=True) as base:
        if dataset == "birds":
            base.mark_synthetic(SYNTHETIC + (SHORTCUT if shortcut else ""))
        summary = base.index(data, options, progress=progress, announce=announce)
        seen = [base.explain(path, command="casebase demo") for path in base.examples()]
        reports_at = [
            explanation.save(base.folder / "reports" / f"{kind}.html")
            for kind, explanation in zip(("right", "wrong"), seen, strict=False)
        ]
    return Demo(folder, summary, seen, reports_at)


SHORTCUT = " Each species keeps to its own scenery: a shortcut that the maps and neighbours should give away."


def doctor(chosen: settings.Settings) -> list[dict[str, Any]]:
    """Versions, devices and the store, each with whether it is as needed. Loads every heavy library."""
    return wiring.environment(chosen)
