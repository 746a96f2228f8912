"""Two classes of one study: who belongs together, which image goes to which part, what cannot be used.

Images of one group, and near-copies, stay in one part. Each part holds as many images of the one class as of the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase import clock, reading
from casebase.canonical import Canonical
from casebase.errors import DataError, ImageError
from casebase.indexer.batches import chunked, in_order
from casebase.indexer.sources import Source
from casebase.indexer.splitting import PARTS, TEST, TRAIN, VAL
from casebase.reading import printable
from casebase.retrieve import SAME_LOOK_BITS

MINIATURE = 16
SAME_CORRELATION = 0.98
"""Near-copies differ in at most ``SAME_LOOK_BITS`` of their look, and their grey miniatures correlate like this."""
PIECE = 8
BLOCK = 256


@dataclass(frozen=True, eq=False)
class Seen:
    """One image that can be used, as it was decoded. ``group`` is what the data say it belongs to."""

    path: Path
    relative: str
    label: str
    group: str | None
    size: tuple[int, int]
    sha256: str
    pixel_hash: str
    look_hash: int
    miniature: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Looked:
    """What a look through the classes found: usable images, how many there were and were too small, the rest."""

    images: Sequence[Seen]
    found: Mapping[str, int]
    smaller: Mapping[str, int]
    left_out: Mapping[str, str]
    notes: Sequence[str] = field(default=())


def look(
    sources: Mapping[str, Source],
    groups: Mapping[str, Sequence[str | None]],
    canonical: Canonical,
    *,
    workers: int,
    megapixels: float,
    progress: Callable[[str, int, int], None],
) -> Looked:
    """Decode every image once; leave out what is unreadable, too small, or a copy. Classes by label, in their order."""
    left_out: dict[str, str] = {}
    usable: list[Seen] = []
    found: dict[str, int] = {}
    smaller: dict[str, int] = {}
    total = sum(len(source.listed) for source in sources.values())
    done = 0
    for label, source in sources.items():
        left_out.update({str(source.root / name): reason for name, reason in source.refused.items()})

        def seen(rows: Sequence[int], label: str = label, source: Source = source) -> list[Seen | str]:
            return [_seen(source, row, label, groups[label][row], megapixels) for row in rows]

        found[label], smaller[label] = len(source.listed), 0
        for rows, piece in zip(
            chunked(range(len(source.listed)), PIECE),
            in_order(seen, chunked(range(len(source.listed)), PIECE), workers),
            strict=True,
        ):
            for row, one in zip(rows, piece, strict=True):
                path = str(source.root / source.listed[row].relative)
                if isinstance(one, str):
                    left_out[path] = one
                elif canonical.enlarges(one.size):
                    smaller[label] += 1
                    left_out[path] = f"{one.size[0]}x{one.size[1]} pixels, smaller than {canonical.size}"
                else:
                    usable.append(one)
            done += len(piece)
            progress("reading", done, total)
    kept, copies, notes = _without_copies(usable)
    return Looked(kept, found, smaller, {**left_out, **copies}, notes)


def _seen(source: Source, row: int, label: str, group: str | None, megapixels: float) -> Seen | str:
    listed = source.listed[row]
    path = source.root / listed.relative
    try:
        picture = reading.read(path, megapixels=megapixels)
    except ImageError as error:
        return str(error)
    small = picture.image.resize((MINIATURE, MINIATURE), Image.Resampling.BOX, reducing_gap=2.0).convert("L")
    cells = np.asarray(small, np.float32).ravel()
    centred = cells - cells.mean()
    norm = float(np.linalg.norm(centred))
    unit = centred / np.float32(norm) if norm else centred
    return Seen(
        path, listed.relative, label, group, picture.size, picture.sha256, picture.pixel_hash, picture.look_hash, unit
    )


def _without_copies(images: Sequence[Seen]) -> tuple[list[Seen], dict[str, str], list[str]]:
    """Of exact copies in one class the first is kept; those in both classes are all left out: one label is wrong."""
    by_pixels: dict[str, list[Seen]] = defaultdict(list)
    for image in images:
        by_pixels[image.pixel_hash].append(image)
    reasons: dict[str, str] = {}
    both = same = 0
    for members in by_pixels.values():
        if len({image.label for image in members}) > 1:
            both += 1
            for image in members:
                other = next(one for one in members if one.label != image.label)
                reasons[str(image.path)] = f"an exact copy of {printable(str(other.path))}, which is {other.label}"
        else:
            same += len(members) - 1
            for image in members[1:]:
                reasons[str(image.path)] = f"an exact copy of {printable(str(members[0].path))}"
    notes = []
    if both:
        notes.append(
            f"{both} {'picture is' if both == 1 else 'pictures are'} in both classes and left out of both, as one of "
            "the labels is wrong"
        )
    if same:
        notes.append(f"{same} exact {'copy was' if same == 1 else 'copies were'} left out")
    return [image for image in images if str(image.path) not in reasons], reasons, notes


def together(images: Sequence[Seen]) -> list[list[int]]:
    """Positions that must not be parted, in order of their first: one group, or near-copies, also across classes.

    Candidates are pairs whose looks differ in few bits; block by block, so that no n x n matrix is held.
    """
    above = list(range(len(images)))

    def top(place: int) -> int:
        while above[place] != place:
            above[place] = above[above[place]]
            place = above[place]
        return place

    def join(one: int, other: int) -> None:
        one, other = top(one), top(other)
        above[max(one, other)] = min(one, other)

    first: dict[str, int] = {}
    for place, image in enumerate(images):
        if image.group is not None:
            join(first.setdefault(image.group, place), place)
    looks = np.array([image.look_hash for image in images], np.uint64)
    small = np.stack([image.miniature for image in images])  # (n, 256), unit length or 0
    flat: NDArray[np.bool_] = np.abs(small).max(axis=1) == 0
    for start in range(0, len(images), BLOCK):
        bits = np.bitwise_count(looks[start : start + BLOCK, None] ^ looks[None, start:])  # (block, rest)
        pairs = np.argwhere(np.triu(bits <= SAME_LOOK_BITS, 1)) + start  # each pair once
        one, other = pairs[:, 0], pairs[:, 1]
        correlation: NDArray[np.float32] = np.einsum("ij,ij->i", small[one], small[other])
        alike = np.flatnonzero((correlation >= SAME_CORRELATION) | (flat[one] & flat[other]))
        for a, b in zip(one[alike].tolist(), other[alike].tolist(), strict=True):
            join(a, b)
    joined: dict[int, list[int]] = {}
    for place in range(len(images)):
        joined.setdefault(top(place), []).append(place)
    return list(joined.values())


def needs(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """How many of ``count`` images each part gets: its share, at least one where its share is not 0.

    >>> needs(10, {"val": 0.2, "test": 0.2})
    {'train': 6, 'val': 2, 'test': 2}
    """
    held = {part: max(1, round(count * shares[part])) if shares[part] else 0 for part in (VAL, TEST)}
    return {TRAIN: count - sum(held.values()), **held}


def dealt(
    images: Sequence[Seen], blocks: Sequence[Sequence[int]], need: Mapping[str, int], seed: int
) -> dict[str, dict[str, list[int]]]:
    """Positions by part and class, equally many of each class in a part, in the order of their paths.

    Blocks (images that belong together) are taken in a seeded order, each by the part that lacks most of its images;
    what a part does not need of a block is left out, never put elsewhere.
    """
    random = clock.generator(seed)
    labels = list(dict.fromkeys(image.label for image in images))
    lacking = {part: dict.fromkeys(labels, need[part]) for part in PARTS}
    found: dict[str, dict[str, list[int]]] = {part: {label: [] for label in labels} for part in PARTS}
    for number in random.permutation(len(blocks)).tolist():
        block = blocks[number]
        have = {label: [place for place in block if images[place].label == label] for label in labels}
        part = max(PARTS, key=lambda name: sum(lacking[name][label] for label in labels if have[label]))
        for label in labels:
            taken = have[label][: lacking[part][label]]
            lacking[part][label] -= len(taken)
            found[part][label] += taken
    for by_class in found.values():
        fewest = min(len(places) for places in by_class.values())
        for label in labels:
            by_class[label] = sorted(by_class[label][:fewest])
    return found


def check_enough(found: Mapping[str, Mapping[str, Sequence[int]]], need: Mapping[str, int]) -> None:
    """Raise ``DataError`` where a part that was asked for has no image."""
    lacking = [part for part in PARTS if need[part] and not all(found[part].values())]
    if lacking:
        raise DataError(
            f"no image is left for {' and '.join(lacking)} once groups and near-copies are kept whole; give more "
            "images, say --no-groups if sub-folders are no groups, or --val 0 or --test 0"
        )
