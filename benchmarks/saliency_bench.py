"""(g1) Grad-CAM of one class against one forward and backward pass; (g2) many Grad-CAMs against torchcam's own example.

torchcam's example is that of its README: the extractor is made once, then for every image ``model(x.unsqueeze(0))`` and
``extractor(class, scores)``. Ours takes the 32 images and a class for each at once. Both ways that casebase has are
timed: the method ``gradcam`` itself, which works for any network and is held to the bar, and the closed form that
answers of networks with pooling and one linear layer come from (``Passes``), which needs a forward pass alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.machine import cores
from benchmarks.options import Options, tell
from benchmarks.photographs import gather
from benchmarks.results import Section
from benchmarks.timing import Bar, Check, Contender, Row, rates, ratios, rounds, spread
from casebase import reading
from casebase.explain.passes import GRADCAM, Passes
from casebase.explain.saliency import MethodSettings, cams, scaled
from casebase.networks import backbones
from casebase.networks.devices import one_thread_each
from casebase.networks.explained import ExplainedNetwork

IMAGES, SINGLES = 32, 8
"""Images of the batch, and of those that go one by one in (g1)."""
LAYER = "layer4"
SAME = 1e-3
ONE, PASS = "gradcam, one image at a time", "forward and backward to the layer"
MANY, CLOSED, EXAMPLE = "gradcam, 32 images", "closed form, 32 images", "torchcam's example"
MANY_ALONE, EXAMPLE_ALONE = f"{MANY}, one thread", f"{EXAMPLE}, one thread"

Maps = NDArray[np.float32]


class Prepared:
    """The network, its pictures, and a class for each: the one it gives them."""

    def __init__(self, network: ExplainedNetwork, views: NDArray[np.uint8]) -> None:
        self.network, self.views = network, views
        self.images = network.preprocess.normalise(views)
        self.classes = [int(c) for c in network.scores(self.images).argmax(1)]
        self.method = cams.gradcam(network)
        self.found: dict[str, Maps] = {}

    def one_by_one(self) -> None:
        """Single maps of casebase's."""
        for number in range(SINGLES):
            self.method.raw(self.images[number : number + 1], self.classes[number : number + 1])

    def passes(self) -> None:
        """What a single map cannot do without: one pass forward, one back to the layer."""
        module = self.network.module
        for number in range(SINGLES):
            seen: list[torch.Tensor] = []
            tapped = module.get_submodule(LAYER)
            handle = tapped.register_forward_hook(lambda _part, _given, out, seen=seen: seen.append(out))
            try:
                scores = module(torch.from_numpy(self.images[number]).unsqueeze(0))
            finally:
                handle.remove()
            torch.autograd.grad(scores[0, self.classes[number]], seen[0])

    def many(self) -> None:
        """All maps at once, by the method."""
        self.found[MANY] = np.stack([one.values for one in self.method.raw(self.images, self.classes)])

    def closed(self) -> None:
        """All maps at once, from the forward pass; caches are empty, and the check that it holds is part of it."""
        names = self.network.classes or ()
        passes = Passes(self.network, names)
        views = {str(number): view for number, view in enumerate(self.views)}
        pairs = [(str(number), names[one]) for number, one in enumerate(self.classes)]
        maps = passes.maps(GRADCAM, MethodSettings(), pairs, views, passes.read(views))
        self.found[CLOSED] = np.stack([maps[pair].values for pair in pairs])

    def example(self) -> None:
        """All maps as torchcam's README makes one."""
        from torchcam.methods import GradCAM

        model, maps = self.network.module, []
        with GradCAM(model, LAYER) as extractor:
            for image, one in zip(torch.from_numpy(self.images), self.classes, strict=True):
                out = model(image.unsqueeze(0))
                maps.append(extractor(one, out)[0][0].numpy())
        self.found[EXAMPLE] = np.stack(maps)

    def many_alone(self) -> None:
        """The same without the help of other cores."""
        with one_thread_each(), mock.patch("casebase.explain.saliency.cam.cores", return_value=1):
            self.many()

    def example_alone(self) -> None:
        """The same on one thread: torch's threads wait for each other where other work is running."""
        with one_thread_each():
            self.example()


def furthest(one: Maps, other: Maps) -> float:
    """The largest absolute difference of maps ``(N, h, w)``, each scaled to [0, 1]."""
    pairs = [[scaled(found, "gradcam", "", "", {}).values for found in maps] for maps in (one, other)]
    return float(np.abs(np.stack(pairs[0]) - np.stack(pairs[1])).max())


def run(options: Options) -> Section:
    """Both parts, side by side in one run."""
    photographs = gather(IMAGES, options.scratch)
    tell(f"(g) Grad-CAM of {IMAGES} photographs")
    loaded = backbones.load(backbones.Wanted(str(photographs.weights), arch="resnet18"))
    network = ExplainedNetwork(_named(loaded))
    pixels = [network.preprocess.pixels(reading.read(file).image) for file in photographs.files]
    views = np.stack([pixels[number % len(pixels)] for number in range(IMAGES)])
    return measured(Prepared(network, views), options.rounds, photographs.about)


def measured(prepared: Prepared, count: int, about: str) -> Section:
    """The section of the results."""
    contenders = [
        Contender(ONE, prepared.one_by_one), Contender(PASS, prepared.passes), Contender(MANY, prepared.many),
        Contender(CLOSED, prepared.closed), Contender(EXAMPLE, prepared.example),
        Contender(MANY_ALONE, prepared.many_alone), Contender(EXAMPLE_ALONE, prepared.example_alone),
    ]  # fmt: skip
    laps = rounds(contenders, count, tell=tell)
    wall: Mapping[str, list[float]] = {name: [lap.wall for lap in laps[name]] for name in laps}
    expected = prepared.found[EXAMPLE]

    def same(name: str) -> list[Check]:
        return [Check("largest difference of scaled maps", furthest(prepared.found[name], expected),
                      Bar(SAME, at_least=False), 6)]  # fmt: skip

    rows = [
        Row("(g1) gradcam of one class ÷ forward + backward to the layer", spread(ratios(wall[ONE], wall[PASS])), "×",
            2, Bar(1.35, at_least=False)),
        Row(f"(g2) gradcam of {IMAGES} images: rate ÷ that of torchcam's example",
            spread(ratios(wall[EXAMPLE], wall[MANY])), "×", 2, Bar(2.0), same(MANY)),
        Row("the same with one thread on either side", spread(ratios(wall[EXAMPLE_ALONE], wall[MANY_ALONE])), "×", 2,
            note="what batches give without cores: a single image keeps one busy as well"),
        Row("the closed form of pooling and one linear layer: rate ÷ that of torchcam's example",
            spread(ratios(wall[EXAMPLE], wall[CLOSED])), "×", 2, None, same(CLOSED)),
        Row(MANY, spread(rates(laps[MANY], IMAGES)), " maps/s", 1),
        Row(CLOSED, spread(rates(laps[CLOSED], IMAGES)), " maps/s", 1),
        Row(EXAMPLE_ALONE, spread(rates(laps[EXAMPLE_ALONE], IMAGES)), " maps/s", 1),
        Row(EXAMPLE, spread(rates(laps[EXAMPLE], IMAGES)), " maps/s", 1),
        Row(ONE, spread(rates(laps[ONE], SINGLES)), " maps/s", 1),
    ]  # fmt: skip
    told = (
        f"{about}; torch's own number of threads ({torch.get_num_threads()}) for single images, {cores()} cores. "
        f"(g1) times {SINGLES} images one by one; the passes beside it stop at the layer. (g2) holds `gradcam`, which "
        "any network can have, to the bar; the closed form, by which `query` and `errors` answer for this network, "
        "stands beside it."
    )
    return Section("(g) Grad-CAM", told, rows)


def _named(loaded: Any) -> Any:
    """Class names, where the weights bring none: the closed form is asked by name."""
    outputs = ExplainedNetwork(loaded).anatomy.outputs
    return loaded if loaded.classes is not None else loaded.with_classes([f"class {i}" for i in range(outputs)])
