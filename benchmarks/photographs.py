"""The photographs and weights to time with: the user's own, named in the environment, or made-up ones.

``CASEBASE_BENCH_PHOTOS`` names a folder of class folders or a manifest, ``CASEBASE_BENCH_WEIGHTS`` a state dict of
ResNet-18. Without them birds are drawn and enlarged to a photograph's size, and the weights are random: good enough to
time with, worthless as evidence of agreement between number formats, and labelled so.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import cores
from benchmarks.options import tell
from casebase import clock
from casebase.indexer import open_source
from casebase.indexer.toy import SPECIES, draw

PHOTOS, WEIGHTS = "CASEBASE_BENCH_PHOTOS", "CASEBASE_BENCH_WEIGHTS"
SIZE = (500, 375)
GRAIN = 6.0
SEED = 0


@dataclass(frozen=True, slots=True)
class Photographs:
    """Files with labels, the manifest that lists them, the weights, and what they are in words."""

    manifest: Path
    files: Sequence[Path]
    labels: Sequence[str]
    weights: Path
    real_photographs: bool
    real_weights: bool
    about: str


def gather(count: int, scratch: Path) -> Photographs:
    """``count`` photographs spread evenly over the set (fewer if it has fewer), as a manifest in ``scratch``."""
    named = os.environ.get(PHOTOS)
    if named:
        source = open_source(Path(named).resolve())
        step = max(1.0, len(source.listed) / count)
        chosen = [source.listed[int(i * step)] for i in range(min(count, len(source.listed)))]
        files, labels = [source.root / one.relative for one in chosen], [one.label for one in chosen]
    else:
        files, labels = _drawn(count, scratch / "drawn")
    manifest = scratch / "photographs.csv"
    with manifest.open("w", encoding="utf-8", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(("path", "label"))
        rows.writerows((os.path.relpath(file, scratch), label) for file, label in zip(files, labels, strict=True))
    weights, real_weights = _weights(scratch)
    pixels = np.median([_megapixels(file) for file in files[:64]])
    about = (
        f"{len(files)} {'photographs' if named else 'made-up photographs (drawn birds, enlarged, with grain)'} of "
        f"{len(set(labels))} classes, median {pixels:.2f} megapixels, "
        f"{sum(file.stat().st_size for file in files) / len(files) / 1024:.0f} KiB each; ResNet-18 with "
        f"{'trained' if real_weights else 'random'} weights"
    )
    return Photographs(manifest, files, labels, weights, bool(named), real_weights, about)


def _megapixels(file: Path) -> float:
    with Image.open(file) as opened:
        return opened.width * opened.height / 1e6


def _weights(scratch: Path) -> tuple[Path, bool]:
    named = os.environ.get(WEIGHTS)
    if named:
        return Path(named).resolve(), True
    import torch
    from torchvision.models import resnet18

    torch.manual_seed(SEED)
    target = scratch / "resnet18-random.pt"
    torch.save(resnet18(weights=None).state_dict(), target)
    return target, False


def _drawn(count: int, folder: Path) -> tuple[list[Path], list[str]]:
    tell(f"drawing {count} made-up photographs (name real ones in {PHOTOS})")
    names = [species.folder for species in SPECIES]
    jobs = [(folder / names[i % len(names)] / f"{i:05d}.jpg", i % len(names), i) for i in range(count)]
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as pool:
        list(pool.map(_draw_one, jobs, chunksize=8))
    return [file for file, _, _ in jobs], [names[place] for _, place, _ in jobs]


def _draw_one(job: tuple[Path, int, int]) -> None:
    """A drawn bird at a photograph's size; grain gives the JPEG a photograph's entropy."""
    file, place, number = job
    random = clock.generator(number)
    large = Image.fromarray(draw(place, random).pixels).resize(SIZE, Image.Resampling.BICUBIC)
    grain = random.normal(0.0, GRAIN, (SIZE[1], SIZE[0], 1))
    pixels = np.clip(np.asarray(large, np.float64) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
