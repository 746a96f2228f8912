"""Names of the embedding spaces that the rules of casebase know by name."""

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
