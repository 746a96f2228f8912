"""Grad-CAM against values worked out by hand, and against what libraries and networks do to each other.

CAM-A and CAM-B: a map of two channels, A1 = [[1, 2], [3, 4]] and A2 = [[0, 1], [1, 0]], under two heads whose gradients
are known. CAM-A is average pooling and the weights (0.5, 1), so the gradients are constant; CAM-B gives every cell a
gradient of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from casebase.errors import NoTargetLayer
from casebase.explain.saliency.cams import BATCH, GradCam
from casebase.explain.saliency.guard import safe_copy
from casebase.explain.saliency.method import Saliency, scaled
from casebase.explanations import SaliencyMap

A = np.array([[[[1, 2], [3, 4]], [[0, 1], [1, 0]]]], np.float32)  # (1, 2, 2, 2)


class Pooled(nn.Module):
    """Scores from the mean of a map; class 1 has the weights (0.5, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.tap, self.head = nn.Identity(), nn.Linear(2, 2, bias=False)
        self.head.weight.data = torch.tensor([[-1.0, 0.25], [0.5, 1.0]])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.tap(x).mean((2, 3)))


class Flat(nn.Module):
    """Scores from every cell: g1 = [[1, 0], [-1, 2]] and g2 = [[2, 1], [0, -1]] for the only class."""

    def __init__(self) -> None:
        super().__init__()
        self.tap, self.head = nn.Identity(), nn.Linear(8, 1, bias=False)
        self.head.weight.data = torch.tensor([[1.0, 0, -1, 2, 2, 1, 0, -1]])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.tap(x).flatten(1))


class Convolved(nn.Module):
    """A convolution, a norm, pooling and a linear head; ``inplace`` overwrites the map after it was seen."""

    def __init__(self, *, inplace: bool, functionally: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.relu, self.head = nn.ReLU(inplace=inplace), nn.Linear(5, 3)
        self.inplace, self.functionally = inplace, functionally

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        x = functional.relu(x, inplace=self.inplace) if self.functionally else self.relu(x)
        return self.head(x.mean((2, 3)))


def raw(method: Saliency, images: np.ndarray, targets: Sequence[int]) -> np.ndarray:
    """Maps (N, h, w)."""
    return np.stack([one.values for one in method.raw(images, targets)])


def explained(
    method: Saliency, images: np.ndarray, targets: Sequence[int], names: Sequence[str], ids: Sequence[str]
) -> list[SaliencyMap]:
    """Scaled maps."""
    found = method.raw(images, targets)
    return [
        scaled(one.values, "gradcam", name, image, method.facts)
        for one, name, image in zip(found, names, ids, strict=True)
    ]


def grad_cam(module: nn.Module, layer: str = "tap") -> GradCam:
    return GradCam(module.eval(), layer, threading.Lock())


def images(count: int, size: tuple[int, int] = (8, 6)) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 3, *size)).astype(np.float32)


def test_cam_a() -> None:
    method = grad_cam(Pooled())
    assert raw(method, A, [1])[0] == pytest.approx(np.array([[0.125, 0.5], [0.625, 0.5]]))
    (found,) = explained(method, A, [1], ["owl"], ["query"])
    assert found.values == pytest.approx(np.array([[0, 0.75], [1, 0.75]]))
    assert (found.method, found.target, found.image_id, found.layer) == ("gradcam", "owl", "query", "tap")
    assert found.degenerate is None


def test_cam_b() -> None:
    """A gradient that differs from cell to cell is averaged first: LayerCAM and XGrad-CAM would differ here."""
    method = grad_cam(Flat())
    assert raw(method, A, [0])[0] == pytest.approx(np.array([[0.5, 1.5], [2, 2]]))
    assert explained(method, A, [0], ["x"], ["y"])[0].values == pytest.approx(np.array([[0, 2 / 3], [1, 1]]))


def test_the_map_is_that_of_the_class_asked_for() -> None:
    """Class 0 has the weights (-1, 0.25) / 4: only cells where A2 outweighs A1 would remain, and there are none."""
    found = explained(grad_cam(Pooled()), np.repeat(A, 2, 0), [0, 1], ["a", "b"], ["1", "2"])
    assert found[0].degenerate == "the map is zero everywhere"
    assert not found[0].values.any()
    assert found[1].degenerate is None


def test_grad_cam_is_cam_where_the_head_is_pooling_and_one_linear_layer() -> None:
    """Zhou et al. 2016: the class's row of the head times the map; Grad-CAM's weights are that row over h w."""
    module = Convolved(inplace=False).eval()
    batch = images(4)
    found = raw(grad_cam(module, "relu"), batch, [0, 1, 2, 0])
    with torch.no_grad():
        maps = module.relu(module.norm(module.conv(torch.from_numpy(batch))))
        rows = module.head.weight[[0, 1, 2, 0]]
        closed = torch.einsum("nd,ndhw->nhw", rows, maps).relu() / (8 * 6)
    assert found == pytest.approx(closed.numpy(), abs=1e-6)
    assert found.shape == (4, 8, 6)


def test_a_batch_gives_the_maps_of_its_images_alone() -> None:
    method = grad_cam(Convolved(inplace=False), "relu")
    batch, targets = images(BATCH + 3), [i % 3 for i in range(BATCH + 3)]
    together = raw(method, batch, targets)
    alone = np.concatenate([raw(method, batch[i : i + 1], targets[i : i + 1]) for i in range(len(batch))])
    assert together == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize("functionally", [False, True])
def test_an_activation_that_overwrites_the_map_does_not_move_it(*, functionally: bool) -> None:
    """torchvision's ResNets (a module) and DenseNets (a function) do that to what a hook has seen."""
    kept = raw(grad_cam(Convolved(inplace=False, functionally=functionally), "norm"), images(3), [0, 1, 2])
    moved = raw(grad_cam(Convolved(inplace=True, functionally=functionally), "norm"), images(3), [0, 1, 2])
    assert moved == pytest.approx(kept, abs=1e-6)


def test_the_callers_network_is_left_as_it_was() -> None:
    module = Convolved(inplace=True)
    seen: list[str] = []
    handle = module.norm.register_forward_hook(lambda *_: seen.append("hook"))
    module.train()
    module.norm.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    batch = images(3)
    kept = batch.copy()
    raw(GradCam(module, "norm", threading.Lock()), batch, [0, 1, 2])
    assert module.training
    assert not module.norm.training
    assert module.relu.inplace
    assert seen == []  # the copy carries no hook of the caller's
    assert list(module.norm._forward_hooks) == [handle.id]
    assert all(p.grad is None for p in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert (batch == kept).all()


def test_no_hook_is_left_on_the_copy_and_a_second_call_gives_the_same() -> None:
    method = grad_cam(Convolved(inplace=True), "norm")
    first = raw(method, images(2), [0, 1])
    assert all(not part._forward_hooks and not part._backward_hooks for part in method._module.modules())
    assert (raw(method, images(2), [0, 1]) == first).all()


def test_a_copy_shares_the_weights() -> None:
    module = Convolved(inplace=True)
    copied = safe_copy(module)
    assert copied.conv.weight.data_ptr() == module.conv.weight.data_ptr()
    assert copied.norm.running_mean.data_ptr() == module.norm.running_mean.data_ptr()
    assert not copied.relu.inplace


def test_a_failing_pass_leaves_no_hook_and_no_lock() -> None:
    lock = threading.Lock()
    method = GradCam(Convolved(inplace=False), "norm", lock)
    with pytest.raises(RuntimeError):
        raw(method, np.zeros((1, 4, 8, 6), np.float32), [0])  # four channels instead of three
    assert not lock.locked()
    assert all(not part._forward_hooks for part in method._module.modules())


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients_get_their_map(around: type) -> None:
    method = grad_cam(Pooled())
    with around():
        found = raw(method, A, [1])
    assert found[0] == pytest.approx(np.array([[0.125, 0.5], [0.625, 0.5]]))


def test_frozen_weights_get_their_map() -> None:
    module = Pooled()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    assert raw(grad_cam(module), A, [1])[0] == pytest.approx(np.array([[0.125, 0.5], [0.625, 0.5]]))


def test_several_threads_get_the_maps_of_one() -> None:
    method = grad_cam(Convolved(inplace=True), "norm")
    batch = images(12)
    serial = [raw(method, batch[i : i + 1], [i % 3]) for i in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: raw(method, batch[i : i + 1], [i % 3]), range(12)))
    assert all((one == other).all() for one, other in zip(serial, found, strict=True))


def test_scores_that_are_no_numbers_give_no_clean_map() -> None:
    module = Pooled()
    module.head.weight.data[0, 0] = float("nan")  # the class asked for is 1, whose own row is whole
    (found,) = explained(grad_cam(module), A, [1], ["x"], ["y"])
    assert found.degenerate == "the map is not finite"
    assert not found.values.any()


def test_one_bad_image_does_not_spoil_the_others() -> None:
    batch = np.concatenate([A, np.full_like(A, np.nan), A])
    found = explained(grad_cam(Pooled()), batch, [1, 1, 1], ["x"] * 3, ["a", "b", "c"])
    assert [one.degenerate for one in found] == [None, "the map is not finite", None]


def test_a_map_that_is_the_same_everywhere_says_nothing() -> None:
    (found,) = explained(grad_cam(Pooled()), np.ones_like(A), [1], ["x"], ["y"])
    assert found.degenerate == "the map is the same everywhere"
    assert not found.values.any()


def test_maps_cannot_be_changed_afterwards() -> None:
    (found,) = explained(grad_cam(Pooled()), A, [1], ["x"], ["y"])
    with pytest.raises(ValueError, match="read-only"):
        found.values[0, 0] = 1


def test_a_network_without_places_is_refused_with_a_way_out() -> None:
    with pytest.raises(NoTargetLayer, match="--no-overlays"):
        GradCam(Pooled(), None, threading.Lock())
