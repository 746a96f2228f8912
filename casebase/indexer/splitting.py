"""Which images are trained on, which choose, which measure: parts that share no image, no copy and no group.

A set without splits is divided 70 / 15 / 15, class by class, under a seed. Images of one group (one animal, one
patient) and exact copies stay together. Parts that the data name themselves are taken as they are, and checked.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from casebase import clock
from casebase.commands import typed
from casebase.errors import DataError
from casebase.indexer.sources import TRAINING, Listed, Source
from casebase.reading import printable

TRAIN, VAL, TEST = "train", "val", "test"
PARTS = (TRAIN, VAL, TEST)
SHARES: Mapping[str, float] = {TRAIN: 0.70, VAL: 0.15, TEST: 0.15}
CALLED: Mapping[str, str] = {
    **dict.fromkeys(TRAINING, TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Placed:
    """One image, the part it belongs to, and the name of its pixels."""

    relative: str
    label: str
    part: str
    group: str | None
    pixel_hash: str


@dataclass(frozen=True, eq=False)
class Division:
    """Every image in its part, in the order given; ``made`` are the parts that were not in the data.

    ``leaks`` names images that stand in two parts at once (allowed only on demand), ``notes`` what should be said.
    """

    placed: Sequence[Placed]
    made: Sequence[str]
    leaks: Sequence[str]
    notes: Sequence[str]

    @property
    def classes(self) -> list[str]:
        """The class names of the training images, sorted."""
        return sorted({image.label for image in self.placed if image.part == TRAIN})

    def rows(self, part: str) -> list[int]:
        """The positions of a part's images."""
        return [place for place, image in enumerate(self.placed) if image.part == part]

    def counts(self) -> dict[str, dict[str, int]]:
        """Images by part and label."""
        found = {part: Counter(image.label for image in self.placed if image.part == part) for part in PARTS}
        return {part: dict(sorted(counted.items())) for part, counted in found.items() if counted}

    def uneven(self) -> str | None:
        """What to say where one class has more than three times the training images of another."""
        counts = self.counts()[TRAIN].values()
        most, least = max(counts), min(counts)
        if most <= 3 * least:
            return None
        return (
            f"the largest class has {most} training images, the smallest {least}; --class-weights balanced makes them "
            "count the same"
        )

    @property
    def digest(self) -> str:
        """SHA-256 over paths, labels, parts, groups and pixels of all images, whatever their order."""
        found = hashlib.sha256()
        for image in sorted(self.placed, key=lambda one: os.fsencode(one.relative)):
            for word in (image.relative, image.label, image.part, image.group or "", image.pixel_hash):
                found.update(os.fsencode(word) + b"\0")
        return found.hexdigest()

    def manifest(self, root: Path, folder: Path) -> bytes:
        """``split.csv`` for a model folder: paths relative to it, so that both can be moved together."""
        out = io.StringIO(newline="")
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(("path", "label", "split", "group"))
        start, end = os.path.realpath(root), os.path.realpath(folder)
        for image in self.placed:
            path = os.path.join(start, image.relative)  # joined without following anything
            try:
                shown = os.path.relpath(path, end).replace(os.sep, "/")
            except ValueError:  # another drive
                shown = path
            rows.writerow((shown, image.label, image.part, image.group or ""))
        return out.getvalue().encode("utf-8")


def divide(images: Sequence[Listed], hashes: Sequence[str], seed: int, *, allow_leak: bool = False) -> Division:
    """Put every image into a part; parts that are missing are made by a seeded split, stratified by class, by group.

    Raises ``DataError`` for splits whose meaning is unknown, fewer than two classes, labels that only the other parts
    have, and (unless ``allow_leak``) exact copies or one group in two parts.
    """
    named = [_called(image) for image in images]
    notes: list[str] = []
    have = {part for part in named if part is not None}
    unplaced = [place for place, part in enumerate(named) if part is None]
    if TRAIN in have and unplaced:
        notes.append(f"{_images(len(unplaced))} without a split left out, as others are marked as training images")
        keep = [place for place, part in enumerate(named) if part is not None]
        images, hashes = [images[i] for i in keep], [hashes[i] for i in keep]
        named = [named[i] for i in keep]
        unplaced = []
    if TRAIN not in have and not unplaced:
        raise DataError(f"all images are marked {' or '.join(sorted(have))}; mark those to train on as train")
    made = _completed(images, hashes, named, have, seed)
    placed = [
        Placed(image.relative, image.label, part or TRAIN, image.group, name)
        for image, part, name in zip(images, named, hashes, strict=True)
    ]
    found = Division(placed, made, _leaks(placed), notes)
    _usable(found)
    if found.leaks and not allow_leak:
        first = "; ".join(found.leaks[:SHOWN])
        more = f"; and {len(found.leaks) - SHOWN} more" if len(found.leaks) > SHOWN else ""
        raise DataError(
            f"the parts share images, so their accuracies would flatter: {first}{more}; "
            "take them out of one part, or say --allow-leak"
        )
    return Division(placed, made, found.leaks, [*notes, *_remarks(found)])


def _called(image: Listed) -> str | None:
    if image.split is None:
        return None
    part = CALLED.get(image.split.lower())
    if part is None:
        raise DataError(
            f"{printable(image.relative)} is of the split {printable(image.split)!r}; training knows "
            f"{', '.join(PARTS)}; rename it, or leave all splits out to have them made"
        )
    return part


def _completed(
    images: Sequence[Listed], hashes: Sequence[str], named: list[str | None], have: set[str], seed: int
) -> list[str]:
    """Fill the missing parts of ``named`` in place; returns which were made.

    Where the data have no training part, images without a split are divided among what is missing. Where they have
    train and test, the validation part is taken from train: 15 of 85, as in a set without splits. Train and
    validation alone are left as they are.
    """
    as_they_are = have == {TRAIN, VAL}
    made = [] if as_they_are else [part for part in PARTS if part not in have]
    if not made:
        return []
    pool = [place for place, part in enumerate(named) if part in (None, TRAIN)]
    shares = {part: SHARES[part] for part in PARTS if part == TRAIN or part in made}
    for place, part in _drawn([images[i] for i in pool], [hashes[i] for i in pool], shares, seed):
        named[pool[place]] = part
    return made


def _drawn(
    images: Sequence[Listed], hashes: Sequence[str], shares: Mapping[str, float], seed: int
) -> list[tuple[int, str]]:
    """Each position with its part, class by class, groups together.

    In each class the groups are taken from the largest to the smallest, those of one size in a seeded order: the first
    go to train, val and test in turn, so that small classes are in all of them if they can be; each further one to the
    part with the largest share / (2 have + size), the rule of Webster and Sainte-Laguë for seats in a parliament.
    """
    random = clock.generator(seed)
    found: list[tuple[int, str]] = []
    by_label: dict[str, list[list[int]]] = {}
    for members in _together(images, hashes):
        counted = Counter(images[i].label for i in members)
        label = min(counted, key=lambda name: (-counted[name], name))
        by_label.setdefault(label, []).append(members)
    for label in sorted(by_label):
        groups = by_label[label]
        order = random.permutation(len(groups)).tolist()
        order.sort(key=lambda i: -len(groups[i]))
        have = dict.fromkeys(shares, 0)
        for turn, number in enumerate(order):
            members = groups[number]
            size = len(members)
            part = (
                list(shares)[turn]
                if turn < len(shares)
                else max(shares, key=lambda name: shares[name] / (2 * have[name] + size))
            )
            have[part] += size
            found += [(place, part) for place in members]
    return found


def _together(images: Sequence[Listed], hashes: Sequence[str]) -> list[list[int]]:
    """Positions that must not be parted: joined by a group, or by equal pixels; in order of their first."""
    above = list(range(len(images)))

    def top(place: int) -> int:
        while above[place] != place:
            above[place] = above[above[place]]
            place = above[place]
        return place

    first: dict[tuple[str, str], int] = {}
    for place, (image, name) in enumerate(zip(images, hashes, strict=True)):
        for key in [("pixels", name), *([("group", image.group)] if image.group is not None else [])]:
            one, other = top(first.setdefault(key, place)), top(place)
            above[max(one, other)] = min(one, other)
    joined: dict[int, list[int]] = {}
    for place in range(len(images)):
        joined.setdefault(top(place), []).append(place)
    return list(joined.values())


def _leaks(placed: Sequence[Placed]) -> list[str]:
    """Exact copies and groups that stand in more than one part, each in words."""
    told = []
    for kind in ("copies", "group"):
        seen: dict[str, dict[str, str]] = {}
        for image in placed:
            key = image.pixel_hash if kind == "copies" else image.group
            if key is not None:
                seen.setdefault(key, {}).setdefault(image.part, image.relative)
        for key, where in seen.items():
            if len(where) > 1:
                (one, first), (other, second) = sorted(where.items(), key=lambda item: PARTS.index(item[0]))[:2]
                pair = f"{printable(first)} ({one}) and {printable(second)} ({other})"
                told.append(f"{pair} are exact copies" if kind == "copies" else f"{pair} are of group {printable(key)}")
    return told


def check_classes(source: Source) -> None:
    """Raise ``DataError`` where all images have one label, before any is read; a manifest beside them is named."""
    instead = [line for name in source.manifests_beside for line in typed("train", source.root / name)]
    _at_least_two(source.labels, f"; where a manifest says what they are: {instead[0]}" if instead else "")


def _at_least_two(classes: Sequence[str], instead: str = "") -> None:
    if len(classes) < 2:
        only = f"only {printable(classes[0])!r}" if classes else "none"
        raise DataError(
            f"training needs images of at least two classes, and there is {only}; give one folder per class{instead}"
        )


def _usable(found: Division) -> None:
    counts = found.counts()
    classes = found.classes
    _at_least_two(classes)
    for part in (VAL, TEST):
        strange = sorted(set(counts.get(part, {})) - set(classes))
        if strange:
            shown = ", ".join(map(printable, strange[:SHOWN])) + (", …" if len(strange) > SHOWN else "")
            raise DataError(
                f"no training image is labelled {shown}, but images of {part} are: the network could never say so; "
                f"put some of them into train, or take them out of {part}"
            )


def _remarks(found: Division) -> list[str]:
    """What a reader of the figures should know about the parts."""
    counts, told = found.counts(), []
    alone = [
        label for label, n in counts[TRAIN].items() if n == 1 and sum(c.get(label, 0) for c in counts.values()) == 1
    ]
    if alone:
        shown = ", ".join(map(printable, alone[:SHOWN])) + (", …" if len(alone) > SHOWN else "")
        told.append(f"a single image cannot be divided, so it is trained on and never measured: {shown}")
    for part in (VAL, TEST):
        lacking = [
            label for label in found.classes if part in counts and label not in counts[part] and label not in alone
        ]
        if lacking:
            shown = ", ".join(map(printable, lacking[:SHOWN])) + (", …" if len(lacking) > SHOWN else "")
            told.append(f"{part} has no image of {shown}")
    if VAL in counts and TEST not in counts:
        told.append(
            "there are no test images: the epoch is chosen by the validation images, so their figure is optimistic"
        )
    if VAL not in counts:
        told.append("no image could be held out for validation: no epoch is chosen, and training runs to its end")
    if found.leaks:
        shown = "; ".join(found.leaks[:SHOWN])
        more = f"; and {len(found.leaks) - SHOWN} more" if len(found.leaks) > SHOWN else ""
        n = len(found.leaks)
        which = "an image or a group stands" if n == 1 else f"{n} images or groups stand"
        told.append(f"leak allowed: {which} in more than one part, so the accuracies flatter: {shown}{more}")
    return told + _contradictions(found.placed)


def _contradictions(placed: Sequence[Placed]) -> list[str]:
    """Exact copies with two labels."""
    first: dict[str, Placed] = {}
    pairs = []
    for image in placed:
        other = first.setdefault(image.pixel_hash, image)
        if other.label != image.label:
            one = f"{printable(other.relative)} ({printable(other.label)})"
            pairs.append(f"{one} and {printable(image.relative)} ({printable(image.label)})")
    if not pairs:
        return []
    return [f"exact copies with different labels, so one of them is wrong: {'; '.join(pairs[:SHOWN])}"]


def _images(n: int) -> str:
    return "1 image" if n == 1 else f"{n} images"
