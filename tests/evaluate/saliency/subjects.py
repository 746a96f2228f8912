"""One image as a metric sees it, with what a test wants to be different."""

from __future__ import annotations

from typing import Any

import numpy as np

from casebase.evaluate.saliency.metric import Subject

TOY_MAP = (((5 * np.arange(16) + 3) % 16) / 15).reshape(4, 4).astype(np.float32)
"""The map S of the handbook's toy."""


def subject(side: int = 4, **over: Any) -> Subject:
    """An image of zeros about which nothing is known."""
    blank = np.zeros((3, side, side), np.float32)
    values: dict[str, Any] = {
        "key": "k", "name": "birds/1.png", "fed": blank, "unit": blank, "target": 1, "before": 0.5,
        "predict": lambda images: np.full(len(images), 0.5), "predict_unit": lambda images: np.full(len(images), 0.5),
        "raw": np.zeros((side, side), np.float32),
    }  # fmt: skip
    return Subject(**{**values, **over})
