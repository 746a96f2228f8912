"""Masks from COCO's instances JSON: polygons, uncompressed run lengths, and boxes where there is no contour.

T.-Y. Lin et al., 2014, "Microsoft COCO", https://arxiv.org/abs/1405.0312; the format: https://cocodataset.org.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase.errors import DataError, UsageError
from casebase.evaluate.saliency.masks import Bits, Mask, Places, Size, empty, fits, listed, missing
from casebase.reading import printable

_CORNERS, _FARTHEST = 3, 1e9
BOX_NOTE = "a box, for there is no contour"


class Coco:
    """The annotations of one file; ``category`` keeps one class. Crowds count as objects. Boxes are ``[x, y, w, h]``.

    Raises ``DataError`` for a file that is no instances JSON, ``UsageError`` for a class that it does not have.
    """

    def __init__(self, path: Path, category: str | None = None) -> None:
        self._path = path
        whole = _loaded(path)
        try:
            self._images = {str(one["file_name"]): one for one in whole["images"] if one["file_name"]}
            known = {one["id"] for one in self._images.values()}
            kept = _ids(whole.get("categories", []), category, path)
            self._found: dict[Any, list[Mapping[str, Any]]] = {}
            for one in whole["annotations"]:
                if one["image_id"] in known and (kept is None or one["category_id"] in kept):
                    self._found.setdefault(one["image_id"], []).append(one)
        except (KeyError, TypeError, AttributeError):
            raise _broken(path, "images need file_name and id, annotations image_id and category_id") from None
        self._places = Places(self._images, f"in {printable(str(path))}, the images")
        every = [one for group in self._found.values() for one in group]
        boxes = sum(not one.get("segmentation") for one in every)
        self.facts: Mapping[str, Any] = {
            "kind": "coco", "path": str(path), "category": category, "annotations": len(every), "boxes": boxes,
        }  # fmt: skip

    def has(self, image: Path) -> bool:
        """Whether an image has an object."""
        name = self._places.of(image)
        return name is not None and self._images[name].get("id") in self._found

    def read(self, image: Path, size: Size) -> Mask:
        """All objects of an image together."""
        name = self._places.of(image)
        entry = None if name is None else self._images[name]
        objects = [] if entry is None else self._found.get(entry.get("id"), [])
        if name is None or entry is None or not objects:
            raise missing(image, self._path)
        source = f"of {name} in {self._path}"
        sides = (entry.get("width"), entry.get("height"))
        if sides != (None, None):
            if not all(isinstance(side, int) for side in sides):
                raise _broken(self._path, f"width and height of {name} are no whole numbers")
            fits(sides, size, source, image)
        inside = np.zeros(size[::-1], np.bool_)
        boxes = 0
        for one in objects:
            shape = one.get("segmentation")
            boxes += not shape
            try:
                inside |= _drawn(shape, size) if shape else box(one["bbox"], size)
            except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
                raise _broken(self._path, f"annotation {one.get('id', '?')} of {name}: {error}") from None
        if not inside.any():
            raise empty(source, "no pixel's centre lies in its contours")
        return Mask(inside, source, note=BOX_NOTE if boxes else None)


def _drawn(shape: Any, size: Size) -> Bits:
    if isinstance(shape, dict):
        return run_lengths(shape["counts"], shape["size"], size)
    found = np.zeros(size[::-1], np.bool_)
    for corners in shape:
        found |= polygon(np.asarray(corners, np.float64).reshape(-1, 2), size)
    return found


def polygon(corners: NDArray[np.float64], size: Size) -> Bits:
    """The pixels ``(H, W)`` whose centre (column + 0.5, row + 0.5) lies in a polygon ``(n, 2)`` of x, y; even-odd rule.

    Raises ``ValueError`` for fewer than three corners or one that is no place.
    """
    if len(corners) < _CORNERS or not (np.abs(corners) < _FARTHEST).all():
        raise ValueError("a polygon needs three corners, each two numbers of pixels")
    width, height = size
    found = np.zeros((height, width), np.bool_)
    (x, y), (next_x, next_y) = corners.T, np.roll(corners, -1, axis=0).T
    for row in range(max(0, math.ceil(y.min() - 0.5)), min(height, math.floor(y.max() - 0.5) + 1)):
        centre = row + 0.5
        cut = (y <= centre) != (next_y <= centre)
        along = np.sort(x[cut] + (centre - y[cut]) * (next_x - x)[cut] / (next_y - y)[cut])
        ends = np.clip(np.ceil(along - 0.5), 0, width).astype(int)
        for left, right in zip(ends[::2], ends[1::2], strict=True):
            found[row, left:right] = True
    return found


def run_lengths(counts: Any, shape: Sequence[int], size: Size) -> Bits:
    """Runs of 0 and 1 in turn, column by column; raises ``ValueError`` for compressed ones and those that misfit."""
    if isinstance(counts, str):
        raise ValueError(  # noqa: TRY004  # as everything else that is wrong with a file
            "compressed run lengths are not read; write them as a list of counts"
        )
    if list(shape) != [size[1], size[0]]:
        raise ValueError(f"its run lengths are for {shape[1]}x{shape[0]} pixels, not {size[0]}x{size[1]}")
    runs = np.asarray(counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise ValueError("its run lengths do not add up to the picture's pixels")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size).T.copy()


def box(sides: Sequence[float], size: Size) -> Bits:
    """The pixels ``(H, W)`` whose centre lies in a box ``[x, y, width, height]``."""
    left, top, width, height = map(float, sides)
    right, bottom = left + width, top + height
    return polygon(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), size)


def _loaded(path: Path) -> Mapping[str, Any]:
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{printable(str(path))} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # broken JSON, or no UTF-8
        raise _broken(path, " ".join(str(error).split())[:120]) from None
    if not isinstance(whole, dict) or not all(isinstance(whole.get(key), list) for key in ("images", "annotations")):
        raise _broken(path, "there are no lists called images and annotations")
    return whole


def _ids(categories: Sequence[Mapping[str, Any]], category: str | None, path: Path) -> set[Any] | None:
    if category is None:
        return None
    found = {one["id"] for one in categories if one["name"] == category}
    if not found:
        names = listed(sorted(str(one["name"]) for one in categories), 20)
        raise UsageError(f"no class {printable(category)!r} in {printable(str(path))}; it has {names or 'none'}")
    return found


def _broken(path: Path, why: str) -> DataError:
    return DataError(f"{printable(str(path))} is no COCO instances JSON ({printable(why)}); export it again")
