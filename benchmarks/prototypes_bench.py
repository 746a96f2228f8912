"""(h1) Prototype evidence for one image against one forward pass; (h2) the training of signed prototypes, in parts.

The explained network is a ResNet-18 with a head fitted on the cases. Fine-tuning it is no part of the training: it is
there before, and prototypes leave it as it is. What a reader of classic prototypes costs does not depend on how long
they were trained, so theirs come from a training of a few steps; what such prototypes say is worthless.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.machine import cores
from benchmarks.options import Options, tell
from benchmarks.photographs import Photographs, gather
from benchmarks.results import Section
from benchmarks.timing import Bar, Check, Contender, Laps, Row, rates, ratios, rounds, spread
from casebase import api, clock, reading, settings
from casebase.errors import GateFailed
from casebase.evaluations import Measured, told
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.prototypes import classic, features, gates
from casebase.networks.prototypes.classic_plan import Plan
from casebase.networks.prototypes.model import PrototypeReader, Tensors
from casebase.networks.prototypes.recipe import PrototypeRecipe
from casebase.networks.prototypes.training import train
from casebase.networks.training_cases import TrainingCases
from casebase.prototypes import CLASSIC, PrototypeSet
from casebase.wiring.asking import networks_of
from casebase.wiring.prototypes import needed_prototypes, training_cases

TITLE = "(h) Prototypes"
IMAGES, EVERY, SINGLES = 300, 3, 8
"""Images gathered, one in how many of each class is held out, and how many are asked about one by one."""
MOST_ROUNDS = 3
SHORT = 2
SAME = 1e-4
PASS, SIGNED_ONE, ADDED, CLASSIC_ONE = "forward pass", "signed evidence", "signed, maps at hand", "classic evidence"
WHOLE, CACHED = "signed training, nothing cached", "signed training, features cached"
LEARNING, HEAD, PATCHES = ("before push",), ("after head", "after pruning"), ("start", "after push")

Floats = NDArray[np.float64]


def silent(*_told: object) -> None:
    """Progress of a training that nobody watches."""


class Evidence:
    """One network, the readers of two profiles on it, and images to be asked about one by one."""

    def __init__(
        self, network: ExplainedNetwork, signed: PrototypeReader, other: PrototypeReader, views: NDArray[np.uint8]
    ) -> None:
        self.network, self.signed, self.classic = network, signed, other
        self.views = [view[None] for view in views]
        self.maps = [network.read_maps(view)[1] for view in self.views]

    def contenders(self) -> list[Contender]:
        """Each goes through all images, one at a time."""

        def each(read: Callable[..., object], given: Sequence[NDArray[np.generic]]) -> Callable[[], None]:
            def lap() -> None:
                for one in given:
                    read(one)

            return lap

        return [
            Contender(PASS, each(self.network.read, self.views)),
            Contender(SIGNED_ONE, each(self.signed.read, self.views)),
            Contender(ADDED, each(self.signed.from_maps, self.maps)),
            Contender(CLASSIC_ONE, each(self.classic.read, self.views)),
        ]

    def furthest(self) -> float:
        """The largest difference between bias + contributions and the score by the formula, over images and classes."""
        apart = []
        for view, maps in zip(self.views, self.maps, strict=True):
            (said,) = self.signed.read(view)
            summed = said.bias.astype(np.float64) + said.contributions.astype(np.float64).sum(axis=1)
            apart.append(np.abs(summed - by_formula(maps[0], self.signed.tensors)).max())
        return float(max(apart))


def by_formula(maps: NDArray[np.float32], tensors: Tensors) -> Floats:
    """Signed scores ``(K,)`` of maps ``(C, h, w)``, in float64 and without torch.

    s_j = max over cells of cos(T (a - mu), p_j); score_c = b_c + sum_j W_cj (s_j - m_j) / sigma_j.
    """
    mean, vectors, shift, scale, head, bias = (
        getattr(tensors, name).numpy().astype(np.float64)
        for name in ("mean", "vectors", "shift", "scale", "head", "bias")
    )
    turn = tensors.add_on["weight"].numpy().astype(np.float64)[:, :, 0, 0]
    cells = (maps.reshape(len(maps), -1).T - mean) @ turn.T
    similar = (cells / np.linalg.norm(cells, axis=1, keepdims=True) @ vectors.T).max(axis=0)
    found: Floats = bias + head @ ((similar - shift) / scale)
    return found


class Trainings:
    """The same training twice: whole, and with the features of the cases on disk before the clock starts."""

    def __init__(
        self, whole: Callable[[], PrototypeSet], network: ExplainedNetwork, cases: TrainingCases,
        recipe: PrototypeRecipe, scratch: Path,
    ) -> None:  # fmt: skip
        self._whole, self._network, self._cases, self._recipe = whole, network, cases, recipe
        self._kept, self._work = scratch / "features", scratch / "training"
        shutil.rmtree(self._kept, ignore_errors=True)
        features.cached(features.at_layer(network, recipe.layer), cases, self._kept, silent)

    def whole(self) -> Mapping[str, float]:
        """Everything that the command does."""
        started = clock.seconds()
        return parts(self._whole(), clock.seconds() - started)

    def cached(self) -> Mapping[str, float]:
        """What is left once every case has been read."""
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(self._kept, self._work)
        started = clock.seconds()
        found, _ = train(self._network, self._cases, self._recipe, self._work, silent)
        return parts(found, clock.seconds() - started)


def parts(found: PrototypeSet, seconds: float) -> Mapping[str, float]:
    """Seconds of a training as a whole, and of its parts by the log of its stages; ``reading`` is what is left."""
    spent = {
        name: sum(stage.seconds for stage in found.stages if stage.name in names)
        for name, names in (("learning", LEARNING), ("head", HEAD), ("patches", PATCHES))
    }
    return {"seconds": seconds, "reading": seconds - sum(spent.values()), **spent}


def short_classic(
    network: ExplainedNetwork, cases: TrainingCases, found: PrototypeSet, folder: Path
) -> PrototypeReader:
    """A reader of classic prototypes of a few steps on the same network: only good for being timed."""
    known = list(network.classes or ())
    targets = np.array([known.index(name) for name in cases.predicted], np.intp)
    plan = Plan(warm=SHORT, joint=SHORT, last=SHORT)
    made = classic.classic(network, cases, targets, PrototypeRecipe(CLASSIC), folder, silent, plan=plan)
    return PrototypeReader(network, replace(found, profile=CLASSIC, layer=network.spatial_layer or ""), made.tensors)


def run(options: Options) -> Section:
    """Both parts on one base, which is indexed here.

    Random weights seldom pass the gates; their prototypes are timed all the same, and what a gate said is told. Raises
    ``GateFailed`` where trained weights do not pass them.
    """
    photographs = gather(IMAGES, options.scratch)
    tell(f"{TITLE}: a base of {len(photographs.files)} photographs")
    chosen = settings.Settings(base=options.scratch / "prototypes-base", device="cpu")
    shutil.rmtree(chosen.base, ignore_errors=True)
    manifest, held = split(photographs, options.scratch)
    model = api.ModelChoice(arch="resnet18", weights=photographs.weights, head="fit")
    refused: list[str] = []
    with ExitStack() as whole:
        base = whole.enter_context(api.Base(chosen, create=True, model=model))
        base.index(manifest)
        _, network = networks_of(base._store, chosen)
        recipe = PrototypeRecipe()
        cases = training_cases(base._store, network, recipe, chosen)
        if not photographs.real_weights:
            whole.enter_context(gates_open(refused))
        found = base.train_prototypes(recipe, fresh=True)
        tell("  classic prototypes of a few steps")
        other = short_classic(network, cases, found, options.scratch / "classic")
        views = np.stack([network.preprocess.pixels(reading.read(file).image) for file in held[:SINGLES]])
        evidence = Evidence(network, needed_prototypes(base._store, network), other, views)
        trainings = Trainings(
            lambda: base.train_prototypes(recipe, fresh=True), network, cases, recipe, options.scratch
        )
        asked = rounds(evidence.contenders(), options.rounds, tell=tell)
        taken = rounds(
            [Contender(WHOLE, trainings.whole), Contender(CACHED, trainings.cached)],
            min(MOST_ROUNDS, options.rounds), warm_up=0, tell=tell,
        )  # fmt: skip
        reached = standing(base)
    rows = [*evidence_rows(asked, len(views), evidence.furthest()), *training_rows(taken, len(cases), reached)]
    said = f" A gate refused them, and was overruled: {refused[0]}." if refused else ""
    return Section(TITLE, about(photographs, found, network.precision) + said, rows)


@contextmanager
def gates_open(refused: list[str]) -> Iterator[None]:
    """Hand prototypes over whatever the gates say; what they say goes into ``refused``."""
    check = gates.check

    def told_only(*given: Any) -> None:
        try:
            check(*given)
        except GateFailed as error:
            refused.append(str(error))

    with mock.patch.object(gates, "check", told_only):
        yield


def about(photographs: Photographs, found: PrototypeSet, precision: str) -> str:
    """What was timed on what."""
    return (
        f"{photographs.about}; its head fitted on the cases, {precision}, {cores()} cores, torch's own number of "
        f"threads ({torch.get_num_threads()}). (h1) asks about {SINGLES} held-out photographs one by one, from the "
        f"uint8 view: {len(found.prototypes)} signed prototypes of {len(found.classes)} classes on "
        f"{found.grid[0]} x {found.grid[1]} cells; classic ones have a tuned last stage, and so a forward pass of "
        f"their own, beside the network's. (h2) is `casebase prototypes train` in a base that is open, without and "
        "with the maps of the cases; the network was there before, and fine-tuning one is no part of it."
    )


def split(photographs: Photographs, scratch: Path) -> tuple[Path, list[Path]]:
    """A manifest that holds out every third photograph of a class, and those photographs, the classes in turn."""
    seen: Counter[str] = Counter()
    held: list[tuple[int, Path]] = []
    manifest = scratch / "prototypes.csv"
    with manifest.open("w", encoding="utf-8", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(("path", "label", "split"))
        for file, label in zip(photographs.files, photographs.labels, strict=True):
            aside = seen[label] % EVERY == EVERY - 1
            rows.writerow((os.path.relpath(file, scratch), label, "test" if aside else "train"))
            if aside:
                held.append((seen[label], file))
            seen[label] += 1
    return manifest, [file for _, file in sorted(held)]


def standing(base: api.Base) -> Mapping[str, Measured]:
    """Balanced accuracy on the held-out images, of the prototypes (``signed``) and of ``the network``."""
    measured = base.evaluate("prototypes", options=api.PrototypeOptions(profile="signed", sample=0))
    (table,) = [one for one in measured.tables if one.key == "standing"]
    found = {str(row["set"]): row["balanced"] for row in table.rows}
    return {name: cell for name, cell in found.items() if isinstance(cell, Measured)}


def evidence_rows(laps: Laps, images: int, furthest: float) -> list[Row]:
    """(h1): ratios inside each round, then milliseconds an image."""
    wall = {name: [lap.wall for lap in laps[name]] for name in laps}
    each = {name: [1000.0 * one / images for one in wall[name]] for name in wall}
    adds_up = Check("contributions less the score by the formula, largest", furthest, Bar(SAME, at_least=False), 7)
    return [
        Row("(h1) signed evidence for one image ÷ one forward pass", spread(ratios(wall[SIGNED_ONE], wall[PASS])), "×",
            2, Bar(1.3, at_least=False), [adds_up]),
        Row("what it adds where the explanation has read the maps ÷ one forward pass",
            spread(ratios(wall[ADDED], wall[PASS])), "×", 3),
        Row("classic evidence for one image ÷ one forward pass", spread(ratios(wall[CLASSIC_ONE], wall[PASS])), "×", 2,
            note="a tuned last stage: the explained network's own pass comes on top"),
        *(Row(f"{name}, one image", spread(each[name]), " ms", 2) for name in (PASS, SIGNED_ONE, ADDED, CLASSIC_ONE)),
    ]  # fmt: skip


def training_rows(laps: Laps, cases: int, reached: Mapping[str, Measured]) -> list[Row]:
    """(h2): the whole with its parts, then what is left where the features are cached."""
    of = {
        name: {part: spread([lap.figures[part] for lap in laps[name]]) for part in laps[name][0].figures}
        for name in laps
    }
    beside = ", ".join(f"{name} {told(cell, 'share')}, n = {cell.n}" for name, cell in reached.items())
    return [
        Row(f"(h2) {WHOLE}: {cases} cases", of[WHOLE]["seconds"], " s", 1, Bar(180, at_least=False),
            note=f"balanced accuracy on held-out images: {beside}"),
        Row("of it reading: loading the network, decoding, one forward pass a case, writing", of[WHOLE]["reading"],
            " s", 1),
        Row("of it learning what to compare", of[WHOLE]["learning"], " s", 1),
        Row("of it head and pruning", of[WHOLE]["head"], " s", 1),
        Row("of it clusters and push", of[WHOLE]["patches"], " s", 1),
        Row(WHOLE, spread(rates(laps[WHOLE], cases, "seconds")), " cases/s", 1),
        Row(CACHED, of[CACHED]["seconds"], " s", 1),
        Row(CACHED, spread(rates(laps[CACHED], cases, "seconds")), " cases/s", 1),
    ]  # fmt: skip
