"""The service behind ``explain``: retrievals become pictures, maps, where maps and a check of the maps.

Many are explained together: a picture that stands in several lists is decoded once and put through the network once,
and forward passes are batched across answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from casebase import clock, reading
from casebase.answers import Retrieval
from casebase.cases import Case
from casebase.commands import named
from casebase.errors import ImageError, ModelError
from casebase.explain import mapping, where_maps
from casebase.explain.album import Album, Look, Thumbnail, ahead, in_threads
from casebase.explain.cae.evidence import Walks
from casebase.explain.cae.walking import FRAMES
from casebase.explain.learnt import Learnt
from casebase.explain.network import ExplainedNetwork
from casebase.explain.passes import Passes
from casebase.explain.prototypes.evidence import Asked, Cases, Evidence, shown
from casebase.explain.saliency import names
from casebase.explain.saliency.method import MethodSettings
from casebase.explain.work import Block, Work, looked_at, mapped_cases, shown_cases
from casebase.explanations import QUERY_ID, Explanation, Shown
from casebase.maps import Maps, MapsWanted
from casebase.panel import low_margin
from casebase.ports import AssociationView, PrototypeView

BACKGROUND = 16
"""Random cases that a method which needs a background starts from."""
BLOCK = 8
"""Answers explained together: their queries and the views of their deletion checks are in memory at once."""

Query = reading.Picture | Case
Sample = Callable[[int, int], Sequence[Case]]
"""Some random cases: (how many, seed)."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What to draw: the saliency method, or None for no overlays; ``panel`` asks for it at any margin.

    ``frames`` are those of a walk, which costs a forward pass each.
    """

    method: str | None = mapping.DEFAULT
    seed: int = 0
    panel: bool = False
    frames: int = FRAMES

    def __post_init__(self) -> None:
        if self.method is not None:
            names.known(self.method)


def explain(
    retrieval: Retrieval,
    picture: reading.Picture,
    network: ExplainedNetwork,
    classes: Sequence[str],
    thumbnail: Thumbnail,
    wanted: Wanted,
    facts: Mapping[str, str],
    *,
    megapixels: float = reading.DEFAULT_MEGAPIXELS,
) -> Explanation:
    """Look at one query and at every case that will be shown; see :class:`Explainer` for many."""
    explainer = Explainer(network, classes, thumbnail, megapixels=megapixels)
    return next(explainer.explain([(retrieval, picture)], wanted, facts))


class Explainer:
    """Explains the answers of one network; pictures, maps and forward passes are shared between them.

    A case whose file is gone or has changed is shown by its thumbnail, without maps, and a warning says so. The
    network is left as it was. What is kept between calls is bounded (about 200 MB). With ``prototypes`` an explanation
    also has ``parts``; ``cases`` then finds their source cases by id. With an ``association`` it also has a ``walk``.
    """

    def __init__(
        self,
        network: ExplainedNetwork,
        classes: Sequence[str],
        thumbnail: Thumbnail,
        *,
        megapixels: float = reading.DEFAULT_MEGAPIXELS,
        sample: Sample | None = None,
        prototypes: PrototypeView | None = None,
        cases: Cases = lambda ids: {},
        association: AssociationView | None = None,
    ) -> None:
        self._network = network
        self._album = Album(network.preprocess, thumbnail, megapixels=megapixels)
        self._passes = Passes(network, classes)
        self._sample = sample
        self._evidence = None if prototypes is None else Evidence(prototypes, cases, self._album)
        self._association = association
        self._walks = None if association is None else Walks(association)
        self.learnt = Learnt(self._passes, self._album, self._evidence, association)
        self._settings: dict[tuple[bool, int], tuple[MethodSettings, Mapping[str, str]]] = {}

    def ready(self, wanted: Wanted) -> None:
        """Raise, before the work, where the method that was asked for cannot explain this network.

        The default method is left to end in a warning of the explanation, since nobody need have asked for it.
        """
        if wanted.method not in (None, mapping.DEFAULT):
            self._passes.facts(str(wanted.method), self.settings(str(wanted.method), wanted.seed)[0])

    def settings(self, method: str, seed: int) -> tuple[MethodSettings, Mapping[str, str]]:
        """What a method starts from, and what to record of it: the seed, and a background where it needs one."""
        background = mapping.entry(method).background
        key = (background, seed)
        if key not in self._settings:
            plain = MethodSettings(seed=seed, sign=mapping.SIGN, association=self._association)
            self._settings[key] = self._background(plain) if background else (plain, {})
        return self._settings[key]

    def _background(self, plain: MethodSettings) -> tuple[MethodSettings, Mapping[str, str]]:
        """Random cases that can be read; the mean colour, which a method takes by itself, where there are none."""
        cases = [] if self._sample is None else list(self._sample(BACKGROUND, plain.seed))
        views = [look.view for look in self._album.looks(cases).looks.values()]
        if not views:
            return plain, {"background": "the mean colour"}
        images = self._network.preprocess.normalise(np.stack(views))
        return replace(plain, background=images), {
            "background": f"{len(views)} random {'case' if len(views) == 1 else 'cases'} of the base, seed {plain.seed}"
        }

    def explain(
        self, asked: Iterable[tuple[Retrieval, Query]], wanted: Wanted, facts: Mapping[str, str]
    ) -> Iterator[Explanation]:
        """Explain answers in their order, ``BLOCK`` at a time, the next block while one is in use.

        A query is a decoded picture, or a stored image whose file is read here; where that is gone, its thumbnail
        stands for it, without maps.
        """
        rest = iter(asked)
        blocks = iter(lambda: list(islice(rest, BLOCK)), [])
        for found in ahead(lambda block: self._explained(block, wanted, facts), blocks):
            yield from found

    def look(self, name: str, picture: reading.Picture, wanted: MapsWanted, facts: Mapping[str, str]) -> Maps:
        """Map one picture by several methods and for several classes; see :func:`casebase.explain.looking.look`."""
        from casebase.explain.looking import look

        return look(name, picture, wanted, self._passes, self._album, self.settings, facts)

    def _explained(
        self, block: Sequence[tuple[Retrieval, Query]], wanted: Wanted, facts: Mapping[str, str]
    ) -> list[Explanation]:
        started = clock.seconds()
        looked = self._look(block, panel=wanted.panel)
        self._read(looked, wanted)
        note = None
        if wanted.method is not None:
            self._saliency(looked, wanted.method, wanted.seed)
            self._deletions(looked.works, wanted.seed)
            note = mapping.map_note(wanted.method)
        where_maps.add(looked.works, looked.reads, self._network)
        self._parts(looked, wanted.seed)
        if self._walks is not None:
            self._walks.add(looked.works, looked.views, wanted.frames)
        spent = (clock.seconds() - started) / len(block)
        found = None if self._walks is None else self._walks.view.found
        return [replace(_finished(work, facts, spent, note), association=found) for work in looked.works]

    def _look(self, block: Sequence[tuple[Retrieval, Query]], *, panel: bool) -> Block:
        queries = in_threads(self._query, [query for _, query in block])
        panels = [panel or low_margin(retrieval) for retrieval, _ in block]
        works = [
            Work(retrieval, shown_cases(retrieval, panel=beside), shown, seen, query.pixel_hash, beside)
            for (retrieval, query), (shown, seen, _), beside in zip(block, queries, panels, strict=True)
        ]
        for work, (_, _, told) in zip(works, queries, strict=True):
            work.warnings += [*work.retrieval.warnings, *([] if told is None else [told])]
        everyone = {row.case.id: row.case for work in works for row in work.cases.values()}
        looked = self._album.looks(list(everyone.values()))
        views = {everyone[name].pixel_hash: seen.view for name, seen in looked.looks.items()}
        for work in works:
            if work.query is not None:
                views[work.query_key] = work.query.view
            mapped = mapped_cases(work.retrieval, panel=work.panel)
            lost: dict[str, list[str]] = {}
            for name, row in work.cases.items():
                if name in looked.lost:
                    lost.setdefault(looked.lost[name], []).append(named(row.case))
                    small = self._album.small(name, row.case)
                    if small is not None:
                        work.shown[name] = small
                    continue
                work.shown[name] = Shown(name, looked.looks[name].display, None, (0.0, 0.0, 1.0, 1.0))
                if name in mapped:
                    work.mapped.append(name)
            for reason, paths in lost.items():
                more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
                work.warnings.append(f"{reading.printable(paths[0])}{more}: {reason}; shown by thumbnail, without maps")
        return Block(works, views)

    def _read(self, block: Block, wanted: Wanted) -> None:
        """One pass over every picture whose feature maps are needed, for where maps or for saliency."""
        cams = wanted.method == mapping.DEFAULT and self._passes.closed
        keys = dict[str, None]()
        for work in block.works:
            if cams:
                keys |= {work.key(image): None for image, _ in work.asked(self._passes.knows, cases=True)}
            if where_maps.unsplit(work, self._network) is None and work.query is not None and work.mapped:
                keys |= {work.key(image): None for image in (QUERY_ID, *work.mapped)}
            if self._evidence is not None and self._evidence.view.shares_maps and work.query is not None:
                keys[work.query_key] = None
        block.reads = self._passes.read({key: block.views[key] for key in keys}) if keys else {}

    def _query(self, query: Query) -> tuple[dict[str, Shown], Look | None, str | None]:
        """The query's picture, its view, and a warning where its file is gone."""
        if isinstance(query, reading.Picture):
            shown, seen = self._album.of_query(query)
            return {QUERY_ID: shown}, seen, None
        try:
            shown, seen = self._album.of_query(self._album.picture(query))
        except ImageError as error:
            small = self._album.small(QUERY_ID, query)
            how = "shown without its picture" if small is None else "shown by thumbnail"
            told = f"the query {reading.printable(named(query))}: {error}; {how}, without maps of it"
            return ({} if small is None else {QUERY_ID: small}), None, told
        return {QUERY_ID: shown}, seen, None

    def _saliency(self, block: Block, method: str, seed: int) -> None:
        cases = mapping.maps_cases(method)
        wanted = [
            (work, image, target)
            for work in block.works
            for image, target in work.asked(self._passes.knows, cases=cases)
        ]
        settings, recorded = self.settings(method, seed)
        try:
            pairs = [(work.key(image), target) for work, image, target in wanted]
            maps = self._passes.maps(method, settings, pairs, block.views, block.reads)
            facts = {**self._passes.facts(method, settings), **recorded}
        except ModelError as error:
            if method != mapping.DEFAULT:
                raise
            for work in block.works:
                work.warnings.append(f"no overlays: {error}")
            return
        for work, image, target in wanted:
            found = mapping.shown_map(maps[work.key(image), target], method, target, image, facts, settings.sign)
            work.saliency[image, target] = found
            if found.degenerate and image == QUERY_ID:
                work.warnings.append(f"the map for {reading.printable(target)} means nothing: {found.degenerate}")

    def _deletions(self, works: Sequence[Work], seed: int) -> None:
        suspects: list[tuple[Work, mapping.Suspect]] = []
        for work in works:
            shown = work.checked()
            if shown and work.query is not None:
                before = work.retrieval.prediction.probabilities
                suspects.append((work, mapping.Suspect(work.query.view, shown, before)))
        found = mapping.checks(self._passes, [suspect for _, suspect in suspects], seed)
        for (work, _), told in zip(suspects, found, strict=True):
            work.deletions += told

    def _parts(self, block: Block, seed: int) -> None:
        """What the prototypes say of every query whose picture is at hand, for its answer and its first rival."""
        works = [work for work in block.works if work.query is not None]
        if self._evidence is None or not works:
            return
        asked = []
        for work in works:
            read, answer = block.reads.get(work.query_key), work.retrieval
            targets = [answer.called, *looked_at(answer)[:1]]
            said = answer.prediction.predicted
            asked.append(Asked(block.views[work.query_key], None if read is None else read.maps, targets, said))
        found = self._evidence.parts(asked, seed)
        sources = self._evidence.sources(shown(found))
        for work, one in zip(works, found, strict=True):
            work.parts, work.sources = one, {each.number: sources[each.number] for each in shown([one])}


def _finished(work: Work, facts: Mapping[str, str], spent: float, note: str | None) -> Explanation:
    before = work.retrieval.seconds
    return Explanation(
        retrieval=work.retrieval, shown=work.shown, saliency=work.saliency, where=work.where,
        deletions=work.deletions, warnings=tuple(dict.fromkeys(work.warnings)), facts=facts,
        seconds={**before, "explain": spent, "total": before["total"] + spent}, panel=work.panel,
        map_note=note if work.saliency else None, parts=work.parts, sources=work.sources, walk=work.walk,
        no_walk=work.no_walk,
    )  # fmt: skip
