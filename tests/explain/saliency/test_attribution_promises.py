"""What every attribution method promises: nothing of the user's is disturbed, and a map depends on its image alone."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from casebase.errors import MissingExtra, ModelError, UsageError
from casebase.explain.saliency.catalogue import METHODS
from casebase.explain.saliency.method import degenerate
from casebase.networks import backbones
from casebase.networks.explained import ExplainedNetwork
from tests.explain.saliency.attributed import NAMES, RANDOM, SIZE, Convolved, Explained, built, noise, values

pytest.importorskip("captum")
pytest.importorskip("lime")

EVERY = pytest.mark.parametrize("name", NAMES)


class Failing(Convolved):
    """Refuses the third pass."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        if self.passes > 2:
            raise RuntimeError("out of memory, say")
        return super().forward(x)


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Fails unless mode, weights, gradients, hooks and global generators are afterwards as they were."""
    module.train()
    module.norm.eval()
    module.conv.bias.requires_grad_(False)
    module.head.weight.grad = torch.full_like(module.head.weight, 7.0)
    seen: list[str] = []
    handle = module.norm.register_forward_hook(lambda *_: seen.append("forward"))
    backward = module.norm.register_full_backward_hook(lambda *_: seen.append("backward"))
    modes = {name: part.training for name, part in module.named_modules()}
    asks = {name: p.requires_grad for name, p in module.named_parameters()}
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    chance = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  # the old one is global
    try:
        yield
    finally:
        assert {name: part.training for name, part in module.named_modules()} == modes
        assert {name: p.requires_grad for name, p in module.named_parameters()} == asks
        assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
        grads = {name: p.grad for name, p in module.named_parameters()}
        assert (grads.pop("head.weight") == 7).all()
        assert all(grad is None for grad in grads.values())
        assert seen == []
        assert list(module.norm._forward_hooks) == [handle.id]
        assert list(module.norm._backward_hooks) == [backward.id]
        assert all(not part._forward_pre_hooks for part in module.modules())
        assert module.relu.inplace
        assert random.getstate() == chance[0]
        assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), chance[1], strict=True))  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), chance[2])


@EVERY
def test_nothing_of_the_users_is_disturbed(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    module = Convolved()
    images = noise(2)
    kept = images.copy()
    background = noise(5, seed=9)
    network = Explained(module)
    with undisturbed(module):
        found = values(built(name, network, background=background), images, [0, 2])
    assert np.isfinite(found).all()
    assert (images == kept).all()
    assert (background == noise(5, seed=9)).all()
    assert not network.lock.locked()
    assert capfd.readouterr() == ("", "")


@EVERY
def test_nor_when_the_network_fails_in_between(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    module = Failing()
    network = Explained(module)
    with undisturbed(module):
        method = built(name, network)
        with pytest.raises(RuntimeError, match="out of memory, say"):
            method.raw(noise(2), [0, 1])
    assert not network.lock.locked()
    assert capfd.readouterr() == ("", "")


@EVERY
def test_the_callers_array_may_be_read_only(name: str) -> None:
    images = noise(1)
    images.setflags(write=False)
    assert np.isfinite(values(built(name, Convolved()), images, [1])).all()


@EVERY
def test_the_lock_is_held_whenever_the_network_is_asked(name: str) -> None:
    module, seen = Convolved(), []
    network = Explained(module)
    module.head.forward = lambda x: (seen.append(network.lock.locked()), nn.functional.linear(x, module.head.weight))[1]
    method = built(name, network)
    seen.clear()
    network.locked = True
    method.raw(noise(1), [0])
    assert all(seen)
    assert network.locked
    assert seen or network.largest


@EVERY
@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients_get_the_same_map(name: str, around: Callable[[], object]) -> None:
    module, images = Convolved(), noise(1)
    expected = values(built(name, module), images, [1])
    with around():
        assert (values(built(name, module), images, [1]) == expected).all()


@EVERY
def test_frozen_weights_get_the_same_map(name: str) -> None:
    module = Convolved()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    assert (values(built(name, module), noise(1), [1]) == values(built(name, Convolved()), noise(1), [1])).all()


@EVERY
def test_a_map_does_not_depend_on_what_else_is_in_the_call(name: str) -> None:
    images, targets = noise(3), [2, 0, 1]
    together = values(built(name, Convolved()), images, targets)
    method = built(name, Convolved())
    alone = np.concatenate([values(method, images[i : i + 1], [targets[i]]) for i in (2, 1, 0)])[::-1]
    assert together.shape == (3, *SIZE)
    assert together.dtype == np.float32
    assert (together == alone).all()
    assert not np.allclose(together[0], together[1])


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_means_a_map(name: str) -> None:
    first, again, other = (values(built(name, Convolved(), seed=seed), noise(1), [1]) for seed in (5, 5, 6))
    assert (first == again).all()
    assert not np.allclose(first, other)


@pytest.mark.parametrize("name", RANDOM)
def test_seeds_of_any_size_are_taken(name: str) -> None:
    seed = 2**63 + 11 if name != "rise" else 2**63
    assert np.isfinite(values(built(name, Convolved(), seed=seed), noise(1), [1])).all()


@EVERY
def test_the_global_generators_do_not_move_a_map(name: str) -> None:
    expected = values(built(name, Convolved()), noise(1), [1])
    torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
    assert (values(built(name, Convolved()), noise(1), [1]) == expected).all()


@pytest.mark.parametrize("name", ["smoothgrad", "shap"])
def test_networks_explained_at_the_same_time_do_not_share_chance(name: str) -> None:
    """Both libraries draw from the process's generators."""
    methods = [built(name, Convolved(), seed=seed) for seed in range(4)]
    expected = [values(method, noise(1), [1]) for method in methods]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda method: values(method, noise(1), [1]), methods * 3))
    assert all((one == expected[i % 4]).all() for i, one in enumerate(found))


@EVERY
def test_an_image_that_is_no_number_gets_no_clean_map_and_spoils_no_other(name: str) -> None:
    images = noise(3)
    images[1, 0, 2, 2] = np.nan
    found = values(built(name, Convolved()), images, [0, 0, 0])
    assert np.isnan(found[1]).all()
    assert (found[[0, 2]] == values(built(name, Convolved()), images[[0, 2]], [0, 0])).all()


@EVERY
def test_scores_that_are_no_numbers_get_no_clean_map(name: str) -> None:
    """The class asked for is whole, another one is not."""
    module = Convolved()
    module.head.weight.data[0, 0] = float("nan")
    (found,) = built(name, module).raw(noise(1), [1])
    assert np.isnan(found.values).all()
    assert found.values.shape == SIZE


@pytest.mark.parametrize("name", ["lime", "occlusion", "rise"])
def test_a_sample_that_breaks_the_network_gives_no_clean_map(name: str) -> None:
    class Brittle(Convolved):
        def forward(self, x: Tensor) -> Tensor:
            whole = (x[:, 0, 0, 0] - 2.5).abs() < 1e-5
            return torch.where(whole[:, None], super().forward(x), torch.nan)

    images = noise(1)
    images[0, 0, 0, 0] = 2.5
    assert np.isfinite(values(built(name, Convolved()), images, [1])).all()
    (found,) = built(name, Brittle()).raw(images, [1])
    assert degenerate(found.values) == "the map is not finite"


@EVERY
def test_no_batch_is_larger_than_asked_for(name: str) -> None:
    largest = 0

    class Counting(Convolved):
        def forward(self, x: Tensor) -> Tensor:
            nonlocal largest
            largest = max(largest, len(x))
            return super().forward(x)

    built(name, Counting(), batch=3, samples=11, background=noise(8)).raw(noise(5), [0] * 5)
    assert largest == 3


@EVERY
def test_facts_are_json_and_name_library_and_score(name: str) -> None:
    method = built(name, Convolved(), seed=4)
    (found,) = method.raw(noise(1), [1])
    own = {key: value for key, value in found.facts.items() if key != "segments"}
    said = json.loads(json.dumps([dict(method.facts), own], allow_nan=False))
    assert {"library", "score"} <= set(said[0])
    if name in RANDOM:
        assert said[0]["seed"] == 4
        assert {**said[0], **said[1]}["samples"] == 12


@EVERY
def test_signed_is_what_the_catalogue_says(name: str) -> None:
    found = values(built(name, Convolved()), noise(4), [0, 1, 2, 0])
    assert (found.min() < 0) == METHODS[name].signed


@EVERY
def test_what_cannot_be_asked_for_is_said(name: str) -> None:
    method = built(name, Convolved())
    with pytest.raises(UsageError, match="there is no class number 3; the network has 0 to 2"):
        method.raw(noise(1), [3])
    with pytest.raises(UsageError, match="no class number -1"):
        method.raw(noise(1), [-1])
    with pytest.raises(UsageError, match="2 images and 1 classes were given"):
        method.raw(noise(2), [0])
    assert method.raw(noise(0), []) == []


@pytest.mark.parametrize("name", ["lime", "occlusion", "rise"])
def test_one_class_is_refused_where_its_probability_is_always_one(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name} watches a class's probability"):
        built(name, Convolved(classes=1))


@pytest.mark.parametrize("name", ["integrated-gradients", "smoothgrad", "shap"])
def test_one_class_has_a_gradient(name: str) -> None:
    assert degenerate(values(built(name, Convolved(classes=1)), noise(1), [0])[0]) is None


@EVERY
def test_passes_are_about_as_many_as_said(name: str) -> None:
    """Forward passes of one map at the defaults; a backward pass counts two."""
    passes = 0

    class Counting(Convolved):
        def forward(self, x: Tensor) -> Tensor:
            nonlocal passes
            passes += len(x) * (3 if x.requires_grad else 1)
            return super().forward(x)

    size = (64, 64)
    method = built(name, Explained(Counting(), size), samples=None, batch=16)
    passes = 0
    method.raw(noise(1, size), [0])
    assert passes == pytest.approx(METHODS[name].passes, rel=0.2)


class TinyTransformer(nn.Module):
    """torchvision's vision transformer: two blocks over 4 x 4 patches, a head that is not zero."""

    def __new__(cls) -> nn.Module:
        from torchvision.models import VisionTransformer

        torch.manual_seed(1)
        made = VisionTransformer(
            image_size=16, patch_size=4, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=3
        )
        nn.init.normal_(made.heads.head.weight)
        return made.eval()


@EVERY
def test_a_vision_transformer_is_explained_too(name: str) -> None:
    network = Explained(TinyTransformer(), (16, 16))
    found = values(built(name, network, samples=40), noise(2, (16, 16)), [0, 2])
    assert found.shape == (2, 16, 16)
    assert [degenerate(one) for one in found] == [None, None]


@EVERY
def test_the_explained_network_itself_is_taken(name: str) -> None:
    """An untrained ResNet-18, whose fast engine answers where no gradient is needed."""
    network = ExplainedNetwork(backbones.blueprint("torchvision:resnet18", 4, seed=0))
    size = (64, 64)
    (found,) = built(name, network, samples=8).raw(noise(1, size), [1])
    assert found.values.shape == size
    assert degenerate(found.values) is None


@pytest.mark.parametrize(
    ("name", "library"),
    [("integrated-gradients", "captum"), ("smoothgrad", "captum"), ("occlusion", "captum"), ("lime", "lime")],
)
def test_an_absent_library_is_named_with_its_extra(name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, library)
    with pytest.raises(MissingExtra) as caught:
        built(name, Convolved())
    assert str(caught.value) == f"{name} needs {library}, which is not installed; pip install 'casebase[saliency]'"


def test_shap_is_missing_only_without_captum_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "shap")
    assert "stand_in" in built("shap", Convolved()).facts
    without(monkeypatch, "captum")
    with pytest.raises(MissingExtra, match=r"shap needs shap \(or captum\), which is not .*'casebase\[saliency\]'"):
        built("shap", Convolved())


def test_rise_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("captum", "shap", "lime", "skimage"):
        without(monkeypatch, library)
    assert np.isfinite(values(built("rise", Convolved()), noise(1), [0])).all()


def test_the_catalogue_loads_no_optional_library() -> None:
    code = (
        "import sys; import casebase.explain.saliency.catalogue; "
        "print(sorted({'captum', 'shap', 'lime', 'skimage', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


def without(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """As if it were not installed."""
    for name in [library, *(name for name in sys.modules if name.startswith(f"{library}."))]:
        monkeypatch.setitem(sys.modules, name, None)
