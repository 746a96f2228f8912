"""Which layer is explained, how it lies over the picture, and what is said where a layer cannot serve.

Every network has random weights and reads small images: what is shown is that its code path works, not that its maps
make sense.
"""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from casebase.errors import ModelError, NoTargetLayer
from casebase.explain.saliency import cams
from casebase.explain.saliency.method import MethodSettings
from casebase.explain.saliency.names import METHOD_NAMES
from casebase.explain.saliency.watching import Layout, watch
from casebase.networks.explained import ExplainedNetwork
from tests.explain.saliency.nets import Convolved, Deep, Network, found, make, noise, raw
from tests.networks.conftest import small

# spec: images' side, layer, layout, grid, activation, whether it is overwritten afterwards
KNOWN = {
    "torchvision:resnet50": (64, "layer4", "map", (2, 2), "post", False),
    "casebase:resnet10": (64, "layer4", "map", (2, 2), "post", False),
    "timm:test_resnet": (96, "layer4", "map", (3, 3), "post", False),
    "torchvision:densenet121": (64, "features", "map", (2, 2), "pre", True),
    "timm:densenet121": (64, "features", "map", (2, 2), "post", False),
    "torchvision:mobilenet_v2": (64, "features", "map", (2, 2), "post", False),
    "torchvision:mobilenet_v3_small": (64, "features", "map", (2, 2), "post", False),
    "torchvision:efficientnet_b0": (64, "features", "map", (2, 2), "post", False),
    "timm:test_efficientnet": (64, "bn2", "map", (2, 2), "post", False),
    "torchvision:convnext_tiny": (64, "features", "map", (2, 2), "pre", False),
    "timm:test_convnext": (64, "norm_pre", "map", (2, 2), "pre", False),
    "torchvision:squeezenet1_1": (64, "features", "map", (3, 3), "post", False),
    "torchvision:googlenet": (64, "inception5b", "map", (2, 2), "post", False),
    "torchvision:swin_t": (64, "permute", "map", (2, 2), "pre", False),
    "timm:test_mambaout": (None, "stages", "channels last", (5, 5), "pre", False),
    "timm:test_vit": (None, "blocks.5.norm1", "tokens, the first 1 dropped", (10, 10), "pre", False),
    "timm:pvt_v2_b0": (64, "stages", "map", (2, 2), "pre", False),
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("spec", KNOWN)
def test_the_layer_of_known_networks_and_a_map_at_it(spec: str) -> None:
    """Random weights, small images: the layer, its layout and its grid, and a map of that grid for every class."""
    size, layer, layout, grid, activation, overwritten = KNOWN[spec]
    network = ExplainedNetwork(small(spec, outputs=3, size=size))
    method = cams.gradcam(network)
    assert (method.facts["layer"], method.facts["layout"], tuple(method.facts["grid"])) == (layer, layout, grid)
    assert (method.facts["activation"], method.facts["overwritten_downstream"]) == (activation, overwritten)
    pictures = noise(1, network.preprocess.crop).repeat(3, 0)
    maps = raw(method, pictures, [0, 1, 2])
    assert maps.shape == (3, *grid)
    assert np.isfinite(maps).all()
    assert maps.any(), "not one of the three classes has a map"


def vgg16() -> nn.Module:
    """VGG-16's convolutions under three linear layers that are narrower than its own."""
    with torch.device("meta"):  # its own have 120 million weights, which take seconds to draw
        module = torchvision.models.vgg16(weights=None)
    module.features.to_empty(device="cpu")
    torch.manual_seed(0)
    for part in module.features:
        if isinstance(part, nn.Conv2d):
            part.reset_parameters()
    narrow = (nn.Linear(25088, 16), nn.ReLU(inplace=True), nn.Linear(16, 16), nn.ReLU(inplace=True), nn.Linear(16, 3))
    module.classifier = nn.Sequential(*narrow)
    return module


def timm_swin() -> nn.Module:
    """timm's Swin, one narrow block in each of two stages."""
    torch.manual_seed(0)
    chosen = {"img_size": 64, "window_size": 4, "embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2)}
    return timm.create_model("swin_tiny_patch4_window7_224", num_classes=3, **chosen)


def test_vgg16() -> None:
    """Random weights, 64 x 64: the ReLU before the last pooling, although the anatomy's last map is the pooled one."""
    module = vgg16()
    target = found(module, (64, 64), proposed="avgpool")
    assert (target.name, target.layout.grid, target.activation) == ("features.29", (4, 4), "post")
    before = found(module, (64, 64), named="features.28")
    assert (before.activation, before.overwritten) == ("pre", True)
    maps = raw(cams.gradcam(Network(module, (64, 64))), noise(3, (64, 64)), [0, 1, 2])
    assert maps.shape == (3, 4, 4)
    assert maps.any()


def test_timms_vgg() -> None:
    """A narrow one, random weights."""
    module = timm.models.vgg.VGG(cfg=[8, "M", 8, 8, "M"], num_classes=2)
    assert found(module, (32, 32)).name == "features.6"


def test_timms_swin() -> None:
    """A narrow one, random weights: its last norm, channels last inside."""
    target = found(timm_swin(), (64, 64))
    assert (target.name, target.layout) == ("norm", Layout("channels last", (8, 8), 32))


@pytest.mark.parametrize("network", ["vit", "timm_swin"])
@pytest.mark.parametrize("name", ["gradcam", "gradcam++", "layercam", "xgradcam", "scorecam", "eigencam"])
def test_every_method_lays_transformers_out(network: str, name: str) -> None:
    """Random weights."""
    module, side, cells = (vit(), 32, 4) if network == "vit" else (timm_swin(), 64, 8)
    (method,) = (one for one in cams.METHODS if one.name == name)
    maps = raw(method.build(Network(module, (side, side)), MethodSettings()), noise(2, (side, side)), [0, 1])
    assert maps.shape == (2, cells, cells)
    assert np.isfinite(maps).all()
    assert maps.any()


def vit(*, outputs: int = 3, zero_head: bool = False) -> nn.Module:
    """torchvision's vision transformer with two narrow layers on 32 x 32; its head is made of zeros and filled here."""
    torch.manual_seed(0)
    module = torchvision.models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=outputs
    )
    if not zero_head:
        nn.init.normal_(module.heads.head.weight, std=0.1)
    return module


def test_torchvisions_vision_transformer() -> None:
    """Random weights, the head re-initialised."""
    target = found(vit(), (32, 32))
    assert target.name == "encoder.layers.encoder_layer_1.ln_1"
    assert target.layout == Layout("tokens", (4, 4), 16, prefix=1)
    maps = raw(cams.gradcam(Network(vit(), (32, 32))), noise(3, (32, 32)), [0, 1, 2])
    assert maps.shape == (3, 4, 4)
    assert (maps.reshape(3, -1).max(1) > 0).all()


def test_score_cam_covers_a_transformers_picture_channel_by_channel() -> None:
    """Random weights."""
    assert make("scorecam", vit(), "encoder.layers.encoder_layer_1.ln_1", (32, 32)).facts["passes"] == 16 + 2


def test_a_head_of_zeros_is_not_the_layers_fault() -> None:
    """torchvision starts so. The map is zero and will say so; the layer is not refused."""
    method = cams.gradcam(Network(vit(zero_head=True), (32, 32)))
    assert not raw(method, noise(1, (32, 32)), [0]).any()


@pytest.mark.parametrize("layer", ["encoder.layers.encoder_layer_1", "encoder.layers", "encoder.ln", "encoder"])
def test_layers_whose_places_nobody_reads_are_refused(layer: str) -> None:
    """Behind the last attention only the class token goes on: every map there would be exactly zero."""
    with pytest.raises(
        NoTargetLayer, match=f"behind the layer '{layer}' the scores read the class token alone"
    ) as told:
        found(vit(), (32, 32), named=layer)
    assert "layers that could serve: encoder.layers.encoder_layer_1.ln_1, " in str(told.value)
    assert f" {layer}," not in str(told.value).partition("could serve")[2]


@pytest.mark.parametrize("layer", ["blocks.5", "norm"])
def test_timms_last_layers_are_refused_where_the_class_token_is_read_and_only_there(layer: str) -> None:
    named = timm.create_model("test_vit", num_classes=3)
    with pytest.raises(NoTargetLayer, match="the class token alone"):
        found(named, (160, 160), named=layer)
    averaged = timm.create_model("test_vit", num_classes=3, global_pool="avg")
    assert found(averaged, (160, 160), named=layer).layout.grid == (10, 10)


class Tokens(nn.Module):
    """A transformer in four lines: patches of 4 x 4, ``extra`` tokens in front, one block, the mean of all tokens."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.extra = nn.Conv2d(3, 8, 4, stride=4), nn.Parameter(torch.randn(1, extra, 8))
        self.blocks = nn.ModuleList([nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)])
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.extra.expand(len(x), -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("extra", [0, 1, 5])
@pytest.mark.parametrize("size", [(16, 16), (12, 24), (24, 8)])
def test_tokens_without_a_place_are_counted_and_the_grid_follows_the_picture(extra: int, size: tuple[int, int]) -> None:
    target = found(Tokens(extra), size)
    assert target.name == "blocks.0.norm1"
    assert target.layout == Layout("tokens", (size[0] // 4, size[1] // 4), 8, prefix=extra)


def test_tokens_are_laid_out_row_by_row() -> None:
    values = torch.arange(2 * (1 + 6) * 2).reshape(2, 7, 2)
    laid_out = Layout("tokens", (2, 3), 2, prefix=1).places(values)
    assert laid_out.shape == (2, 2, 2, 3)
    assert laid_out[0, 0].tolist() == [[2, 4, 6], [8, 10, 12]]
    assert laid_out[1, 1].tolist() == [[17, 19, 21], [23, 25, 27]]


def test_channels_last_are_turned() -> None:
    values = torch.arange(2 * 3 * 4).reshape(1, 2, 3, 4)
    assert Layout("channels last", (2, 3), 4).places(values)[0, 1].tolist() == [[1, 5, 9], [13, 17, 21]]


class Turned(nn.Module):
    """The same convolution seen as (N, D, h, w) and as (N, h, w, D)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.first, self.last, self.head = (
            nn.Conv2d(3, 6, 2, stride=2),
            nn.ReLU(),
            nn.ReLU(),
            nn.Linear(6, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.last(self.first(self.conv(x)).permute(0, 2, 3, 1)) ** 2).mean((1, 2)))


@pytest.mark.parametrize("size", [(8, 8), (8, 12), (12, 4), (24, 24)])
@pytest.mark.parametrize("name", ["gradcam", "layercam", "gradcam++", "eigencam"])
def test_channels_last_give_the_map_of_channels_first(name: str, size: tuple[int, int]) -> None:
    module = Turned()
    first, last = make(name, module, "first", size), make(name, module, "last", size)
    assert (first.facts["layout"], last.facts["layout"]) == ("map", "channels last")
    assert raw(last, noise(2, size), [0, 1]) == pytest.approx(raw(first, noise(2, size), [0, 1]), abs=1e-6)


def test_the_name_that_was_given_comes_first_then_the_one_asked_for_when_indexing() -> None:
    network = ExplainedNetwork(small("casebase:resnet10", outputs=3), layer="layer3")
    assert cams.gradcam(network).layer == "layer3"
    assert cams.gradcam(network, MethodSettings(layer="layer2")).layer == "layer2"


def test_a_network_inside_another_is_known_as_well() -> None:
    inner = torchvision.models.squeezenet1_1(weights=None, num_classes=4)
    assert found(nn.Sequential(inner, nn.Linear(4, 2)), (64, 64)).name == "0.features"


def test_a_strange_networks_layer_is_the_one_its_anatomy_found() -> None:
    assert found(Deep(), (8, 8), proposed="conv1").name == "conv1"


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("layr4", "no layer 'layr4'; layers that could serve: layer4, "),
        ("", "no layer ''; layers that could serve: layer4, layer3, layer2, layer1, "),
        ("a\x1b[31m", r"no layer 'a.*31m'; layers"),
        (
            "fc",
            r"the layer 'fc' gives a tensor of shape \(N, 3\), which has no places in the picture; layers that could",
        ),
        ("avgpool", r"64x64 pixels leave the layer 'avgpool' a single place.*: layers that could serve: layer4"),
    ],
)
def test_a_layer_that_cannot_serve_is_refused_with_those_that_can(named: str, told: str) -> None:
    module = small("casebase:resnet10", outputs=3, size=None).module
    with pytest.raises(NoTargetLayer, match=told) as raised:
        found(module, (64, 64), named=named)
    assert "\x1b" not in str(raised.value)
    for name in str(raised.value).partition("could serve: ")[2].split(", "):
        assert found(module, (64, 64), named=name).layout.grid > (1, 1)


def test_images_that_leave_a_single_place_are_refused() -> None:
    """The last stage of a ResNet is 32 times coarser than the picture; an earlier layer is not taken in silence."""
    module = small("casebase:resnet10", outputs=3, size=None).module
    with pytest.raises(
        NoTargetLayer, match=r"32x32 pixels leave the layer 'layer4' a single place.*could serve: layer3"
    ):
        found(module, (32, 32), proposed="layer3")
    assert found(module, (32, 32), named="layer3").layout.grid == (2, 2)


def test_images_that_the_network_cannot_read_are_refused() -> None:
    with pytest.raises(ModelError, match="cannot read images of 4x4 pixels"):
        found(Deep(), (4, 4), proposed="relu")


class Aside(nn.Module):
    """One part runs and is not read, one does not run at all, one gives a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.aside, self.idle = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.pair, self.head = Pair(), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        self.aside(x)
        return self.head(self.pair(x)[0].mean((2, 3)))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("aside", "the scores do not depend on the layer 'aside'; layers that could serve: conv$"),
        ("idle", "the layer 'idle' takes no part in this network's forward pass; layers that could serve: conv$"),
        (
            "pair",
            "the layer 'pair' gives no tensor, which has no places in the picture; layers that could serve: conv$",
        ),
    ],
)
def test_layers_beside_the_way_are_refused(named: str, told: str) -> None:
    with pytest.raises(NoTargetLayer, match=told):
        found(Aside(), (8, 8), named=named)


def test_a_network_without_places_is_refused_with_a_way_out() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(NoTargetLayer, match=r"no layer whose output has places in the picture") as raised:
        found(flat, (8, 8))
    _, way_out = str(raised.value).split("such as ")
    assert set(way_out.split(" or ")) <= set(METHOD_NAMES)
    with pytest.raises(NoTargetLayer, match="no layer of it has places in the picture"):
        found(flat, (8, 8), named="2")


def test_watching_looks_at_one_pass_and_changes_nothing() -> None:
    module = Convolved(inplace=True).eval()
    seen = watch(module, (8, 8), keep=["norm", "relu"])
    assert list(seen.shapes) == ["conv", "norm", "relu", "head"]
    assert (seen.overwritten("norm"), seen.overwritten("relu")) == (True, False)
    assert (seen.activation("norm"), seen.activation("relu")) == ("pre", "post")
    assert seen.outputs == 3
    assert module.relu.inplace
    assert not any(part._forward_hooks for part in module.modules())
