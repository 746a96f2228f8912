"""What a mask is, how it is turned and cropped as its picture is, and what all readers of masks have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase.errors import DataError
from casebase.reading import FORMATS, Preprocess, printable

Bits = NDArray[np.bool_]
Size = tuple[int, int]
"""Width and height, as Pillow has them."""
_ORIENTATION = 0x0112
_UPRIGHT = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_SIDEWAYS = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, eq=False)
class Mask:
    """``inside (H, W) bool`` are the object's pixels, ``ignored (H, W) bool`` those left open, or None for none.

    ``source`` names where it was read. ``note`` says what is coarse about it, such as a box instead of a contour.
    """

    inside: Bits
    source: str
    ignored: Bits | None = None
    note: str | None = None


class Reader(Protocol):
    """Masks of one kind. ``facts`` are the choices made, as JSON values, for the file beside the figures."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Kind, path, and what was counted as the object."""
        ...

    def has(self, image: Path) -> bool:
        """Whether there is a mask for an image."""
        ...

    def read(self, image: Path, size: Size) -> Mask:
        """The mask of an image, in pixels of ``size``; raises ``DataError``."""
        ...


class Places:
    """Finds what belongs to an image by its path: the longest common end of both paths, else the name alone."""

    def __init__(self, names: Iterable[str], what: str) -> None:
        self._what = what
        self._names: dict[str, str] = {}
        self._ends: dict[str, list[str]] = {}
        for name in names:
            path = PurePath(name)
            if not path.name:  # "." and "/", which a file may hold, name nothing
                continue
            self._names.setdefault(path.with_suffix("").as_posix(), name)
            self._ends.setdefault(path.stem, []).append(name)

    def __len__(self) -> int:
        return len(self._names)

    def of(self, image: Path) -> str | None:
        """The name that belongs to ``image``, or None; raises ``DataError`` where several could."""
        for last in (image.stem, image.name):  # cat.png and cat.jpg.png for cat.jpg
            above = image.parts[:-1]
            for start in range(len(above) + 1):
                found = self._names.get("/".join([*above[start:], last]))
                if found is not None:
                    return found
        several = self._ends.get(image.stem) or self._ends.get(image.name) or []
        if len(several) > 1:
            raise DataError(
                f"{self._what} {printable(several[0])} and {printable(several[1])} could both be that of "
                f"{printable(str(image))}; give them the folders that the images have"
            )
        return several[0] if several else None


def fits(found: Size, size: Size, source: str, image: Path) -> None:
    """Refuses a mask of another size than its picture."""
    if found == size:
        return
    hint = "a mask must have the size of its picture"
    if found == size[::-1] and orientation(image) in _SIDEWAYS:
        hint = (
            "the picture is turned by its EXIF orientation and the mask is not: read the masks as stored, or turn them"
        )
    raise DataError(
        f"the mask {printable(source)} is {found[0]}x{found[1]}, {printable(str(image))} is {size[0]}x{size[1]}; {hint}"
    )


def missing(image: Path, where: Path) -> DataError:
    """The error for an image without a mask."""
    return DataError(f"no mask for {printable(str(image))} in {printable(str(where))}; add one, or leave the image out")


def empty(source: str, why: str) -> DataError:
    """The error for a mask without a pixel."""
    return DataError(f"the mask {printable(source)} is empty: {why}; correct it, or leave its image out")


def orientation(image: Path) -> int:
    """The EXIF orientation of a picture, 1 (upright) ... 8; 1 where it says nothing sensible."""
    try:
        with Image.open(image, formats=FORMATS) as opened:
            found = opened.getexif().get(_ORIENTATION, _UPRIGHT)
    except (
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ):  # whoever reads the picture itself says what is wrong with it
        return _UPRIGHT
    return found if found in _TURNS else _UPRIGHT


def stored_size(size: Size, turn: int) -> Size:
    """The size of the pixels in the file of a picture that is ``size`` when upright."""
    return size[::-1] if turn in _SIDEWAYS else size


def turned(bits: Bits, turn: int) -> Bits:
    """A mask of the pixels as stored, turned as ``casebase.reading`` turns the picture."""
    if turn not in _TURNS:
        return bits
    return np.asarray(Image.fromarray(bits.astype(np.uint8)).transpose(_TURNS[turn])).astype(np.bool_)


def seen(bits: Bits, preprocess: Preprocess) -> Bits:
    """What the network sees of a mask: ``(H, W)`` of the upright picture to ``(h, w)`` of the network's view.

    The same box as the picture's pixels, each pixel of the view taking the nearest one of the mask. The result may be
    empty, where the object lies outside the crop.
    """
    crop_h, crop_w = preprocess.crop
    box = preprocess.box((bits.shape[1], bits.shape[0]))
    small = Image.fromarray(bits.astype(np.uint8)).resize((crop_w, crop_h), Image.Resampling.NEAREST, box=box)
    return np.asarray(small).astype(np.bool_)


def listed(values: Iterable[object], most: int = 8) -> str:
    """The first few values, comma-separated."""
    shown: Sequence[str] = [printable(str(value)) for value in values]
    return ", ".join(shown[:most]) + (", …" if len(shown) > most else "")
