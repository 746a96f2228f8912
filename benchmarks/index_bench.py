"""(a) ``index`` against the usual notebook script, and against the limit its own stages set."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks.counting import CountingStore
from benchmarks.machine import cores
from benchmarks.options import Options, tell
from benchmarks.photographs import Photographs, gather
from benchmarks.results import Section
from benchmarks.timing import (
    Bar,
    Check,
    Contender,
    Laps,
    Row,
    limits,
    rates,
    ratios,
    rounds,
    spread,
    stopwatch,
)  # fmt: skip
from casebase import api, reading, settings, wiring
from casebase.indexer import index, open_source
from casebase.indexer.batches import chunked, in_order
from casebase.indexer.service import Classification, Plan
from casebase.networks import backbones, devices
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.precision import agreement
from casebase.spaces import NETWORK_SPACE
from casebase.storage.writing import SqlCaseStore

ONE, TWO = "notebook script, 1 thread", "notebook script, 2 threads"
BARE, STORED = "casebase without storing", "casebase with storing"
DECODE, FORWARD = "decode only", "forward only"
FASTER = {"bf16": 2.3, "fp32": 1.4}
"""The bar against the script; a machine or network without a usable bf16 is held to the lower one."""


class Contest:
    """Everything that is timed, on the same photographs; casebase works in the precision its own ``index`` chooses."""

    def __init__(self, photographs: Photographs, scratch: Path) -> None:
        from benchmarks.notebook import Script

        self._photographs, self._base = photographs, scratch / "index-base"
        self._script = Script(photographs.files, photographs.weights)
        self._workers = cores()
        self._chosen = settings.Settings(base=self._base, device="cpu", workers=self._workers)
        self._source = open_source(photographs.manifest)
        self.store_once()
        self.precision = self._read_precision()
        plain = ExplainedNetwork(backbones.load(backbones.Wanted("torchvision:resnet18", weights=photographs.weights)))
        self.network = plain.with_precision(self.precision)
        views = [self.network.preprocess.pixels(reading.read(file).image) for file in photographs.files]
        self._ready = [np.stack(part) for part in chunked(views, self.network.batch_size)]

    @property
    def contenders(self) -> list[Contender]:
        """In the order of the first round."""
        return [
            Contender(ONE, lambda: self._notebook(1)),
            Contender(BARE, self._bare),
            Contender(DECODE, self._decode),
            Contender(FORWARD, self._forward),
            Contender(TWO, lambda: self._notebook(2)),
            Contender(STORED, self.store_once),
        ]

    def store_once(self) -> dict[str, float]:
        """The whole command into a new base: seconds of its phases."""
        shutil.rmtree(self._base, ignore_errors=True)
        seconds: dict[str, float] = {}
        wanted = api.IndexOptions(api.ModelChoice(arch="resnet18", weights=self._photographs.weights))
        with stopwatch(seconds, "whole"), _timed_publish(seconds), api.Base(self._chosen, create=True) as base:
            summary = base.index(self._photographs.manifest, wanted)
        if summary.skipped or summary.embedded != len(self._photographs.files):
            raise RuntimeError(f"{len(summary.skipped)} photographs were skipped: {dict(summary.skipped)}")
        seconds["embed"] = summary.embed_seconds
        seconds["head"] = summary.seconds - summary.embed_seconds - seconds["publish"]
        seconds["prepare"] = seconds["whole"] - summary.seconds
        return seconds

    def embeddings(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The script's fp32 vectors and those that casebase keeps, row by row of the same photographs."""
        kept = self._indexed(keep=True).kept
        ours = np.stack([kept[file.resolve()] for file in self._photographs.files])
        return self._script.run(cores()), ours

    def _notebook(self, threads: int) -> None:
        self._script.run(threads)

    def _bare(self) -> dict[str, float]:
        return {"embed": self._indexed(keep=False).embed_seconds}

    def _indexed(self, *, keep: bool) -> CountingStore:
        store = CountingStore(keep=keep)
        facts = {"fingerprint": "none", "classes": []}
        plan = Plan(
            embedders=[self.network],
            predicts=False,
            settle=lambda: Classification(None, reclassify=False, facts=facts),
            workers=self._workers,
            batch_size=self.network.batch_size,
            around=devices.one_thread_each(),
        )
        store.embed_seconds = index(self._source, plan, store, 1).embed_seconds
        return store

    def _decode(self) -> None:
        def work(files: Sequence[Path]) -> NDArray[np.uint8]:
            return np.stack([self.network.preprocess.pixels(reading.read(file).image) for file in files])

        for _ in in_order(work, chunked(self._photographs.files, self.network.batch_size), self._workers):
            pass

    def _forward(self) -> None:
        with devices.one_thread_each():
            for _ in in_order(self.network.read, self._ready, self._workers):
                pass

    def _read_precision(self) -> str:
        store = wiring.store_for_reading(self._chosen)
        try:
            return store.spaces()[NETWORK_SPACE].precision
        finally:
            store.close()


@contextmanager
def _timed_publish(seconds: dict[str, float]) -> Iterator[None]:
    """While it lasts, the seconds inside the store's ``publish`` are counted."""
    plain = SqlCaseStore.publish

    def publish(store: SqlCaseStore, run: int, changes: Any) -> bool:
        with stopwatch(seconds, "publish"):
            return plain(store, run, changes)

    with mock.patch.object(SqlCaseStore, "publish", publish):
        yield


def run(options: Options) -> Section:
    """Time everything and judge it."""
    photographs = gather(options.photographs, options.scratch)
    tell(f"(a) index: {photographs.about}")
    contest = Contest(photographs, options.scratch)
    cosine, centred, overlap = agreement(*contest.embeddings())
    laps = rounds(contest.contenders, options.rounds, tell=tell)
    checks = [Check("lowest cosine to fp32", cosine, Bar(0.9995), 5), Check("same top-5", overlap, Bar(0.97))]
    centred_note = f"lowest centred cosine {centred:.4f}, n = {len(photographs.files)}"
    kind = f"{contest.precision}, {cores()} workers"
    about = (
        f"{photographs.about}; page cache warm; casebase in {kind}, the precision its own `index` chose; "
        f"{options.rounds} rounds. The script is held at the better of one and two threads, its model already loaded."
    )
    if contest.precision != "bf16":
        about += (
            f" **`index` chose {contest.precision} (few photographs, no native bf16, or disagreement), so "
            f"the lower bar of {FASTER[contest.precision]}× applies, not the {FASTER['bf16']}× of the default.**"
        )
    if not photographs.real_weights:
        about += " **The weights are random: agreement between number formats means little here.**"
    return Section(
        "(a) `index` against the notebook script and against its own limit",
        about,
        judged(laps, len(photographs.files), contest.precision, checks, centred_note),
    )


def judged(laps: Laps, count: int, precision: str, checks: Sequence[Check], note: str) -> list[Row]:
    """The rows of a contest over ``count`` photographs."""
    one, two = rates(laps[ONE], count), rates(laps[TWO], count)
    better = one if spread(one).median >= spread(two).median else two
    bare, stored = rates(laps[BARE], count, "embed"), rates(laps[STORED], count, "embed")
    whole = rates(laps[STORED], count, "whole")
    decode, forward = rates(laps[DECODE], count), rates(laps[FORWARD], count)
    limit = limits(decode, forward)
    faster = Bar(FASTER[precision])
    rows = [
        Row("casebase, embedding and storing ÷ script", spread(ratios(stored, better)), "×", 2, faster, checks, note),
        Row("casebase without storing ÷ script", spread(ratios(bare, better)), "×", 2, None, checks),
        Row("whole `index` with head, publishing and loading ÷ script", spread(ratios(whole, better)), "×", 2,
            note="fixed costs weigh most on a small set"),
        Row("efficiency without storing: rate ÷ limit", spread(ratios(bare, limit)), "", 3, Bar(0.95), checks),
        Row("efficiency with storing: rate ÷ limit", spread(ratios(stored, limit)), "", 3, Bar(0.85), checks,
            "rows, vectors, thumbnails; not publishing"),
    ]  # fmt: skip
    for name, found in (
        (ONE, one), (TWO, two), (BARE, bare), (STORED, stored), ("whole `index`", whole),
        (f"D: {DECODE}", decode), (f"F: {FORWARD}", forward), ("L = 1/(1/D + 1/F)", limit),
    ):  # fmt: skip
        rows.append(Row(name, spread(found), " images/s", 1))
    for name in (ONE, TWO, BARE, DECODE, FORWARD):
        rows.append(Row(f"CPU of {name}", spread([1000 * lap.cpu / count for lap in laps[name]]), " ms/image"))
    stages = [d.cpu + f.cpu for d, f in zip(laps[DECODE], laps[FORWARD], strict=True)]
    spent = ratios(stages, [lap.cpu for lap in laps[BARE]])
    rows.append(Row("cross-check in CPU time: both stages ÷ casebase without storing", spread(spent), "", 3,
        note="less sensitive to other work on the machine; waiting does not show"))  # fmt: skip
    for phase, what in (
        ("prepare", "loading the network, choosing the precision, saving the model"),
        ("head", "fitting the linear head"),
        ("publish", "publishing: one transaction, matrix, yardstick, Chroma with probe and audit"),
    ):
        rows.append(Row(what, spread([lap.figures[phase] for lap in laps[STORED]]), " s"))
    return rows
