"""One answer on its way to an explanation: which cases are shown, which of them and which classes are mapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from casebase.answers import Neighbour, Retrieval
from casebase.association import Walk
from casebase.explain.album import Look
from casebase.explain.passes import Read
from casebase.explanations import QUERY_ID, Deletion, Pixels, SaliencyMap, Shown, WhereMap
from casebase.prototype_pages import Source
from casebase.prototypes import Parts

RIVALS_MAPPED = 3
MAPPED = 5


def panel_rows(retrieval: Retrieval) -> list[Neighbour]:
    """The cases that stand for the classes side by side."""
    return [row for one in retrieval.panel for row in (one.agreed, one.nearer) if row is not None]


def shown_cases(retrieval: Retrieval, *, panel: bool = False) -> dict[str, Neighbour]:
    """Every case of a retrieval by id: all of them are shown as pictures."""
    rows = [*retrieval.nearest, *retrieval.twins, *retrieval.counterfactuals, *retrieval.semi_factuals]
    rows += panel_rows(retrieval) if panel else []
    found: dict[str, Neighbour] = {}
    for row in rows:
        found.setdefault(row.case.id, row)
    return found


def mapped_cases(retrieval: Retrieval, *, panel: bool = False) -> set[str]:
    """Ids of the cases that get maps, a forward pass each: the first of each list and of the rivals asked about."""
    rows = [*retrieval.nearest[:MAPPED], *retrieval.twins[:MAPPED], *retrieval.semi_factuals[:MAPPED]]
    for name in mapped_rivals(retrieval):
        rows += retrieval.of_rival(name)[:MAPPED]
    rows += panel_rows(retrieval) if panel else []
    return {row.case.id for row in rows}


def mapped_rivals(retrieval: Retrieval) -> list[str]:
    """The rivals that get maps: the query's label, where it is known and one of them, and the likeliest."""
    rivals = [rival.name for rival in retrieval.rivals]
    label = retrieval.query.label
    return list(dict.fromkeys([*([label] if label in rivals and label is not None else []), *rivals[:RIVALS_MAPPED]]))


def looked_at(retrieval: Retrieval) -> list[str]:
    """The rivals in the order in which their maps are shown: the label first, where it is known and not the answer."""
    label = retrieval.query.label
    first = [] if label is None or label == retrieval.called else [label]
    return list(dict.fromkeys([*first, *(rival.name for rival in retrieval.rivals)]))


@dataclass(eq=False)
class Work:
    """One answer on its way to an explanation. Pictures are named by their pixels; ``query`` is None where lost."""

    retrieval: Retrieval
    cases: Mapping[str, Neighbour]
    shown: dict[str, Shown]
    query: Look | None
    query_key: str
    panel: bool
    mapped: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    saliency: dict[tuple[str, str], SaliencyMap] = field(default_factory=dict)
    where: dict[str, WhereMap] = field(default_factory=dict)
    deletions: list[Deletion] = field(default_factory=list)
    parts: Parts | None = None
    sources: Mapping[int, Source] = field(default_factory=dict)
    walk: Walk | None = None
    no_walk: str | None = None

    def key(self, image: str) -> str:
        """The key of the query's or a case's pixels."""
        return self.query_key if image == QUERY_ID else self.cases[image].case.pixel_hash

    def asked(self, knows: Callable[[str], bool], *, cases: bool) -> list[tuple[str, str]]:
        """The (image, class) pairs that get a saliency map; without ``cases`` only the query's that are shown."""
        pairs: list[tuple[str, str]] = []
        if self.query is not None:
            rivals = mapped_rivals(self.retrieval) if cases else looked_at(self.retrieval)[:1]
            pairs += [(QUERY_ID, name) for name in (self.retrieval.called, *rivals)]
        if cases:
            pairs += [(name, self.cases[name].case.predicted) for name in self.mapped]
        return [(image, target) for image, target in dict.fromkeys(pairs) if knows(target)]

    def checked(self) -> list[SaliencyMap]:
        """The query's maps that are shown and say something."""
        found = [
            self.saliency.get((QUERY_ID, name)) for name in (self.retrieval.called, *looked_at(self.retrieval)[:1])
        ]
        return [one for one in found if one is not None and one.degenerate is None]


@dataclass(eq=False)
class Block:
    """Answers that are explained together, the views at hand by key, and what the network read of them."""

    works: Sequence[Work]
    views: Mapping[str, Pixels]
    reads: Mapping[str, Read] = field(default_factory=dict)
