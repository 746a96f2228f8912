"""Sample sheets of a training: whether the individual stays the same while the class changes, to be looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from casebase.errors import ModelError
from casebase.networks.cae.coder import Coder
from casebase.networks.cae.judging import Judges, swapped
from casebase.reading import printable

ROWS = 8
LEAST_WIDE = 112
"""Pixels of a column, so that its head has room."""
HEADS = ("case", "synthetic: rebuilt", "synthetic: edited", "lender (case)")
_HEAD, _GAP = 14, 4


def write(coder: Coder, among: Judges, path: Path) -> None:
    """One row for each of a few images set aside: itself, rebuilt, under the lender's class code, the lender.

    What was made is called synthetic in the head of its column. Raises ``ModelError`` where it cannot be written.
    """
    chosen = np.unique(np.linspace(0, among.n - 1, min(ROWS, among.n)).round().astype(np.intp))
    columns = swapped(coder, among, chosen)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet(columns).save(path)
    except OSError as error:
        raise ModelError(
            f"the sample sheet cannot be written to {printable(str(path))} ({error.strerror or error}); "
            "make room there, and the same command goes on from the last state that was kept"
        ) from None


def sheet(columns: tuple[NDArray[np.uint8], ...]) -> Image.Image:
    """Columns ``(n, S, S, 3) uint8`` side by side under their heads."""
    side = columns[0].shape[1]
    shown = side * -(-LEAST_WIDE // side)
    step = shown + _GAP
    page = Image.new("RGB", (len(columns) * step, _HEAD + len(columns[0]) * step), "white")
    pen = ImageDraw.Draw(page)
    for place, (head, column) in enumerate(zip(HEADS, columns, strict=True)):
        pen.text((place * step + 1, 1), head, fill="black", font_size=9)
        for row, pixels in enumerate(column):
            picture = Image.fromarray(pixels).resize((shown, shown), Image.Resampling.NEAREST)
            page.paste(picture, (place * step, _HEAD + row * step))
    return page
