"""Does a map mark what the answer depends on? Hide the marked part and look, against hiding as much at random.

Hiding means: those cells are replaced by a strongly blurred copy of the picture, so that no hard edge and no black
patch, which the network never saw in training, can do the work (Fong & Vedaldi 2017, https://arxiv.org/abs/1704.03296).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from casebase import clock
from casebase.explanations import Deletion, Pixels
from casebase.overlay import enlarge

CELLS = 7
SHARE = 0.2
DRAWS = 20

Probability = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Trial:
    """What is put to the network: ``views (1 + DRAWS, H, W, 3) uint8``, the marked part hidden first, then random ones.

    ``share`` is the hidden part of the picture, in (0, 1].
    """

    views: NDArray[np.uint8]
    share: float


def trial(view: Pixels, values: NDArray[np.float32], seed: int) -> Trial:
    """A picture ``(H, W, 3) uint8`` with the top fifth of a map of any size hidden, and with random fifths."""
    height, width = view.shape[:2]
    blurred = np.asarray(Image.fromarray(view).filter(ImageFilter.GaussianBlur(max(height, width) / 12)))
    coarse = enlarge(values, (CELLS, CELLS)).ravel()
    count = max(1, round(SHARE * coarse.size))
    random = clock.generator(seed)
    marked = np.argsort(-coarse, kind="stable")[:count]
    choices = [marked, *(random.permutation(coarse.size)[:count] for _ in range(DRAWS))]
    return Trial(np.stack([_hide(view, blurred, chosen) for chosen in choices]), count / coarse.size)


def outcome(share: float, target: str, before: float, after: NDArray[np.float32]) -> Deletion:
    """What a trial showed: the target's softmax ``before`` and ``after (1 + DRAWS,)`` hiding."""
    drops = before - after.astype(np.float64)
    as_much = int((drops[1:] >= drops[0]).sum())
    return Deletion(target, share, float(drops[0]), float(drops[1:].mean()), as_much, DRAWS)


def measure(view: Pixels, values: NDArray[np.float32], target: str, probability: Probability, seed: int) -> Deletion:
    """Drop of the target's probability when the top fifth of a map is hidden, and when random fifths are.

    ``view`` is ``(H, W, 3) uint8``, ``values`` a map of any size, ``probability`` maps views ``(N, H, W, 3)`` to the
    target's softmax ``(N,)``; it is called once, with 2 + ``DRAWS`` views.
    """
    tried = trial(view, values, seed)
    scores = probability(np.concatenate([view[None], tried.views]))
    return outcome(tried.share, target, float(scores[0]), scores[1:])


def _hide(view: Pixels, blurred: Pixels, cells: NDArray[np.int64]) -> Pixels:
    """A picture whose cells, counted in reading order, are blurred."""
    height, width = view.shape[:2]
    rows, columns = _edges(height), _edges(width)
    hidden = view.copy()
    for cell in cells.tolist():
        row, column = divmod(cell, CELLS)
        part = slice(rows[row], rows[row + 1]), slice(columns[column], columns[column + 1])
        hidden[part] = blurred[part]
    return hidden


def _edges(length: int) -> list[int]:
    """Where the cells of a side begin, and the end: pixel x belongs to the cell that its middle lies in."""
    return [-(-(2 * length * cell - CELLS) // (2 * CELLS)) for cell in range(CELLS)] + [length]
