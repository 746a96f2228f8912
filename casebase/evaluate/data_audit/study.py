"""The audit of a data set: from one look at its files to findings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casebase.data_audit import DataAudit, Survey
from casebase.evaluate.data_audit import copies, leak
from casebase.evaluate.data_audit.copies import Embed, find_copies
from casebase.evaluate.data_audit.leak import leak_test
from casebase.evaluate.data_audit.odd import odd_files
from casebase.evaluate.data_audit.spread import balance, shared_groups
from casebase.evaluate.data_audit.tables import tables
from casebase.evaluate.data_audit.words import findings


def audit(
    survey: Survey, data: str, settings: Mapping[str, Any], *, seed: int = 0, embed: Embed | None = None
) -> DataAudit:
    """Everything that can be said of a set before training. The same files and seed give the same answer."""
    seen = survey.seen
    told = leak_test(seen, seed)
    pictures = survey.pictures
    found = find_copies(pictures, survey.minis, embed)
    unreadable = {one.relative: one.refused for one in seen if one.refused is not None}
    unreadable |= survey.unlisted
    odd, counts, shared = odd_files(seen), balance(seen), shared_groups(seen)
    limits = {
        "tree_depth": leak.DEPTH, "alarm_points": leak.ABOVE, "alarm_p": leak.SIGNIFICANT, "hash_bits": copies.BITS,
        "alike": copies.ALIKE, "alike_crop": copies.ALIKE_CROP,
        "embedding_distance": None if embed is None else copies.EMBEDDING, "crops_searched": found.crops_searched,
        "candidates": found.candidates, "seed": seed,
    }  # fmt: skip
    return DataAudit(
        data, survey.root, len(seen), findings(told, found, unreadable, odd, counts, shared, seen), told,
        found.groups, unreadable, odd, counts, shared, tables(seen, told, found.groups, odd, unreadable, counts),
        {**settings, **limits},
    )  # fmt: skip
