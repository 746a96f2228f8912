"""Pictures of coloured cells, a set of prototypes that looks for the colours, and a network that counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase import reading
from casebase.cases import SourceImage
from casebase.evaluate.prototypes.sights import Candidate
from casebase.ports import Reading
from casebase.prototypes import Activation, Patch, Prototype, PrototypeSet, Stage, cell_box
from casebase.reading import Preprocess
from casebase.storage.memory import MemoryCaseStore
from tests.fakes import changes, entry, fingerprint

GRID, CELL = 8, 8
SIDE = GRID * CELL
CLASSES = ("red", "blue")
RED, BLUE, GREY = (230, 30, 30), (30, 30, 230), (110, 110, 110)


def picture(cells: Mapping[tuple[int, int], tuple[int, int, int]], *, traces: bool = False) -> NDArray[np.uint8]:
    """Grey ``(SIDE, SIDE, 3)`` with coloured cells; ``traces``: columns of changing colour, which JPEG takes away."""
    view = np.full((SIDE, SIDE, 3), GREY, np.uint8)
    for (row, column), colour in cells.items():
        view[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = colour
    if traces:
        view[:, ::2, 2], view[:, 1::2, 2] = 80, 140
        view[:, ::2, 0], view[:, 1::2, 0] = 140, 80
    return view


def activation(
    maps: NDArray[np.float32], head: NDArray[np.float32], bias: NDArray[np.float32] | None = None
) -> Activation:
    """Of maps ``(P, h, w)`` under a head ``(C, P)``, as the real reader makes it."""
    flat = maps.reshape(len(maps), -1)
    at = flat.argmax(axis=1)
    contributions = head * flat.max(axis=1)[None]
    offset = np.zeros(len(head), np.float32) if bias is None else bias
    cells = np.stack([at // maps.shape[2], at % maps.shape[2]], axis=1)
    return Activation(maps, flat.max(axis=1), cells, contributions, offset, offset + contributions.sum(axis=1))


def a_set(
    of_class: Sequence[str], classes: Sequence[str] = CLASSES, *, profile: str = "signed", **over: object
) -> PrototypeSet:
    """One prototype for each of ``of_class``, each from a case of its own."""
    prototypes = [
        Prototype(i, name, Patch(f"case{i}", f"pixels{i}", 0, i, cell_box(0, i, (GRID, GRID))), 0.5, 0.9, 10, 0.25)
        for i, name in enumerate(of_class)
    ]
    figures = {"accuracy": 0.8, "balanced_accuracy": 0.75, "gap": -0.05, "prototypes": len(of_class), "n": 20}
    values: dict[str, object] = {
        "profile": profile, "classifier": "c0ffee", "digest": "d" * 64, "layer": "places", "grid": (GRID, GRID),
        "view": (SIDE, SIDE), "receptive_field": (CELL, CELL), "classes": list(classes), "target": "predicted",
        "prototypes": prototypes, "stages": [Stage("start", figures), Stage("head", figures)],
        "settings": {"seed": 0}, "created": "2026-11-21",
    }  # fmt: skip
    return PrototypeSet(**{**values, **over})  # type: ignore[arg-type]  # a table of fields, overridden one by one


class ColourView:
    """The port ``PrototypeView``: similarities are how red, blue, or full of traces a cell is, by ``looks``."""

    shares_maps = True

    def __init__(self, found: PrototypeSet, looks: Sequence[str], head: Sequence[Sequence[float]]) -> None:
        self.found, self.looks, self.head = found, looks, np.array(head, np.float32)
        self.passes = 0

    def maps(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Redness, blueness and traces ``(N, 3, h, w)`` of every cell."""
        self.passes += len(views)
        x = views.astype(np.float32) / 255.0
        traces = np.abs(np.diff(x[..., 2], axis=2, append=x[:, :, -2:-1, 2]))
        planes = np.stack([x[..., 0] - x[..., 2], x[..., 2] - x[..., 0], 4.0 * traces], axis=1)
        rows = planes.shape[2] // CELL
        return planes.reshape(len(x), 3, rows, CELL, rows, CELL).mean(axis=(3, 5))

    def from_maps(self, maps: NDArray[np.float32]) -> list[Activation]:
        """What the set says of those maps."""
        which = [("red", "blue", "traces").index(look) for look in self.looks]
        return [activation(one[which], self.head) for one in maps]

    def earlier(self, maps: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """After the stage ``start`` everything was called the first class."""
        return {"start": np.tile(np.array([1.0, 0.0], np.float32), (len(maps), 1))}

    def read(self, views: NDArray[np.uint8]) -> list[Activation]:
        """Both."""
        return self.from_maps(self.maps(views))


class ColourCounter:
    """The explained network: more red than blue is class red, surely."""

    space, batch_size = "avgpool", 4
    preprocess = Preprocess(None, (SIDE, SIDE), "nearest", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    fingerprint = fingerprint(2)

    def read(self, views: NDArray[np.uint8]) -> Reading:
        """The mean colours and what they make of it."""
        mean = views.astype(np.float32).mean(axis=(1, 2)) / 255.0
        score = 40.0 * (mean[:, 0] - mean[:, 2])
        red = 1.0 / (1.0 + np.exp(-score))
        return Reading(mean[:, [0, 2]], np.stack([red, 1.0 - red], axis=1).astype(np.float32))


def colours(*, profile: str = "signed", looks: Sequence[str] = ("red", "blue")) -> Candidate:
    """A set of one prototype a class, that finds the colours; ``traces`` stands for class blue."""
    found = a_set(["red" if look == "red" else "blue" for look in looks], profile=profile)
    head = [[1.0 if look == "red" else -0.5 for look in looks], [-0.5 if look == "red" else 1.0 for look in looks]]
    return Candidate(ColourView(found, looks, head), np.eye(len(looks), 3, dtype=np.float32))


def base(
    folder: Path, pictures: Sequence[tuple[str, NDArray[np.uint8]]], classes: Sequence[str] = CLASSES
) -> MemoryCaseStore:
    """A store of test images ``(label, pixels)`` on the disk, with what the counter says of them."""
    entries = []
    for number, (label, view) in enumerate(pictures):
        name = f"{label}/{number:03d}.png"
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(view).save(folder / name)
        said = ColourCounter().read(view[None]).probabilities
        softmax = np.zeros(len(classes), np.float32)
        softmax[: len(said[0])] = said[0]
        over = {
            "image": SourceImage(f"{number:05d}", folder / name, name, label, "test"), "held_out": True,
            "probabilities": softmax, "pixel_hash": reading.read(folder / name).pixel_hash,
        }  # fmt: skip
        entries.append(entry(f"{number:05d}", np.ones(2, np.float32), 0, **over))
    store = MemoryCaseStore()
    store.source(folder)
    with store.writing("test") as run:
        store.declare("avgpool", fingerprint(2), {})
        store.retain(run, entries)
        store.publish(run, changes(facts={"fingerprint": "c0ffee", "classes": list(classes), "fair": True}))
    return store
