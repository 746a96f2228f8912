"""What each number of the class code does: moved up and down by itself, decoded, judged by the explained network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from casebase.association import Coordinates
from casebase.errors import UsageError
from casebase.explain.cae.walking import judged
from casebase.ports import AssociationView


def coordinates(view: AssociationView, views: NDArray[np.uint8]) -> Coordinates:
    """The effect of each of the code's numbers on images ``(N, H, W, 3) uint8``, N >= 1, of the network's views.

    Each number is moved by one standard deviation of the cases' codes, down and up, with all others and the individual
    code as they are; that is AttFind's question (Lang et al., ICCV 2021, https://arxiv.org/abs/2104.13369) put to a
    code of eight numbers. An image costs 2 * code + 1 decodes and forward passes. Raises ``UsageError`` without images
    or cases, ``ModelError`` where the network's answer is no number.
    """
    if not len(views):
        raise UsageError("no image was given to move the class code of")
    if not len(view.nodes.codes):
        raise UsageError("no case keeps its class when it is rebuilt, so nothing says how far a class code should move")
    spread = view.nodes.codes.astype(np.float64).std(axis=0)
    moves = np.concatenate([np.zeros((1, len(spread))), -np.diag(spread), np.diag(spread)])
    codes = view.encode(views)
    said = np.stack(
        [
            judged(view, view.decode((code + moves).astype(np.float32), codes.individual[place : place + 1]))
            for place, code in enumerate(codes.of_class)
        ]
    ).astype(np.float64)  # (N, 1 + 2 code, C)
    start, below, above = np.split(said, [1, 1 + len(spread)], axis=1)
    called = said.argmax(axis=2)
    other = (called[:, 1:] != called[:, :1]).reshape(len(views), 2, len(spread)).any(axis=1)
    return Coordinates(
        classes=list(view.classes), spread=spread.astype(np.float32),
        below=(below - start).mean(axis=0).astype(np.float32), above=(above - start).mean(axis=0).astype(np.float32),
        flipped=other.mean(axis=0).astype(np.float32), n=len(views),
    )  # fmt: skip
