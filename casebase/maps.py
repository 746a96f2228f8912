"""Where a network looked in one picture, by several methods and for several classes, each map with its check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from casebase.answers import Prediction, finite
from casebase.errors import UsageError
from casebase.explanations import Deletion, Figure, SaliencyMap, Scale, Statement

if TYPE_CHECKING:
    from casebase.writers import MapsWriter

SCHEMA = "casebase.saliency/1"
PAGE, DATA = "index.html", "saliency.json"
OVERLAYS, RAW = "overlays", "raw"
"""What a folder of maps holds: a page, the JSON, pictures, and the maps as the methods gave them."""


@dataclass(frozen=True, slots=True)
class MapsWanted:
    """What to map and how.

    ``methods`` are names of ``METHOD_NAMES``; ``classes`` come beside the predicted one. ``layer``, ``samples`` and
    ``sign`` as in :class:`casebase.explain.saliency.MethodSettings`; None leaves them to the method. The positive part
    is what speaks for the class.
    """

    methods: Sequence[str] = ("gradcam",)
    classes: Sequence[str] = ()
    layer: str | None = None
    samples: int | None = None
    sign: str = "positive"
    seed: int = 0


@dataclass(frozen=True, eq=False)
class MapOf:
    """One method's map for one class, or why there is none.

    ``found`` is the map as it is shown, ``raw (h, w) float32`` as the method gave it, signed where it is; both are None
    where the method cannot explain this network, and ``problem`` says why in a sentence. A map that means nothing has
    a ``problem`` too. ``brief`` and ``said`` tell what its check showed, ``lies`` in words where the map lies,
    ``shares`` in four numbers (upper left, upper right, lower left, lower right). ``seconds`` is what the map cost.
    ``figure`` is what a page shows.
    """

    method: str
    title: str
    target: str
    probability: float
    figure: Figure
    found: SaliencyMap | None = None
    raw: NDArray[np.float32] | None = None
    check: Deletion | None = None
    brief: str | None = None
    said: Statement | None = None
    lies: str | None = None
    shares: tuple[float, float, float, float] | None = None
    problem: str | None = None
    seconds: float | None = None
    stem: str = ""

    @property
    def overlay(self) -> str | None:
        """The picture's place in a folder; None for a map that is not shown."""
        return None if self.found is None or self.problem is not None else f"{OVERLAYS}/{self.stem}.png"

    @property
    def array(self) -> str | None:
        """The raw map's place in a folder; None without one."""
        return None if self.raw is None else f"{RAW}/{self.stem}.npy"

    def to_dict(self, folder: Path | None = None) -> dict[str, Any]:
        """JSON of one map; ``folder`` is where its files lie, None where they were not written."""
        found = self.found
        return {
            "method": self.method,
            "class": self.target,
            "probability": finite(self.probability),
            "layer": None if found is None else found.layer or None,
            "size": None if self.raw is None else list(self.raw.shape),
            "shares": None if self.shares is None else [finite(value) for value in self.shares],
            "problem": self.problem,
            "deletion": None if self.check is None else self.check.to_dict(),
            "facts": {} if found is None else found.to_dict()["facts"],
            "seconds": None if self.seconds is None else finite(self.seconds),
            "overlay": _place(folder, self.overlay),
            "raw": _place(folder, self.array),
        }


@dataclass(frozen=True, eq=False)
class Maps:
    """All maps of one picture, class by class and in each the methods in the order in which they were asked for.

    ``path`` names the picture, ``size`` is its width and height, ``whole`` shows it. Nothing is written until
    :meth:`save`.
    """

    path: str
    sha256: str
    size: tuple[int, int]
    prediction: Prediction
    classes: Sequence[str]
    rows: Sequence[MapOf]
    whole: Figure
    scales: Sequence[Scale]
    warnings: Sequence[str]
    facts: Mapping[str, str]
    seconds: float
    synthetic: str | None = None
    writer: MapsWriter | None = field(default=None, repr=False)

    def of(self, target: str) -> list[MapOf]:
        """The maps for one class."""
        return [row for row in self.rows if row.target == target]

    def to_dict(self, folder: str | Path | None = None) -> dict[str, Any]:
        """Schema ``casebase.saliency/1``; ``folder`` is where :meth:`save` has written, None before."""
        place = None if folder is None else Path(folder)
        return {
            "schema": SCHEMA,
            "image": {"path": self.path, "sha256": self.sha256, "width": self.size[0], "height": self.size[1]},
            "prediction": self.prediction.to_dict(),
            "classes": list(self.classes),
            "maps": [row.to_dict(place) for row in self.rows],
            "page": _place(place, PAGE),
            "warnings": list(self.warnings),
            "facts": dict(self.facts),
            "seconds": finite(self.seconds),
        }

    def save(self, folder: str | Path) -> Path:
        """Write a page, ``saliency.json``, a picture and the raw map (``.npy``) of each into a folder; return it.

        All or nothing; older maps there are replaced. Raises ``UsageError`` where something else is there,
        ``StorageFailed`` where nothing can be written.
        """
        if self.writer is None:
            raise UsageError("these maps came without a writer; get them from casebase.open(…).saliency(…)")
        return self.writer.write(self, Path(folder))

    def _repr_html_(self) -> str:
        return "" if self.writer is None else self.writer.inline(self)


def _place(folder: Path | None, name: str | None) -> str | None:
    return None if folder is None or name is None else str(folder / name)
