"""A case base as Python sees it. Thin: every method is one or two calls of a service."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import casebase
from casebase import clock, reading, settings, wiring
from casebase.answers import Retrieval
from casebase.api.inputs import Image, IndexOptions, data_of, decoded
from casebase.association import Association
from casebase.association_pages import AssociationPage, WalkPage
from casebase.cases import Case
from casebase.dossiers import Dossier
from casebase.errors import CasebaseError, NotFound
from casebase.evaluate import CaeOptions, PrototypeOptions, SaliencyOptions, TwinOptions
from casebase.evaluations import Evaluation
from casebase.explain import Choice as ErrorsChoice
from casebase.explain import WalkWanted, Wanted, coded, compose, gather, known_projection, saliency_drawn
from casebase.explanations import QUERY_ID, Explanation, Level, Statement
from casebase.indexer import (
    IndexSummary,
    Progress,
    association_lines,
    index,
    lines,
    open_source,
    stage_lines,
)
from casebase.maps import Maps, MapsWanted
from casebase.prototype_pages import PartsPage, PrototypesPage
from casebase.prototypes import PrototypeSet
from casebase.query import Ask, ask
from casebase.spaces import NETWORK_SPACE
from casebase.storage import Findings, Stats, plan, repair, stats, verify
from casebase.summaries import Summary, SummaryWanted
from casebase.summarize import summarize
from casebase.wiring import CaeProgress, CaeRecipe, ModelChoice, PrototypeRecipe, Scope

FEW_FRAMES = 8
"""Frames of the walk on a dossier's pages: each is a forward pass, and there are many pages."""


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
        pictures = [decoded(image, self.settings) for image in images]
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
        name, picture = decoded(image, self.settings)
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
        name, picture = decoded(image, self.settings)
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
        told = progress if callable(progress) else stage_lines() if progress else lambda *_told: None
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
        name, picture = decoded(image, self.settings)
        learnt = self._explainers.of_prototypes(self._store, profile)
        found = learnt.parts(name, picture, self.settings.seed, self._facts(command), classes, top)
        return replace(found, synthetic=self._store.setting("synthetic"), writer=wiring.prototype_pages())

    # -- class association ---------------------------------------------------------------------------------------

    def train_association(
        self,
        recipe: CaeRecipe | None = None,
        *,
        fresh: bool = False,
        progress: bool | Callable[[CaeProgress], None] = False,
        announce: Callable[[str], None] = lambda line: None,
    ) -> Association:
        """Learn a class association embedding of this base's network from its cases, and the space ``cae`` with it.

        An interrupted training goes on unless ``fresh``. ``progress=True`` writes lines to standard error; a function
        is called with stage, done, total, losses and the newest standing. Raises ``GateFailed`` where the embedding
        explains nothing, which is then in the error's ``found``: it is kept to be looked at, unless one is there that
        explains this network; ``EmptyCaseBase``, ``DataError``, ``UsageError`` for images smaller than the preset,
        ``Diverged``, ``Locked``.
        """
        told = progress if callable(progress) else _lines() if progress else lambda _told: None
        return wiring.train_association(
            self._store, self.settings, recipe or CaeRecipe(), fresh=fresh, watch=told, announce=announce
        )

    def association(self) -> Association | None:
        """The class association embedding, whether it passed its gates or not; None where there is none.

        Raises ``FingerprintMismatch`` where it explains another network than the one that answers here.
        """
        return wiring.association(self._store)

    def association_page(
        self, *, projection: str = "pca", untrusted: bool = False, command: str = ""
    ) -> AssociationPage:
        """The class association embedding with its gates, its log and the map of the class codes; ``save(file)``.

        ``projection`` is ``pca`` or ``umap``. Below the gates its pictures and its map are held back unless
        ``untrusted``. Raises ``NotFound`` where there is none, ``FingerprintMismatch``, ``WeightsMissing``,
        ``MissingExtra``, ``UsageError``.
        """
        found = self._explainers.of_association(self._store).association(
            coded(self._store), known_projection(projection), self.settings.seed, self._facts(command),
            untrusted=untrusted,
        )  # fmt: skip
        return replace(found, synthetic=self._store.setting("synthetic"), writer=wiring.association_pages())

    def walk(
        self,
        image: Image,
        rival: str | None = None,
        *,
        route: str = "graph",
        frames: int = 20,
        projection: str = "pca",
        untrusted: bool = False,
        command: str = "",
    ) -> WalkPage:
        """What would change in one image for the network to say ``rival``, by default the runner-up; ``save(file)``.

        ``route`` is ``graph`` or ``straight``. Every picture of it is synthetic and says so. Raises as
        :meth:`association_page`, ``GateFailed`` below the gates unless ``untrusted``, ``UnknownClass``, ``NoUnlike``
        for a rival without a case, and ``ImageError``.
        """
        wanted = WalkWanted(rival, route, frames, known_projection(projection), untrusted, self.settings.seed)
        learnt = self._explainers.of_association(self._store)
        name, picture = decoded(image, self.settings)
        networks = self._explainers.networks(self._store, NETWORK_SPACE)
        (retrieval,) = ask([(name, picture)], Ask(1, NETWORK_SPACE, rival), networks, self._store)
        found = learnt.walk(name, picture, retrieval, coded(self._store), wanted, self._facts(command))
        return replace(found, synthetic=self._store.setting("synthetic"), writer=wiring.association_pages())

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
        told = progress if callable(progress) else lines(what="classes") if progress else lambda *_told: None
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
        options: TwinOptions | SaliencyOptions | PrototypeOptions | CaeOptions | None = None,
        progress: bool | Progress = False,
        announce: Callable[[str], None] = lambda line: None,
        command: str = "",
    ) -> Evaluation:
        """Measure on a part of the base; ``save(folder)`` writes the page, JSON, tables and plots.

        ``kind`` is one of ``EVALUATIONS``. ``split`` None takes ``test``, else ``val``, else all held-out images.
        ``options`` are for all kinds but ``model``; ``progress`` is told of forward passes, of maps and scores, or of
        images, as that of ``index``; ``announce`` is called with a line about what takes long.
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
        wanted = Wanted(saliency, self.settings.seed, panel=True, frames=FEW_FRAMES)
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


def _lines() -> Callable[[CaeProgress], None]:
    lines = association_lines()
    return lambda told: lines(told.stage, told.done, told.total, told.standing, told.terms)
