"""A folder of drawn birds with their masks."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from PIL import Image, PngImagePlugin

from casebase.indexer.toy.bird import draw
from casebase.indexer.toy.species import PARTS, SPECIES

NOTICE: Final = "drawn by casebase"
SPLITS: Final[Mapping[str, float]] = MappingProxyType({"train": 0.7, "val": 0.15, "test": 0.15})
_MASK_COLOURS: Final = (
    232,
    232,
    228,
    124,
    94,
    74,
    190,
    120,
    84,
    70,
    98,
    160,
    126,
    172,
    132,
    240,
    204,
    84,
    220,
    92,
    78,
    244,
    156,
    44,
    40,
    38,
    52,
)
_README: Final = """Synthetic: drawn by casebase.

These birds do not exist. Pictures lie in train/, val/ and test/, one folder per species; masks/ repeats that tree with
one index image per picture, whose codes parts.json names. species.json says what each species looks like and which
single part, the deciding one, tells it from its twin.
"""


def write_set(
    folder: Path, *, per_class: int, seed: int, shortcut: bool = False, splits: Mapping[str, float] = SPLITS
) -> Path:
    """Write `per_class` pictures of each species, dealt to the splits by their shares.

    The set is written beside `folder` and moved there when complete, so a folder that exists is whole. The same
    arguments give the same bytes. The seed fixes the birds; `shortcut` changes their scenery only.
    """
    if not splits or min(splits.values()) < 0 or abs(sum(splits.values()) - 1) > 1e-6 or "masks" in splits:
        message = f"splits must be shares that add up to 1, none of them called masks, not {dict(splits)}"
        raise ValueError(message)
    if per_class < 1 or seed < 0:
        message = f"per_class must be 1 or more and seed 0 or more, not {per_class} and {seed}"
        raise ValueError(message)
    if folder.exists():
        message = f"{folder} exists already; name a new folder, or remove it first"
        raise FileExistsError(message)
    folder.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _fill(workshop / "set", per_class, seed, splits, shortcut=shortcut)
        (workshop / "set").rename(folder)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return folder


def _fill(folder: Path, per_class: int, seed: int, splits: Mapping[str, float], *, shortcut: bool) -> None:
    ends = np.rint(np.cumsum(list(splits.values())) * per_class).astype(int)  # where each split stops
    text = PngImagePlugin.PngInfo()
    text.add_text("synthetic", NOTICE)
    for place, species in enumerate(SPECIES):
        for number in range(per_class):
            split = list(splits)[int(np.searchsorted(ends, number, side="right"))]
            drawing = draw(place, np.random.default_rng([seed, place, number]), shortcut=shortcut)
            masks = Image.fromarray(drawing.index()).convert("P")
            masks.putpalette(_MASK_COLOURS)
            for image, root in ((Image.fromarray(drawing.pixels), folder), (masks, folder / "masks")):
                path = root / split / species.folder / f"{number:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path, pnginfo=text)
    (folder / "masks" / "parts.json").write_text(json.dumps(dict(enumerate(PARTS)), indent=2) + "\n", encoding="utf-8")
    traits = {species.folder: asdict(species) for species in SPECIES}
    (folder / "masks" / "species.json").write_text(json.dumps(traits, indent=2) + "\n", encoding="utf-8")
    (folder / "README.txt").write_text(_README, encoding="utf-8")
