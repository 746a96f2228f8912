"""Explain: from a retrieval to something a person can read.

``saliency`` and ``where_map`` say where a network looked and where a likeness lies · ``deletion`` tests whether a map
marks what matters · ``service`` puts them together · ``cae`` walks from one class to another · ``learnt`` shows what
was learnt of a network by itself · ``report`` turns the result into sentences · ``render_html`` and ``render_json``
write it down · ``dossier`` gathers the wrong answers of a part, ``care`` orders them, ``dossier_pages`` writes them.
"""

from casebase.explain.cae.gallery import in_short as association_in_short
from casebase.explain.cae.manifolds import coded, known_projection
from casebase.explain.cae.one_image import WalkWanted
from casebase.explain.dossier import Choice, entry_commands, gather
from casebase.explain.figures import saliency_drawn
from casebase.explain.network import ExplainedNetwork
from casebase.explain.render_json import dumps
from casebase.explain.report import compose
from casebase.explain.saliency.names import METHOD_NAMES
from casebase.explain.sentences import times
from casebase.explain.service import Explainer, Wanted, explain

__all__ = [
    "METHOD_NAMES",
    "Choice",
    "ExplainedNetwork",
    "Explainer",
    "WalkWanted",
    "Wanted",
    "association_in_short",
    "coded",
    "compose",
    "dumps",
    "entry_commands",
    "explain",
    "gather",
    "known_projection",
    "saliency_drawn",
    "times",
]
