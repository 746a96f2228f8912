"""(e) The dossier of 100 mistakes against the work it cannot do without; (f) a full single report, warm.

The base holds 10,000 cases: 400 photographs with what the network makes of them, and made-up ones whose vectors are
those of photographs with their numbers shuffled, so that they are searched and never shown. The mistakes are held-out
photographs under the next class's name, so it is known how many there are.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import cores
from benchmarks.options import Options, tell
from benchmarks.photographs import Photographs, gather
from benchmarks.results import Section
from benchmarks.timing import Bar, Check, Contender, Row, percentile, ratios, rounds, spread
from casebase import api, clock, hashing, settings
from casebase.cases import SourceImage
from casebase.explain import encoding
from casebase.explain.album import in_threads
from casebase.explain.passes import BATCH, Passes, side_by_side
from casebase.explain.saliency.method import MethodSettings
from casebase.networks.explained import ExplainedNetwork
from casebase.ports import Changes, Entry
from casebase.spaces import NETWORK_SPACE
from casebase.storage.opening import make_store

CASES, SHOWN, MISTAKES = 10_000, 400, 100
DOSSIER, NEEDED = "dossier", "the passes, Grad-CAMs and encoding it needs"
MOST_ROUNDS = 3
"""A dossier takes about a minute; more rounds would tell little."""
SAMPLED = 600
"""Pictures kept from the counting run, to be encoded again and again."""
ROOT = Path("/made-up")


class Prepared:
    """The base, its held-out photographs, and what one dossier asks of network and encoder."""

    def __init__(self, photographs: Photographs, scratch: Path) -> None:
        self._base, self._out = scratch / "dossier-base", scratch / "dossier-out"
        self._chosen = settings.Settings(base=self._base, device="cpu")
        shutil.rmtree(self._base, ignore_errors=True)
        self.held_out = photographs.files[SHOWN:]
        self._index(photographs, scratch)
        self._fill()
        self.batches: list[int] = []
        self.cams, self.encoded = 0, 0
        self.sample: list[tuple[NDArray[np.uint8], int]] = []
        with self.opened() as base:
            self.wrong = len(base.errors(choice=api.ErrorsChoice(limit=MISTAKES)).entries)
            with self._counting():
                self._write(base)

    @contextmanager
    def opened(self) -> Iterator[api.Base]:
        """The base with its network loaded and nothing else looked at."""
        with api.Base(self._chosen) as base:
            base.query(self.held_out[0])
            yield base

    def dossier(self) -> Mapping[str, float]:
        """Gather, explain and write 100 mistakes, from empty caches."""
        with self.opened() as base:
            started = clock.seconds()
            self._write(base)
            return {"seconds": clock.seconds() - started}

    def needed(self) -> Mapping[str, float]:
        """The same number of forward passes in the same batches, of Grad-CAMs and of encoded pictures, alone."""
        with self.opened() as base:
            networks, network = base._explainers.loaded(base._store, NETWORK_SPACE)
            views = np.random.default_rng(0).integers(0, 256, (BATCH, *network.preprocess.crop, 3), np.uint8)
            passes = Passes(network, networks.classifier.classes)
            keyed = {str(i): view for i, view in enumerate(views)}
            reads = passes.read(keyed) if passes.closed else {}
            classes = list(networks.classifier.classes)
            started = clock.seconds()
            side_by_side(network.read, [views[:size] for size in self.batches])
            for start in range(0, self.cams, BATCH):
                pairs = [(str(i), classes[(start + i) % len(classes)]) for i in range(min(BATCH, self.cams - start))]
                passes.maps("gradcam", MethodSettings(), pairs, keyed, reads)
            many = [self.sample[i % len(self.sample)] for i in range(self.encoded)]
            for start in range(0, len(many), 100):
                in_threads(lambda job: encoding.jpeg(*job), many[start : start + 100])
            return {"seconds": clock.seconds() - started}

    def reports(self, count: int) -> list[float]:
        """Seconds of full single reports: decode, predict, lists, maps, checks, page on disk; ten more are warm-up."""
        seconds = []
        with self.opened() as base:
            for number in range(count + 10):
                started = clock.seconds()
                seen = base.explain(self.held_out[number % len(self.held_out)])
                seen.save(self._out.parent / "report.html")
                if number >= 10:
                    seconds.append(clock.seconds() - started)
        return seconds

    def _write(self, base: api.Base) -> None:
        shutil.rmtree(self._out, ignore_errors=True)
        base.errors(choice=api.ErrorsChoice(limit=MISTAKES)).save(self._out)

    @contextmanager
    def _counting(self) -> Iterator[None]:
        read, read_maps, maps, jpeg = (
            ExplainedNetwork.read, ExplainedNetwork.read_maps, Passes.maps, encoding.jpeg,
        )  # fmt: skip

        def counted(of: Any) -> Any:
            def call(network: ExplainedNetwork, views: NDArray[np.uint8]) -> Any:
                self.batches.append(len(views))
                return of(network, views)

            return call

        def asked(
            passes: Passes, method: str, settings: MethodSettings, pairs: Sequence[tuple[str, str]], *rest: Any
        ) -> Any:
            self.cams += len(set(pairs))
            return maps(passes, method, settings, pairs, *rest)

        def encode(pixels: NDArray[np.uint8], quality: int) -> bytes:
            self.encoded += 1
            if len(self.sample) < SAMPLED:
                self.sample.append((pixels, quality))
            return jpeg(pixels, quality)

        with (
            mock.patch.object(ExplainedNetwork, "read", counted(read)),
            mock.patch.object(ExplainedNetwork, "read_maps", counted(read_maps)),
            mock.patch.object(Passes, "maps", asked),
            mock.patch("casebase.explain.encoding.jpeg", encode),
            mock.patch("casebase.explain.dossier_pages.jpeg", encode),
        ):
            yield

    def _index(self, photographs: Photographs, scratch: Path) -> None:
        names = sorted(set(photographs.labels))
        following = dict(zip(names, [*names[1:], names[0]], strict=True))
        manifest = scratch / "dossier.csv"
        with manifest.open("w", encoding="utf-8", newline="") as handle:
            rows = csv.writer(handle)
            rows.writerow(("path", "label", "split"))
            for number, (file, label) in enumerate(zip(photographs.files, photographs.labels, strict=True)):
                held = number >= SHOWN
                path = os.path.relpath(file, scratch)
                rows.writerow((path, following[label] if held else label, "test" if held else "train"))
        tell(f"indexing {SHOWN} photographs, {len(self.held_out)} of them held out under another name")
        model = api.ModelChoice(arch="resnet18", weights=photographs.weights, head="fit")
        with api.Base(self._chosen, create=True, model=model) as base:
            base.index(manifest)

    def _fill(self) -> None:
        """Made-up cases around the photographs, predicted as the photographs are."""
        from casebase.cases import Status

        store = make_store(self._chosen)
        try:
            (block,) = list(store.examined(NETWORK_SPACE, Status.ACTIVE))
            random = clock.generator(0)
            known = store.setting("classifier")
            fingerprint = store.spaces()[NETWORK_SPACE]
            with store.writing("benchmark") as run:
                number = store.source(ROOT)
                store.declare(NETWORK_SPACE, fingerprint, {})
                for start in range(len(block.cases), CASES, 2000):
                    entries = []
                    for i in range(start, min(start + 2000, CASES)):
                        of, name = i % len(block.cases), f"{i:06d}"
                        entries.append(
                            Entry(
                                image=SourceImage(hashing.case_id(number, name), ROOT / name, name,
                                                  block.cases[of].label, "train"),
                                source=number, file_size=1, file_mtime=1, width=8, height=8, sha256=f"sha-{name}",
                                pixel_hash=f"pixels-{name}", look_hash=int(random.integers(0, 2**63)),
                                held_out=False, probabilities=block.probabilities[of],
                                vectors={NETWORK_SPACE: random.permutation(block.features[of])},
                            )
                        )  # fmt: skip
                    store.retain(run, entries)
                tell(f"  publishing {CASES} cases")
                store.publish(run, Changes([], {}, None, reclassify=False, facts=known))
        finally:
            store.close()


def run(options: Options) -> Section:
    """Both parts on one base."""
    photographs = gather(SHOWN + 2 * MISTAKES, options.scratch)  # with random weights some land under the next name
    tell(f"(e) dossier and report: {CASES} cases")
    prepared = Prepared(photographs, options.scratch)
    contenders = [Contender(DOSSIER, prepared.dossier), Contender(NEEDED, prepared.needed)]
    laps = rounds(contenders, min(MOST_ROUNDS, options.rounds), tell=tell)
    whole, least = ([lap.figures["seconds"] for lap in laps[name]] for name in (DOSSIER, NEEDED))
    reports = prepared.reports(options.queries)
    about = (
        f"{photographs.about}; {CASES:,} cases in the base, {cores()} cores. The dossier is gathered, explained and "
        f"written from empty caches; what it needs is replayed alone: {sum(prepared.batches):,} forward passes in the "
        f"same batches, {prepared.cams:,} Grad-CAMs, {prepared.encoded:,} pictures encoded. A report is `explain` and "
        "`save`: decoding, prediction, all lists, overlays, where maps, the deletion check, HTML."
    )
    rows = [
        Row(f"dossier of {prepared.wrong} mistakes ÷ what it needs", spread(ratios(whole, least)), "×", 2,
            Bar(1.2, at_least=False), [Check("mistakes", float(prepared.wrong), Bar(float(MISTAKES)), 0)]),
        Row("dossier", spread(whole), " s", 1),
        Row("what it needs", spread(least), " s", 1),
        Row("full report, warm: p95", spread([percentile(reports, 0.95)]), " s", 2, Bar(1.0, at_least=False)),
        Row("full report, warm: p50", spread(reports), " s", 2),
    ]  # fmt: skip
    return Section("(e) The dossier, and a full report", about, rows)
