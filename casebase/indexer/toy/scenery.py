"""Five sceneries, softened as if out of focus."""

from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from casebase.indexer.toy.shapes import Colour, Points, blend, feather, lit, oval

_PETALS: Final[tuple[Colour, ...]] = ((250, 240, 214), (244, 196, 92), (232, 138, 132))


class _Sketch:
    """A small picture of the scenery; lengths are shares of its side."""

    def __init__(self, sky: list[Colour], side: int, rng: np.random.Generator) -> None:
        self.sky, self.side, self.rng = sky, side, rng
        self.picture = blend(sky, (side, side))
        self._pen = ImageDraw.Draw(self.picture)

    def blob(self, points: Points, colour: Colour) -> None:
        r, g, b = (int(np.clip(v, 0, 255)) for v in colour)
        self._pen.polygon([(x, y) for x, y in (points * self.side).tolist()], fill=(r, g, b))

    def hills(self, level: float, height: float, colour: Colour) -> None:
        x = np.linspace(0.0, 1.0, 30)
        y = level + height * np.sin(x * self.rng.uniform(3, 6) + self.rng.uniform(0, 6.3)) * 0.5
        self.blob(np.concatenate([np.stack([x, y], axis=1), [[1.0, 1.1], [0.0, 1.1]]]), colour)


def _sky(sketch: _Sketch) -> None:
    rng = sketch.rng
    for _ in range(int(rng.integers(2, 5))):
        x, y, w = rng.uniform(0, 1), rng.uniform(0.05, 0.9), rng.uniform(0.08, 0.16)
        for step in (-1.0, 0.0, 1.0):
            sketch.blob(oval(x + step * w, y, w, w * (0.38 if step else 0.6)), lit(sketch.sky[2], 0.6))


def _dusk(sketch: _Sketch) -> None:
    sketch.blob(oval(sketch.rng.uniform(0.1, 0.9), sketch.rng.uniform(0.15, 0.55), 0.13, 0.13), (255, 226, 178))
    for level, dark in ((0.72, -0.12), (0.84, -0.32)):
        sketch.hills(level, 0.14, lit(sketch.sky[2], dark))


def _meadow(sketch: _Sketch) -> None:
    sketch.hills(0.45, 0.12, lit(sketch.sky[1], -0.08))
    sketch.hills(0.66, 0.16, lit(sketch.sky[2], -0.12))
    for x, y, size in sketch.rng.uniform(0.0, 1.0, (16, 3)):
        petal = oval(x, 0.62 + 0.4 * y, 0.008 + 0.014 * size, 0.008 + 0.012 * size)
        sketch.blob(petal, _PETALS[int(size * 3)])


def _leaves(sketch: _Sketch) -> None:
    for x, y, turn in sketch.rng.uniform(0.0, 1.0, (22, 3)):
        leaf = feather((x, y), turn * 6.3, 0.20 + 0.1 * turn, 0.11)
        sketch.blob(leaf, lit(sketch.sky[0], 0.30 * y - 0.12))


def _mist(sketch: _Sketch) -> None:
    for level, dark in ((0.55, -0.06), (0.74, -0.13)):
        tone = lit(sketch.sky[2], dark)
        sketch.hills(level, 0.08, tone)
        for x, size in sketch.rng.uniform(0.0, 1.0, (7, 2)):
            top = level - 0.10 - 0.10 * size
            sketch.blob(np.array([[x, top], [x + 0.05, level + 0.08], [x - 0.05, level + 0.08]]), tone)


SCENES: Final[tuple[tuple[tuple[Colour, ...], Callable[[_Sketch], None]], ...]] = (  # colours from top to bottom
    (((126, 184, 224), (170, 212, 238), (214, 234, 240)), _sky),
    (((244, 190, 150), (236, 160, 150), (176, 124, 156)), _dusk),
    (((196, 214, 130), (156, 190, 98), (120, 164, 82)), _meadow),
    (((52, 96, 84), (44, 84, 74), (34, 66, 62)), _leaves),
    (((214, 214, 222), (226, 224, 226), (196, 200, 212)), _mist),
)


def backdrop(scene: int, side: int, rng: np.random.Generator) -> Image.Image:
    """Paint a scenery at half the canvas, soften it and enlarge it to `side`."""
    colours, fill = SCENES[scene]
    shift = rng.uniform(-10, 10, 3)
    half = side // 2
    sketch = _Sketch([(r + shift[0], g + shift[1], b + shift[2]) for r, g, b in colours], half, rng)
    fill(sketch)
    softened = sketch.picture.filter(ImageFilter.GaussianBlur(half * 0.008))
    return softened.resize((side, side), Image.Resampling.BICUBIC)
