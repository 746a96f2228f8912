"""Masks as ground truth: a folder of PNG masks, COCO instances, Pascal VOC.

A mask belongs to the upright picture, as ``casebase.reading`` gives it. Where a camera wrote an EXIF orientation and
the mask was drawn on the pixels as stored, say ``as_stored``: the mask is then turned as the picture is. Without it a
mask that lies across is an error; one of a picture turned by half a circle cannot be told from a right one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from casebase.errors import DataError, UsageError
from casebase.evaluate.saliency.coco import Coco
from casebase.evaluate.saliency.mask_files import open_files
from casebase.evaluate.saliency.masks import Mask, Reader, Size, orientation, seen, stored_size, turned
from casebase.evaluate.saliency.voc import BOXES, SEGMENTS, open_voc
from casebase.reading import printable

__all__ = ["Mask", "Masks", "open_masks", "seen"]

LARGEST_VALUE = 65_535
"""Of a PNG with 16 bits."""


@dataclass(frozen=True, eq=False)
class Masks:
    """Masks of many images, read when asked for. ``as_stored`` turns them by the picture's EXIF orientation."""

    reader: Reader
    as_stored: bool = False

    @property
    def facts(self) -> Mapping[str, Any]:
        """Kind, path and choices, as JSON values."""
        return {**self.reader.facts, "as_stored": self.as_stored}

    def has(self, image: Path) -> bool:
        """Whether there is a mask for an image; nothing is opened."""
        return self.reader.has(image)

    def read(self, image: Path, size: Size) -> Mask:
        """The mask of an image that is ``size`` (width, height) when upright, in that picture's pixels.

        Raises ``DataError`` with the file's name: no mask, an empty or damaged one, one of another size.
        """
        turn = orientation(image) if self.as_stored else 1
        found = self.reader.read(image, stored_size(size, turn))
        ignored = None if found.ignored is None else turned(found.ignored, turn)
        return replace(found, inside=turned(found.inside, turn), ignored=ignored)


def open_masks(
    path: Path,
    *,
    values: Sequence[int] | None = None,
    ignored: Sequence[int] | None = None,
    part: str | None = None,
    category: str | None = None,
    as_stored: bool = False,
) -> Masks:
    """Masks at ``path``: a folder of PNG files, a COCO instances JSON, or a VOC folder.

    A PNG mask belongs to the image whose path ends like its own below the folder, or else to the one of its name.
    ``values`` are the object's in index masks and ``ignored`` those that count neither way. Without ``values``, masks
    with one value beside 0 are binary; those of 1, 2 and 3 are trimaps as in Oxford-Pets (1 animal, 2 background,
    3 border, which is ignored unless ``ignored=()`` makes it background or ``values=(1, 3)`` counts it); casebase's
    drawn birds are known by their ``parts.json``, and ``part`` takes one part of them, else all of the bird.
    ``category`` keeps one class of COCO or VOC, else all objects are taken together.

    Raises ``UsageError`` for choices that do not fit, ``DataError`` for what cannot be read.
    """
    _check(values, ignored, part)
    if path.is_file():
        _unwanted(path, "a COCO file", values=values, ignored=ignored, part=part)
        return Masks(Coco(path, category), as_stored=as_stored)
    if not path.is_dir():
        raise DataError(f"no masks at {printable(str(path))}; name a folder of PNG masks, a COCO JSON or a VOC folder")
    if _is_voc(path):
        _unwanted(path, "a VOC folder", values=values, ignored=ignored, part=part)
        return Masks(open_voc(path, category), as_stored=as_stored)
    _unwanted(path, "a folder of PNG masks", category=category)
    return Masks(open_files(path, values=values, ignored=ignored, part=part), as_stored=as_stored)


def _is_voc(path: Path) -> bool:
    if path.name in (SEGMENTS, BOXES) or (path / SEGMENTS).is_dir() or (path / BOXES).is_dir():
        return True
    return any(path.glob("*.xml")) and not any(path.glob("*.png"))


def _check(values: Sequence[int] | None, ignored: Sequence[int] | None, part: str | None) -> None:
    if values is not None and not values:
        raise UsageError("no value was given for the object; name at least one, or leave the values out")
    both = set(values or ()) & set(ignored or ())
    if both:
        raise UsageError(f"the value {min(both)} cannot be the object and be ignored; name it once")
    wrong = [value for value in (*(values or ()), *(ignored or ())) if not 0 <= value <= LARGEST_VALUE]
    if wrong:
        raise UsageError(f"a mask's values lie between 0 and {LARGEST_VALUE}, {wrong[0]} does not")
    if part is not None and values is not None:
        raise UsageError("name the part or the values of the object, not both")


def _unwanted(path: Path, what: str, **given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{printable(str(path))} is {what}, which has no choice of {name}; leave it out")
