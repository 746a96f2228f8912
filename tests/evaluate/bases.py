"""Bases in memory whose stored answers are made up, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casebase.cases import SourceImage
from casebase.storage.memory import MemoryCaseStore
from tests.fakes import changes, entry, fingerprint


@dataclass(frozen=True)
class Answer:
    """One image: its label, what it is called, and how surely; the rest is shared among the other classes."""

    label: str
    predicted: str
    confidence: float = 0.9
    split: str | None = "test"
    group: str | None = None
    pixels: str | None = None


def base(answers: Sequence[Answer], classes: Sequence[str]) -> MemoryCaseStore:
    """A store of these images; those of the split ``train`` are cases, the others are held out."""
    entries = []
    for number, one in enumerate(answers):
        others = (1 - one.confidence) / max(1, len(classes) - 1)
        softmax = np.full(len(classes), others, np.float32)
        softmax[list(classes).index(one.predicted)] = one.confidence
        name = f"{number:05d}"
        image = SourceImage(name, Path("/nowhere") / name, f"{name}.png", one.label, one.split, one.group)
        over = {"image": image, "held_out": one.split != "train", "probabilities": softmax}
        pixels = one.pixels or f"pixels-{name}"
        entries.append(entry(name, np.ones(2, np.float32), 0, pixel_hash=pixels, **over))
    store = MemoryCaseStore()
    store.source(Path("/nowhere"))
    with store.writing("test") as run:
        store.declare("avgpool", fingerprint(2), {})
        store.retain(run, entries)
        facts = {"fingerprint": "c0ffee", "classes": list(classes), "fair": True}
        store.publish(run, changes(facts=facts))
    return store


def matrix(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> list[Answer]:
    """Held-out test images with this confusion matrix."""
    return [
        Answer(classes[row], classes[column])
        for row, cells in enumerate(counts)
        for column, count in enumerate(cells)
        for _ in range(count)
    ]


def study() -> MemoryCaseStore:
    """The founding study's validation set: 50 and 50 images, 44 and 47 of them right."""
    return base(matrix([[44, 6], [3, 47]], ("real", "generated")), ("real", "generated"))
