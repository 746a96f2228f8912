"""What every class activation map leaves as it was, also where it fails, and under which callers it works."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from casebase.errors import ModelError
from casebase.explain.saliency import cams
from casebase.explain.saliency.guard import cut, heard, safe_copy, spared
from casebase.explain.saliency.method import MethodSettings
from tests.explain.saliency.nets import NAMES, Convolved, Network, make, noise, raw


class Used:
    """A network somebody is in the middle of using: modes mixed, hooks on, gradients there, weights partly frozen."""

    def __init__(self) -> None:
        self.module = Convolved(inplace=True)
        self.module.train()
        self.module.norm.eval()
        self.module.conv.bias.requires_grad_(False)
        for number, parameter in enumerate(self.module.parameters()):
            if number % 2:
                parameter.grad = torch.full_like(parameter, 0.25)
        self.heard: list[str] = []
        self.module.norm.register_forward_hook(lambda *_: self.heard.append("forward"))
        self.module.conv.register_forward_pre_hook(lambda *_: self.heard.append("before"))
        self.module.head.register_full_backward_hook(lambda *_: self.heard.append("backward"))
        self.network = Network(nn.Identity(), (8, 8))
        self.network.module = self.module  # not in eval mode, as ``Network`` would make it

    def state(self) -> list[object]:
        """Everything that could have been touched."""
        parts = list(self.module.modules())
        tensors = [*self.module.parameters(), *self.module.buffers()]
        return [
            [part.training for part in parts],
            [getattr(part, "inplace", None) for part in parts],
            [(list(p._forward_hooks), list(p._forward_pre_hooks), list(p._backward_hooks)) for p in parts],
            [(t.requires_grad, t.data_ptr(), t.tolist()) for t in tensors],
            [None if t.grad is None else (t.grad.data_ptr(), t.grad.tolist()) for t in tensors],
            list(self.heard),
            torch.get_rng_state().tolist(),
            [np.asarray(one).tolist() for one in np.random.get_state()[1:3]],  # noqa: NPY002  # the global one is meant
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            self.network.lock.locked(),
        ]


def build(name: str, network: Network, layer: str) -> object:
    (method,) = (one for one in cams.METHODS if one.name == name)
    return method.build(network, MethodSettings(layer=layer))


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_as_it_was(name: str) -> None:
    used, batch = Used(), noise(3)
    kept, before = batch.copy(), used.state()
    first = raw(build(name, used.network, "relu"), batch, [0, 1, 2])
    assert first.max() > 0
    assert used.state() == before
    assert (batch == kept).all()


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_as_it_was_after_a_failure(name: str) -> None:
    """The pass fails behind the layer: hooks are on, the lock is held, gradients are wanted."""
    used, batch = Used(), noise(3)
    kept, before = batch.copy(), used.state()
    method = build(name, used.network, "relu")
    copied = method._copies[0]

    def fail(*_: object) -> None:
        raise RuntimeError("broken in the middle")

    handle = copied.head.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="broken in the middle"):
        method.raw(batch, [0, 1, 2])
    handle.remove()
    assert used.state() == before
    assert (batch == kept).all()
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in copied.modules())
    assert raw(method, batch, [0, 1, 2]).max() > 0, "and it still works"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layer", ["nowhere", "head"])
def test_a_refused_layer_leaves_everything_as_it_was(name: str, layer: str) -> None:
    used = Used()
    before = used.state()
    with pytest.raises(ModelError):
        build(name, used.network, layer)
    assert used.state() == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients_get_the_same_map(name: str, around: type) -> None:
    expected = raw(make(name, Convolved(inplace=True), "relu"), noise(2), [0, 1])
    with around():
        found = raw(make(name, Convolved(inplace=True), "relu"), noise(2), [0, 1])
    assert (found == expected).all()


@pytest.mark.parametrize("name", NAMES)
def test_frozen_weights_give_the_same_map(name: str) -> None:
    module = Convolved(inplace=True)
    expected = raw(make(name, module, "relu"), noise(2), [0, 1])
    module.requires_grad_(False)
    assert (raw(make(name, module, "relu"), noise(2), [0, 1]) == expected).all()
    assert not any(p.requires_grad for p in module.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_network_made_in_inference_mode_has_its_map(name: str) -> None:
    """Its weights are tensors that no gradient may pass."""
    expected = raw(make(name, Convolved(inplace=True), "relu"), noise(2), [0, 1])
    with torch.inference_mode():
        module = Convolved(inplace=True)
    assert (raw(make(name, module, "relu"), noise(2), [0, 1]) == expected).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shared", [True, False])
def test_several_threads_on_one_network_get_the_maps_of_one(name: str, *, shared: bool) -> None:
    """With one method for all threads, and with one for each: the lock is the network's."""
    network, batch = Network(Convolved(inplace=True), (8, 8)), noise(12)
    method = build(name, network, "relu")
    serial = [raw(method, batch[i : i + 1], [i % 3]) for i in range(12)]

    def work(i: int) -> np.ndarray:
        return raw(method if shared else build(name, network, "relu"), batch[i : i + 1], [i % 3])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(12)))
    assert all((one == other).all() for one, other in zip(serial, found, strict=True))


def test_calls_wait_for_whoever_holds_the_network() -> None:
    network = Network(Convolved(inplace=True), (8, 8))
    method = build("gradcam", network, "relu")
    done = threading.Event()
    thread = threading.Thread(target=lambda: (method.raw(noise(1), [0]), done.set()))
    with network.lock:
        thread.start()
        assert not done.wait(0.1)
    thread.join(10)
    assert done.is_set()


def test_a_copy_shares_the_weights_and_follows_them() -> None:
    module = Convolved(inplace=True)
    copied = safe_copy(module)
    assert copied.conv.weight.data_ptr() == module.conv.weight.data_ptr()
    assert copied.norm.running_mean.data_ptr() == module.norm.running_mean.data_ptr()
    assert not copied.relu.inplace
    assert not any(p.requires_grad for p in copied.parameters())
    with torch.no_grad():
        module.head.bias.add_(1)
    assert torch.equal(copied.head.bias, module.head.bias)


def test_weights_that_are_one_stay_one_in_the_copy() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    module[1].weight = module[0].weight
    copied = safe_copy(module)
    assert copied[1].weight is copied[0].weight


def test_no_hook_outlives_its_block() -> None:
    module = Convolved(inplace=False)
    for guard in (cut(module, "norm"), spared(module, "norm"), heard(module)):
        with pytest.raises(KeyError), guard:
            raise KeyError
    assert all(not part._forward_hooks for part in module.modules())


def test_a_layer_that_runs_twice_is_seen_twice_and_no_memory_grows() -> None:
    module = Convolved(inplace=False)
    with cut(module, "norm") as seen:
        for _ in range(5):
            module(torch.from_numpy(noise(1)))
    assert len(seen) == 2
