"""Editors whose faults are planted, a network that sees spots, and a base of spotted images on the disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from casebase import reading
from casebase.association import Codes
from casebase.cases import SourceImage
from casebase.evaluate.cae.looking import Sight
from casebase.ports import Reading
from casebase.reading import Preprocess
from casebase.storage.memory import MemoryCaseStore
from tests.explain.cae import planted
from tests.explain.cae.planted import BRIGHT, CELL, PLAIN, SIDE, VIEW, Planted, seen
from tests.fakes import changes, entry, fingerprint

CLASSES = (PLAIN, BRIGHT)
TOP = SIDE // CELL


def rounded(codes: np.ndarray) -> list[tuple[float, ...]]:
    """Codes as keys of a table."""
    return [tuple(row) for row in np.asarray(codes, np.float64).round(3).tolist()]


@dataclass(eq=False)
class Copier(Planted):
    """Hands out the image that lent the class code, whatever the individual code says."""

    lent: dict[tuple[float, ...], np.ndarray] = field(default_factory=dict)

    def encode(self, views: np.ndarray) -> Codes:
        found = super().encode(views)
        self.lent |= dict(zip(rounded(found.of_class), self.reduced(views), strict=True))
        return found

    def decode(self, of_class: np.ndarray, individual: np.ndarray) -> np.ndarray:
        known = np.array(list(self.lent))
        near = [int(np.abs(known - code).sum(axis=1).argmin()) for code in np.asarray(of_class, np.float64)]
        return np.stack([self.lent[tuple(known[at].tolist())] for at in near])


@dataclass(eq=False)
class Keeper(Planted):
    """Rebuilds the image that the individual code came from, whatever class code it is given."""

    kept: dict[int, np.ndarray] = field(default_factory=dict)

    def encode(self, views: np.ndarray) -> Codes:
        found = super().encode(views)
        places = found.individual.reshape(len(views), -1).argmax(axis=1).tolist()
        self.kept |= dict(zip(places, found.of_class, strict=True))
        return found

    def decode(self, of_class: np.ndarray, individual: np.ndarray) -> np.ndarray:
        places = individual.reshape(len(individual), -1).argmax(axis=1).tolist() * (len(of_class) // len(individual))
        return super().decode(np.stack([self.kept[place] for place in places]), individual)


class Spots:
    """The explained network: features are how bright its cells are; what it calls an image, the view's judge says."""

    space, batch_size = "avgpool", 8
    preprocess = Preprocess(None, VIEW, "nearest", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    fingerprint = fingerprint(TOP * TOP)

    def read(self, views: np.ndarray) -> Reading:
        """The mean of each of 8 x 8 cells."""
        tall = views.shape[1] // TOP
        cells = views.astype(np.float32).reshape(len(views), TOP, tall, TOP, tall, 3).mean(axis=(2, 4, 5))
        return Reading(cells.reshape(len(views), -1), None)


def base(folder: Path, held: int = 24, cases: int = 12) -> MemoryCaseStore:
    """Held-out images and cases, spots in cells of their own, every second one bright."""
    entries = []
    for number in range(held + cases):
        bright, test = number % 2 == 1, number < held
        image = seen(divmod(number, TOP), red=180.0 + number if bright else 90.0 + number)[0]
        label, name = CLASSES[bright], f"{'test' if test else 'train'}/{number:03d}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name)
        over = {
            "image": SourceImage(f"{number:05d}", folder / name, name, label, "test" if test else "train"),
            "held_out": test, "probabilities": Planted().judge(image[None])[0],
            "pixel_hash": reading.read(folder / name).pixel_hash,
        }  # fmt: skip
        entries.append(entry(f"{number:05d}", Spots().read(image[None]).features[0], 0, **over))
    store = MemoryCaseStore()
    store.source(folder)
    with store.writing("test") as run:
        store.declare("avgpool", Spots.fingerprint, {})
        store.retain(run, entries)
        store.publish(run, changes(facts={"fingerprint": "c0ffee", "classes": list(CLASSES), "fair": True}))
    return store


def sight(view: Planted) -> Sight:
    """What looks through a planted embedding."""
    return Sight(view, Spots())


def honest(**changed: object) -> Planted:
    """An embedding that does what it should."""
    return Planted(nodes=planted.line(start=-1.3, end=1.5, count=41), **changed)  # type: ignore[arg-type]
