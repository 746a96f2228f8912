"""One run of ``index`` in a process of its own, its memory sampled; prints one line of JSON.

``python -m benchmarks.memory_child DATA BASE LIMIT BATCH EARLY``
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import threading
from pathlib import Path
from typing import Self

from casebase import api, clock, settings

EVERY = 0.002
MODEL = "casebase:resnet10"


def resident() -> int:
    """Bytes of this process in memory."""
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


class Sampler:
    """Takes the resident size in a thread of its own; :meth:`phase` starts a new peak."""

    def __init__(self) -> None:
        self.peaks: dict[str, int] = {}
        self._phase = "load"
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def phase(self, name: str) -> None:
        """From now on peaks belong to ``name``."""
        self._note()
        self._phase = name
        self._note()

    def _note(self) -> None:
        self.peaks[self._phase] = max(self.peaks.get(self._phase, 0), resident())

    def _watch(self) -> None:
        while not self._done.wait(EVERY):
            self._note()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def main(data: str, base: str, limit: int, batch: int, early: int) -> dict[str, float]:
    """Peak bytes while embedding the ``early`` first images, the later ones, and while publishing; bytes before."""
    chosen = settings.Settings(base=Path(base), device="cpu", batch_size=batch, precision="fp32", workers=2)
    before, later = 0, threading.Event()
    with Sampler() as sampler, api.Base(chosen, create=True) as opened:
        started = clock.seconds()

        def progress(done: int, total: int, _skipped: int) -> None:
            nonlocal before
            if done == total:
                sampler.phase("publish")  # the last call comes after the last transaction
            elif not before:
                gc.collect()
                before = resident()
                sampler.phase("early")
            elif done > early and not later.is_set():
                later.set()
                sampler.phase("later")

        wanted = api.IndexOptions(api.ModelChoice(model=MODEL), limit=limit)
        summary = opened.index(data, wanted, progress=progress)
        if summary.embedded != limit:
            raise RuntimeError(f"{summary.embedded} of {limit} images were embedded")
    peaks = sampler.peaks
    return {
        "before": before, "early": peaks["early"], "embed": max(peaks["early"], peaks.get("later", 0)),
        "publish": peaks["publish"], "most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "seconds": clock.seconds() - started,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))))
