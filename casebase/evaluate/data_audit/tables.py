"""The tables of an audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from casebase.data_audit import CopyGroup, LeakTest, Seen
from casebase.evaluations import Cell, Column, Table
from casebase.reading import percent, printable

RULES_LEAD = "What the tree of depth 3 says when it has seen every image; the figures above are on images it had not."


def tables(
    seen: Sequence[Seen], leak: LeakTest, groups: Sequence[CopyGroup], odd: Mapping[str, Sequence[str]],
    unreadable: Mapping[str, str], balance: Mapping[str, Mapping[str, int]],
) -> list[Table]:  # fmt: skip
    """Those that have something to say."""
    found = [_files(seen), _balance(balance)]
    if leak.impossible is None:
        found[:0] = [_attributes(leak), _rules(leak)]
    if groups:
        found.append(_copies(groups))
    if odd or unreadable:
        found.append(_odd(odd, unreadable))
    return found


def _attributes(leak: LeakTest) -> Table:
    of_all: dict[str, Cell] = {"attribute": "all together", "accuracy": leak.accuracy, "p": leak.p}
    rows: list[dict[str, Cell]] = [of_all]
    several = [leak.without_density] if leak.without_density is not None else []
    rows += [{"attribute": one.name, "accuracy": one.accuracy, "p": one.p} for one in (*several, *leak.attributes)]
    return Table(
        "attributes", "The class told by files alone",
        f"Share of images whose class a tree of depth 3 tells from headers, {leak.folds} folds"
        f"{', groups and copies kept together' if leak.grouped else ''}; the largest class alone is "
        f"{percent(leak.majority)}.",
        [Column("attribute", "attribute"), Column("accuracy", "right", "share"),
         Column("p", "p", "number", "One-sided binomial test against the share of the largest class.")],
        rows,
    )  # fmt: skip


def _rules(leak: LeakTest) -> Table:
    rows: list[dict[str, Cell]] = [
        dict(zip(("when", "class"), rule.rsplit(": ", 1), strict=True)) for rule in leak.rules
    ]
    return Table("rules", "How it is told", RULES_LEAD, [Column("when", "when"), Column("class", "it is")], rows)


def _files(seen: Sequence[Seen]) -> Table:
    rows: list[dict[str, Cell]] = []
    for label in sorted({one.label for one in seen}):
        facts = [one.facts for one in seen if one.label == label and one.facts is not None]
        row: dict[str, Cell] = {"class": label, "n": sum(one.label == label for one in seen)}
        if facts:
            qualities = [one.quality for one in facts if one.quality is not None]
            row |= {
                "formats": _counted([one.format for one in facts]), "modes": _counted([one.mode for one in facts]),
                "sizes": _counted([f"{one.width}x{one.height}" for one in facts], 2),
                "density": float(np.median([one.bytes_per_pixel for one in facts])),
                "quality": float(np.median(qualities)) if qualities else None,
                "exif": float(np.mean([one.exif for one in facts])), "icc": float(np.mean([one.icc for one in facts])),
            }  # fmt: skip
        rows.append(row)
    return Table(
        "files", "Files by class", "Formats, sizes and compression should be the same for all classes.",
        [Column("class", "class"), Column("n", "files", "count"), Column("formats", "formats"),
         Column("modes", "modes"), Column("sizes", "common sizes"),
         Column("density", "bytes per pixel", "number", "Median."),
         Column("quality", "JPEG quality", "number", "Median of what the quantisation tables mean."),
         Column("exif", "EXIF", "share"), Column("icc", "colour profile", "share")],
        rows,
    )  # fmt: skip


def _counted(values: Sequence[str], most: int = 3) -> str:
    counted = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{value} {percent(count / len(values))}" for value, count in counted[:most])
    return shown + (f", {len(counted) - most} more" if len(counted) > most else "")


def _balance(balance: Mapping[str, Mapping[str, int]]) -> Table:
    labels = sorted({label for counts in balance.values() for label in counts})
    splits = [Column(f"split {number}", split, "count") for number, split in enumerate(balance)]
    rows: list[dict[str, Cell]] = [
        {"class": label, **{column.key: balance[column.title].get(label, 0) for column in splits}} for label in labels
    ]
    shown = [Column(column.key, printable(column.title), column.kind) for column in splits]
    return Table(
        "balance", "Images by class and split", "Every file listed, readable or not.",
        [Column("class", "class"), *shown], rows
    )  # fmt: skip


def _copies(groups: Sequence[CopyGroup]) -> Table:
    rows: list[dict[str, Cell]] = []
    for group in groups:
        worst = group.pairs[0]
        far = [pair.embedding for pair in group.pairs if pair.embedding is not None]
        rows.append(
            {"first": group.members[0].relative, "n": len(group.members), "kind": group.kind,
             "labels": ", ".join(map(printable, group.labels)), "splits": ", ".join(map(printable, group.splits)),
             "bits": max(pair.bits for pair in group.pairs), "alike": worst.alike,
             "embedding": max(far) if far else None}
        )  # fmt: skip
    columns = [
        Column("first", "photograph"), Column("n", "images", "count"), Column("kind", "kind"),
        Column("labels", "labels"), Column("splits", "splits"),
        Column("bits", "bits apart", "count", "Of 64 bits of the look hash, the pair furthest apart."),
        Column("alike", "alike", "number", "Correlation of the aligned pictures, freed of what the set shares: "
               "the least of the pairs."),
    ]  # fmt: skip
    if any(row["embedding"] is not None for row in rows):
        columns.append(Column("embedding", "embeddings apart", "number", "1 - cosine, the pair furthest apart."))
    return Table(
        "copies", "Pictures of one photograph",
        "Across classes first, then across splits. Both scores are shown: a hash alone calls too much the same.",
        columns, rows, shown=200,
    )  # fmt: skip


def _odd(odd: Mapping[str, Sequence[str]], unreadable: Mapping[str, str]) -> Table:
    rows: list[dict[str, Cell]] = [
        {"path": path, "what": f"unreadable: {reason}"} for path, reason in unreadable.items()
    ]
    rows += [{"path": path, "what": kind} for kind, paths in odd.items() for path in paths]
    return Table(
        "odd", "Unreadable and odd files", "Odd files are read all the same: converted, turned, first frame.",
        [Column("path", "file"), Column("what", "what")], rows, shown=200,
    )  # fmt: skip
