"""Masks as PNG files beside the pictures: binary ones, index images, Oxford-Pets trimaps, casebase's drawn birds."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase.errors import DataError, UsageError
from casebase.evaluate.saliency.masks import Mask, Places, Size, empty, fits, listed, missing
from casebase.reading import printable

TRIMAP_OBJECT, TRIMAP_BACKGROUND, TRIMAP_BORDER = 1, 2, 3
"""Oxford-IIIT Pet: O. Parkhi et al., 2012, https://www.robots.ox.ac.uk/~vgg/data/pets/."""
TRIMAP = frozenset({TRIMAP_OBJECT, TRIMAP_BACKGROUND, TRIMAP_BORDER})
PARTS_FILE = "parts.json"
SCENERY = frozenset({"background", "perch"})
"""Parts of a drawn bird's picture that are not the bird."""
PROBED = 16
"""Masks looked at to find out what their values mean."""


@dataclass(frozen=True, eq=False)
class MaskFiles:
    """PNG masks below ``root``. ``values`` are those of the object; None takes the one value that is not 0.

    ``ignored`` values are left open, ``known`` are all that may occur, None for any. ``facts`` say what was chosen.
    """

    root: Path
    places: Places
    values: frozenset[int] | None
    ignored: frozenset[int] = frozenset()
    known: frozenset[int] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def has(self, image: Path) -> bool:
        """Whether there is a mask for an image."""
        return self.places.of(image) is not None

    def read(self, image: Path, size: Size) -> Mask:
        """The mask of an image; refuses a missing, damaged or empty one, one of another size, and unknown values."""
        name = self.places.of(image)
        if name is None:
            raise missing(image, self.root)
        path = self.root / name
        codes = read_codes(path, size, image)
        there = np.unique(codes)
        strange = [] if self.known is None else [value for value in there.tolist() if value not in self.known]
        if strange:
            raise DataError(
                f"the mask {printable(str(path))} has the value {strange[0]}, but only "
                f"{listed(sorted(self.known or ()))} have a meaning; name the values of the object"
            )
        ignored = np.isin(codes, list(self.ignored))
        if self.values is None:
            inside = (codes != 0) & ~ignored
            if len(np.unique(codes[inside])) > 1:
                raise DataError(
                    f"the mask {printable(str(path))} has the values {listed(there)}, a binary one has 0 and one more; "
                    "name the values of the object"
                )
        else:
            inside = np.isin(codes, list(self.values))
        if not inside.any():
            wanted = "0 everywhere" if self.values is None else f"no pixel is {listed(sorted(self.values))}"
            raise empty(str(path), f"{wanted}, it has {listed(there)}")
        return Mask(inside, str(path), ignored if ignored.any() else None)


def open_files(
    root: Path, *, values: Sequence[int] | None, ignored: Sequence[int] | None, part: str | None
) -> MaskFiles:
    """The PNG masks below a folder; see :func:`casebase.evaluate.saliency.annotations.open_masks`."""
    root = root / "masks" if (root / "masks" / PARTS_FILE).is_file() else root
    names = sorted(
        Path(folder, name).relative_to(root).as_posix()
        for folder, _, found in os.walk(root)
        for name in found
        if name.lower().endswith(".png")
    )
    if not names:
        raise DataError(f"no PNG mask in {printable(str(root))}; name a folder of masks, a COCO file or a VOC folder")
    places = Places(names, "the masks")
    facts: dict[str, Any] = {"kind": "png", "path": str(root), "masks": len(names)}
    left = frozenset(ignored or ())
    if values is not None:
        facts |= {"values": sorted(set(values)), "ignored": sorted(left)}
        return MaskFiles(root, places, frozenset(values), left, facts=facts)
    if (root / PARTS_FILE).is_file():
        named, codes = part_codes(root / PARTS_FILE, part)
        facts |= {"kind": "drawn birds", "parts": list(codes), "values": list(codes.values()), "ignored": sorted(left)}
        return MaskFiles(root, places, frozenset(codes.values()), left, frozenset(named.values()), facts)
    if part is not None:
        raise UsageError(f"there is no {PARTS_FILE} in {printable(str(root))}, so no part has a name; name the values")
    found = _probed(root, names)
    if TRIMAP_BACKGROUND in found and found <= TRIMAP:
        left = frozenset({TRIMAP_BORDER} if ignored is None else ignored)
        facts |= {"kind": "trimap", "values": [TRIMAP_OBJECT], "ignored": sorted(left)}
        return MaskFiles(root, places, frozenset({TRIMAP_OBJECT}), left, TRIMAP, facts)
    facts |= {"kind": "binary", "values": "not 0", "ignored": sorted(left)}
    return MaskFiles(root, places, None, left, facts=facts)


def part_codes(path: Path, part: str | None) -> tuple[dict[str, int], dict[str, int]]:
    """All codes of ``parts.json`` (code: name) by name, and those of one part, or of all that belong to the bird."""
    try:
        named = {str(name): int(code) for code, name in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        raise DataError(
            f"{printable(str(path))} is no JSON object of codes and part names; write the set anew"
        ) from None
    if part is None:
        return named, {name: code for name, code in named.items() if name not in SCENERY}
    if part not in named:
        raise UsageError(f"no part {printable(part)!r} in {printable(str(path))}; it has {listed(named, len(named))}")
    return named, {part: named[part]}


def read_codes(path: Path, size: Size, image: Path) -> NDArray[np.integer[Any]]:
    """The values ``(H, W)`` of a mask file, a palette's as indices; its size is compared before it is decoded."""
    try:
        with Image.open(io.BytesIO(path.read_bytes()), formats=("PNG",)) as opened:
            fits(opened.size, size, str(path), image)
            return _codes(opened, path)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no PNG, or damaged"
        raise DataError(f"the mask {printable(str(path))} cannot be read ({reason}); write it again") from None


def _codes(opened: Image.Image, path: Path) -> NDArray[np.integer[Any]]:
    opened.load()
    values: NDArray[np.integer[Any]]
    if opened.mode in ("1", "L", "P") or opened.mode.startswith("I"):
        values = np.asarray(opened).astype(np.int64)
        return values
    if opened.mode in ("LA", "RGB", "RGBA"):
        colours = np.asarray(opened.convert("RGB"))
        if (colours == colours[..., :1]).all():  # grey, saved in colour
            values = colours[..., 0].astype(np.int64)
            return values
    raise DataError(f"the mask {printable(str(path))} is a colour picture; save it in grey, or with a palette")


def _probed(root: Path, names: Sequence[str]) -> set[int]:
    """The values of a few masks, from all over the folder."""
    found: set[int] = set()
    for place in np.unique(np.linspace(0, len(names) - 1, PROBED).astype(int)):
        path = root / names[place]
        try:
            with Image.open(path, formats=("PNG",)) as opened:
                found |= set(np.unique(_codes(opened, path)).tolist())
        except (OSError, SyntaxError, ValueError, EOFError, DataError, Image.DecompressionBombError):
            continue  # said where this very mask is wanted
    return found
