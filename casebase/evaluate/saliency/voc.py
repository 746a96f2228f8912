"""Masks from Pascal VOC: the palette pictures of SegmentationClass, or the boxes of Annotations.

M. Everingham et al., 2010, "The Pascal Visual Object Classes Challenge", https://doi.org/10.1007/s11263-009-0275-4.
Corners of a box count from 1 and belong to it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np

from casebase.errors import DataError, UsageError
from casebase.evaluate.saliency.mask_files import MaskFiles
from casebase.evaluate.saliency.masks import Mask, Places, Size, empty, fits, listed, missing
from casebase.reading import printable

SEGMENTS, BOXES = "SegmentationClass", "Annotations"
VOID = 255
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""Class i has the value i + 1; 0 is background, 255 void."""
BOX_NOTE = "boxes, no contours"


def open_voc(root: Path, category: str | None) -> MaskFiles | VocBoxes:
    """A VOC folder, or its SegmentationClass or Annotations. Where there are segments, boxes are not mixed in."""
    if root.name == SEGMENTS or (root.name != BOXES and (root / SEGMENTS).is_dir()):
        return _segments(root if root.name == SEGMENTS else root / SEGMENTS, category)
    return VocBoxes(root if not (root / BOXES).is_dir() else root / BOXES, category)


def _segments(root: Path, category: str | None) -> MaskFiles:
    if category is not None and category not in CLASSES:
        raise UsageError(f"no class {printable(category)!r} in Pascal VOC; it has {', '.join(CLASSES)}")
    wanted = range(1, len(CLASSES) + 1) if category is None else [CLASSES.index(category) + 1]
    names = _below(root, ".png")
    if not names:
        raise DataError(f"no PNG mask in {printable(str(root))}; name a VOC folder with segments or boxes")
    facts = {"kind": "voc segments", "path": str(root), "masks": len(names), "category": category, "ignored": [VOID]}
    known = frozenset({*range(len(CLASSES) + 1), VOID})
    return MaskFiles(root, Places(names, "the masks"), frozenset(wanted), frozenset({VOID}), known, facts)


class VocBoxes:
    """The boxes of one folder of XML files; ``category`` keeps one class."""

    def __init__(self, root: Path, category: str | None = None) -> None:
        names = _below(root, ".xml")
        if not names:
            raise DataError(f"no XML file in {printable(str(root))}; name a VOC folder with segments or boxes")
        self._root, self._category, self._places = root, category, Places(names, "the files")
        self.facts: Mapping[str, Any] = {
            "kind": "voc boxes", "path": str(root), "files": len(names), "category": category,
        }  # fmt: skip

    def has(self, image: Path) -> bool:
        """Whether there is a file for an image."""
        return self._places.of(image) is not None

    def read(self, image: Path, size: Size) -> Mask:
        """All boxes of an image together; what lies outside the picture is cut off."""
        name = self._places.of(image)
        if name is None:
            raise missing(image, self._root)
        path = self._root / name
        tree = parsed(path)
        said = tree.find("size")
        if said is not None:
            fits((_number(said, "width", path), _number(said, "height", path)), size, str(path), image)
        width, height = size
        inside = np.zeros((height, width), np.bool_)
        others = []
        for one in tree.iter("object"):
            called = (one.findtext("name") or "").strip()
            if self._category is not None and called != self._category:
                others.append(called)
                continue
            corners = one.find("bndbox")
            if corners is None:
                raise _broken(path, f"the object {called!r} has no bndbox")
            left, top, right, bottom = (_number(corners, key, path) for key in ("xmin", "ymin", "xmax", "ymax"))
            inside[max(top - 1, 0) : max(bottom, 0), max(left - 1, 0) : max(right, 0)] = True
        if not inside.any():
            there = f"it has {listed(sorted(set(others)))}" if others else "it has no box in the picture"
            raise empty(str(path), f"no {self._category or 'object'}, {there}")
        return Mask(inside, str(path), note=BOX_NOTE)


def parsed(path: Path) -> Element:
    """An XML file as a tree. A document type, and with it every entity of its own, is refused, not expanded."""
    builder, parser = TreeBuilder(), expat.ParserCreate()

    def refuse(*_given: object) -> None:
        raise _broken(path, "it declares a document type, which annotations do not need")

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)  # noqa: FBT003  # the last piece
        return builder.close()
    except OSError as error:
        raise DataError(f"{printable(str(path))} cannot be read ({error.strerror})") from None
    except (expat.ExpatError, ValueError, AssertionError) as error:
        raise _broken(path, str(error)) from None


def _number(above: Element, key: str, path: Path) -> int:
    """A coordinate; some tools write fractions."""
    text = above.findtext(key)
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _broken(path, f"{key} is {text!r}, not a number")
    return round(value)


def _below(root: Path, suffix: str) -> list[str]:
    return sorted(
        Path(folder, name).relative_to(root).as_posix()
        for folder, _, found in os.walk(root)
        for name in found
        if name.lower().endswith(suffix)
    )


def _broken(path: Path, why: str) -> DataError:
    return DataError(f"{printable(str(path))} is no VOC annotation ({printable(why)}); export it again")
