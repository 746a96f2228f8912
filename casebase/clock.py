"""The one place that asks for the time and for chance."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import numpy as np


def now() -> str:
    """The present moment in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def seconds() -> float:
    """A clock for durations, in seconds; its zero means nothing."""
    return time.perf_counter()


def generator(seed: int) -> np.random.Generator:
    """A generator of its own; the global one is never touched."""
    return np.random.default_rng(seed)
