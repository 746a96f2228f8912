"""Pictures in a terminal: two square pixels to a character cell."""

from __future__ import annotations

import numpy as np
from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from casebase.explanations import Pixels


def half_blocks(pixels: Pixels, columns: int) -> Text:
    """A picture ``(H, W, 3) uint8`` as ``columns / 2`` lines of ``▀``, two square pixels to a cell."""
    small = Image.fromarray(np.ascontiguousarray(pixels)).resize((columns, columns), Image.Resampling.BOX)
    rows = np.asarray(small, dtype=np.uint8).tolist()
    drawn = Text(no_wrap=True, end="")
    for place in range(0, columns - columns % 2, 2):
        if place:
            drawn.append("\n")
        for upper, lower in zip(rows[place], rows[place + 1], strict=True):
            drawn.append("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))
    return drawn


def colourful(console: Console) -> bool:
    """Whether a console has the colours that pictures need."""
    many = console.color_system in ("truecolor", "256")
    return many and console.is_terminal and not console.no_color and not console.options.ascii_only
