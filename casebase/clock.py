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


def lasting(seconds: float) -> str:
    """A duration as people say it.

    >>> lasting(8.2), lasting(400), lasting(9000), lasting(4.6 * 86400)
    ('8 s', '7 min', '2.5 h', '4.6 days')
    """
    for most, unit, name in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < most:
            return f"{max(1, round(seconds / unit))} {name}"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 72 else f"{hours / 24:.1f} days"
