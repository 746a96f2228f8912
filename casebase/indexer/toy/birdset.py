"""A folder of drawn birds with their masks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np

from casebase.indexer.toy.bird import draw
from casebase.indexer.toy.set_folder import SPLITS, describe, save, written
from casebase.indexer.toy.species import PARTS, SPECIES

WORTH_PROCESSES: Final = 64
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
    fill = partial(_fill, seed=seed, shortcut=shortcut, processes=processes)
    return written(folder, per_class, seed, splits, fill)


def _fill(folder: Path, dealt: Sequence[str], *, seed: int, shortcut: bool, processes: int) -> None:
    jobs = [
        (folder, seed, place, number, split, shortcut)
        for place in range(len(SPECIES))
        for number, split in enumerate(dealt)
    ]
    if processes > 1 and len(jobs) >= WORTH_PROCESSES:
        # Spawned, not forked: whoever calls may have started threads. The seeds make the order of no account.
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            list(pool.map(_write_one, jobs, chunksize=16))
    else:
        for job in jobs:
            _write_one(job)
    describe(folder, PARTS, _README)
    traits = {species.folder: asdict(species) for species in SPECIES}
    (folder / "masks" / "species.json").write_text(json.dumps(traits, indent=2) + "\n", encoding="utf-8")


def _write_one(job: tuple[Path, int, int, int, str, bool]) -> None:
    """Draw one bird and write it with its mask."""
    folder, seed, place, number, split, shortcut = job
    drawing = draw(place, np.random.default_rng([seed, place, number]), shortcut=shortcut)
    where = Path(split, SPECIES[place].folder, f"{number:03d}.png")
    save(folder, where, drawing.pixels, drawing.index(), _MASK_COLOURS)
