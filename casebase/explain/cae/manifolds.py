"""All cases on a map of their class codes: by principal components, or by UMAP where that is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.association import Manifold
from casebase.cases import Case, Status
from casebase.errors import MissingExtra, UsageError
from casebase.manifold import principal
from casebase.ports import CaseBase, Matrix
from casebase.reading import printable
from casebase.spaces import CAE_SPACE

PCA, UMAP = "pca", "umap"
METHODS = (PCA, UMAP)
Place = Callable[[Matrix], Matrix]
"""Codes ``(n, d)`` to the map ``(n, 2)``."""


@dataclass(frozen=True, eq=False)
class Coded:
    """The active cases of a base and their class codes ``(n, d) float32``; ``aside`` are its held-out images."""

    cases: Sequence[Case]
    codes: Matrix
    aside: Sequence[Case] = ()


def known_projection(method: str) -> str:
    """The method, if it is one; raises ``UsageError``."""
    if method not in METHODS:
        raise UsageError(f"--map must be {' or '.join(METHODS)}, not {printable(method)!r}")
    return method


def coded(base: CaseBase) -> Coded:
    """Every active case with its class code, from what is stored, and the images that are held out."""
    blocks = list(base.examined(CAE_SPACE, Status.ACTIVE))
    cases = [case for block in blocks for case in block.cases]
    aside = [case for block in base.examined(CAE_SPACE, Status.HELD_OUT) for case in block.cases]
    codes = np.concatenate([block.features for block in blocks]) if blocks else np.zeros((0, 2), np.float32)
    return Coded(cases, codes, aside)


def manifold(
    found: Coded, method: str = PCA, *, query: Matrix | None = None, path: Matrix | None = None, seed: int = 0
) -> Manifold:
    """The map of all cases; ``query (d,)`` and ``path (m, d)`` are laid on it where they are given.

    Raises ``MissingExtra`` for UMAP where it is not installed.
    """
    place, explained = _placing(found.codes, known_projection(method), seed)
    return Manifold(
        points=place(found.codes) if len(found.codes) else np.zeros((0, 2), np.float32),
        ids=[case.id for case in found.cases],
        labels=[case.label for case in found.cases],
        predicted=[case.predicted for case in found.cases],
        method=method,
        explained=explained,
        query=None if query is None else place(query[None])[0],
        path=None if path is None or not len(path) else place(path),
    )


def _placing(codes: Matrix, method: str, seed: int) -> tuple[Place, float | None]:
    if method == UMAP:
        return _umap(codes, seed), None
    if not len(codes):
        return lambda some: np.ascontiguousarray(some[:, :2], np.float32), None
    axes = principal(codes)
    return axes.on, float(axes.shares.sum())


def _umap(codes: NDArray[np.float32], seed: int) -> Place:
    """McInnes, Healy & Melville 2018, https://arxiv.org/abs/1802.03426."""
    try:
        import umap
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError)
        why = "is not installed" if absent else f"cannot be imported ({' '.join(str(error).split())})"
        raise MissingExtra(
            f"--map umap needs umap-learn, which {why}; pip install 'casebase[umap]', or take --map pca"
        ) from None
    fitted = umap.UMAP(n_components=2, random_state=seed, n_neighbors=max(2, min(15, len(codes) - 1)))
    own = np.asarray(fitted.fit_transform(codes), np.float32)

    def place(some: Matrix) -> Matrix:
        return own if some is codes else np.asarray(fitted.transform(some), np.float32)

    return place
