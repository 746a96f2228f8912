"""Small made-up things for tests: pictures, entries, and a store filled with clustered vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from casebase import hashing
from casebase.cases import Fingerprint, SourceImage
from casebase.ports import CaseStore, Changes, Entry, Reading
from casebase.prototypes import SIGNED, Patch, Prototype, PrototypeSet, Stage, cell_box
from casebase.reading import Preprocess

CLASSES = ("cat", "dog", "owl")


def fingerprint(dim: int = 16, weights: str = "w") -> Fingerprint:
    """A fingerprint of nothing in particular."""
    return Fingerprint("made-up", weights, "p", "fp32", dim)


def entry(name: str, vector: NDArray[np.float32], predicted: int, *, label: str | None = None, **over: object) -> Entry:
    """An entry whose network says ``CLASSES[predicted]`` and whose label is that too, unless told otherwise."""
    softmax = np.full(len(CLASSES), 0.1, np.float32)
    softmax[predicted] = 0.8
    look = int(over.pop("look", 0)) or int(hashing.of_bytes(name.encode())[:16], 16)
    values: dict[str, object] = {
        "image": SourceImage(name, Path("/nowhere") / name, name, label or CLASSES[predicted]),
        "source": 1, "file_size": 10, "file_mtime": 20, "width": 8, "height": 8,
        "sha256": f"sha-{name}", "pixel_hash": f"pixels-{name}", "look_hash": look, "held_out": False,
        "vectors": {"avgpool": vector}, "probabilities": softmax,
    }  # fmt: skip
    return Entry(**{**values, **over})  # type: ignore[arg-type]  # a table of fields, overridden one by one


def changes(withdrawn: Sequence[str] = (), **over: object) -> Changes:
    """A run's changes without a classifier of its own."""
    facts = {"fingerprint": "c0ffee", "classes": list(CLASSES), "fair": True}
    values: dict[str, object] = {
        "withdrawn": list(withdrawn), "relabelled": {}, "classify": None, "reclassify": False,
        "facts": facts,
    }  # fmt: skip
    return Changes(**{**values, **over})  # type: ignore[arg-type]  # as above


def clustered(
    count: int, dim: int = 16, classes: int = 3, seed: int = 0, shares: Sequence[float] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors ``(count, dim)`` around one centre per class, and their classes; made up, seeded."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(classes, dim))
    called = random.choice(classes, size=count, p=shares)
    return (centres[called] + 0.6 * random.normal(size=(count, dim))).astype(np.float32), called


def fill(store: CaseStore, entries: Sequence[Entry], withdrawn: Sequence[str] = ()) -> bool:
    """Store and publish in one run."""
    store.source(Path("/nowhere"))
    with store.writing("test") as run:
        store.declare("avgpool", fingerprint(len(next(iter(entries[0].vectors.values()))) if entries else 16), {})
        store.retain(run, entries)
        return store.publish(run, changes(withdrawn))


def prototype_set(
    cases: Sequence[str], profile: str = SIGNED, *, classifier: str = "c0ffee", digest: str = "d" * 64
) -> PrototypeSet:
    """A set with a prototype for each case, on a grid of 2 x 4 cells; those of even number are of ``cat``."""
    made = [
        Prototype(
            number, CLASSES[number % 2], Patch(name, f"pixels-{name}", 1, number % 4, cell_box(1, number % 4, (2, 4))),
            weight=0.5 + number, purity=None if number == 0 else 0.9, purity_n=10 * (number > 0), decides=0.25,
        )
        for number, name in enumerate(cases)
    ]  # fmt: skip
    return PrototypeSet(
        profile=profile, classifier=classifier, digest=digest, layer="layer4", grid=(2, 4), view=(32, 64),
        receptive_field=(32, 64), classes=list(CLASSES), target="predicted", prototypes=made,
        stages=[Stage("head", {"balanced_accuracy": 0.9, "gap": None}, ["one class has them all"], 7, 1.5)],
        settings={"seed": 0}, created="2026-11-21T10:00:00+00:00",
    )  # fmt: skip


class ColourNetwork:
    """Embedder and Classifier in one: a picture's features are the red and green of its first pixel.

    It says ``probabilities`` of everything; ``head (C, 2)`` are its class weights, or None.
    """

    space, batch_size, classes = "avgpool", 2, CLASSES
    preprocess = Preprocess(None, (4, 4), "nearest", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def __init__(self, probabilities: Sequence[float], head: NDArray[np.float32] | None = None) -> None:
        self.probabilities, self.head = np.array(probabilities, np.float32), head
        self.fingerprint = fingerprint(2)

    def read(self, views: NDArray[np.uint8]) -> Reading:
        """Features and the same probabilities for every view."""
        return Reading(views[:, 0, 0, :2].astype(np.float32), np.tile(self.probabilities, (len(views), 1)))

    def class_weights(self, name: str) -> NDArray[np.float32] | None:
        """The head's row of a class."""
        return None if self.head is None else self.head[CLASSES.index(name)]
