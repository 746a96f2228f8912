"""Does a map mark what the answer depends on? Hide the marked part and look, against hiding as much at random.

Hiding means: those cells are replaced by a strongly blurred copy of the picture, so that no hard edge and no black
patch, which the network never saw in training, can do the work (Fong & Vedaldi 2017, https://arxiv.org/abs/1704.03296).
"""

from __future__ import annotations

from collections.abc import Callable

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


def measure(view: Pixels, values: NDArray[np.float32], target: str, probability: Probability, seed: int) -> Deletion:
    """Drop of the target's probability when the top fifth of a map is hidden, and when random fifths are.

    ``view`` is ``(H, W, 3) uint8``, ``values`` a map of any size, ``probability`` maps views ``(N, H, W, 3)`` to the
    target's softmax ``(N,)``; it is called once, with 2 + ``DRAWS`` views.
    """
    height, width = view.shape[:2]
    blurred = np.asarray(Image.fromarray(view).filter(ImageFilter.GaussianBlur(max(height, width) / 12)))
    coarse = enlarge(values, (CELLS, CELLS)).ravel()
    count = max(1, round(SHARE * coarse.size))
    random = clock.generator(seed)
    marked = np.argsort(-coarse, kind="stable")[:count]
    choices = [marked, *(random.permutation(coarse.size)[:count] for _ in range(DRAWS))]
    views = np.stack([view, *(_hide(view, blurred, chosen) for chosen in choices)])
    scores = probability(views).astype(np.float64)
    drops = scores[0] - scores[1:]
    as_much = int((drops[1:] >= drops[0]).sum())
    return Deletion(target, count / coarse.size, float(drops[0]), float(drops[1:].mean()), as_much, DRAWS)


def _hide(view: Pixels, blurred: Pixels, cells: NDArray[np.int64]) -> Pixels:
    mask = np.zeros(CELLS * CELLS, dtype=np.uint8)
    mask[cells] = 255
    height, width = view.shape[:2]
    whole = Image.fromarray(mask.reshape(CELLS, CELLS)).resize((width, height), Image.Resampling.NEAREST)
    return np.where(np.asarray(whole)[..., None] > 0, blurred, view)
