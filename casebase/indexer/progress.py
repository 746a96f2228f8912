"""Progress as plain lines on standard error: for notebooks, logs and pipes."""

from __future__ import annotations

import sys

from casebase import clock
from casebase.indexer.service import Progress

EVERY = 5.0


def lines(every: float = EVERY) -> Progress:
    """A progress function that writes a line every few seconds: done, rate, time left, skipped."""
    started = last = clock.seconds()

    def show(done: int, total: int, skipped: int) -> None:
        nonlocal last
        now = clock.seconds()
        if now - last < every and done < total:
            return
        last = now
        rate = done / max(now - started, 1e-9)
        left = (total - done) / rate if rate else float("nan")
        sys.stderr.write(f"{done}/{total} images, {rate:.0f}/s, {left:.0f} s left, {skipped} skipped\n")

    return show
