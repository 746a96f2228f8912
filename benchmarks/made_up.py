"""Made-up clustered vectors in a real store, and networks that say what they are told: for timing retrieval alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.options import tell
from casebase import clock, hashing
from casebase.cases import Fingerprint, SourceImage
from casebase.ports import Changes, Entry, Reading
from casebase.reading import Picture, Preprocess
from casebase.settings import Settings
from casebase.spaces import NETWORK_SPACE
from casebase.storage.opening import make_store
from casebase.storage.writing import SqlCaseStore

DIM = 512
GROUPS = 40
"""Clusters inside a class: photographs of one kind lie in groups, not in one ball."""
BATCH = 2000
SIDE = 8
FINGERPRINT = Fingerprint("made-up", "made-up", "made-up", "fp32", DIM)
ROOT = Path("/made-up")


@dataclass(frozen=True, eq=False)
class World:
    """Where the clusters lie; vectors are drawn from it, non-negative as pooled features are."""

    classes: Sequence[str]
    centres: NDArray[np.float32]

    @classmethod
    def of(cls, classes: int) -> World:
        """A seeded world of so many classes; the centres of one class are nearer to each other than to others'."""
        random = clock.generator(classes)
        own = random.normal(size=(classes, 1, DIM))
        centres = 0.6 * own + 0.8 * random.normal(size=(classes, GROUPS, DIM))
        return cls([f"class {i:02d}" for i in range(classes)], centres.astype(np.float32))

    def draw(self, count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Vectors ``(count, DIM)`` and their classes ``(count,)``."""
        random = clock.generator(seed)
        called = random.integers(0, len(self.classes), count)
        group = random.integers(0, GROUPS, count)
        noise = random.normal(size=(count, DIM)).astype(np.float32)
        return np.maximum(self.centres[called, group] + 0.9 * noise, 0.0), called

    def softmax(self, called: int) -> NDArray[np.float32]:
        """Nine tenths for a class, the rest for the one after it and a little for all."""
        said = np.full(len(self.classes), 0.02 / len(self.classes), np.float32)
        said[called] += 0.88
        said[(called + 1) % len(self.classes)] += 0.10
        return said


def filled(folder: Path, world: World, count: int) -> tuple[SqlCaseStore, dict[str, float]]:
    """A published store of ``count`` cases, and the seconds that retaining and publishing took."""
    store = make_store(Settings(base=folder))
    seconds = {"retain": 0.0, "publish": 0.0}
    facts = {"fingerprint": "made-up", "classes": list(world.classes), "fair": True}
    with store.writing("benchmark") as run:
        number = store.source(ROOT)
        store.declare(NETWORK_SPACE, FINGERPRINT, {})
        started = clock.seconds()
        for start in range(0, count, BATCH):
            store.retain(run, list(_entries(world, start, min(BATCH, count - start), number)))
        seconds["retain"] = clock.seconds() - started
        tell(f"  {count} cases stored in {seconds['retain']:.0f} s; publishing (Chroma builds its graph: minutes)")
        started = clock.seconds()
        store.publish(run, Changes([], {}, None, reclassify=False, facts=facts))
        seconds["publish"] = clock.seconds() - started
    tell(f"  published in {seconds['publish']:.0f} s")
    return store, seconds


def _entries(world: World, start: int, count: int, source: int) -> Iterator[Entry]:
    vectors, called = world.draw(count, 1 + start)
    looks = clock.generator(start).integers(0, 2**63, count)
    for i in range(count):
        name = f"{start + i:07d}"
        label = world.classes[int(called[i]) if (start + i) % 20 else 0]  # one in twenty may be a mistake
        yield Entry(
            image=SourceImage(hashing.case_id(source, name), ROOT / name, name, label),
            source=source, file_size=1, file_mtime=1, width=SIDE, height=SIDE, sha256=f"sha-{name}",
            pixel_hash=f"pixels-{name}", look_hash=int(looks[i]), held_out=False,
            vectors={NETWORK_SPACE: vectors[i]}, probabilities=world.softmax(int(called[i])),
        )  # fmt: skip


class Sayings:
    """The ports ``Embedder`` and ``Classifier``: a picture's first pixel is the number of the vector to answer with."""

    batch_size = 16
    space = NETWORK_SPACE
    preprocess = Preprocess(None, (SIDE, SIDE), "nearest", (0.0,) * 3, (1.0,) * 3)

    def __init__(self, world: World, vectors: NDArray[np.float32], called: NDArray[np.int64]) -> None:
        self._vectors, self.classes = vectors, tuple(world.classes)
        self._said = np.stack([world.softmax(c) for c in called.tolist()])

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the space."""
        return FINGERPRINT

    def read(self, views: NDArray[np.uint8]) -> Reading:
        """The vectors and probabilities that the pictures name."""
        at = [int(view[0, 0, 0]) * 256 + int(view[0, 0, 1]) for view in views]
        return Reading(self._vectors[at], self._said[at])

    @staticmethod
    def picture(number: int) -> Picture:
        """The picture of a query."""
        image = Image.new("RGB", (SIDE, SIDE), (number // 256, number % 256, 0))
        look = int(clock.generator(10**6 + number).integers(0, 2**63))
        return Picture(image, f"query-{number}", f"query-{number}", look)


class SaidClassifier:
    """The port ``Classifier`` beside :class:`Sayings`, whose ``fingerprint`` is the space's."""

    fingerprint = "made-up"

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)

    def class_weights(self, name: str) -> None:
        """There is no linear head."""
