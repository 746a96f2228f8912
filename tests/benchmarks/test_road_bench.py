"""What the ROAD part holds against its bar: passes are counted in the network, and both values are one."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.road_bench import ALIKE, PARITY, Contest, maps, without_noise
from casebase.reading import Preprocess

SIDE = 24


def contest() -> Contest:
    """A tiny network with random weights that answers each image differently."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(24, 5),
    ).eval()  # fmt: skip
    preprocess = Preprocess(None, (SIDE, SIDE), "bilinear", (0.48, 0.45, 0.4), (0.22, 0.23, 0.24))
    views = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
    return Contest(SimpleNamespace(module=module, preprocess=preprocess), views, trained=False)


def test_maps_lie_in_0_to_1_and_no_two_values_are_equal() -> None:
    for values in maps(SIDE, SIDE).values():
        assert (values.min(), values.max()) == (0, 1)
        assert np.unique(values).size == np.unique(1 - values).size == SIDE * SIDE


@pytest.mark.parametrize("name", ["a smooth map", "a scattered map"])
def test_ours_asks_nineteen_times_theirs_thirty_six_and_both_say_the_same(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pytorch_grad_cam")
    one, values = contest(), maps(SIDE, SIDE)[name]
    assert one.counted(lambda: one.ours(values)) == 19
    assert one.counted(lambda: one.theirs(values)) == 36
    with without_noise():
        ours, theirs = one.ours(values, PARITY), one.theirs(values)
    assert abs(ours - theirs) <= ALIKE
    assert abs(ours) > 100 * ALIKE
