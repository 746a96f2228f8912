"""Does a map mark what the answer depends on? Hide the marked part and look, against hiding as much at random.

Hiding means: those cells are replaced by a strongly blurred copy of the picture, so that no hard edge and no black
patch, which the network never saw in training, can do the work (Fong & Vedaldi 2017, https://arxiv.org/abs/1704.03296).

It is a short deletion curve (Petsiuk, Das & Saenko 2018, "RISE", https://arxiv.org/abs/1806.07421): more and more
of the picture in the map's order, against random orders. One pass gives the probabilities of all classes, so all maps
of one picture are held against the same random pictures: 3 passes a map and 30 for the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from casebase import clock
from casebase.explanations import Deletion, Pixels
from casebase.overlay import enlarge

CELLS = 7
SHARES = (0.1, 0.2, 0.4)
SHARE = 0.2
"""The share at which a map is judged."""
DRAWS = 20
CURVE_DRAWS = 5
"""Random orders at the other shares: enough to draw the curve, too few to judge by."""

Map = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Trial:
    """What is put to the network: ``views (N, H, W, 3) uint8``, the random ones first, then those of map after map.

    ``shares`` are the parts of the picture that are hidden, in (0, 1], rising; ``draws`` how many random views there
    are of each, in this order.
    """

    views: NDArray[np.uint8]
    shares: tuple[float, ...]
    draws: tuple[int, ...]

    def marked(self, place: int) -> slice:
        """The views in which one map's top cells are hidden, share by share."""
        start = sum(self.draws) + place * len(self.shares)
        return slice(start, start + len(self.shares))


def trial(view: Pixels, maps: Sequence[Map], seed: int) -> Trial:
    """A picture ``(H, W, 3) uint8`` with the top cells of maps of any size hidden, and with random cells.

    Cells that a map values alike are taken in a random order. The larger share always holds the smaller one's cells.
    """
    soft = blurred(view)
    cells = CELLS * CELLS
    counts = [max(1, round(share * cells)) for share in SHARES]
    draws = [DRAWS if share == SHARE else CURVE_DRAWS for share in SHARES]
    random = clock.generator(seed)
    orders = [random.permutation(cells) for _ in range(DRAWS)]
    ties = random.permutation(cells)
    chosen = [order[:count] for count, many in zip(counts, draws, strict=True) for order in orders[:many]]
    for values in maps:
        order = np.lexsort((ties, -enlarge(values, (CELLS, CELLS)).ravel()))
        chosen += [order[:count] for count in counts]
    views = np.stack([_hide(view, soft, hidden) for hidden in chosen])
    return Trial(views, tuple(count / cells for count in counts), tuple(draws))


def blurred(view: Pixels) -> Pixels:
    """What a hidden part of a picture ``(H, W, 3) uint8`` is replaced by: the picture, strongly blurred."""
    return np.asarray(Image.fromarray(view).filter(ImageFilter.GaussianBlur(max(view.shape[:2]) / 12)))


def outcome(
    tried: Trial, place: int, before: float, after: NDArray[np.float32], *, target: str, method: str = "gradcam"
) -> Deletion:
    """What a trial showed of one map: the target's softmax ``before`` and ``after (N,)`` hiding, view by view."""
    left = after.astype(np.float64)
    ends = np.cumsum(tried.draws)
    random = [left[end - many : end] for end, many in zip(ends, tried.draws, strict=True)]
    marked = left[tried.marked(place)]
    judged = SHARES.index(SHARE)
    drop, drops = before - marked[judged], before - random[judged]
    return Deletion(
        target=target,
        share=tried.shares[judged],
        marked=float(drop),
        random=float(drops.mean()),
        as_much=int((drops >= drop).sum()),
        draws=DRAWS,
        method=method,
        shares=(0.0, *tried.shares),
        marked_curve=(before, *marked.tolist()),
        random_curve=(before, *(float(one.mean()) for one in random)),
        random_low=(before, *(float(one.min()) for one in random)),
        random_high=(before, *(float(one.max()) for one in random)),
        random_draws=(0, *tried.draws),
    )


def _hide(view: Pixels, soft: Pixels, cells: NDArray[np.int64]) -> Pixels:
    """A picture whose cells, counted in reading order, are blurred."""
    height, width = view.shape[:2]
    rows, columns = _edges(height), _edges(width)
    hidden = view.copy()
    for cell in cells.tolist():
        row, column = divmod(cell, CELLS)
        part = slice(rows[row], rows[row + 1]), slice(columns[column], columns[column + 1])
        hidden[part] = soft[part]
    return hidden


def _edges(length: int) -> list[int]:
    """Where the cells of a side begin, and the end: pixel x belongs to the cell that its middle lies in."""
    return [-(-(2 * length * cell - CELLS) // (2 * CELLS)) for cell in range(CELLS)] + [length]
