"""Pictures while many answers are explained: each file is decoded once, whatever number of lists it stands in."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Generic, TypeVar

import numpy as np
from PIL import Image

from casebase import reading
from casebase.cases import Case
from casebase.errors import ImageError
from casebase.explanations import QUERY_ID, Pixels, Shown, frozen

VIEW_SIDE = 224
WHOLE_SIDE = 512
WHOLE = (0.0, 0.0, 1.0, 1.0)
KEPT_BYTES = 96_000_000
"""Decoded views that are kept: those of about 600 cases at 224 pixels."""

Thumbnail = Callable[[str], Image.Image | None]
V = TypeVar("V")


class Shelf(Generic[V]):
    """The most recently used values by key, up to ``limit`` bytes of them; any number of threads may use it."""

    def __init__(self, limit: int, size: Callable[[V], int]) -> None:
        self._held: OrderedDict[str, V] = OrderedDict()
        self._limit, self._size, self._bytes = limit, size, 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """What is held, in bytes."""
        return self._bytes

    def get(self, key: str) -> V | None:
        """The value, now the most recently used one, or None."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: str, value: V) -> None:
        """Keep a value; the least recently used ones make room. One larger than the limit is not kept."""
        with self._lock:
            old = self._held.pop(key, None)
            self._bytes += self._size(value) - (0 if old is None else self._size(old))
            self._held[key] = value
            while self._bytes > self._limit:
                _, gone = self._held.popitem(last=False)
                self._bytes -= self._size(gone)


@dataclass(frozen=True, eq=False)
class Look:
    """One picture: ``view (H, W, 3)`` is what the network is fed, ``display`` the same part at a readable size."""

    view: Pixels
    display: Pixels

    @property
    def bytes(self) -> int:
        """Size of the arrays; one that serves twice counts once."""
        return self.view.nbytes + (0 if self.display is self.view else self.display.nbytes)


@dataclass(frozen=True, eq=False)
class Looked:
    """Looks by case id, and of the cases whose file is gone or has changed the reason."""

    looks: Mapping[str, Look]
    lost: Mapping[str, str]


class Album:
    """The pictures of cases, decoded on several threads, the most recently used ones kept.

    Kept by their pixels, so that what is on the shelf stays true to its case whatever becomes of the file.
    """

    def __init__(
        self,
        preprocess: reading.Preprocess,
        thumbnail: Thumbnail,
        *,
        megapixels: float = reading.DEFAULT_MEGAPIXELS,
        kept: int = KEPT_BYTES,
    ) -> None:
        self.preprocess, self.thumbnail, self._megapixels = preprocess, thumbnail, megapixels
        self._shelf: Shelf[Look] = Shelf(kept, lambda look: look.bytes)

    def looks(self, cases: Sequence[Case]) -> Looked:
        """Look at cases; every file that is not on the shelf is read once."""
        found: dict[str, Look] = {}
        missing: dict[str, Case] = {}
        for case in cases:
            held = self._shelf.get(case.pixel_hash)
            if held is None:
                missing[case.id] = case
            else:
                found[case.id] = held
        lost: dict[str, str] = {}
        for case, outcome in zip(missing.values(), in_threads(self._look, list(missing.values())), strict=True):
            if isinstance(outcome, str):
                lost[case.id] = outcome
            else:
                found[case.id] = outcome
                self._shelf.put(case.pixel_hash, outcome)
        return Looked(found, lost)

    def picture(self, case: Case) -> reading.Picture:
        """A stored image as it was indexed; ``ImageError`` where its file is gone or has changed."""
        found = reading.read(case.file, megapixels=self._megapixels)
        if found.pixel_hash != case.pixel_hash:
            raise ImageError("changed since it was indexed; run `casebase index` again")
        return found

    def _look(self, case: Case) -> Look | str:
        try:
            return look(self.picture(case).image, self.preprocess)
        except ImageError as error:
            return str(error)

    def of_query(self, picture: reading.Picture) -> tuple[Shown, Look]:
        """The query for display, whole and as the network sees it."""
        seen = look(picture.image, self.preprocess)
        width, height = picture.size
        whole = picture.image.copy()
        whole.thumbnail((WHOLE_SIDE, WHOLE_SIDE), Image.Resampling.BILINEAR)
        left, top, right, bottom = self.preprocess.box(picture.size)
        box = (left / width, top / height, right / width, bottom / height)
        return Shown(QUERY_ID, seen.display, frozen(np.asarray(whole, dtype=np.uint8)), box), seen

    def small(self, name: str, case: Case) -> Shown | None:
        """The thumbnail of a picture whose file is gone; None where none was kept."""
        kept = self.thumbnail(case.pixel_hash)
        if kept is None:
            return None
        pixels = frozen(np.asarray(kept, dtype=np.uint8))
        return Shown(name, pixels, pixels, WHOLE)


def look(image: Image.Image, preprocess: reading.Preprocess) -> Look:
    """The network's view of a picture, and the same part of it at a readable size."""
    view = frozen(preprocess.pixels(image))
    scale = max(1.0, VIEW_SIDE / max(preprocess.crop))
    if scale == 1.0:
        return Look(view, view)
    return Look(view, frozen(np.asarray(preprocess.crop_of(image, scale), dtype=np.uint8)))


A = TypeVar("A")
B = TypeVar("B")


def in_threads(work: Callable[[A], B], items: Sequence[A]) -> list[B]:
    """``work`` on every item, in order, on as many threads as there are cores: Pillow lets go of the interpreter."""
    threads = min(len(items), cores())
    if threads < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def ahead(work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """``work`` on every item, in order, each begun on another thread while the one before it is in use.

    At most one result waits. A single item is worked on at once, on the caller's own thread.
    """
    rest = iter(items)
    begun = list(islice(rest, 2))
    if len(begun) < 2:
        yield from map(work, begun)
        return
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(work, begun[0])
        for item in chain(begun[1:], rest):
            result, waiting = waiting.result(), pool.submit(work, item)
            yield result
        yield waiting.result()


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
