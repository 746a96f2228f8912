"""What an audit found, in sentences: a figure each, and what to do. Worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from casebase.data_audit import AuditFinding, CopyGroup, LeakTest, Seen
from casebase.evaluate.data_audit.copies import MOST_FOR_CROPS, Copies
from casebase.evaluate.data_audit.spread import NO_SPLIT
from casebase.evaluations import told
from casebase.explanations import Level
from casebase.reading import percent, printable, some

UNEVEN = 3.0
VERY_UNEVEN = 10.0
ORDER = (Level.ALARM, Level.CAUTION, Level.PLAIN, Level.CALM)
SHOWN = 3
AS_GOOD = 0.02
"""Attributes that tell so nearly as much as the best are named with it."""


def findings(
    leak: LeakTest, copies: Copies, unreadable: Mapping[str, str], odd: Mapping[str, Sequence[str]],
    balance: Mapping[str, Mapping[str, int]], shared: Mapping[str, Mapping[str, int]], seen: Sequence[Seen],
) -> list[AuditFinding]:  # fmt: skip
    """Everything worth a sentence, the serious first."""
    found = [
        *_leak(leak), *_copies(copies), *_groups(shared, seen), *_splits(seen),
        *_unreadable(unreadable, len(seen)), *_odd(odd), *_balance(balance),
    ]  # fmt: skip
    found.sort(key=lambda one: ORDER.index(one.level))
    if not any(one.level in (Level.ALARM, Level.CAUTION) for one in found):
        found.insert(0, AuditFinding("nothing", "Nothing here would mislead a network or its figures.", Level.CALM))
    return found


def _leak(leak: LeakTest) -> Iterator[AuditFinding]:
    if leak.impossible is not None:
        yield AuditFinding("leak", f"Whether files give their class away cannot be tested: {leak.impossible}.",
                           Level.PLAIN)  # fmt: skip
        return
    p = "below 0.0001" if leak.p < 0.0001 else f"{leak.p:.4f}"
    measured = (
        f"{told(leak.accuracy, 'share')} of {leak.n} images are classified right, where always naming the largest "
        f"class gives {percent(leak.majority)} (p {p})"
    )
    fair = f"balanced {percent(leak.balanced)} where chance gives {percent(leak.chance)}, p {leak.balanced_p:.3f}"
    if not leak.alarm:
        yield AuditFinding(
            "leak", f"The files do not give the class away: by their headers alone {measured}; {fair}.", Level.CALM
        )
        return
    if leak.by_density:
        yield AuditFinding(
            "leak",
            f"The size of files gives the class away: by their headers alone {measured}; {fair}; without bytes per "
            "pixel nothing is left. Busy pictures take more bytes, so this may be what they show: bring all classes "
            "through one pipeline and audit again; what stays is in the pictures.",
            Level.CAUTION,
        )
        return
    best = leak.attributes[0]
    top = (best.accuracy.value or 0.0) - AS_GOOD
    others = [one.name for one in leak.attributes[1:] if (one.accuracy.value or 0.0) >= top]
    as_good = f", nearly as well by {some(others, SHOWN)}" if others else ""
    yield AuditFinding(
        "leak",
        f"The files give the class away: by their headers alone, without a look at the pictures, {measured}; {fair}. "
        f"Best by {best.name} ({told(best.accuracy, 'share')} by that alone{as_good}). Bring all classes through one "
        "pipeline (same decoding, crop, size and encoding) before training.",
        Level.ALARM,
    )


def _copies(copies: Copies) -> Iterator[AuditFinding]:
    grave = [group for group in copies.groups if group.across_classes or group.across_splits]
    sure = [group for group in grave if group.sure]
    perhaps = [group for group in grave if not group.sure]
    classes = [group for group in sure if group.across_classes]
    splits = [group for group in sure if group.across_splits]
    rest = [group for group in copies.groups if not group.across_classes and not group.across_splits]
    if classes:
        yield AuditFinding(
            "copies-across-classes",
            f"{_photographs(classes)} under two labels, so one label must be wrong: {_example(classes)}. "
            "Decide which label is right and remove the other.",
            Level.ALARM,
        )
    if splits:
        yield AuditFinding(
            "copies-across-splits",
            f"{_photographs(splits)} in two splits, so figures on held-out images flatter: {_example(splits)}. "
            "Keep each in one split.",
            Level.ALARM,
        )
    if perhaps:
        yield AuditFinding(
            "copies-perhaps",
            f"{_photographs(perhaps)} under two labels or in two splits, perhaps: such as {_example(perhaps)}, alike "
            f"{perhaps[0].pairs[0].alike:.2f}. Look at them side by side (--report).",
            Level.CAUTION,
        )
    if rest:
        more = sum(len(group.members) - 1 for group in rest)
        yield AuditFinding(
            "copies",
            f"{_photographs(rest)} more than once within a class and split ({_n(more, 'surplus image')}): "
            f"{_example(rest)}. Keep one of each, or give each photograph a group.",
            Level.CAUTION,
        )
    if not copies.groups:
        yield AuditFinding("copies", "No image is there twice.", Level.CALM)
    if not copies.crops_searched:
        yield AuditFinding(
            "crops",
            f"Crops of one another were not searched for: the set has more than {MOST_FOR_CROPS} different images.",
            Level.PLAIN,
        )


def _photographs(groups: Sequence[CopyGroup]) -> str:
    kinds = [("bytes", "byte for byte"), ("pixels", "the same pixels in other files"),
             ("near", "saved anew or rescaled"), ("crop", "cropped")]  # fmt: skip
    parts = [f"{count} {words}" for kind, words in kinds if (count := sum(one.kind == kind for one in groups))]
    is_there = "1 photograph stands" if len(groups) == 1 else f"{len(groups)} photographs stand"
    return f"{is_there} ({', '.join(parts)})"


def _example(groups: Sequence[CopyGroup]) -> str:
    one, other = _apart(groups[0])
    return f"{_place(one)} and {_place(other)}"


def _apart(group: CopyGroup) -> tuple[Seen, Seen]:
    """Two members that show why the group matters."""
    first = group.members[0]
    others = list(group.members[1:])
    others.sort(key=lambda one: (one.label == first.label, one.split == first.split))
    return first, others[0]


def _place(one: Seen) -> str:
    where = printable(one.label) + (f", {printable(one.split)}" if one.split else "")
    return f"{printable(one.relative)} ({where})"


def _groups(shared: Mapping[str, Mapping[str, int]], seen: Sequence[Seen]) -> Iterator[AuditFinding]:
    every = {one.group for one in seen if one.group is not None}
    if shared:
        group, counts = next(iter(shared.items()))
        where = ", ".join(f"{count} in {printable(split)}" for split, count in counts.items())
        stand = "group stands" if len(shared) == 1 else "groups stand"
        yield AuditFinding(
            "groups",
            f"{len(shared)} of {len(every)} {stand} in several splits, such as {printable(group)} ({where}): images "
            "that belong together are learnt from and judged on. Keep each group in one split.",
            Level.ALARM,
        )
    elif every and any(one.split is not None for one in seen):
        yield AuditFinding("groups", f"Each of {len(every)} groups stays in one split.", Level.CALM)


def _splits(seen: Sequence[Seen]) -> Iterator[AuditFinding]:
    if all(one.split is None for one in seen):
        yield AuditFinding(
            "splits", "No splits are named, so nothing can be said of what training and test images share.", Level.PLAIN
        )


def _unreadable(unreadable: Mapping[str, str], n: int) -> Iterator[AuditFinding]:
    if unreadable:
        first = list(unreadable.items())[:SHOWN]
        named = "; ".join(f"{printable(path)}: {printable(reason)}" for path, reason in first)
        more = f"; and {len(unreadable) - SHOWN} more" if len(unreadable) > SHOWN else ""
        yield AuditFinding(
            "unreadable",
            f"{_n(len(unreadable), 'file')} of {n} cannot be read ({named}{more}). Replace or remove them.",
            Level.ALARM if len(unreadable) > n / 2 else Level.CAUTION,
        )


def _odd(odd: Mapping[str, Sequence[str]]) -> Iterator[AuditFinding]:
    for kind, paths in odd.items():
        yield AuditFinding(
            f"odd: {kind}", f"{_n(len(paths), 'file')} with {kind}: {some(list(paths), SHOWN)}.", Level.PLAIN
        )


def _balance(balance: Mapping[str, Mapping[str, int]]) -> Iterator[AuditFinding]:
    labels = sorted({label for counts in balance.values() for label in counts})
    if len(labels) == 1:
        yield AuditFinding(
            "balance", f"All images are of one class, {printable(labels[0])}: there is nothing to tell apart.",
            Level.CAUTION,
        )  # fmt: skip
        return
    for split, counts in balance.items():
        where = "" if split == NO_SPLIT and len(balance) == 1 else f" in {printable(split)}"
        missing = [label for label, count in counts.items() if not count]
        if missing:
            yield AuditFinding(
                "balance",
                f"{_n(len(missing), 'class', 'classes')}{where} without any image: {some(missing, SHOWN)}. "
                "Figures of this split say nothing about them.",
                Level.CAUTION,
            )
        there = {label: count for label, count in counts.items() if count}
        most, least = max(there, key=lambda name: there[name]), min(there, key=lambda name: there[name])
        ratio = there[most] / there[least]
        if ratio > UNEVEN:
            yield AuditFinding(
                "balance",
                f"The classes are uneven{where}: {there[most]} images of {printable(most)}, {there[least]} of "
                f"{printable(least)}. Report balanced figures; `casebase train --class-weights balanced` evens them.",
                Level.CAUTION if ratio > VERY_UNEVEN else Level.PLAIN,
            )


def _n(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
