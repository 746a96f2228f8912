"""Progress as plain lines on standard error: for notebooks, logs and pipes."""

from __future__ import annotations

import sys

from casebase import clock
from casebase.indexer.service import Progress

EVERY = 5.0


def lines(every: float = EVERY) -> Progress:
    """A progress function that writes a line every few seconds: done, rate, time left, skipped."""
    started = last = 0.0
    ended = False

    def show(done: int, total: int, skipped: int) -> None:
        nonlocal started, last, ended
        now = clock.seconds()
        started = started or now  # loading the network is not part of the rate
        if ended or (now - max(last, started) < every and done < total):
            return
        last, ended = now, done >= total
        rate = done / max(now - started, 1e-9)
        left = (total - done) / rate if rate else float("nan")
        sys.stderr.write(f"{done}/{total} images, {rate:.0f}/s, {left:.0f} s left, {skipped} skipped\n")

    return show
