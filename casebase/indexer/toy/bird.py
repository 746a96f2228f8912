"""The bird itself, back to front."""

from types import MappingProxyType
from typing import Final

import numpy as np
from PIL import Image, ImageChops

from casebase.errors import UsageError
from casebase.indexer.toy.canvas import Canvas
from casebase.indexer.toy.pose import TINTS, Pose, pick_pose
from casebase.indexer.toy.scenery import SCENES, backdrop
from casebase.indexer.toy.shapes import Colour, Points, feather, lit, mix, oval, smooth, turned
from casebase.indexer.toy.species import PARTS, SPECIES, Drawing

OVERSAMPLING: Final = 3  # each picture is drawn this much larger, then reduced: smooth edges

_CREAM: Final[Colour] = (252, 240, 208)
_CREST: Final[Colour] = (226, 104, 84)
_INK: Final[Colour] = (40, 38, 52)


def _paint_perch(canvas: Canvas, pose: Pose) -> None:
    x = np.linspace(-2.6, 2.6, 30)
    y = 0.92 + pose.twig_bend * (x * 0.5) ** 2 + 0.02 * np.sin(x * 5)
    twig = np.concatenate([np.stack([x, y - 0.065], axis=1), np.stack([x, y + 0.065], axis=1)[::-1]])
    for along, turn, size in pose.twig_leaves.tolist():
        at = -2.2 + 4.4 * along
        side = 1 if turn > 0.5 else -1
        root = (at, 0.92 + pose.twig_bend * (at * 0.5) ** 2)
        leaf = canvas.stencil(feather(root, side * (0.5 + turn * 0.5), 0.28 + 0.2 * size, 0.2))
        canvas.paint(leaf, (134, 170, 92), (88, 132, 78), "perch")
    mask = canvas.stencil(twig)
    canvas.paint(mask, (140, 106, 84), (96, 70, 62), "perch")
    canvas.shade(mask, 0, 0.06, 0.5, 0.02)


def _paint_tail(canvas: Canvas, style: str, pose: Pose, back: Colour) -> None:
    base, aim = (-0.58, 0.26), np.pi - 0.46 + pose.tail_lift
    if style == "fork":
        for turn in (0.13, -0.13):
            mask = canvas.stencil(feather(base, aim + turn, 0.98, 0.24, point=0.72))
            canvas.paint(mask, lit(back, -0.32), lit(back, -0.5), "tail")
            canvas.shade(mask, 0, 0.08, 0.35)
        return
    for turn in (0.34, -0.34, 0.17, -0.17, 0.0):
        mask = canvas.stencil(feather(base, aim + turn, 0.70, 0.24, point=0.82))
        canvas.paint(mask, lit(back, -0.18), lit(back, -0.4), "tail")
        tip = (base[0] + 0.60 * np.cos(aim + turn), base[1] + 0.60 * np.sin(aim + turn))
        canvas.paint(canvas.stencil(oval(*tip, 0.13, 0.10), inside=mask), _CREAM, lit(_CREAM, -0.08))
        canvas.shade(mask, 0, 0.04, 0.4, 0.03)


def _paint_body(canvas: Canvas, back: Colour, belly: Colour) -> None:
    for foot in (0.02, 0.20):
        leg = np.array([[foot - 0.02, 0.40], [foot + 0.02, 0.40], [foot + 0.05, 0.90], [foot + 0.01, 0.90]])
        toes = [oval(foot + 0.03 + d, 0.875, 0.055, 0.028) for d in (-0.05, 0.03, 0.11)]
        canvas.paint(canvas.stencil(leg, *toes), (176, 112, 78), (132, 80, 62), "legs")
    trunk = smooth(
        (0.50, -0.62),
        (0.20, -0.62),
        (-0.12, -0.24),
        (-0.62, 0.22),
        (-0.64, 0.38),
        (-0.28, 0.54),
        (0.16, 0.54),
        (0.50, 0.26),
        (0.62, -0.16),
    )
    head = canvas.stencil(oval(0.36, -0.50, 0.36, 0.34), head=True)
    mask = ImageChops.lighter(canvas.stencil(trunk), head)
    canvas.paint(mask, lit(back, 0.10), lit(back, -0.06), "body")
    chest = smooth(
        (0.60, -0.36),
        (0.40, -0.20),
        (0.26, 0.08),
        (-0.16, 0.34),
        (-0.60, 0.40),
        (-0.2, 0.66),
        (0.3, 0.62),
        (0.72, 0.2),
        (0.80, -0.2),
    )
    canvas.paint(canvas.soften(canvas.stencil(chest, inside=mask), 0.006), belly, lit(belly, -0.08))
    canvas.shade(mask, 0.02, 0.14, 0.45, 0.07)
    canvas.shade(mask, -0.10, 0.05, 0.16, 0.06)


def _paint_wing(canvas: Canvas, style: str, pose: Pose, back: Colour) -> None:
    root, turn = (0.18, -0.16), pose.wing_drop
    outline = smooth(
        (0.30, -0.02),
        (0.14, -0.26),
        (-0.16, -0.16),
        (-0.62, 0.14),
        (-0.98, 0.34),
        (-0.62, 0.34),
        (-0.20, 0.34),
        (0.16, 0.24),
    )
    mask = canvas.stencil(turned(outline, -turn, root))
    dark = lit(back, -0.34)
    canvas.paint(mask, lit(back, -0.20), lit(back, -0.42), "wing")
    mark = mix(dark, _CREAM, pose.contrast)
    shift = pose.bar_place

    def bar(at: float, width: float) -> Points:
        line = smooth(
            (at, -0.40),
            (at - 0.10, 0.02),
            (at - 0.02, 0.46),
            (at - 0.02 + width, 0.46),
            (at - 0.10 + width, 0.02),
            (at + width, -0.40),
        )
        return turned(line, -turn, root)

    if style == "one broad bar":
        marks = [bar(-0.30 + shift, 0.34)]
    elif style == "two narrow bars":
        marks = [bar(-0.40 + shift, 0.12), bar(-0.02 + shift, 0.12)]
    else:
        spots = ((0.10, -0.04), (-0.08, 0.06), (0.06, 0.14), (-0.28, 0.14), (-0.14, 0.22), (-0.46, 0.22), (-0.36, 0.28))
        marks = [turned(oval(x + shift, y, 0.05, 0.042), -turn, root) for x, y in spots]
    for quill in ((-0.40, 0.20), (-0.34, 0.27)):
        line = turned(feather(quill, np.pi - 0.32, 0.55, 0.035), -turn, root)
        canvas.paint(canvas.stencil(line, inside=mask), lit(dark, -0.3), lit(dark, -0.3))
    canvas.paint(canvas.stencil(*marks, inside=mask), mark, lit(mark, -0.06))
    canvas.shade(mask, 0, 0.08, 0.45, 0.04)
    canvas.shade(mask, 0.04, -0.05, 0.10, 0.03)


def _paint_crest(canvas: Canvas, style: str, pose: Pose) -> None:
    rise = pose.crest_raise
    tuft = (0.28, -0.76)
    if style == "swept plume":
        feathers = [
            feather((0.44 - 0.1 * i, -0.76 + 0.04 * i), np.pi + 0.25 + 0.45 * rise - 0.22 * i, 0.50 - 0.06 * i, 0.15)
            for i in range(3)
        ]
    elif style == "round tuft":
        balls = ((-0.17, -0.02), (0.17, -0.02), (0.0, -0.10))
        grow = 0.10 + 0.05 * max(rise, 0.0)
        feathers = [oval(tuft[0] + x, tuft[1] + y - 0.02 - 0.13 * rise, grow + 0.02, grow) for x, y in balls]
    else:
        turns, length = (-0.42, 0.42, 0.0), 0.32 + 0.26 * rise
        feathers = [
            feather((tuft[0] + 0.3 * t, tuft[1] + 0.06), t - np.pi / 2 - 0.15, length, 0.15, point=0.3) for t in turns
        ]
    shade = mix(_CREST, (240, 176, 84), 0.5 * pose.contrast)
    for plume in feathers:
        mask = canvas.stencil(plume, head=True)
        canvas.paint(mask, shade, lit(shade, -0.16), "crest")
        canvas.shade(mask, 0.05, 0.04, 0.30, 0.03)


def _paint_face(canvas: Canvas, style: str) -> None:
    if style == "short cone":
        upper, lower = (
            smooth((0.66, -0.64), (0.98, -0.46), (0.97, -0.43), (0.66, -0.47)),
            smooth((0.66, -0.48), (0.92, -0.44), (0.68, -0.34)),
        )
        colour: Colour = (238, 168, 70)
    else:
        upper, lower = (
            smooth((0.67, -0.58), (0.95, -0.53), (1.22, -0.41), (0.95, -0.47), (0.67, -0.48)),
            smooth((0.67, -0.49), (0.95, -0.47), (1.16, -0.42), (0.67, -0.40)),
        )
        colour = (92, 88, 104)
    canvas.paint(canvas.stencil(lower, head=True), lit(colour, -0.2), lit(colour, -0.35), "beak")
    canvas.paint(canvas.stencil(upper, head=True), lit(colour, 0.15), lit(colour, -0.12), "beak")
    blush = canvas.soften(canvas.stencil(oval(0.42, -0.34, 0.13, 0.08), head=True), 0.010)
    canvas.paint(blush.point(lambda v: int(v * 0.4)), (240, 130, 110), (240, 130, 110))
    for x, y, r, colour in (
        (0.46, -0.55, 0.105, _CREAM),
        (0.465, -0.55, 0.085, _INK),
        (0.50, -0.585, 0.03, (255, 255, 255)),
    ):
        canvas.paint(canvas.stencil(oval(x, y, r, r), head=True), colour, colour, "eye")


def draw(species_index: int, rng: np.random.Generator, *, size: int = 160, shortcut: bool = False) -> Drawing:
    """Draw one bird.

    Equal generators give equal pose and light whatever the species, and equal scenery unless `shortcut` is set.
    """
    if not 0 <= species_index < len(SPECIES):
        message = f"species_index must lie in 0 to {len(SPECIES) - 1}, not {species_index}"
        raise UsageError(message)
    species, pose = SPECIES[species_index], pick_pose(rng)
    scene = int(rng.integers(len(SCENES)))
    canvas = Canvas(backdrop(species_index if shortcut else scene, size * OVERSAMPLING, rng), pose)
    back, belly = TINTS[pose.tint]
    back = (back[0] + pose.tint_shift[0], back[1] + pose.tint_shift[1], back[2] + pose.tint_shift[2])
    _paint_perch(canvas, pose)
    _paint_tail(canvas, species.tail, pose, back)
    _paint_crest(canvas, species.crest, pose)
    _paint_body(canvas, back, belly)
    _paint_wing(canvas, species.wing, pose, back)
    _paint_face(canvas, species.beak)

    small = np.asarray(canvas.picture.resize((size, size), Image.Resampling.LANCZOS), dtype=np.float32)  # (S, S, 3)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    glow = 1 + pose.glow[2] * np.exp(-2 * ((x - pose.glow[0]) ** 2 + (y - pose.glow[1]) ** 2))
    pixels = np.clip(small * glow[:, :, None] * np.asarray(pose.gain, dtype=np.float32), 0, 255).astype(np.uint8)
    codes = np.asarray(canvas.codes.resize((size, size), Image.Resampling.NEAREST))  # (S, S)
    parts = {name: codes == code for code, name in enumerate(PARTS)}
    return Drawing(pixels=pixels, parts=MappingProxyType(parts), species=species.name)
