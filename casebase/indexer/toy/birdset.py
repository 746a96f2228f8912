"""A folder of drawn birds with their masks."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from PIL import Image, PngImagePlugin

from casebase.errors import UsageError
from casebase.indexer.toy.bird import draw
from casebase.indexer.toy.species import PARTS, SPECIES

WORTH_PROCESSES: Final = 64
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
    folder: Path,
    *,
    per_class: int,
    seed: int,
    shortcut: bool = False,
    splits: Mapping[str, float] = SPLITS,
    processes: int = 1,
) -> Path:
    """Write `per_class` pictures of each species, dealt to the splits by their shares.

    The set is written beside `folder` and moved there when complete, so a folder that exists is whole. The same
    arguments give the same bytes, on any number of `processes`. The seed fixes the birds; `shortcut` changes their
    scenery only. Raises `UsageError` for a folder that exists and for numbers that make no set.
    """
    if not splits or min(splits.values()) < 0 or abs(sum(splits.values()) - 1) > 1e-6 or "masks" in splits:
        message = f"splits must be shares that add up to 1, none of them called masks, not {dict(splits)}"
        raise UsageError(message)
    if per_class < 1 or seed < 0:
        message = f"per_class must be 1 or more and seed 0 or more, not {per_class} and {seed}"
        raise UsageError(message)
    if folder.exists():
        message = f"{folder} exists already; name a new folder, or remove it first"
        raise UsageError(message)
    folder.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _fill(workshop / "set", per_class, seed, splits, shortcut=shortcut, processes=processes)
        (workshop / "set").rename(folder)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return folder


def _fill(
    folder: Path, per_class: int, seed: int, splits: Mapping[str, float], *, shortcut: bool, processes: int
) -> None:
    ends = np.rint(np.cumsum(list(splits.values())) * per_class).astype(int)  # where each split stops
    names = list(splits)
    jobs = [
        (folder, seed, place, number, names[int(np.searchsorted(ends, number, side="right"))], shortcut)
        for place in range(len(SPECIES))
        for number in range(per_class)
    ]
    if processes > 1 and len(jobs) >= WORTH_PROCESSES:
        # Spawned, not forked: whoever calls may have started threads. The seeds make the order of no account.
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            list(pool.map(_write_one, jobs, chunksize=16))
    else:
        for job in jobs:
            _write_one(job)
    (folder / "masks" / "parts.json").write_text(json.dumps(dict(enumerate(PARTS)), indent=2) + "\n", encoding="utf-8")
    traits = {species.folder: asdict(species) for species in SPECIES}
    (folder / "masks" / "species.json").write_text(json.dumps(traits, indent=2) + "\n", encoding="utf-8")
    (folder / "README.txt").write_text(_README, encoding="utf-8")


def _write_one(job: tuple[Path, int, int, int, str, bool]) -> None:
    """Draw one bird and write it with its mask."""
    folder, seed, place, number, split, shortcut = job
    text = PngImagePlugin.PngInfo()
    text.add_text("synthetic", NOTICE)
    drawing = draw(place, np.random.default_rng([seed, place, number]), shortcut=shortcut)
    masks = Image.fromarray(drawing.index()).convert("P")
    masks.putpalette(_MASK_COLOURS)
    for image, root in ((Image.fromarray(drawing.pixels), folder), (masks, folder / "masks")):
        path = root / split / SPECIES[place].folder / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, pnginfo=text)
