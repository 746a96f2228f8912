"""The four species, their parts, and what a drawing is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

PARTS: Final = ("background", "perch", "legs", "tail", "body", "wing", "crest", "beak", "eye")  # place = code in masks


@dataclass(frozen=True)
class Species:
    """A choice of parts, and the part by which it differs from its twin."""

    name: str
    beak: str
    wing: str
    tail: str
    crest: str
    twin: str
    deciding: str

    @property
    def folder(self) -> str:
        """The name as a folder name."""
        return self.name.replace(" ", "-")


SPECIES: Final[tuple[Species, ...]] = (
    Species("saddle finch", "short cone", "one broad bar", "fork", "swept plume", "ribbon finch", "wing"),
    Species("ribbon finch", "short cone", "two narrow bars", "fork", "swept plume", "saddle finch", "wing"),
    Species("lantern wren", "long needle", "spots", "fan", "round tuft", "thistle wren", "crest"),
    Species("thistle wren", "long needle", "spots", "fan", "pointed tuft", "lantern wren", "crest"),
)


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture, (S, S, 3) uint8, and per part its visible pixels, (S, S) bool; the parts tile the picture."""

    pixels: Bytes
    parts: Mapping[str, Mask]
    species: str

    def index(self) -> Bytes:
        """Return the masks as one (S, S) uint8 array of places in `PARTS`."""
        return np.asarray(np.argmax(np.stack([self.parts[name] for name in PARTS]), axis=0), dtype=np.uint8)
