"""Names for contents: of files, of pixels, of settings, and of how a picture looks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

SHORT = 16


def of_bytes(data: bytes | memoryview) -> str:
    """SHA-256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def of_json(value: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that name a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:SHORT]


def of_pixels(image: Image.Image) -> str:
    """32 hexadecimal digits of an RGB picture's size and pixels: equal for exact copies in any lossless format."""
    digest = hashlib.sha256(f"{image.mode} {image.width} {image.height} ".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()[:32]


def case_id(source: int, relative: str) -> str:
    """A case's id: 16 hexadecimal digits of its source's number and its path below that source's root.

    Moving the folder keeps it; a changed picture keeps it; two pictures never share it in practice (64 bits).
    """
    name = f"{source}:{relative}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(name).hexdigest()[:SHORT]


def of_look(image: Image.Image) -> int:
    """Difference hash of 64 bits: which of two neighbouring patches of a 9x8 grey miniature is brighter.

    Survives re-encoding and rescaling; only a *candidate* for "the same photograph", to be confirmed by the
    embedding. Source: N. Krawetz, "Kind of Like That", 2013,
    https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html
    """
    grey = image.resize((9, 8), Image.Resampling.BOX, reducing_gap=2.0).convert("L")
    cells = np.asarray(grey, dtype=np.int16)  # (8, 9)
    bits = np.packbits(cells[:, 1:] > cells[:, :-1])  # (8,) uint8
    return int.from_bytes(bits.tobytes(), "big")


def look_distance(one: int, other: int) -> int:
    """Number of the 64 bits in which two looks differ."""
    return (one ^ other).bit_count()
