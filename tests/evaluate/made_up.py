"""Made-up images as arrays: features that carry the class, noise, and whatever a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from casebase.cases import Case, Status
from casebase.evaluate.images import Images, Sides


def images(
    features: object,
    labels: Sequence[int],
    predicted: Sequence[int] | None = None,
    *,
    probabilities: np.ndarray | None = None,
    groups: Sequence[str | None] | None = None,
    pixels: Sequence[str] | None = None,
    prefix: str = "c",
    classes: int | None = None,
    ids: Sequence[str] | None = None,
) -> Images:
    """Images whose network says ``predicted`` with 0.8, unless ``probabilities`` are given."""
    rows = np.asarray(features, np.float32)
    said = list(labels) if predicted is None else list(predicted)
    size = classes or max([*labels, *said]) + 1
    names = [f"class{i}" for i in range(size)]
    if probabilities is None:
        probabilities = np.full((len(rows), size), 0.2 / max(1, size - 1), np.float32)
        probabilities[np.arange(len(rows)), said] = 0.8 if size > 1 else 1.0
    cases = [
        Case(
            id=ids[i] if ids else f"{prefix}{i:05d}", path=f"{prefix}{i}.png", file=Path("/nowhere") / f"{prefix}{i}",
            label=names[labels[i]], predicted=names[said[i]], confidence=0.8, split=None,
            group=None if groups is None else groups[i],
            pixel_hash=pixels[i] if pixels else f"{prefix}-{i}", look_hash=0, status=Status.ACTIVE,
        )
        for i in range(len(rows))
    ]  # fmt: skip
    return Images(
        cases, names, np.array(labels, np.intp), np.array(said, np.intp), rows, probabilities.astype(np.float32)
    )


def noise(n: int, dim: int, classes: int, seed: int, prefix: str, *, right: float = 1.0) -> Images:
    """Features that know nothing of labels or answers; a share ``right`` of the answers is."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    said = np.where(random.random(n) < right, labels, random.integers(0, classes, n))
    features = np.maximum(random.normal(size=(n, dim)), 0).astype(np.float32)
    return images(features, labels.tolist(), said.tolist(), prefix=prefix, classes=classes)


def classy(
    n: int, dim: int, classes: int, seed: int, prefix: str, *, right: float = 1.0, spread: float = 0.1
) -> Images:
    """Features around one centre per *answer*; a share ``right`` of the answers is."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    said = np.where(random.random(n) < right, labels, random.integers(0, classes, n))
    centres = np.eye(classes, dim, dtype=np.float32) * 3 + 0.2
    features = centres[said] + spread * random.normal(size=(n, dim))
    return images(features, labels.tolist(), said.tolist(), prefix=prefix, classes=classes)


def sides(cases: Images, queries: Images) -> Sides:
    return Sides(cases, queries)
