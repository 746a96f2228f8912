"""Networks redrawn from the output downwards, and the two sanity checks; every network here is untrained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from casebase.errors import ModelError
from casebase.evaluate.saliency.metric import BenchSettings, Scored
from casebase.evaluate.saliency.redrawn import cascade, runner_up
from casebase.evaluate.saliency.sanity import METRICS, STAGES
from casebase.explain.saliency.catalogue import make
from casebase.explain.saliency.method import MethodSettings
from casebase.networks import backbones
from casebase.networks.explained import ExplainedNetwork
from tests.evaluate.saliency.subjects import subject

RANDOMISATION, OTHER_CLASS = METRICS
FED = np.random.default_rng(0).normal(size=(3, 104, 104)).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> ExplainedNetwork:
    return ExplainedNetwork(backbones.load(backbones.Wanted("casebase:resnet10", pretrained=False, seed=0)))


def same(one: nn.Module, other: nn.Module) -> dict[str, bool]:
    """Whether each parameter of two networks is equal."""
    there = dict(other.named_parameters())
    return {name: torch.equal(value, there[name]) for name, value in one.named_parameters()}


def weights(found: dict[str, bool]) -> dict[str, bool]:
    """Those that are drawn at random; norms start at ones and zeros."""
    return {name: equal for name, equal in found.items() if "bn" not in name and ".1." not in name and name != "bn1"}


def test_every_stage_goes_deeper_and_the_last_has_no_trained_weight(network: ExplainedNetwork) -> None:
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    found = cascade(network, 1)
    assert len(found) == STAGES
    assert found[0].deepest == "fc"
    assert found[-1].deepest == "conv1"
    assert len({stage.deepest for stage in found}) == STAGES
    kept = [sum(weights(same(stage.module, network.module)).values()) for stage in found]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == len(weights(same(network.module, network.module))) - 2
    assert kept[-1] == 0
    for name, value in network.module.state_dict().items():
        assert torch.equal(value, before[name]), f"{name} of the network itself was changed"


def test_the_global_generator_is_left_alone_and_the_seed_decides(network: ExplainedNetwork) -> None:
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one, again, other = (cascade(network, seed)[-1].scores(FED[None]) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


def test_the_first_stage_differs_in_its_head_alone(network: ExplainedNetwork) -> None:
    first = cascade(network, 1)[0]
    with torch.inference_mode():
        features = [
            nn.Sequential(*list(module.children())[:-1])(torch.from_numpy(FED[None]))
            for module in (network.module, first.module)
        ]
    torch.testing.assert_close(*features)
    assert not np.allclose(first.scores(FED[None]), network.scores(FED[None]))


class Tokens(nn.Module):
    """Parameters that no module draws, as in a vision transformer: a token, positions, attention's projection."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.rand(1, 1, 8))
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = type("Norm", (nn.LayerNorm,), {})(8)
        self.head = nn.Linear(8, 3)
        with torch.no_grad():
            for value in self.parameters():
                value.add_(torch.rand_like(value))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), cells], 1)
        return self.head(self.norm(self.attention(tokens, tokens, tokens)[0])[:, 0])


class Bare:
    """What a method needs of a network, around any module."""

    spatial_layer = None

    def __init__(self, module: nn.Module, network: ExplainedNetwork) -> None:
        self.module, self.lock, self.preprocess = module.eval(), network.lock, network.preprocess

    def scores(self, images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.module(torch.from_numpy(images)).numpy()


def test_a_transformers_bare_parameters_are_redrawn_too(network: ExplainedNetwork) -> None:
    module = Tokens()
    found = cascade(Bare(module, network), 0)
    assert not any(same(found[-1].module, module).values())
    assert [stage.deepest for stage in found] == ["head", "norm", "attention.out_proj", "patches", "token"] or (
        found[0].deepest == "head" and found[-1].deepest == "token"
    )
    torch.testing.assert_close(found[-1].module.norm.weight, torch.ones(8))  # a norm starts at one, not at noise
    assert found[-1].module.attention.in_proj_weight.abs().max() > 0


def test_a_torchvision_vit_keeps_nothing() -> None:
    torchvision = pytest.importorskip("torchvision")
    module = torchvision.models.VisionTransformer(32, 16, 2, 2, 16, 32, num_classes=3)
    with torch.no_grad():
        for value in module.parameters():
            value.add_(torch.rand_like(value))
    last = cascade(Bare(module, ExplainedNetwork(backbones.blueprint("casebase:resnet10", seed=0))), 0)[-1]
    assert last.deepest == "class_token"
    assert not any(same(last.module, module).values())


def test_a_network_without_weights_is_refused(network: ExplainedNetwork) -> None:
    with pytest.raises(ModelError, match="no weights"):
        cascade(Bare(nn.Flatten(), network), 0)


def test_the_metric_compares_real_maps_of_every_stage(network: ExplainedNetwork) -> None:
    settings = MethodSettings()
    makers = [(stage.deepest, make("gradcam", stage, settings)) for stage in cascade(network, 3)]
    raw = make("gradcam", network, settings).raw(FED[None], [1])[0].values
    stages = [(name, maker.raw(FED[None], [1])[0].values) for name, maker in makers]
    assert all(one.shape == raw.shape for _, one in stages)
    one = subject(raw=raw, randomised=lambda: stages)
    found = RANDOMISATION.score(np.zeros((104, 104), np.float32), one, BenchSettings())
    assert set(found.figures) == {figure.key for figure in RANDOMISATION.figures}
    assert found.figures["mprt_ssim"] is None  # a map of 4 x 4 cells
    there = found.curves.get("mprt_spearman")
    assert there is not None
    assert found.figures["mprt_spearman"] == pytest.approx(float(np.mean(there[1])))
    assert found.figures["mprt_spearman"] < 0.99


def test_the_original_is_never_averaged_in() -> None:
    raw = np.arange(64.0, dtype=np.float32).reshape(8, 8)
    one = subject(raw=raw, randomised=lambda: [("head", -raw), ("stem", np.zeros_like(raw))])
    found = RANDOMISATION.score(raw, one, BenchSettings()).figures
    assert found["mprt_spearman"] == pytest.approx(-1.0)
    assert found["mprt_spearman_abs"] == pytest.approx(1.0)
    assert found["mprt_all"] is None
    assert found["mprt_blank"] == pytest.approx(0.5)


def test_a_map_of_the_image_alone_fails_the_check() -> None:
    raw = np.random.default_rng(0).random((48, 48)).astype(np.float32)
    one = subject(48, raw=raw, randomised=lambda: [("head", raw), ("stem", raw)], other=lambda: raw)
    found = RANDOMISATION.score(raw, one, BenchSettings()).figures
    assert [found[f"mprt_{name}"] for name in ("spearman", "spearman_abs", "ssim", "hog", "all")] == pytest.approx(
        [1.0] * 5
    )
    assert list(OTHER_CLASS.score(raw, one, BenchSettings()).figures.values()) == pytest.approx([1.0] * 4)


def test_the_runner_up_has_another_map(network: ExplainedNetwork) -> None:
    scores = network.scores(FED[None])[0]
    best, second = np.argsort(-scores)[:2]
    assert runner_up(network, FED, int(best)) == second
    assert runner_up(network, FED, int(second)) == best
    settings = MethodSettings()
    maker = make("gradcam", network, settings)
    raw, other = (maker.raw(FED[None], [int(one)])[0].values for one in (best, second))
    found = OTHER_CLASS.score(raw, subject(raw=raw, other=lambda: other), BenchSettings())
    assert isinstance(found, Scored)
    assert set(found.figures) == {figure.key for figure in OTHER_CLASS.figures}


def test_one_class_has_no_runner_up(network: ExplainedNetwork) -> None:
    only = nn.Sequential(nn.Flatten(), nn.Linear(3 * 104 * 104, 1))
    with pytest.raises(ModelError, match="one class has no runner-up"):
        runner_up(Bare(only, network), FED, 0)


def test_nothing_asked_for_gives_no_figure() -> None:
    raw = np.zeros((4, 4), np.float32)
    for metric in METRICS:
        assert set(metric.score(raw, subject(), BenchSettings()).figures.values()) == {None}
        assert metric.passes(replace(BenchSettings())) >= 1
