"""What an image file is before anybody looks at its pixels: format, size, mode, compression, what came along with it.

These are the attributes by which a network could tell classes apart without seeing what is in the picture.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import PurePosixPath

from PIL import Image

SUFFIXES_OF = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"}, "MPO": {".jpg", ".jpeg", ".mpo"}, "PNG": {".png"},
    "WEBP": {".webp"}, "TIFF": {".tif", ".tiff"}, "BMP": {".bmp"}, "GIF": {".gif"},
}  # fmt: skip
ORIENTATION = 0x0112
_LUMINANCE_SUM = 3688
"""Sum of the luminance table in Annex K of the JPEG standard (ITU-T T.81), which quality 50 means."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the header of an image file says.

    ``tables`` names the quantisation tables of a JPEG, ``quality`` is the setting (1 to 100) that such tables mean,
    ``chroma`` how many luminance samples share one of colour, across and down. None where a format has no such thing.
    """

    format: str
    mode: str
    width: int
    height: int
    bytes: int
    tables: str | None = None
    quality: float | None = None
    chroma: str | None = None
    progressive: bool = False
    exif: bool = False
    icc: bool = False
    orientation: int = 1
    animated: bool = False

    @property
    def bytes_per_pixel(self) -> float:
        """Size of the file over the number of its pixels."""
        return self.bytes / max(1, self.width * self.height)

    @property
    def aspect(self) -> float:
        """Width over height, as stored."""
        return self.width / max(1, self.height)

    @property
    def lengthiness(self) -> float:
        """The longer side over the shorter one."""
        return max(self.width, self.height) / max(1, min(self.width, self.height))

    def wrongly_named(self, path: str) -> bool:
        """Whether the file's suffix belongs to another format."""
        suffix = PurePosixPath(path).suffix.lower()
        return suffix not in SUFFIXES_OF.get(self.format, {suffix})


def of_opened(opened: Image.Image, data: bytes) -> FileFacts:
    """The facts of an image that Pillow has opened from ``data`` and not decoded; it is left as it was."""
    tables = getattr(opened, "quantization", None) or None
    return FileFacts(
        format=opened.format or "unknown",
        mode=opened.mode,
        width=opened.width,
        height=opened.height,
        bytes=len(data),
        tables=None if tables is None else _named(tables),
        quality=None if tables is None else quality(tables),
        chroma=_chroma(opened),
        progressive=bool(opened.info.get("progressive") or opened.info.get("progression")),
        exif=bool(opened.info.get("exif")),
        icc=bool(opened.info.get("icc_profile")),
        orientation=_orientation(opened),
        animated=_animated(opened, data),
    )


def quality(tables: dict[int, list[int]]) -> float:
    """The quality setting of the Independent JPEG Group's encoder whose luminance table adds up to as much.

    Its rule: scale = 5000 / q below 50, else 200 - 2 q, in per cent of the standard's table.
    """
    scale = 100.0 * sum(tables[min(tables)]) / _LUMINANCE_SUM
    found = 5000.0 / scale if scale > 100 else (200.0 - scale) / 2.0
    return round(min(100.0, max(1.0, found)), 1)


def _named(tables: dict[int, list[int]]) -> str:
    digest = hashlib.sha256()
    for number in sorted(tables):
        digest.update(f"{number}:{','.join(map(str, tables[number]))};".encode())
    return digest.hexdigest()[:8]


def _chroma(opened: Image.Image) -> str | None:
    layers = getattr(opened, "layer", None)
    if opened.format != "JPEG" or not layers or len(layers) < 3:
        return None
    return f"{layers[0][1]}x{layers[0][2]}"


def _animated(opened: Image.Image, data: bytes) -> bool:
    """Whether there is more than one picture; a GIF or TIFF must be moved to know, so that is done with another."""
    if opened.format in ("GIF", "TIFF"):
        try:
            with Image.open(io.BytesIO(data), formats=[opened.format]) as other:
                return bool(getattr(other, "is_animated", False))
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, ArithmeticError):
            return False
    return opened.format != "MPO" and bool(getattr(opened, "is_animated", False))


def _orientation(opened: Image.Image) -> int:
    """EXIF orientation, 1 where there is none or none that makes sense."""
    if not opened.info.get("exif"):
        return 1
    try:
        found = opened.getexif().get(ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, ArithmeticError):
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1
