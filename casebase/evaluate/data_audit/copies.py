"""Which pictures of a set are one photograph: the same bytes, the same pixels, saved anew, rescaled, cropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from casebase import hashing
from casebase.data_audit import SURE, CopyGroup, Pair, Seen
from casebase.evaluate.data_audit import candidates
from casebase.evaluate.data_audit.looks import FLAT, GRID, WHOLE, Whitening, cut, cut_each, whitening
from casebase.explain.album import in_threads

BYTES, PIXELS, NEAR, CROP = "bytes", "pixels", "near", "crop"
CERTAINTY = (BYTES, PIXELS, NEAR, CROP)
"""The surest first."""
BITS = 10
"""Look hashes further apart are no candidates by themselves."""
SIDE, FLOOR = 16, 0.1
ALIKE = 0.70
"""Pictures that correlate so much, aligned and freed of what the set shares, are one photograph."""
ALIKE_CROP = SURE
"""The same where a part had to be searched for: many alignments were tried, so chance is better at it. What is less
alike than this is called one photograph only perhaps."""
EMBEDDING = 0.30
"""With a network, pictures whose embeddings lie further apart (1 - cosine) are not called one photograph."""
WHOLE_AREA = 0.97
MOST_FOR_CROPS = 50_000
"""Above, crops are not searched for: the blocks would take longer than decoding."""
PIECE = 4096

Boxes = NDArray[np.float64]
Places = NDArray[np.intp]
Scores = NDArray[np.float32]
Embed = Callable[[Sequence[Seen]], NDArray[np.float32]]
"""Pictures to embeddings ``(n, D)`` of unit length."""


@dataclass(frozen=True, eq=False)
class Copies:
    """The groups, gravest first; ``crops_searched`` is False where the set is too large for it."""

    groups: Sequence[CopyGroup]
    crops_searched: bool
    candidates: int


def find_copies(pictures: Sequence[Seen], minis: NDArray[np.uint8], embed: Embed | None = None) -> Copies:
    """Find all groups among ``pictures`` with their ``minis (n, s, s) uint8``."""
    pairs = list(_exact(pictures))
    again = {pair.other for pair in pairs}
    flat = minis.std(axis=(1, 2)) < FLAT
    alone = np.array([i for i in range(len(pictures)) if i not in again and not flat[i]], np.intp)
    crops, tried = len(alone) <= MOST_FOR_CROPS, 0
    if len(alone) > 1:
        near, tried = _near([pictures[i] for i in alone], minis[alone], crops=crops)
        near = [replace(pair, one=int(alone[pair.one]), other=int(alone[pair.other])) for pair in near]
        pairs += near if embed is None else _confirmed(near, pictures, embed)
    return Copies(_grouped(pictures, pairs), crops, tried)


def _exact(pictures: Sequence[Seen]) -> Iterator[Pair]:
    """Each exact copy with the first of its kind."""
    first: dict[str, int] = {}
    for place, one in enumerate(pictures):
        before = first.setdefault(one.pixel_hash, place)
        if before != place:
            same = pictures[before].sha256 == one.sha256
            yield Pair(before, place, BYTES if same else PIXELS, 0, 1.0)


def _near(pictures: Sequence[Seen], minis: NDArray[np.uint8], *, crops: bool) -> tuple[list[Pair], int]:
    whole = cut(minis, WHOLE, SIDE)
    common = whitening(candidates.spread(whole), FLOOR)
    looks = common.of(whole)
    hashes = np.array([one.look_hash for one in pictures], np.uint64)
    found: dict[tuple[int, int], Pair] = {}
    tried = 0
    for one, other in candidates.by_hash(hashes, BITS):
        tried += len(one)
        _keep(found, pictures, one, other, np.einsum("nd,nd->n", looks[one], looks[other]), None)
    if not crops:
        return list(found.values()), tried
    parts = candidates.Parts(minis)

    def search(start: int) -> tuple[int, Places, Places, Scores, Boxes]:
        one, other, box = parts.block(start)
        kept, score, where = aligned(minis, looks, common, one, other, box)
        return len(one), one[kept], other[kept], score, where

    for count, one, other, score, where in in_threads(search, parts.starts):
        tried += count
        _keep(found, pictures, one, other, score, where)
    return list(found.values()), tried


def _keep(
    found: dict[tuple[int, int], Pair], pictures: Sequence[Seen], ones: Places, others: Places, scores: Scores,
    boxes: Boxes | None,
) -> None:  # fmt: skip
    """Add the pairs that are alike enough; of a pair found twice the better alignment stays."""
    for place in np.flatnonzero(scores >= ALIKE).tolist():
        one, other, score = int(ones[place]), int(others[place]), float(scores[place])
        box = None if boxes is None else tuple(boxes[place].round(4).tolist())
        if box is not None and (box[2] - box[0]) * (box[3] - box[1]) >= WHOLE_AREA:
            box = None
        if box is not None and score < ALIKE_CROP:
            continue
        key = (min(one, other), max(one, other))
        held = found.get(key)
        # what matches as a whole is no crop, however much better some part of it fits
        if held is not None and (held.box is None or held.alike >= score) and not (box is None and held.box):
            continue
        bits = hashing.look_distance(pictures[one].look_hash, pictures[other].look_hash)
        if box is None:
            one, other = key
        found[key] = Pair(one, other, NEAR if box is None else CROP, bits, min(1.0, score), box)


MOVES = np.array([
    (1, 0, 1, 0), (-1, 0, -1, 0), (0, 1, 0, 1), (0, -1, 0, -1), (1, 1, -1, -1), (-1, -1, 1, 1),
    (1, 0, 0, 0), (-1, 0, 0, 0), (0, 1, 0, 0), (0, -1, 0, 0), (0, 0, 1, 0), (0, 0, -1, 0), (0, 0, 0, 1), (0, 0, 0, -1),
], np.intp)  # fmt: skip
"""Shifts, both sizes at once, and each edge by itself."""
WHOLE_GRID = (0, 0, GRID, GRID)
STEPS = ((4, 0.20), (4, 0.25), (2, 0.30), (2, 0.40), (1, 0.50), (1, 0.60))
"""Steps on the grid, and what a pair must have reached before to be tried further."""


def aligned(
    minis: NDArray[np.uint8], looks: NDArray[np.float32], common: Whitening, ones: Places, others: Places, boxes: Boxes
) -> tuple[Places, Scores, Boxes]:
    """Move each box over ``other`` until it looks most like the whole of ``one``: rows kept, scores and boxes.

    By steps from 4 % of a side down to 1 %, the best of 14 moves each. Pairs that stay without any likeness go.
    """
    kept = np.arange(len(ones))
    here = np.rint(boxes * GRID).astype(np.intp)  # (m, 4)
    score = _alike(minis, looks, common, ones, others, here)
    for step, least in STEPS:
        going = np.flatnonzero(score >= least)
        kept, here, score = kept[going], here[going], score[going]
        tries = np.clip(here[:, None] + step * MOVES[None], 0, GRID)  # (m, 14, 4)
        small = np.minimum(tries[..., 2] - tries[..., 0], tries[..., 3] - tries[..., 1]) < GRID // 2
        tries[small] = WHOLE_GRID
        each = np.repeat(kept, len(MOVES))
        scores = _alike(minis, looks, common, ones[each], others[each], tries.reshape(-1, 4)).reshape(-1, len(MOVES))
        best, rows = scores.argmax(axis=1), np.arange(len(kept))
        better = scores[rows, best] > score
        here[better] = tries[rows, best][better]
        score = np.where(better, scores[rows, best], score)
    return kept, score, here / GRID


def _alike(
    minis: NDArray[np.uint8], looks: NDArray[np.float32], common: Whitening, ones: Places, others: Places, boxes: Places
) -> Scores:
    scores = np.empty(len(ones), np.float32)
    for start in range(0, len(ones), PIECE):
        part = slice(start, start + PIECE)
        seen = common.of(cut_each(minis[others[part]], boxes[part], SIDE))
        scores[part] = np.einsum("nd,nd->n", looks[ones[part]], seen)
    return scores


def _confirmed(pairs: Sequence[Pair], pictures: Sequence[Seen], embed: Embed) -> list[Pair]:
    """The pairs that a network too takes for one photograph, with the distance of their embeddings."""
    places = sorted({place for pair in pairs for place in (pair.one, pair.other)})
    if not places:
        return []
    row = {place: number for number, place in enumerate(places)}
    vectors = embed([pictures[place] for place in places])
    found = []
    for pair in pairs:
        far = max(0.0, 1.0 - float(vectors[row[pair.one]] @ vectors[row[pair.other]]))
        if far <= EMBEDDING:
            found.append(replace(pair, embedding=far))
    return found


def _grouped(pictures: Sequence[Seen], pairs: Sequence[Pair]) -> list[CopyGroup]:
    """Connected components, those across classes first, then those across splits; in each the surest first."""
    above = list(range(len(pictures)))

    def top(place: int) -> int:
        while above[place] != place:
            above[place] = above[above[place]]
            place = above[place]
        return place

    for pair in pairs:
        one, other = top(pair.one), top(pair.other)
        above[max(one, other)] = min(one, other)
    joined: dict[int, list[Pair]] = {}
    for pair in pairs:
        joined.setdefault(top(pair.one), []).append(pair)
    groups = [_group(pictures, held) for held in joined.values()]
    return sorted(groups, key=_gravity)


def _group(pictures: Sequence[Seen], pairs: Sequence[Pair]) -> CopyGroup:
    members = [pictures[place] for place in sorted({place for pair in pairs for place in (pair.one, pair.other)})]
    ordered = sorted(pairs, key=lambda pair: (pair.alike, pair.one, pair.other))
    kind = max((pair.kind for pair in pairs), key=CERTAINTY.index)
    splits = sorted({one.split for one in members if one.split is not None})
    return CopyGroup(members, ordered, kind, sorted({one.label for one in members}), splits)


def _gravity(group: CopyGroup) -> tuple[bool, bool, bool, int, int, str]:
    across = (not group.across_classes, not group.across_splits)
    return (*across, not group.sure, CERTAINTY.index(group.kind), -len(group.members), group.members[0].relative)
