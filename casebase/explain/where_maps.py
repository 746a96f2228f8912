"""Where maps of many answers together, or the sentence why an answer has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from casebase.commands import named
from casebase.explain import where_map
from casebase.explain.network import ExplainedNetwork
from casebase.explain.passes import Read
from casebase.explain.work import Work
from casebase.explanations import WhereMap, frozen
from casebase.ports import Vector
from casebase.reading import printable
from casebase.spaces import CONTRIBUTION, NETWORK_SPACE

LOOSE = 0.01


def add(works: Sequence[Work], reads: Mapping[str, Read], network: ExplainedNetwork) -> None:
    """Give each answer the exact split of its likeness to every mapped case; ``reads`` are by the pictures' pixels."""
    for work in works:
        reason = unsplit(work, network)
        if reason is not None:
            work.warnings.append(f"no where maps: {reason}")
        elif work.query is not None and work.mapped:
            weighted = work.retrieval.search.space == CONTRIBUTION
            _split(work, reads, network.class_weights(work.retrieval.called) if weighted else None)


def unsplit(work: Work, network: ExplainedNetwork) -> str | None:
    """Why the likeness of this answer's pairs has no exact split over cells; None where it has."""
    space = work.retrieval.search.space
    if space not in (NETWORK_SPACE, CONTRIBUTION):
        return f"the likeness in {printable(space)!r} has no exact split over image cells"
    if not network.pooled_exactly:
        return (
            "this network's embedding is not the mean of its feature map, so its likeness "
            "has no exact split over image cells"
        )
    return None


def _split(work: Work, reads: Mapping[str, Read], weights: Vector | None) -> None:
    query = reads[work.query_key]
    for name in work.mapped:
        other, similarity = reads[work.key(name)], work.cases[name].similarity
        query_side = where_map.split(query.maps, other.features, weights)
        case_side = where_map.split(other.maps, query.features, weights)
        residual = max(abs(float(query_side.sum()) - similarity), abs(float(case_side.sum()) - similarity))
        if residual > LOOSE:
            work.warnings.append(
                f"the where map of {printable(named(work.cases[name].case))} misses the similarity by "
                f"{residual:.3f}; it is not shown"
            )
        else:
            work.where[name] = WhereMap(frozen(query_side), frozen(case_side), name, similarity, residual)
