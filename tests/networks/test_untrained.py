"""The random-network control: the same architecture, nothing left of what was learnt."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from casebase.networks import backbones
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.untrained import randomised, redrawn


def _trained() -> ExplainedNetwork:
    """A small network whose every parameter and batch statistic has been moved from its start."""
    loaded = backbones.load(backbones.Wanted("casebase:resnet10", pretrained=False, seed=0))
    with torch.no_grad():
        for value in [*loaded.module.parameters(), *loaded.module.buffers()]:
            if value.is_floating_point():
                value.add_(0.1)
    network = ExplainedNetwork(loaded, batch_size=7)
    return network.with_head(np.ones((3, 512), np.float32), np.zeros(3, np.float32), ["a", "b", "c"])


def test_every_weight_is_drawn_anew_and_batch_statistics_start_over() -> None:
    network = _trained()
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    found = randomised(network, 5)
    state = found.module.state_dict()
    for name, value in state.items():
        if name.endswith("running_mean"):
            assert not value.any()
        elif name.endswith("running_var"):
            assert (value == 1).all()
        elif value.is_floating_point() and value.shape == before[name].shape:
            assert (value != before[name]).all(), name
    for name, value in network.module.state_dict().items():
        assert torch.equal(value, before[name]), f"{name} of the original was changed"


def test_the_same_seed_gives_the_same_network_and_another_seed_another() -> None:
    network = _trained()
    views = np.random.default_rng(0).integers(0, 255, (3, 104, 104, 3)).astype(np.uint8)
    one, same, other = (randomised(network, seed).read(views).features for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)
    assert not np.allclose(one, network.read(views).features)


def test_it_sees_what_the_explained_network_sees_and_predicts_nothing() -> None:
    network = _trained()
    found = randomised(network, 0)
    assert found.preprocess == network.preprocess
    assert found.batch_size == 7
    assert found.untrained
    assert found.classes is None
    views = np.zeros((2, 104, 104, 3), np.uint8)
    assert found.read(views).probabilities is None
    assert found.read(views).features.shape == (2, 512)


class _Own(nn.Module):
    """A user's module with a parameter that no part of it draws."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)
        self.token = nn.Parameter(torch.full((4,), 9.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.conv(images)).mean(dim=(2, 3)) + self.token)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_users_own_module_is_redrawn_to_the_last_parameter(seed: int) -> None:
    module = _Own()
    with torch.no_grad():
        for value in [*module.parameters(), module.norm.running_mean, module.norm.running_var]:
            value.fill_(9.0)
    found = redrawn(module, seed)
    assert not any((value == 9.0).any() for value in found.state_dict().values())
    assert found.get_parameter("token").std() < 0.1
    assert (module.token == 9.0).all()
    again = redrawn(module, seed)
    assert all(torch.equal(a, b) for a, b in zip(found.state_dict().values(), again.state_dict().values(), strict=True))


class _Norm(nn.LayerNorm):
    """A norm that a library derives from torch's."""


class _Stubborn(nn.Linear):
    """A layer whose way of drawing weights leaves them as they are; its module is made to look like a library's."""

    def reset_parameters(self) -> None:
        pass


_Stubborn.reset_parameters.__module__ = "timm.layers.stubborn"


def test_derived_norms_start_at_one_and_what_a_module_leaves_is_drawn_all_the_same() -> None:
    module = nn.Sequential(_Norm(8), _Stubborn(8, 8))
    with torch.no_grad():
        for value in module.parameters():
            value.copy_(torch.rand_like(value))
    found = redrawn(module, 0)
    assert torch.equal(found[0].weight, torch.ones(8))
    assert not found[0].bias.any()
    assert not torch.equal(found[1].weight, module[1].weight)
    assert found[1].weight.std() < 0.05
