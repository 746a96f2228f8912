"""Names of the embedding spaces that the rules of casebase know by name."""

from __future__ import annotations

from collections.abc import Iterable

NETWORK_SPACE = "avgpool"
"""The explained network's pooled features: the default."""
CONTRIBUTION = "contribution"
"""The same vectors, weighted on both sides by the head's row for the query's predicted class; not stored."""
CLIP_SPACE = "clip"
"""A world lens: it never saw the explained network."""

CAE_SPACE = "cae"
"""Class codes of the base's class association embedding; there once ``casebase cae train`` has made one."""


def stored_space(space: str) -> str:
    """The space whose vectors a space reads."""
    return NETWORK_SPACE if space == CONTRIBUTION else space


def absent(space: str, have: Iterable[str]) -> str:
    """That a base has no such space, what it has, and for ``cae`` what makes it."""
    made = "; `casebase cae train` makes it" if space == CAE_SPACE else ""
    return f"no space {space!r} in this case base; it has {', '.join(have) or 'none'}{made}"
