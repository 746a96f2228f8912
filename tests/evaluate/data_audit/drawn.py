"""Pictures with content of their own, and files of them as a careless pipeline would write them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from casebase.data_audit import Seen, Survey
from casebase.indexer import open_source
from casebase.indexer.surveying import survey


def scene(number: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """A scene of soft spots and stripes, another one for every number."""
    random = np.random.default_rng(number)
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    x, y = x / width, y / height
    pixels = np.zeros((height, width, 3)) + random.uniform(60, 190, 3)
    for _ in range(14):
        cx, cy, spread = random.uniform(0, 1), random.uniform(0, 1), random.uniform(0.03, 0.2)
        spot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * spread**2))
        pixels += spot[..., None] * random.uniform(-120, 120, 3)
    pixels += random.normal(0, 6, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def cropped(image: Image.Image, share: float, corner: tuple[float, float] = (0.5, 0.5)) -> Image.Image:
    width, height = image.size
    wide, high = round(width * share), round(height * share)
    left, top = round((width - wide) * corner[0]), round((height - high) * corner[1])
    return image.crop((left, top, left + wide, top + high))


def write(root: Path, relative: str, data: bytes) -> Path:
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def two_classes(root: Path, n: int = 40, seed: int = 0) -> Path:
    """A clean set: two classes that went through one pipeline, each picture another scene."""
    for number in range(2 * n):
        label = "cat" if number % 2 else "dog"
        write(root, f"{label}/{number:03}.jpg", jpeg(scene(10_000 * seed + number)))
    return root


def looked(root: Path) -> Survey:
    return survey(open_source(root), workers=2)


def paths(members: list[Seen] | tuple[Seen, ...]) -> set[str]:
    return {one.relative for one in members}
