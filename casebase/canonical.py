"""One pipeline for every image of a set, so that no class can be told by how its files were made.

Crop to the central square, resample, re-encode as JPEG, drop everything else a file may carry. Without it a network
learns the pipelines: P. Grommelt et al., 2024, "Fake or JPEG? Revealing Common Biases in Generated Image Detection
Datasets", https://arxiv.org/abs/2403.17608.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from casebase.errors import UsageError
from casebase.reading import SMALLEST_SIDE

FORMATS = {"jpeg": "jpg", "png": "png"}
SUBSAMPLING = "4:2:0"
MOST_SIDE = 4096


@dataclass(frozen=True, slots=True)
class Canonical:
    """The pipeline: squares of ``size`` pixels, JPEG quality drawn evenly from ``quality`` (both ends included).

    ``format`` ``png`` stores what the JPEG decodes to without a further loss.
    """

    size: int = 256
    quality: tuple[int, int] = (70, 95)
    format: str = "jpeg"

    def __post_init__(self) -> None:
        low, high = self.quality
        if not SMALLEST_SIDE <= self.size <= MOST_SIDE:
            raise UsageError(f"--size must be from {SMALLEST_SIDE} to {MOST_SIDE} pixels, not {self.size}")
        if not 1 <= low <= high <= 100:
            raise UsageError(f"--quality must be two numbers from 1 to 100, the smaller first, not {low}-{high}")
        if self.format not in FORMATS:
            raise UsageError(f"--format must be {' or '.join(FORMATS)}, not {self.format!r}")

    def to_dict(self) -> dict[str, Any]:
        """The pipeline as JSON."""
        return {**asdict(self), "quality": list(self.quality), "subsampling": SUBSAMPLING, "resample": "lanczos"}

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The central square (left, top, right, bottom) of a picture of ``size`` (width, height).

        >>> Canonical().box((300, 200))
        (50, 0, 250, 200)
        """
        side = min(size)
        left, top = (size[0] - side) // 2, (size[1] - side) // 2
        return left, top, left + side, top + side

    def enlarges(self, size: tuple[int, int]) -> bool:
        """Whether a picture is smaller than what is made of it; such a picture would be told by its blur."""
        return min(size) < self.size

    def qualities(self, n: int, random: np.random.Generator) -> list[int]:
        """So many draws of the JPEG quality."""
        low, high = self.quality
        found: list[int] = random.integers(low, high, size=n, endpoint=True).tolist()
        return found

    def encoded(self, image: Image.Image, quality: int) -> bytes:
        """An RGB picture through the pipeline, as the bytes of a file without metadata."""
        square = image.crop(self.box(image.size)).resize((self.size, self.size), Image.Resampling.LANCZOS)
        bare = Image.frombytes("RGB", square.size, square.tobytes())  # comments and profiles stay behind
        packed = io.BytesIO()
        bare.save(packed, "JPEG", quality=quality, subsampling=SUBSAMPLING)
        if self.format == "jpeg":
            return packed.getvalue()
        with Image.open(io.BytesIO(packed.getvalue()), formats=("JPEG",)) as decoded:
            pixels = Image.frombytes("RGB", decoded.size, decoded.convert("RGB").tobytes())
        lossless = io.BytesIO()
        pixels.save(lossless, "PNG")
        return lossless.getvalue()
