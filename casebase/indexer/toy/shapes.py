"""Curves and colours."""

import numpy as np
import numpy.typing as npt
from PIL import Image

Points = npt.NDArray[np.float64]  # (N, 2), x to the right, y downwards
Colour = tuple[float, float, float]


def smooth(*corners: tuple[float, float]) -> Points:
    """Return a closed curve through the corners (uniform Catmull-Rom spline)."""
    p1 = np.asarray(corners, dtype=np.float64)
    p0, p2, p3 = np.roll(p1, 1, axis=0), np.roll(p1, -1, axis=0), np.roll(p1, -2, axis=0)
    t = np.linspace(0.0, 1.0, 10, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[:, None, :] for p in (p0, p1, p2, p3))
    curve = 2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    return np.asarray(curve / 2).reshape(-1, 2)  # (corners * 10, 2)


def oval(x: float, y: float, rx: float, ry: float) -> Points:
    """Return an upright ellipse around (x, y)."""
    angle = np.linspace(0.0, 2 * np.pi, 40, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def feather(base: tuple[float, float], angle: float, length: float, width: float, *, point: float = 0.6) -> Points:
    """Return a leaf shape from `base` towards `angle` (0 = right, positive = down); widest at `point` of its length."""
    leaf = smooth(
        (0, -width * 0.3), (point * length, -width / 2), (length, 0), (point * length, width / 2), (0, width * 0.3)
    )
    return np.asarray(turned(leaf, angle) + np.asarray(base))


def turned(points: Points, angle: float, about: tuple[float, float] = (0.0, 0.0)) -> Points:
    """Turn the points by `angle`, clockwise on the page."""
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray((points - about) @ np.array([[c, s], [-s, c]]) + about)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Mix `share` of b with the rest of a."""
    x, y, z = (p + (q - p) * share for p, q in zip(a, b, strict=True))
    return (x, y, z)


def lit(colour: Colour, factor: float) -> Colour:
    """Lighten for a positive factor, darken for a negative one, as warm light and cool shadow do."""
    return mix(colour, (255, 250, 235), factor) if factor > 0 else mix(colour, (38, 30, 52), -factor)


def blend(colours: list[Colour], size: tuple[int, int]) -> Image.Image:
    """Blend the colours from top to bottom as a smooth picture of `size`."""
    strip = np.clip(np.asarray(colours), 0, 255).astype(np.uint8)[:, None, :]  # (n, 1, 3)
    return Image.fromarray(strip).resize(size, Image.Resampling.BICUBIC)
