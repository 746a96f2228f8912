"""Where named parts lie in images: a CSV file of points, carried through the network's crop.

The columns are ``part``, ``x`` and ``y`` (fractions of the whole image's width and height) and either ``path`` or
``image_id``; an ``image_id`` is looked up in the file ``labels.csv`` beside it, which has ``path`` and ``image_id``. A
part that is not listed for an image is not visible there.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase.errors import DataError
from casebase.evaluate.saliency.masks import Places, listed
from casebase.reading import Preprocess, printable

LABELS = "labels.csv"
Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PartPlaces:
    """Points of ``names``; ``points`` maps an image's path, as the file has it, to ``(A, 2)`` of (x, y), NaN if unseen.

    ``facts`` are path and counts, as JSON values.
    """

    names: Sequence[str]
    points: Mapping[str, Points]
    places: Places
    facts: Mapping[str, Any]

    def seen(self, image: Path, size: tuple[int, int], preprocess: Preprocess) -> Points | None:
        """The parts ``(A, 2)`` of an image of ``size`` (width, height) as fractions of the network's view.

        NaN for a part that is not visible or lies outside the view; None for an image that the file does not have.
        Raises ``DataError`` where several images of the file could be meant.
        """
        name = self.places.of(image)
        return None if name is None else in_view(self.points[name], size, preprocess)


def in_view(points: Points, size: tuple[int, int], preprocess: Preprocess) -> Points:
    """Points ``(A, 2)`` as fractions of a picture of ``size`` (width, height), as fractions of the view ``[0, 1)``.

    NaN outside the part that :meth:`Preprocess.box` says the network sees.
    """
    left, top, right, bottom = preprocess.box(size)
    whole = points * np.array(size, np.float64)
    found: Points = (whole - (left, top)) / (right - left, bottom - top)
    found[~((found >= 0.0) & (found < 1.0)).all(axis=1)] = np.nan
    return found


def read_parts(path: Path) -> PartPlaces:
    """The parts of a CSV file; raises ``DataError`` for one that cannot be read, with the line that is wrong."""
    rows, columns = _rows(path)
    by = "path" if "path" in columns else "image_id"
    lacking = [name for name in (by, "part", "x", "y") if name not in columns]
    if lacking:
        raise DataError(
            f"{printable(str(path))} has no column {lacking[0]}; parts need path or image_id, part, x and y, and it "
            f"has {listed(columns) or 'none'}"
        )
    paths = None if by == "path" else _paths(path)
    names = list(dict.fromkeys(row["part"] for row in rows))
    number = {name: place for place, name in enumerate(names)}
    points: dict[str, Points] = {}
    for line, row in enumerate(rows, start=2):
        image = row[by] if paths is None else paths.get(row[by])
        if image is None:
            raise DataError(
                f"{printable(str(path))} names the image {printable(str(row[by]))} in line {line}, which {LABELS} "
                "beside it has not; add it there, or give the parts a column path"
            )
        at = points.setdefault(image, np.full((len(names), 2), np.nan))
        if not np.isnan(at[number[row["part"]]]).all():
            raise DataError(
                f"{printable(str(path))} has the part {printable(row['part'])} of {printable(image)} twice, again in "
                f"line {line}; leave one of them out"
            )
        at[number[row["part"]]] = _fraction(row["x"], path, line), _fraction(row["y"], path, line)
    facts = {"path": str(path), "images": len(points), "parts": names}
    return PartPlaces(names, points, Places(points, "the images of the parts"), facts)


def _rows(path: Path) -> tuple[list[dict[str, str]], Sequence[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened, restval="")
            rows = list(reader)
    except FileNotFoundError:
        raise DataError(f"no file {printable(str(path))}; check the path") from None
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{printable(str(path))} cannot be read as CSV ({error}); save it as UTF-8 text") from None
    if not rows:
        raise DataError(f"{printable(str(path))} holds no row; parts need path or image_id, part, x and y")
    return rows, [name for name in reader.fieldnames or () if name]


def _paths(path: Path) -> dict[str, str]:
    beside = path.with_name(LABELS)
    if not beside.is_file():
        raise DataError(
            f"{printable(str(path))} names images by image_id, and there is no {LABELS} beside it to say which files "
            "they are; add one with the columns path and image_id, or give the parts a column path"
        )
    rows, columns = _rows(beside)
    if not {"path", "image_id"} <= set(columns):
        raise DataError(
            f"{printable(str(beside))} has no columns path and image_id; add them, or give the parts a path"
        )
    return {row["image_id"]: row["path"] for row in rows}


def _fraction(text: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise DataError(
            f"{printable(str(path))} has {printable(text)!r} in line {line} where a place must be a fraction of the "
            "image, 0 to 1"
        )
    return value
