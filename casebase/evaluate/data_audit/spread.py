"""How classes and groups are spread over the splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from casebase.data_audit import Seen

NO_SPLIT = "no split"


def balance(seen: Sequence[Seen]) -> dict[str, dict[str, int]]:
    """Images by split and label, both sorted; every split has every label."""
    labels = sorted({one.label for one in seen})
    splits = sorted({one.split or NO_SPLIT for one in seen})
    counted = Counter((one.split or NO_SPLIT, one.label) for one in seen)
    return {split: {label: counted[split, label] for label in labels} for split in splits}


def shared_groups(seen: Sequence[Seen]) -> dict[str, dict[str, int]]:
    """Groups (a patient, a video, a source) that stand in several splits, with their images in each; largest first."""
    found: dict[str, Counter[str]] = {}
    for one in seen:
        if one.group is not None and one.split is not None:
            found.setdefault(one.group, Counter())[one.split] += 1
    shared = [(group, counts) for group, counts in found.items() if len(counts) > 1]
    shared.sort(key=lambda item: (-item[1].total(), item[0]))
    return {group: dict(sorted(counts.items())) for group, counts in shared}
