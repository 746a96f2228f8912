"""The last stage is found by what modules hand on, verified, and cached so that a kill costs one batch."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from casebase.errors import ModelError, NoTargetLayer
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.loaded import Loaded
from casebase.networks.prototypes.stage import cached_inputs, cached_maps, last_stage
from casebase.reading import Preprocess
from tests.networks.conftest import small, views_for

ALL_SAME = Preprocess(None, (16, 16), "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def network(spec: str) -> ExplainedNetwork:
    return ExplainedNetwork(small(spec))


def made(module: nn.Module, layer: str | None = None) -> ExplainedNetwork:
    loaded = Loaded(module.eval(), "tests:made", ALL_SAME, classes=("a", "b"), layer=layer, untrained=True)
    return ExplainedNetwork(loaded)


@pytest.mark.parametrize(
    ("spec", "first", "given"),
    [
        ("torchvision:resnet18", "layer4.0", (256, 4, 4)),
        ("torchvision:mobilenet_v2", "features.14", (96, 4, 4)),
        ("torchvision:densenet121", "features.transition3.pool", (512, 4, 4)),
        ("torchvision:squeezenet1_1", "features.8", (256, 7, 7)),
        ("timm:efficientnet_b0", "blocks.5.0", (112, 4, 4)),
        ("torchvision:googlenet", "maxpool4", (832, 4, 4)),
    ],
)
def test_it_begins_where_resolution_is_last_lost_and_gives_the_networks_own_maps(
    spec: str, first: str, given: tuple[int, ...]
) -> None:
    found = network(spec)
    stage = last_stage(found)
    assert stage.names[0] == first
    assert stage.given == given
    assert stage.dtype == "float16"
    views = views_for(found.loaded, 2)
    inputs = stage.inputs(views)
    with torch.no_grad():
        maps = stage(torch.from_numpy(inputs)).numpy()
    assert maps == pytest.approx(found.read_maps(views)[1], abs=1e-3 * float(np.abs(maps).max()))


def test_its_weights_are_its_own_under_the_names_they_have_in_the_network() -> None:
    found = network("torchvision:resnet18")
    stage = last_stage(found)
    names = dict(found.module.named_parameters())
    tuned = stage.tuned()
    assert set(tuned) == {name for name in names if name.startswith("layer4.")}
    before = names["layer4.0.conv1.weight"].clone()
    with torch.no_grad():
        for value in stage.parts.parameters():
            value.add_(1.0)
    assert torch.equal(names["layer4.0.conv1.weight"], before)
    assert torch.equal(stage.tuned()["layer4.0.conv1.weight"], before + 1)
    assert torch.equal(tuned["layer4.0.conv1.weight"], before)  # a copy of that moment
    assert {name.split(".")[0] for name in stage.state_dict()} == {"parts"}
    assert not any(part.training or getattr(part, "inplace", False) for part in stage.parts.modules())
    assert all(value.requires_grad for value in stage.parts.parameters())
    assert not found.module._forward_pre_hooks


class Shared(nn.Module):
    """The last block runs twice, so it is no stage that can be cut off."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.fc = inner, nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.inner(self.inner(x)).mean((2, 3)))


def test_a_network_without_such_a_stage_is_told_what_else_there_is() -> None:
    with pytest.raises(ModelError, match=r"its last stage cannot be tuned by itself; use --profile signed"):
        last_stage(made(Shared(nn.Conv2d(3, 3, 3, padding=1))))
    with pytest.raises(NoTargetLayer, match="tokens"):
        last_stage(ExplainedNetwork(small("timm:test_vit", size=None)))


def test_large_inputs_are_kept_in_single_precision() -> None:
    torch.manual_seed(0)
    first, last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, 2, 1)
    parts = OrderedDict(
        first=first, last=last, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(4, 2)
    )  # fmt: skip
    assert last_stage(made(nn.Sequential(parts))).dtype == "float16"
    with torch.no_grad():
        first.weight.mul_(1e4)
    stage = last_stage(made(nn.Sequential(parts)))
    assert (stage.names, stage.dtype) == (("last",), "float32")


def test_inputs_of_images_and_mirror_images_are_cached_once(tmp_path: Path, resnet: ExplainedNetwork) -> None:
    stage = last_stage(resnet)
    views = views_for(resnet.loaded, 3)
    told: list[tuple[str, int, int]] = []

    class Counted:
        seen = 0

        def __len__(self) -> int:
            return len(views)

        def __getitem__(self, rows: np.ndarray) -> np.ndarray:
            Counted.seen += len(rows)
            if Counted.seen == 6:
                raise KeyboardInterrupt
            return views[rows]

    def watch(name: str, done: int, total: int) -> None:
        told.append((name, done, total))

    with pytest.raises(KeyboardInterrupt):
        cached_inputs(stage, Counted(), tmp_path, {}, batch=2, watch=watch)
    cache = cached_inputs(stage, Counted(), tmp_path, {}, batch=2, watch=watch)
    assert Counted.seen == 8  # two batches, the one that was lost, and it again
    assert told[-2:] == [("stage inputs", 4, 6), ("stage inputs", 6, 6)]
    inputs = cache.rows(np.arange(6))
    assert inputs[:3] == pytest.approx(stage.inputs(views), rel=2**-10, abs=1e-4)
    assert inputs[3:] == pytest.approx(stage.inputs(views[:, :, ::-1].copy()), rel=2**-10, abs=1e-4)
    maps = cached_maps(stage, cache, tmp_path, {}, batch=4, watch=watch)
    with torch.no_grad():
        assert maps.rows(np.arange(6)) == pytest.approx(stage(torch.from_numpy(inputs)).numpy(), abs=1e-5)
