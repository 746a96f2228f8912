"""How a drawn set lies on the disk: pictures by split and class, masks in the same tree beside them, all or nothing."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from casebase.errors import UsageError

NOTICE: Final = "drawn by casebase"
MASKS: Final = "masks"
SPLITS: Final[Mapping[str, float]] = MappingProxyType({"train": 0.7, "val": 0.15, "test": 0.15})
Bytes = npt.NDArray[np.uint8]


def written(
    folder: Path, per_class: int, seed: int, splits: Mapping[str, float], fill: Callable[[Path, Sequence[str]], None]
) -> Path:
    """Write a set beside ``folder`` and move it there when complete, so a folder that exists is whole.

    ``fill`` is given where to write and the split of each number of a class. Raises ``UsageError`` for a folder that
    exists and for numbers that make no set.
    """
    if not splits or min(splits.values()) < 0 or abs(sum(splits.values()) - 1) > 1e-6 or MASKS in splits:
        message = f"splits must be shares that add up to 1, none of them called masks, not {dict(splits)}"
        raise UsageError(message)
    if per_class < 1 or seed < 0:
        message = f"per_class must be 1 or more and seed 0 or more, not {per_class} and {seed}"
        raise UsageError(message)
    if folder.exists():
        message = f"{folder} exists already; name a new folder, or remove it first"
        raise UsageError(message)
    ends = np.rint(np.cumsum(list(splits.values())) * per_class).astype(int)  # where each split stops
    names = list(splits)
    dealt = [names[int(np.searchsorted(ends, number, side="right"))] for number in range(per_class)]
    folder.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fill(workshop / "set", dealt)
        (workshop / "set").rename(folder)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return folder


def save(folder: Path, place: Path, pixels: Bytes, codes: Bytes | None, colours: Sequence[int]) -> None:
    """Write a picture ``(S, S, 3)`` at ``place`` below ``folder``, and its mask of part codes ``(S, S)`` if it has one.

    Both say in their text that they are drawn; ``colours`` are the mask's palette.
    """
    text = PngImagePlugin.PngInfo()
    text.add_text("synthetic", NOTICE)
    pictures = [(Image.fromarray(pixels), folder)]
    if codes is not None:
        masks = Image.fromarray(codes).convert("P")
        masks.putpalette(list(colours))
        pictures.append((masks, folder / MASKS))
    for image, root in pictures:
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, pnginfo=text)


def describe(folder: Path, parts: Sequence[str], readme: str) -> None:
    """Write what the codes of the masks mean, and what the set is."""
    (folder / MASKS).mkdir(parents=True, exist_ok=True)
    (folder / MASKS / "parts.json").write_text(json.dumps(dict(enumerate(parts)), indent=2) + "\n", encoding="utf-8")
    (folder / "README.txt").write_text(readme, encoding="utf-8")
