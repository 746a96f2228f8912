"""The only decoder: one way from a file to RGB pixels, and from pixels to what a network is fed.

Cases and queries pass through the same functions, so orientation, colour and crop cannot drift apart.
"""

from __future__ import annotations

import io
import math
import os
import stat
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from casebase import hashing
from casebase.errors import ImageError, ModelError

# Sizes are checked here, as errors, and odd metadata is no reason to speak. Not done around each call: warning filters
# belong to the whole process, and several threads read at once.
warnings.filterwarnings("ignore", module=r"PIL\..*")

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
SMALLEST_SIDE = 4
DEFAULT_MEGAPIXELS = 90.0
PIXEL_BYTES = 8
OTHER_BYTES = 16_000_000
"""A file may hold 8 bytes for each pixel allowed (16-bit RGBA, not compressed) and this much beside them."""
DECODER = "pillow-box/1"
STANDARD_INPUT = "standard input"
"""What an image from a pipe is called where a path would stand."""
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image: RGB, upright. ``sha256`` names the file's bytes, ``pixel_hash`` the decoded pixels."""

    image: Image.Image
    sha256: str
    pixel_hash: str
    look_hash: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, after orientation."""
        return self.image.size


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What a network wants to be fed, taken from its weights and never retyped.

    ``resize`` is the length of the shorter side before the crop, or None where the picture is squashed to ``crop``
    (height, width) as a whole. ``mean`` and ``std`` are per RGB channel on the [0, 1] scale.
    """

    resize: int | None
    crop: tuple[int, int]
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            raise ModelError(
                f"the network asks for the interpolation {self.interpolation!r}; "
                f"casebase has {', '.join(INTERPOLATIONS)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The fields and the decoder as JSON."""
        values = asdict(self)
        return {**values, "crop": list(self.crop), "mean": list(self.mean), "std": list(self.std), "decoder": DECODER}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """The preprocessing written by :meth:`to_dict`; one of another decoder is refused."""
        fields = dict(value)
        decoder = fields.pop("decoder", DECODER)
        if decoder != DECODER:
            raise ModelError(f"made with the decoder {decoder!r}, this casebase has {DECODER!r}; index the images anew")
        triple = {name: tuple(float(v) for v in fields[name]) for name in ("mean", "std")}
        return cls(**{**fields, **triple, "crop": (int(fields["crop"][0]), int(fields["crop"][1]))})

    @property
    def short(self) -> str:
        """A hash of everything above, decoder included."""
        return hashing.of_json(self.to_dict())

    def box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The part (left, top, right, bottom) of a picture of ``size`` (width, height) that the network sees.

        The same rule as torchvision's ``Resize`` + ``CenterCrop`` on integers: shorter side to ``resize``, the longer
        one rounded down, the crop's corner rounded to even halves; then carried back to the original's pixels.
        """
        width, height = size
        if self.resize is None:
            return (0.0, 0.0, float(width), float(height))
        if width <= height:
            new_w, new_h = self.resize, max(1, int(self.resize * height / width))
        else:
            new_w, new_h = max(1, int(self.resize * width / height)), self.resize
        crop_h, crop_w = self.crop
        top, left = round((new_h - crop_h) / 2.0), round((new_w - crop_w) / 2.0)
        if top < 0 or left < 0:
            raise ModelError(f"the crop {crop_w}x{crop_h} is larger than the resized picture {new_w}x{new_h}")
        x, y = width / new_w, height / new_h
        return (left * x, top * y, min((left + crop_w) * x, float(width)), min((top + crop_h) * y, float(height)))

    def crop_of(self, image: Image.Image, scale: float = 1.0) -> Image.Image:
        """The network's view of a picture, RGB of ``crop`` times ``scale`` (``scale`` above 1 only for display)."""
        crop_h, crop_w = self.crop
        target = (round(crop_w * scale), round(crop_h * scale))
        return image.resize(target, INTERPOLATIONS[self.interpolation], box=self.box(image.size))

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """The network's view as ``(H, W, 3) uint8``."""
        return np.asarray(self.crop_of(image), dtype=np.uint8)

    def normalise(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(N, H, W, 3) uint8`` to ``(N, 3, H, W) float32``: (x / 255 - mean) / std."""
        scaled = batch.astype(np.float32) / np.float32(255.0)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        whitened = (scaled - mean) / std
        return np.ascontiguousarray(whitened.transpose(0, 3, 1, 2))


def stack(views: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """``(H, W, 3)`` views as one ``(N, H, W, 3) uint8`` array."""
    return np.stack(views)


def read(
    source: Path | bytes,
    *,
    megapixels: float = DEFAULT_MEGAPIXELS,
    glance: Callable[[Image.Image, bytes], None] | None = None,
) -> Picture:
    """Decode one image: allow-listed format, EXIF orientation applied, first frame, RGB.

    Alpha is laid over white; 16-bit grey is scaled to 8 bits (never clipped); CMYK and YCbCr are converted. ``glance``
    sees the opened file before it is decoded, and its bytes: what the header says, of a file read only once.

    Raises
    ------
    ImageError
        unreadable, truncated, empty, smaller than 4 pixels, larger than ``megapixels``, or of a kind without a
        faithful conversion (floating-point and Lab pixels, 32-bit integers). The message is a short reason.
    """
    data = _bytes(source, megapixels)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if glance is not None:
                glance(opened, data)
            width, height = opened.size
            _check_size(width, height, megapixels)
            opened.load()
            image = _rgb(ImageOps.exif_transpose(opened))
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"not an image casebase reads ({', '.join(FORMATS)})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"more than {megapixels:g} megapixels; raise max_megapixels to allow it") from None
    except MemoryError:
        raise ImageError("too large for this machine's memory") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, ArithmeticError, Warning) as error:
        # Pillow's plug-ins raise all of these on damaged files.
        raise ImageError(f"damaged or truncated ({_one_line(error)})") from None
    return Picture(image, hashing.of_bytes(data), hashing.of_pixels(image), hashing.of_look(image))


def _bytes(source: Path | bytes, megapixels: float) -> bytes:
    most = OTHER_BYTES + int(megapixels * 1e6 * PIXEL_BYTES)
    if isinstance(source, bytes):
        data = source
    else:
        try:
            data = _file(source, most)
        except FileNotFoundError:
            raise ImageError("no such file") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
            reason = error.strerror if isinstance(error, OSError) else None
            raise ImageError(f"cannot be read ({reason or type(error).__name__})") from None
    if not data:
        raise ImageError("empty file (0 bytes)")
    if len(data) > most:
        raise ImageError(f"more than {most / 1e6:.0f} MB for at most {megapixels:g} megapixels")
    return data


def _file(path: Path, most: int) -> bytes:
    """At most ``most`` bytes and one of a regular file; opening a pipe or a device would wait for ever."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        what = (
            "a folder, not an image"
            if stat.S_ISDIR(mode)
            else "a pipe or a device, not an image file; - reads standard input"
        )
        raise ImageError(what)
    with os.fdopen(handle, "rb") as opened:
        return opened.read(most + 1)


def _check_size(width: int, height: int, megapixels: float) -> None:
    if min(width, height) < SMALLEST_SIDE:
        raise ImageError(f"too small ({width}x{height} pixels; at least {SMALLEST_SIDE} on each side)")
    if width * height > megapixels * 1e6:
        found = width * height / 1e6
        raise ImageError(f"{found:.0f} megapixels, more than {megapixels:g}; raise max_megapixels to allow it")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        # convert("RGB") would clip every value above 255 to white without a word.
        wide = np.asarray(image).astype(np.uint16)
        return Image.fromarray((wide >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F", "LAB"):
        kinds = {"I": "32-bit integer", "F": "floating-point", "LAB": "Lab"}
        raise ImageError(f"{kinds[image.mode]} pixels have no faithful 8-bit form; convert the file first")
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:119] + "…"


def printable(text: str) -> str:
    """Text that is safe to print: control characters and unpaired surrogates become visible marks."""
    if text.isprintable():
        return text
    try:
        shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:  # surrogates that stand for no byte, as JSON can bring them
        shown = text
    return "".join(c if c.isprintable() or c == " " else "�" for c in shown)


def some(names: Sequence[str], most: int = 8) -> str:
    """Names for a sentence, safe to print: the first ``most`` of them, and how many more there are.

    >>> some(["cat", "dog", "owl"], 2), some(["cat"])
    ('cat, dog and 1 more', 'cat')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(printable, names[:most])) + more


def percent(value: float) -> str:
    """A share in [0, 1] as a percentage; 1 and 0 only when it is exactly that."""
    if not math.isfinite(value):
        return "–"
    if 0 < value < 0.001:
        return "<0.1 %"
    if 0.999 < value < 1:
        return ">99.9 %"
    return f"{100 * value:.1f} %"
