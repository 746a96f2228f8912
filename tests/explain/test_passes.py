"""Forward passes shared between answers: Grad-CAM in closed form is torchcam's, and only where the gradient says so."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from casebase.explain.album import Shelf
from casebase.explain.passes import BATCH, GRADCAM, Passes, shares, side_by_side
from casebase.explain.saliency import cams
from casebase.explain.saliency.method import MethodSettings
from casebase.explain.saliency.pooled import is_head_over_cells
from casebase.networks.devices import one_thread_each
from casebase.networks.explained import ExplainedNetwork
from casebase.ports import Reading
from tests.networks.conftest import small, views_for

CLOSED = ("torchvision:resnet18", "torchvision:mobilenet_v2", "torchvision:efficientnet_b0", "casebase:resnet10")
BY_GRADIENT = ("torchvision:densenet121", "torchvision:squeezenet1_1", "torchvision:vgg11")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def oracle(network: ExplainedNetwork, views: np.ndarray, targets: list[int]) -> np.ndarray:
    method = cams.gradcam(network)
    return np.stack([one.values for one in method.raw(network.preprocess.normalise(views), targets)])


def asked(network: ExplainedNetwork, views: np.ndarray, names: list[str]) -> tuple[Passes, np.ndarray]:
    passes = Passes(network, network.classes or ())
    by_key = {f"v{i}": view for i, view in enumerate(views)}
    pairs = [(f"v{i}", name) for i, name in enumerate(names)]
    reads = passes.read(by_key) if passes.closed else {}
    found = passes.maps("gradcam", MethodSettings(), pairs, by_key, reads)
    return passes, np.stack([found[pair].values for pair in pairs])


@pytest.mark.parametrize("spec", CLOSED)
def test_the_closed_form_is_torchcams_map(spec: str) -> None:
    network = ExplainedNetwork(small(spec))
    views, targets = views_for(network.loaded, 4), [0, 3, 1, 4]
    passes, found = asked(network, views, [f"class {t}" for t in targets])
    expected = oracle(network, views, targets)
    assert passes.closed
    assert passes.facts(GRADCAM, MethodSettings())["layer"] == network.spatial_layer
    assert expected.max() > 0
    assert found == pytest.approx(expected, abs=1e-4 * float(expected.max()))


@pytest.mark.parametrize("spec", BY_GRADIENT)
def test_other_networks_are_left_to_torchcam(spec: str) -> None:
    network = ExplainedNetwork(small(spec))
    views, targets = views_for(network.loaded, 2), [0, 3]
    passes, found = asked(network, views, [f"class {t}" for t in targets])
    assert not passes.closed
    assert (found == oracle(network, views, targets)).all()
    assert str(passes.facts(GRADCAM, MethodSettings())["library"]).startswith("torchcam")
    assert passes.facts(GRADCAM, MethodSettings())["layer"] == network.spatial_layer


def test_transformers_have_maps_although_their_anatomy_has_no_spatial_layer() -> None:
    """Random weights: 10 x 10 cells of a picture of 160 x 160, at the layer that is recorded."""
    network = ExplainedNetwork(small("timm:test_vit", size=None))
    views, targets = views_for(network.loaded, 2), [0, 3]
    passes, found = asked(network, views, [f"class {t}" for t in targets])
    assert network.spatial_layer is None
    assert found.shape == (2, 10, 10)
    assert (found.reshape(2, -1).max(1) > 0).all()
    assert (found == oracle(network, views, targets)).all()
    assert passes.facts(GRADCAM, MethodSettings())["layer"] == "blocks.5.norm1"


def test_a_network_read_in_bf16_has_the_map_of_that_reading() -> None:
    """The closed form uses the features that were compared, so it is as coarse as they are, and no coarser."""
    network = ExplainedNetwork(small("casebase:resnet10"), precision="bf16")
    views, targets = views_for(network.loaded, 3), [0, 1, 2]
    _, found = asked(network, views, [f"class {t}" for t in targets])
    expected = oracle(network, views, targets)
    assert found == pytest.approx(expected, abs=0.03 * float(expected.max()))


class Headed(nn.Module):
    """A convolution, ``between`` and a mean under one linear layer; ``twice`` runs the tapped layer twice."""

    def __init__(self, between: nn.Module, *, twice: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.tap, self.between, self.head = nn.Conv2d(3, 6, 3), nn.ReLU(), between, nn.Linear(6, 4)
        self.twice = twice

    def forward(self, x: Tensor) -> Tensor:
        x = self.tap(self.conv(x))
        if self.twice:
            x = self.tap(x)
        return self.head(self.between(x).mean((2, 3)))


@pytest.mark.parametrize(
    ("between", "twice", "holds"),
    [
        (nn.Identity(), False, True),
        (nn.Dropout(0.5), False, True),  # nothing in eval mode
        (nn.ReLU(), False, False),  # changes no value, but no gradient passes where the map is 0
        (nn.ReLU(inplace=True), False, False),
        (nn.Softplus(), False, False),
        (nn.MaxPool2d(2), False, False),
        (nn.Identity(), True, False),
    ],
)
def test_what_stands_between_map_and_head_decides(between: nn.Module, *, twice: bool, holds: bool) -> None:
    module = Headed(between, twice=twice).eval()
    head = module.head.weight.detach().numpy()
    assert is_head_over_cells(module, "tap", head, (12, 12), threading.Lock()) is holds


def test_another_networks_head_does_not_pass() -> None:
    module = Headed(nn.Identity()).eval()
    wrong = module.head.weight.detach().numpy()[::-1].copy()
    assert not is_head_over_cells(module, "tap", wrong, (12, 12), threading.Lock())
    assert not is_head_over_cells(module, "tap", wrong[:, :3], (12, 12), threading.Lock())


class Counting:
    """A network that counts what is read of it."""

    def __init__(self, network: ExplainedNetwork) -> None:
        self._network, self.batches = network, list[int]()

    def __getattr__(self, name: str) -> object:
        return getattr(self._network, name)

    def read_maps(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.batches.append(len(views))
        return self._network.read_maps(views)

    def read(self, views: np.ndarray) -> Reading:
        self.batches.append(len(views))
        return self._network.read(views)


@pytest.fixture(scope="module")
def resnet10() -> ExplainedNetwork:
    return ExplainedNetwork(small("casebase:resnet10"))


def test_a_picture_is_read_once_and_passes_are_batched(
    resnet10: ExplainedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casebase.explain.passes.cores", lambda: 1)
    network = Counting(resnet10)
    passes = Passes(network, resnet10.classes or ())  # type: ignore[arg-type]  # everything else is passed on
    views = {f"v{i}": view for i, view in enumerate(views_for(resnet10.loaded, BATCH + 5))}
    first = passes.read(views)
    assert sorted(network.batches) == [10, 11]
    first_time = list(network.batches)
    again = passes.read({"v3": views["v3"], "new": views["v1"]})
    assert network.batches == [*first_time, 1]
    assert again["v3"] is first["v3"]
    passes.probabilities(np.stack(list(views.values())))
    assert sorted(network.batches) == [1, 10, 10, 11, 11]


@pytest.mark.parametrize("count", [0, 1, 3, BATCH, BATCH + 1, 5 * BATCH + 3])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_core_gets_as_much(count: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casebase.explain.passes.cores", lambda: workers)
    parts = shares(range(count))
    assert [item for part in parts for item in part] == list(range(count))
    sizes = [len(part) for part in parts]
    assert max(sizes, default=0) <= BATCH
    assert max(sizes[:-1], default=0) == min(sizes[:-1], default=0), "all but the last are of one size"
    assert len(parts) <= workers * -(-count // (BATCH * workers)), "no lap more than needed"


def test_passes_side_by_side_leave_torch_as_it_was(resnet10: ExplainedNetwork) -> None:
    views = views_for(resnet10.loaded, 6)
    seen: list[int] = []

    def work(rows: range) -> np.ndarray:
        seen.append(torch.get_num_threads())
        return resnet10.read(views[rows[0] : rows[-1] + 1]).features

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        found = side_by_side(work, [range(3), range(3, 6)])
        assert (seen, torch.get_num_threads()) == ([1, 1], 3)
        with one_thread_each():
            with one_thread_each():
                pass
            assert torch.get_num_threads() == 1, "the outer one still holds"
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert np.concatenate(found) == pytest.approx(resnet10.read(views).features, abs=1e-5)


def test_one_pass_gives_the_softmax_of_every_class(resnet10: ExplainedNetwork) -> None:
    passes = Passes(resnet10, resnet10.classes or ())
    views = views_for(resnet10.loaded, 3)
    softmax = resnet10.read(views).probabilities
    assert softmax is not None
    assert passes.probabilities(views) == pytest.approx(softmax, abs=1e-6)
    assert [passes.place(f"class {number}") for number in (2, 0, 4)] == [2, 0, 4]
    assert passes.probabilities(views[:0]).shape == (0, len(resnet10.classes or ()))


def test_a_map_is_the_same_whatever_else_is_in_the_batch(resnet10: ExplainedNetwork) -> None:
    views = views_for(resnet10.loaded, BATCH + 3)
    _, together = asked(resnet10, views, [f"class {i % 5}" for i in range(len(views))])
    for i in (0, 7, BATCH + 2):
        _, alone = asked(resnet10, views[i : i + 1], [f"class {i % 5}"])
        assert together[i] == pytest.approx(alone[0], abs=1e-5)


def test_a_shelf_keeps_the_most_recently_used_within_its_limit() -> None:
    shelf: Shelf[bytes] = Shelf(10, len)
    for key in "abc":
        shelf.put(key, b"1234")  # a makes room for c
    assert [shelf.get(key) is None for key in "abc"] == [True, False, False]
    assert shelf.bytes == 8
    assert shelf.get("b") is not None  # now c is the oldest
    shelf.put("d", b"12")
    shelf.put("e", b"1234")
    assert [shelf.get(key) is None for key in "bcde"] == [False, True, False, False]
    shelf.put("e", b"1")
    assert shelf.bytes == 4 + 2 + 1
    shelf.put("huge", b"x" * 11)
    assert (shelf.bytes, shelf.get("huge")) == (0, None)
