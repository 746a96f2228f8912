"""(d) Memory of ``index``: it grows with the batch, not with the set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.cold_bench import fresh
from benchmarks.options import Options, tell
from benchmarks.results import Section
from benchmarks.timing import Bar, Contender, Laps, Row, rounds, spread
from casebase import clock
from casebase.networks.small import SIDE

CLASSES = ("a", "b")
SIZE = (160, 120)
BATCH, LARGE_BATCH = 16, 64
DIM = 512
ROUNDS = 3
BAR_KIB = 2.0
"""Growth per further image while embedding: less than its vector alone, let alone its view or its decoded pixels."""


def drawn(count: int, folder: Path) -> Path:
    """``count`` small made-up JPEGs in two class folders: smooth colours, each its own."""
    tell(f"drawing {count} small images")
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    random = clock.generator(0)
    for number in range(count):
        patches = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        image = Image.fromarray(patches).resize(SIZE, Image.Resampling.BICUBIC)
        image.save(folder / CLASSES[number % len(CLASSES)] / f"{number:06d}.jpg", "JPEG", quality=85)
    return folder


def run(options: Options) -> Section:
    """N, 4 N, and N in larger batches, each in a process of its own, in turns."""
    few, many = options.images, 4 * options.images
    data = drawn(many, options.scratch / "small-images")

    def child(limit: int, batch: int) -> dict[str, float]:
        base = options.scratch / "memory-base"
        shutil.rmtree(base, ignore_errors=True)
        said = fresh(["-m", "benchmarks.memory_child", str(data), str(base), str(limit), str(batch), str(few)])
        return {name: float(value) for name, value in json.loads(said.strip().splitlines()[-1]).items()}

    contenders = [
        Contender("few", lambda: child(few, BATCH)),
        Contender("many", lambda: child(many, BATCH)),
        Contender("large", lambda: child(few, LARGE_BATCH)),
    ]
    laps = rounds(contenders, min(ROUNDS, options.rounds), warm_up=0, tell=tell)
    decoded = SIZE[0] * SIZE[1] * 3 / 1024
    about = (
        f"Made-up JPEGs of {SIZE[0]}x{SIZE[1]}, an untrained ten-layer network, N = {few} and 4 N = {many}; each run "
        f"is a fresh process whose resident size is sampled every 2 ms. 'Embedding' lasts from the first batch to the "
        f"last stored transaction; what follows (head, matrix, Chroma, audit) is 'publishing', where Chroma holds its "
        f"graph in memory by design. For comparison: a decoded image has {decoded:.0f} KiB, its view "
        f"{SIDE * SIDE * 3 / 1024:.0f} KiB, its vector {DIM * 4 / 1024:.0f} KiB."
    )
    return Section("(d) Memory of `index`", about, judged(laps, few, many))


def judged(laps: Laps, few: int, many: int) -> list[Row]:
    """The rows: growth per further image in both phases, and the peaks."""

    later = [(lap.figures["embed"] - lap.figures["early"]) / 1024 / (many - few) for lap in laps["many"]]

    def growth(phase: str) -> list[float]:
        pairs = zip(laps["few"], laps["many"], strict=True)
        return [(b.figures[phase] - a.figures[phase]) / 1024 / (many - few) for a, b in pairs]

    rows = [
        Row("growth per further image while embedding", spread(later), " KiB", 2, Bar(BAR_KIB, at_least=False),
            note=f"inside one process: peak over {many} images less peak over the first {few}, batch {BATCH}"),
        Row("the same between processes", spread(growth("embed")), " KiB", 2,
            note="two processes differ by some MiB from the start, which this divides as well"),
        Row("growth per further image while publishing, between processes", spread(growth("publish")), " KiB", 2,
            note="Chroma's graph, keys; features of up to 20,000 images for the head"),
    ]  # fmt: skip
    names = {
        "few": f"{few} images, batch {BATCH}",
        "many": f"{many} images, batch {BATCH}",
        "large": f"{few} images, batch {LARGE_BATCH}",
    }
    for key, name in names.items():
        for phase, what in (("before", "before the first batch"), ("embed", "embedding"), ("publish", "publishing")):
            found = [lap.figures[phase] / 2**20 for lap in laps[key]]
            rows.append(
                Row(f"{name}: peak, {what}" if phase != "before" else f"{name}: {what}", spread(found), " MiB", 0)
            )
    return rows
