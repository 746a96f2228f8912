"""What varies between birds without saying anything about their species."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from casebase.indexer.toy.shapes import Colour, Points

WORN: Final = 0.14  # share of birds whose deciding part hardly shows

TINTS: Final[tuple[tuple[Colour, Colour], ...]] = (  # back, belly
    ((74, 134, 178), (236, 226, 205)),
    ((96, 148, 122), (240, 228, 186)),
    ((186, 108, 84), (246, 220, 190)),
    ((142, 116, 168), (238, 222, 230)),
    ((118, 126, 140), (232, 232, 228)),
    ((204, 148, 72), (250, 234, 196)),
    ((86, 150, 158), (248, 214, 190)),
    ((156, 122, 96), (240, 226, 206)),
)


@dataclass(frozen=True)
class Pose:
    """Everything about the bird that its species does not decide; lengths in units of half a bird."""

    scale: float
    x: float
    y: float
    lean: float
    nod: float
    mirrored: bool
    tail_lift: float
    wing_drop: float
    crest_raise: float
    contrast: float
    bar_place: float
    tint: int
    tint_shift: Colour
    twig_bend: float
    twig_leaves: Points
    gain: Colour
    glow: Colour  # x, y, strength of the light falling in


def pick_pose(rng: np.random.Generator) -> Pose:
    """Draw a pose; every bird takes the same number of random numbers."""
    worn = rng.random() < WORN  # an old coat: faint marks and a crest laid flat, hard to tell apart for anyone
    brightness, warmth = rng.uniform(0.84, 1.08), rng.uniform(-0.06, 0.06)
    r, g, b = rng.uniform(-16, 16, 3)
    return Pose(
        scale=rng.uniform(0.27, 0.35),
        x=rng.uniform(-0.05, 0.05),
        y=rng.uniform(-0.05, 0.05),
        lean=rng.uniform(-0.18, 0.16),
        nod=rng.uniform(-0.20, 0.20),
        mirrored=bool(rng.random() < 0.5),
        tail_lift=rng.uniform(-0.30, 0.35),
        wing_drop=rng.uniform(-0.10, 0.16),
        crest_raise=rng.uniform(-0.70, -0.45) if worn else rng.uniform(0.4, 1.0),
        contrast=rng.uniform(0.0, 0.10) if worn else rng.uniform(0.65, 1.0),
        bar_place=rng.uniform(-0.05, 0.05),
        tint=int(rng.integers(len(TINTS))),
        tint_shift=(r, g, b),
        twig_bend=rng.uniform(-0.14, 0.14),
        twig_leaves=rng.uniform(0.0, 1.0, (4, 3)),
        gain=(brightness * (1 + warmth), brightness, brightness * (1 - warmth)),
        glow=(rng.uniform(-0.2, 1.2), rng.uniform(-0.3, 0.3), rng.uniform(0.02, 0.16)),
    )
