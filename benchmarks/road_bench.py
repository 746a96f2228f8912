"""(g) ROAD combined against pytorch-grad-cam's default, on the same maps, photograph and network.

Both take the nine fractions 10 % … 90 % away in both orders and impute what is missing. What is timed is what each does
by default; that both mean the same is shown apart, under the conventions of the other: cut by percentile, imputed in
normalised pixels, without noise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import cores
from benchmarks.options import Options, tell
from benchmarks.photographs import gather
from benchmarks.results import Section
from benchmarks.timing import Bar, Check, Contender, Row, Spread, ratios, rounds, spread
from casebase import clock, reading
from casebase.evaluate.saliency import road
from casebase.evaluate.saliency.metric import BenchSettings, Subject
from casebase.networks import backbones
from casebase.networks.explained import ExplainedNetwork
from casebase.overlay import enlarge

TITLE = "(g) ROAD combined"
OURS, THEIRS = "casebase", "pytorch-grad-cam"
PHOTOGRAPHS = 8
"""The first is asked about; the others are there for batch statistics."""
MOST_ROUNDS = 5
ALIKE = 1e-5
"""Most that the two values may differ."""
SHARPENED = 10.0
"""What scores of a network with random weights are multiplied by, so that the softmax of its 1,000 classes moves."""
PARITY = BenchSettings(road_rule="percentile", road_space="normalised", road_noise=0.0)


class Contest:
    """One photograph, the network that both ask, and how many images each has asked it about."""

    def __init__(self, network: ExplainedNetwork, views: NDArray[np.uint8], *, trained: bool) -> None:
        self._module, preprocess = network.module, network.preprocess
        self._sharp = 1.0 if trained else SHARPENED
        if not trained:
            settle(self._module, preprocess.normalise(views))
        self.images = 0
        self._module.register_forward_pre_hook(self._count)
        mean, std = (np.asarray(of, np.float32).reshape(1, 3, 1, 1) for of in (preprocess.mean, preprocess.std))
        fed = preprocess.normalise(views[:1])
        self._target = int(self._softmax(fed)[0].argmax())
        self._subject = Subject(
            key="photograph", name="photograph", fed=fed[0], unit=fed[0] * std[0] + mean[0], target=self._target,
            before=float("nan"), predict=self._predict, raw=np.zeros((7, 7), np.float32),
            predict_unit=lambda images: self._predict((images - mean) / std),
        )  # fmt: skip

    def ours(self, values: NDArray[np.float32], settings: BenchSettings | None = None) -> float:
        """ROAD combined by the metric of the bench, p(x) asked for here."""
        from dataclasses import replace

        (metric,) = road.METRICS
        subject = replace(self._subject, before=float(self._predict(self._subject.fed[None])[0]))
        found = metric.score(values, subject, settings or BenchSettings()).figures["road_combined"]
        return float("nan") if found is None else found

    def theirs(self, values: NDArray[np.float32]) -> float:
        """ROAD combined by pytorch-grad-cam, with all that it takes by default and the softmax of the same class."""
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its imputer uses what NumPy and SciPy deprecate
            from pytorch_grad_cam.metrics.road import ROADCombined

            target = [lambda scores: torch.softmax(scores * self._sharp, dim=-1)[self._target]]
            images = torch.from_numpy(self._subject.fed[None])
            return float(ROADCombined()(images, values[None], target, self._module)[0])

    def counted(self, run: Callable[[], object]) -> int:
        """Images that the network was asked about meanwhile."""
        before = self.images
        run()
        return self.images - before

    def _count(self, _: Any, given: tuple[Any, ...]) -> None:
        self.images += len(given[0])

    def _softmax(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            scores = self._module(torch.from_numpy(np.ascontiguousarray(images, np.float32)))
            return torch.softmax(scores * self._sharp, dim=1).numpy().astype(np.float64)

    def _predict(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        return self._softmax(images)[:, self._target]


def settle(module: Any, images: NDArray[np.float32]) -> None:
    """Give a network with random weights the batch statistics of ``images (N, 3, H, W)``: else it answers all alike."""
    import torch

    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None  # the mean over what it sees
    module.train()
    with torch.no_grad():
        module(torch.from_numpy(images))
    module.eval()


def maps(height: int, width: int) -> Mapping[str, NDArray[np.float32]]:
    """Two made-up maps in [0, 1] without equal values: as smooth as a CAM's, and as scattered as a SHAP's."""
    random = clock.generator(0)
    smooth = enlarge(random.random((7, 7)).astype(np.float32), (height, width))
    smooth = smooth + 1e-3 * random.random((height, width)).astype(np.float32)
    scattered = random.permutation(height * width).reshape(height, width).astype(np.float32)
    return {
        name: ((values - values.min()) / np.ptp(values)).astype(np.float32)
        for name, values in (("a smooth map", smooth), ("a scattered map", scattered))
    }


@contextmanager
def without_noise() -> Iterator[None]:
    """pytorch-grad-cam's imputer with noise 0, which its metrics offer no way to ask for."""
    from unittest import mock

    from pytorch_grad_cam.metrics.road import NoisyLinearImputer

    plain = NoisyLinearImputer.__init__
    with mock.patch.object(NoisyLinearImputer, "__init__", lambda self: plain(self, noise=0.0)):
        yield


def run(options: Options) -> Section:
    """Passes, values and time of both, map by map."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pytorch_grad_cam
    except ImportError:
        return Section(TITLE, "not run: pytorch-grad-cam is not installed (pip install 'casebase[oracles]')", [])
    del pytorch_grad_cam
    photographs = gather(PHOTOGRAPHS, options.scratch)
    network = ExplainedNetwork(backbones.load(backbones.Wanted("torchvision:resnet18", weights=photographs.weights)))
    views = np.stack([network.preprocess.pixels(reading.read(file).image) for file in photographs.files])
    contest = Contest(network, views, trained=photographs.real_weights)
    rows: list[Row] = []
    for name, values in maps(*network.preprocess.crop).items():
        tell(f"{TITLE}: {name}")
        rows += _rows(contest, name, values, min(MOST_ROUNDS, options.rounds))
    random = f", with the batch statistics of the photographs and scores times {SHARPENED:g}"
    about = (
        f"The first of {photographs.about}{'' if photographs.real_weights else random}; nine fractions, both orders, "
        f"{cores()} cores; the same fp32 module for both. Passes are images that went through the network, with p(x)."
    )
    return Section(TITLE, about, rows)


def _rows(contest: Contest, name: str, values: NDArray[np.float32], count: int) -> list[Row]:
    ours, theirs = contest.counted(lambda: contest.ours(values)), contest.counted(lambda: contest.theirs(values))
    with without_noise():
        alike = contest.ours(values, PARITY), contest.theirs(values)

    def lap(run: Callable[[NDArray[np.float32]], float]) -> Mapping[str, float]:
        run(values)
        return {}

    contenders = [Contender(OURS, lambda: lap(contest.ours)), Contender(THEIRS, lambda: lap(contest.theirs))]
    laps = rounds(contenders, count, tell=tell)
    wall = {who: [one.wall for one in laps[who]] for who in (OURS, THEIRS)}
    cpu = {who: [one.cpu for one in laps[who]] for who in (OURS, THEIRS)}
    equal = Check(
        f"{alike[0]:.6f} and {alike[1]:.6f} differ by", abs(alike[0] - alike[1]), Bar(ALIKE, at_least=False), 8
    )
    asked = Check(f"passes of {THEIRS}", float(theirs), Bar(2.0 * (ours - 1)), 0)
    return [
        Row(
            f"{name}: forward passes",
            Spread(float(ours), ours, ours, 1),
            "",
            0,
            Bar(19, at_least=False),
            [asked, equal],
        ),
        Row(f"{name}: {OURS} ÷ {THEIRS}, seconds", spread(ratios(wall[OURS], wall[THEIRS])), "×", 2),
        Row(f"{name}: {OURS}, CPU", spread(cpu[OURS]), " s", 2),
        Row(f"{name}: {THEIRS}, CPU", spread(cpu[THEIRS]), " s", 2),
    ]
