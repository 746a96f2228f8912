"""From an explanation to what a person reads: contradictions first, then support, in words and pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from casebase.answers import Neighbour, Retrieval, Role
from casebase.association_pages import WalkSection
from casebase.commands import named, typed
from casebase.explain import evidence_words, map_words, sentences, verdict
from casebase.explain.cae.section import absent as absent_walk
from casebase.explain.cae.section import section as walk_section
from casebase.explain.figures import Gallery
from casebase.explain.prototypes.section import section as parts_section
from casebase.explain.work import looked_at, shown_cases
from casebase.explanations import QUERY_ID, Card, Explanation, Level, Panel, Report, Section, Side, Statement
from casebase.panel import Contender
from casebase.prototype_pages import PartsSection
from casebase.reading import STANDARD_INPUT, percent, printable


def compose(
    explanation: Explanation,
    *,
    base: str,
    network: str,
    date: str,
    provenance: Sequence[tuple[str, str]],
    synthetic: str | None,
) -> Report:
    """The readable form of an explanation.

    ``base``, ``network`` and ``date`` stand in the page's head; ``provenance`` (name, value) comes before what the
    explanation itself can tell; ``synthetic`` is a sentence shown as a banner, for pictures that nobody photographed.
    """
    answer = explanation.retrieval
    said = answer.prediction
    gallery = Gallery(explanation)
    gallery.draw(row.case for row in shown_cases(answer, panel=explanation.panel).values())
    name, called, other = printable(answer.query.path), printable(answer.called), answer.runner_up
    sections = _Sections(answer, gallery)
    worst, also = verdict.verdicts(answer)
    return Report(
        title=f"{name}: called {called}",
        file_name=name,
        called=called,
        confidence=said.probabilities[answer.called],
        runner_up=None if other is None else printable(other),
        runner_up_probability=None if other is None else said.probabilities[other],
        base=printable(base),
        network=printable(network),
        date=printable(date),
        verdict=worst,
        also=also,
        bars=verdict.bars(answer),
        query_figures=gallery.of_query(looked_at(answer)),
        sections=sections.all(),
        scales=gallery.scales(),
        checks=checks(explanation),
        warnings=[Statement(printable(w)) for w in dict.fromkeys([*explanation.warnings, *answer.warnings])],
        provenance=_provenance(explanation, provenance),
        synthetic=None if synthetic is None else printable(synthetic),
        explanation=explanation,
        next_commands=commands(answer, base),
        page_command=page_command(answer, base),
        panel=sections.panel() if explanation.panel and answer.panel else None,
        reranked=None if answer.reranked is None else Statement(evidence_words.reranked(answer.reranked)),
        label=None if answer.query.label is None else printable(answer.query.label),
        label_probability=None if answer.query.label is None else said.probabilities.get(answer.query.label),
        map_note=None if explanation.map_note is None else printable(explanation.map_note),
        parts=_parts(explanation),
        walk=_walk(explanation),
    )


def _parts(explanation: Explanation) -> PartsSection | None:
    query = explanation.shown.get(QUERY_ID)
    if explanation.parts is None or query is None:
        return None
    return parts_section(explanation.parts, explanation.sources, query.view)


def _walk(explanation: Explanation) -> WalkSection | None:
    """The walk to the first rival, or the sentence that stands in its place; None for a base without an embedding."""
    answer, query, walk = explanation.retrieval, explanation.shown.get(QUERY_ID), explanation.walk
    if explanation.association is None:
        return None
    if walk is None or query is None:
        return absent_walk(Statement(printable(explanation.no_walk or "")))
    row = next(iter(answer.of_rival(walk.rival)), None)
    real = None if row is None else explanation.shown.get(row.case.id)
    return walk_section(walk, explanation.association, query.view, row, None if real is None else real.view)


@dataclass(frozen=True, slots=True)
class _Sections:
    answer: Retrieval
    gallery: Gallery

    def all(self) -> list[Section]:
        return [self._nearest(), self._twins(), *map(self._rival, range(len(self.answer.rivals))), self._semi()]

    def panel(self) -> Panel:
        """The probable classes side by side."""
        title = "Side by side: the nearest case of each probable class"
        sides = [self._side(found, place) for place, found in enumerate(self.answer.panel)]
        return Panel(title, evidence_words.panel_lead(self.answer), sides)

    def _side(self, found: Contender, place: int) -> Side:
        name = printable(found.name)
        title = f"{name}, side by side"
        return Side(
            name=name,
            probability=percent(found.probability),
            role="rival" if place else "predicted",
            card=None if found.agreed is None else self._card(found.agreed, title, None),
            empty=None if found.agreed is not None else evidence_words.no_case(found),
            nearer=None if found.nearer is None else self._card(found.nearer, title, found.name),
        )

    def _nearest(self) -> Section:
        answer, called = self.answer, self.answer.called
        total, against = len(answer.nearest), len(answer.contradicting)
        same = sum(row.case.predicted == called for row in answer.nearest)
        labelled = sum(row.case.label == called for row in answer.nearest)
        spoken = printable(called)
        lead = "Chosen by likeness alone, so that a contradiction can show itself."
        if total:
            verb = "contradicts" if against == 1 else "contradict"
            lead += f" {against} of {total} {verb} the answer; {same} predicted {spoken}, {labelled} labelled {spoken}."
        empty = sentences.emptiness(answer, Role.NEAREST)
        title = "Nearest, whatever their class"
        return self._section("nearest", title, lead, "plain", rows=answer.nearest, empty=empty)

    def _twins(self) -> Section:
        answer = self.answer
        called = printable(answer.called)
        lead = f"The nearest cases the network also calls {called}. What they are is their label."
        empty = sentences.emptiness(answer, Role.TWIN)
        return self._section("twins", f"Why {called}: twins", lead, "predicted", rows=answer.twins, empty=empty)

    def _rival(self, place: int) -> Section:
        rival = self.answer.rivals[place]
        name = printable(rival.name)
        empty = f"No case of this base is predicted {name}."
        if rival.available:
            empty = f"No case predicted {name} is left once the query's own copies are taken out."
        lead = sentences.rival_lead(rival, self.answer.prediction.probabilities[self.answer.called])
        rows = [replace(row, rank=rank) for rank, row in enumerate(self.answer.of_rival(rival.name), start=1)]
        return self._section(f"rival-{place + 1}", f"Why not {name}", lead, "rival", rows=rows, empty=empty)

    def _semi(self) -> Section:
        answer = self.answer
        called = printable(answer.called)
        lead = f"Cases that lie toward the nearest rival case and are still called {called}."
        empty = sentences.emptiness(answer, Role.SEMI_FACTUAL)
        rows = answer.semi_factuals
        return self._section("even-if", f"Even if: still {called}", lead, "predicted", rows=rows, empty=empty)

    def _section(self, key: str, title: str, lead: str, role: str, *, rows: Sequence[Neighbour], empty: str) -> Section:
        spoken = None if role == "rival" else self.answer.called
        cards = [self._card(row, title, spoken) for row in rows]
        return Section(key, title, lead, cards, None if cards else empty, role)

    def _card(self, row: Neighbour, title: str, spoken: str | None) -> Card:
        """A case as shown; marked where it speaks against ``spoken``, the class it is shown for."""
        case = row.case
        path, label, predicted = printable(named(case)), printable(case.label), printable(case.predicted)
        pictures = self.gallery.of_case(case.id, case.predicted, path)
        against = None if spoken is None else sentences.objection(row, spoken)
        large, reading = sentences.alike(row)
        names = f"labelled {label}, predicted {predicted}"
        alt = f"{title}, number {row.rank}: {names}, {sentences.detail(row)}, file {path}."
        return Card(
            neighbour=row,
            case_id=printable(case.id),
            path=path,
            label=label,
            predicted=predicted,
            contradicts=against,
            alike=large,
            reading=reading,
            detail=sentences.detail(row),
            picture=None if pictures.picture is None else replace(pictures.picture, alt=alt),
            maps=pictures.maps,
            missing=pictures.missing,
        )


def checks(explanation: Explanation) -> list[Statement]:
    """What was tried against the maps and the labels shown; what failed comes first."""
    answer = explanation.retrieval
    told = [sentences.deletion(check) for check in explanation.deletions]
    for (image, name), found in explanation.saliency.items():
        if found.degenerate is None:
            continue
        reason = f"for {printable(name)} means nothing"
        if not any(reason in warning for warning in explanation.warnings):
            text = f"The map of {printable(image)} {reason} and is not shown: {printable(found.degenerate)}."
            told.append(Statement(text, Level.CAUTION))
    if answer.trust.comparison is not None:
        told.append(Statement(evidence_words.comparison(answer.trust.comparison)))
    rows = [*answer.nearest, *answer.twins, *answer.counterfactuals, *answer.semi_factuals]
    told += filter(None, [sentences.where_check(list(explanation.where.values())), sentences.disagreement(rows)])
    return sorted(told, key=lambda statement: verdict.WEIGHT[statement.level])


def commands(answer: Retrieval, base: str) -> list[str]:
    """What to type next; a name that cannot be typed as it is printed is not offered."""
    offered = []
    against = next(iter(answer.contradicting), None)
    if against is not None:
        offered += typed("cases", "show", against.case.id, base=base)
    rival = answer.runner_up
    if answer.query.path != STANDARD_INPUT and rival is not None and len(answer.rivals) != 1:
        offered += typed("query", answer.query.path, "--rival", rival, base=base)
    return offered


def page_command(answer: Retrieval, base: str) -> str | None:
    """What makes a page of this answer."""
    if answer.query.path == STANDARD_INPUT:
        return None
    return next(iter(typed("query", answer.query.path, "--report", "report.html", base=base)), None)


def _provenance(explanation: Explanation, given: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    answer = explanation.retrieval
    own = {
        "Fingerprint of the network": answer.fingerprint,
        "Query, SHA-256": answer.query.sha256,
        "Space and metric": f"{answer.search.space}, {answer.search.metric}; distance is 1 − cosine",
        "Cases searched": f"{answer.search.cases:,}",
        "Rows asked for per list": str(answer.k),
        "Class membership read as": str(answer.basis),
    }
    for name, source in answer.search.lists.items():
        own[f"Index of the list {name}"] = f"{source.index}, recall {source.recall:.3f} against exact search"
    own |= _of_maps(explanation)
    own |= dict(explanation.facts)
    own |= {f"Seconds, {name}": f"{seconds:.2f}" for name, seconds in explanation.seconds.items()}
    merged = dict(given)
    for name, value in own.items():
        merged.setdefault(name, value)
    return [(printable(name), printable(value)) for name, value in merged.items()]


def _of_maps(explanation: Explanation) -> dict[str, str]:
    """How the query's maps were made; what differs from map to map is told for each."""
    maps = [one for (image, _), one in explanation.saliency.items() if image == QUERY_ID]
    if not maps:
        return {}
    told = {"Saliency method": map_words.title(maps[0].method)}
    for one in maps:
        for name, value in map_words.facts(one).items():
            same = all(map_words.facts(other).get(name) == value for other in maps)
            told[f"Maps, {name}" if same else f"Map for {one.target}, {name}"] = value
    return told
