"""(i1) A training step of the embedding against the work counted for it; (i2) a walk of 20 frames against its passes.

The judge is a ResNet-18 at 224 x 224 with a head fitted on the photographs; the embedding is the preset ``small`` (64 x
64) as a training begins it. What its images show is worthless; what they cost does not depend on that. A step is one
that the training itself takes, and its work is counted by torch as it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import cores
from benchmarks.options import Options, tell
from benchmarks.photographs import Photographs, gather
from benchmarks.results import Section
from benchmarks.timing import Bar, Check, Contender, Laps, Row, ratios, rounds, spread
from casebase import reading
from casebase.association import LABELS, Association, Bytes, Codes, Floats, Nodes, Standing, Walk
from casebase.explain.cae.walking import FRAMES, Start, Walker, start_of
from casebase.networks import backbones, linear_head
from casebase.networks.cae import material
from casebase.networks.cae.reader import CaeReader, Tensors
from casebase.networks.cae.recipe import SMALL, CaeRecipe
from casebase.networks.cae.run import Run
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.training_cases import TrainingCases
from casebase.ports import Matrix

TITLE = "(i) Class association embedding"
IMAGES = 64
STEPS = 10
"""Training steps in a lap."""
SIDE, TIMES = 1024, 4
"""Of the square matrices whose product gives the machine's rate, and how often a lap multiplies them."""
WORK = 11.0
"""GFLOP that the specification counts for a step of one pair at this size."""
ROUNDING = 0.02
"""A batch of another size adds in another order, and may so move a synthetic image by one grey value."""
STEP, MATMUL, WALK, PASSES = "training step", "matrix product", "walk of 20 frames", "its passes alone"


def silent(*_told: object) -> None:
    """Progress of a training that nobody watches."""


@dataclass(eq=False)
class Watched:
    """A view that notes how many images each pass decodes, judges and encodes."""

    view: CaeReader
    passes: list[tuple[str, int]] = field(default_factory=list)

    @property
    def found(self) -> Association:
        """That of the view."""
        return self.view.found

    @property
    def classes(self) -> Sequence[str]:
        """Those of the view."""
        return self.view.classes

    @property
    def nodes(self) -> Nodes:
        """Those of the view."""
        return self.view.nodes

    def encode(self, views: Bytes) -> Codes:
        """Noted."""
        self.passes.append(("encode", len(views)))
        return self.view.encode(views)

    def codes(self, views: Bytes) -> Matrix:
        """As the view."""
        return self.view.codes(views)

    def decode(self, of_class: Matrix, individual: Floats) -> Bytes:
        """Noted."""
        self.passes.append(("decode", len(of_class)))
        return self.view.decode(of_class, individual)

    def judge(self, images: Bytes) -> Matrix:
        """Noted."""
        whole = images.shape[1] != self.found.size.side
        self.passes.append(("judge whole" if whole else "judge", len(images)))
        return self.view.judge(images)

    def reduced(self, views: Bytes) -> Bytes:
        """As the view."""
        return self.view.reduced(views)


class Walking:
    """One walk, again and again, and its passes without it."""

    def __init__(self, view: CaeReader, image: NDArray[np.uint8]) -> None:
        self._view, self._image = view, image
        watched = Watched(view)
        self.start, self.made = _walk(watched, image)
        self._passes = list(watched.passes)

    @property
    def judged(self) -> int:
        """Images that the network judges for a walk."""
        return sum(many for name, many in self._passes if name.startswith("judge"))

    def walk(self) -> None:
        """What a person waits for: from the view to the frames and the flip."""
        _walk(self._view, self._image)

    def passes(self) -> None:
        """As many images through the same networks in the same batches."""
        codes = self._view.nodes.codes
        frames = np.stack([frame.image for frame in self.made.frames])
        work: Mapping[str, Callable[[int], object]] = {
            "encode": lambda many: self._view.encode(np.repeat(self._image, many, axis=0)),
            "decode": lambda many: self._view.decode(np.resize(codes, (many, codes.shape[1])), self.start.individual),
            "judge": lambda many: self._view.judge(np.resize(frames, (many, *frames.shape[1:]))),
            "judge whole": lambda many: self._view.judge(np.repeat(self._image, many, axis=0)),
        }
        for name, many in self._passes:
            work[name](many)

    def furthest(self) -> float:
        """The largest difference between a frame's probabilities and those of its image judged alone."""
        alone = [self._view.judge(frame.image[None])[0] for frame in self.made.frames]
        return float(max(np.abs(a - f.probabilities).max() for a, f in zip(alone, self.made.frames, strict=True)))


def _walk(view: CaeReader | Watched, image: NDArray[np.uint8]) -> tuple[Start, Walk]:
    """A walk to the class after the image's own, though an untrained embedding rebuilds nothing to walk from."""
    start = replace(start_of(view, image), refused=None)
    names = list(view.found.classes)
    return start, Walker(view).walk(start, names[(names.index(start.predicted) + 1) % len(names)])


class Stepping:
    """The training's own steps at the preset ``small``, and what work they are."""

    def __init__(self, run: Run) -> None:
        self._run = run
        with FlopCounterMode(display=False) as counted:
            run._one()
        self.work = float(counted.get_total_flops())

    def steps(self) -> None:
        """Some steps."""
        for _ in range(STEPS):
            self._run._one()
            self._run.step += 1

    @property
    def sound(self) -> float:
        """Share of the terms that are finite numbers."""
        return float(np.isfinite(list(self._run._terms.values())).mean())


def matmul() -> Callable[[], None]:
    """Products of square matrices."""
    left, right = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)

    def lap() -> None:
        for _ in range(TIMES):
            torch.mm(left, right)

    return lap


def made(photographs: Photographs) -> tuple[ExplainedNetwork, TrainingCases]:
    """The judge, and the photographs as its cases."""
    loaded = backbones.load(backbones.Wanted("torchvision:resnet18", None, photographs.weights))
    network = ExplainedNetwork(loaded)
    views = np.stack([network.preprocess.pixels(reading.read(file).image) for file in photographs.files])
    labels = list(photographs.labels)
    head = linear_head.fit(network.read(views).features, labels)
    network = network.with_head(head.weight, head.bias, head.classes)
    said = network.read(views).probabilities
    assert said is not None  # a network with a head has classes
    names = [str(number) for number in range(len(labels))]
    called = [head.classes[at] for at in said.argmax(axis=1)]
    return network, TrainingCases(views, names, names, labels, called, [None] * len(labels), said)


def untrained(network: ExplainedNetwork, cases: TrainingCases, run: Run) -> CaeReader:
    """The embedding as a training begins it, with the codes of the cases for walks to go along."""
    classes = sorted(set(cases.labels))
    plan = CaeRecipe(preset=SMALL).plan
    nothing = Standing(0, 0, (), *(0.0,) * 9)
    found = Association(
        network.classifier_fingerprint or "", "0" * 64, SMALL, plan.size, network.preprocess.crop, classes, LABELS,
        nothing, (), (), {}, "",
    )  # fmt: skip
    state = {name: value.detach().clone() for name, value in run.net.state_dict().items()}
    empty = Nodes(np.zeros((0, plan.size.code), np.float32), np.zeros(0, np.intp), ())
    mean = torch.zeros(plan.size.code)
    codes = CaeReader(network, found, Tensors(state, mean, empty)).codes(viewed(cases))
    nodes = Nodes(codes, np.array([classes.index(name) for name in cases.labels], np.intp), list(cases.ids))
    return CaeReader(network, found, Tensors(state, mean, nodes))


def viewed(cases: TrainingCases) -> NDArray[np.uint8]:
    """The views ``(n, H, W, 3)`` of all cases."""
    found: NDArray[np.uint8] = cases.views[np.arange(len(cases.ids))]
    return found


def run(options: Options) -> Section:
    """Both parts."""
    photographs = gather(IMAGES, options.scratch)
    tell(f"{TITLE}: {len(photographs.files)} photographs")
    network, cases = made(photographs)
    recipe = CaeRecipe(preset=SMALL, target=LABELS)  # random weights may call all photographs the same
    begun = begin(network, cases, recipe, options.scratch / "cae")
    walking = Walking(untrained(network, cases, begun), viewed(cases)[:1])
    stepping = Stepping(begun)
    laps = rounds(
        [
            Contender(STEP, stepping.steps), Contender(MATMUL, matmul()), Contender(WALK, walking.walk),
            Contender(PASSES, walking.passes),
        ],
        options.rounds, tell=tell,
    )  # fmt: skip
    return Section(TITLE, about(photographs, network, walking), rows(laps, stepping, walking))


def begin(network: ExplainedNetwork, cases: TrainingCases, recipe: CaeRecipe, folder: Path) -> Run:
    """A training before its first step."""
    folder.mkdir(parents=True, exist_ok=True)
    return Run(material.gather(network, cases, recipe, folder, silent), recipe, folder)


def about(photographs: Photographs, network: ExplainedNetwork, walking: Walking) -> str:
    """What was timed on what."""
    return (
        f"{photographs.about}, {network.precision}; its head fitted on them; {cores()} cores, torch's own number of "
        f"threads ({torch.get_num_threads()}). The embedding is untrained, preset {SMALL}: good enough to time with, "
        f"worthless as an explanation. (i1) takes the training's own steps, one pair each. (i2) walks from a view to "
        f"{FRAMES} frames by way of the graph; the network judges {walking.judged} images at 224 x 224 for it. A walk "
        "that flips is bisected as well, by up to 12 images more."
    )


def rows(laps: Laps, stepping: Stepping, walking: Walking) -> list[Row]:
    """Shares and ratios inside each round, then the times behind them."""
    step = [lap.wall / STEPS for lap in laps[STEP]]
    product = [lap.wall for lap in laps[MATMUL]]
    walk, alone = ([lap.wall for lap in laps[name]] for name in (WALK, PASSES))
    peak = [TIMES * 2.0 * SIDE**3 / one for one in product]
    rate = [stepping.work / one for one in step]
    counted = Check(
        "counted work ÷ the specification's 11 GFLOP", stepping.work / 1e9 / WORK, Bar(1.25, at_least=False)
    )
    sound = Check("share of the losses that are numbers", stepping.sound, Bar(1.0))
    same = Check("frames judged together less alone, largest", walking.furthest(), Bar(ROUNDING, at_least=False), 5)
    return [
        Row("(i1) a training step: its floating-point rate ÷ that of a matrix product",
            spread(ratios(rate, peak)), "", 3, checks=[counted, sound]),
        Row("a training step, one pair", spread([1000.0 * one for one in step]), " ms", 1,
            note=f"{stepping.work / 1e9:.1f} GFLOP counted"),
        Row("its rate", spread([one / 1e9 for one in rate]), " GFLOP/s", 1),
        Row(f"a product of {SIDE} x {SIDE}, float32", spread([one / 1e9 for one in peak]), " GFLOP/s", 1),
        Row("(i2) a walk of 20 frames at 64 x 64", spread(walk), " s", 2, Bar(2.0, at_least=False), [same]),
        Row("a walk ÷ its decoding and judging passes alone", spread(ratios(walk, alone)), "×", 2),
        Row("its passes alone", spread(alone), " s", 2),
    ]  # fmt: skip
