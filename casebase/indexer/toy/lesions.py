"""A drawn two-class set whose evidence is known: a body with a bright spot, `lesion`, or without one, `clear`.

A body of smooth texture lies on a dark noisy ground; place, size, turn, texture and tint vary. Whether there is a spot
draws no random number: two pictures drawn from equal generators, with and without, are the same outside its mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from casebase.errors import UsageError
from casebase.indexer.toy.set_folder import SPLITS, describe, save, written
from casebase.indexer.toy.species import Bytes, Mask

SIDE: Final = 64
SMALLEST: Final = 16
CLEAR, LESION = "clear", "lesion"
PARTS: Final = ("background", LESION)
_CELLS: Final = 16
_MASK_COLOURS: Final = (24, 24, 28, 244, 204, 84)
_README: Final = """Synthetic: drawn by casebase.

These pictures show nothing that exists. They lie in train/, val/ and test/, one folder per class: lesion has one bright
round spot in its body, clear has none, and nothing else depends on the class. masks/ repeats that tree with one index
image for each picture that has a spot; parts.json names its codes.
"""
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Lesion:
    """A picture ``(S, S, 3) uint8`` and the pixels of its spot ``(S, S) bool``, none of them without one."""

    pixels: Bytes
    mask: Mask


@dataclass(frozen=True, slots=True)
class _Body:
    """An ellipse: its centre, its half axes, how far it is turned; of the picture's side and in radians."""

    x: float
    y: float
    a: float
    b: float
    turn: float

    def frame(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Places of the picture along the two axes."""
        across, down = x - self.x, y - self.y
        cos, sin = np.float32(np.cos(self.turn)), np.float32(np.sin(self.turn))
        return across * cos + down * sin, down * cos - across * sin

    def place(self, share: float, angle: float) -> tuple[float, float]:
        """The place ``share`` of the way from the centre to the rim."""
        u, v = self.a * share * np.cos(angle), self.b * share * np.sin(angle)
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return float(self.x + u * cos - v * sin), float(self.y + u * sin + v * cos)


def draw_lesion(random: np.random.Generator, *, lesion: bool, side: int = SIDE) -> Lesion:
    """One picture, with a spot or without; the same numbers are drawn either way. Raises ``UsageError`` below 16."""
    if side < SMALLEST:
        raise UsageError(f"a drawn lesion needs a side of {SMALLEST} pixels or more, not {side}")
    down, across = np.mgrid[0:side, 0:side].astype(np.float32) / side
    x, y = random.uniform(0.42, 0.58, 2)
    a, b = random.uniform(0.28, 0.4, 2)
    body = _Body(x, y, a, b, random.uniform(0, np.pi))
    u, v = body.frame(across, down)
    inside = np.clip((1 - np.sqrt((u / body.a) ** 2 + (v / body.b) ** 2)) * 12, 0, 1)
    coarse = Image.fromarray((random.random((_CELLS, _CELLS)) * 255).astype(np.uint8))
    texture = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
    flesh = 0.35 + 0.25 * (texture - 0.5) + random.uniform(-0.06, 0.06)
    ground = 0.08 + 0.04 * random.random((side, side), np.float32)
    picture = ground * (1 - inside) + flesh * inside
    centre = body.place(random.uniform(0.15, 0.6), random.uniform(0, 2 * np.pi))
    radius = random.uniform(0.06, 0.1)
    away = np.sqrt((across - centre[0]) ** 2 + (down - centre[1]) ** 2)
    spot = np.clip((radius - away) * side / 2 + 0.5, 0, 1) if lesion else np.zeros((side, side), np.float32)
    picture = picture * (1 - spot) + 0.85 * spot
    picture = np.clip(picture + 0.015 * random.standard_normal((side, side), np.float32), 0, 1)
    tint = 1 + 0.05 * random.standard_normal(3)
    return Lesion((np.clip(picture[..., None] * tint, 0, 1) * 255).astype(np.uint8), spot > 0)


def write_lesions(
    folder: Path, *, per_class: int, seed: int, side: int = SIDE, splits: Mapping[str, float] = SPLITS
) -> Path:
    """Write ``per_class`` pictures of each class, dealt to the splits by their shares; masks of those with a spot.

    The same arguments give the same bytes. Raises ``UsageError`` for a folder that exists and for numbers that make no
    set.
    """
    return written(folder, per_class, seed, splits, partial(_fill, seed=seed, side=side))


def _fill(folder: Path, dealt: Sequence[str], *, seed: int, side: int) -> None:
    for place, name in enumerate((CLEAR, LESION)):
        for number, split in enumerate(dealt):
            one = draw_lesion(np.random.default_rng([seed, place, number]), lesion=name == LESION, side=side)
            codes = one.mask.astype(np.uint8) if one.mask.any() else None
            # the class is in the file's name too: a mask whose path fits no image is taken for one of its name
            save(folder, Path(split, name, f"{name}-{number:03d}.png"), one.pixels, codes, _MASK_COLOURS)
    describe(folder, PARTS, _README)
