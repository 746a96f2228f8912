"""Features, probabilities, maps and heads of networks of many kinds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from casebase.errors import ModelError, NoTargetLayer, UnknownClass, UsageError
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.linear_head import probabilities
from casebase.networks.loaded import Loaded
from casebase.reading import Preprocess
from tests.networks.conftest import small, views_for

CHAIN = Preprocess(40, (32, 32), "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))

KINDS = {
    "torchvision:resnet18": ("layer4", "identity", "fc"),
    "torchvision:mobilenet_v2": ("features", "identity", "classifier.1"),
    "torchvision:densenet121": ("features", "relu", "classifier"),
    "torchvision:squeezenet1_1": ("features", "identity", None),
    "torchvision:shufflenet_v2_x0_5": ("conv5", "identity", "fc"),
    "torchvision:mobilenet_v3_small": ("features", None, "classifier.3"),
    "timm:test_resnet": ("layer4", "identity", "fc"),
    "timm:test_byobnet": ("final_conv", "identity", "head.fc"),
    "timm:test_efficientnet": ("bn2", "identity", "classifier"),
    "timm:test_convnext": ("norm_pre", None, "head.fc"),
    "timm:test_vit": (None, None, "head"),
    "timm:test_mambaout": (None, None, "head.fc"),
}


@pytest.fixture(scope="module")
def networks() -> dict[str, ExplainedNetwork]:
    found = {}
    for spec in KINDS:
        fixed = spec in ("timm:test_vit", "timm:test_mambaout")
        found[spec] = ExplainedNetwork(small(spec, size=None if fixed else 96))
    return found


def plain_scores(network: ExplainedNetwork, views: np.ndarray) -> np.ndarray:
    images = torch.from_numpy(network.preprocess.normalise(views))
    with torch.inference_mode():
        return network.module(images).numpy()


@pytest.mark.parametrize("spec", KINDS)
def test_the_parts_are_found(networks: dict[str, ExplainedNetwork], spec: str) -> None:
    layer, pooling, head = KINDS[spec]
    network = networks[spec]
    assert (network.spatial_layer, network.pooling, network.anatomy.head) == (layer, pooling, head)
    assert network.pooled_exactly == (pooling is not None)
    assert (network.where_unavailable is None) == network.pooled_exactly


@pytest.mark.parametrize("spec", KINDS)
def test_the_fast_engine_gives_the_plain_networks_probabilities(
    networks: dict[str, ExplainedNetwork], spec: str
) -> None:
    network, views = networks[spec], views_for(networks[spec].loaded, 3)
    reading = network.read(views)
    assert reading.features.shape == (3, network.anatomy.dim)
    assert reading.features.dtype == np.float32
    expected = torch.softmax(torch.from_numpy(plain_scores(network, views)), 1).numpy()
    np.testing.assert_allclose(reading.probabilities, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("spec", [s for s, k in KINDS.items() if k[0] is not None])
def test_maps_average_to_features_and_features_score(networks: dict[str, ExplainedNetwork], spec: str) -> None:
    network, views = networks[spec], views_for(networks[spec].loaded, 3)
    features, maps, scores = network.read_maps(views)
    reading = network.read(views)
    np.testing.assert_allclose(features, reading.features, rtol=1e-5, atol=1e-6)
    if network.pooled_exactly:
        np.testing.assert_allclose(maps.mean((2, 3)), features, rtol=1e-4, atol=1e-6)
    if network.pooling == "relu":
        assert maps.min() >= 0
    weight, bias = network.head_weights()
    if weight is not None and bias is not None:
        np.testing.assert_allclose(features @ weight.T + bias, scores, rtol=1e-4, atol=1e-4)
        rows = np.stack([network.class_weights(name) for name in network.classes or ()])
        np.testing.assert_array_equal(rows, weight)


@pytest.mark.parametrize("spec", ["timm:test_vit", "timm:test_mambaout"])
def test_networks_without_a_map_of_places_say_so(networks: dict[str, ExplainedNetwork], spec: str) -> None:
    with pytest.raises(NoTargetLayer, match="no maps"):
        networks[spec].read_maps(views_for(networks[spec].loaded, 1))


@pytest.mark.parametrize("spec", [s for s in KINDS if "convnext" not in s])
def test_a_new_head_answers_as_numpy_does_and_keeps_the_space(networks: dict[str, ExplainedNetwork], spec: str) -> None:
    network = networks[spec]
    views = views_for(network.loaded, 4)
    rng = np.random.default_rng(0)
    before = network.read(views)
    # Scaled so that random features of any size give scores near 1.
    scale = 1.0 / max(1e-9, float(np.linalg.norm(before.features, axis=1).mean()))
    weight = (rng.normal(size=(3, network.anatomy.dim)) * scale).astype(np.float32)
    bias = rng.normal(size=3).astype(np.float32)
    headed = network.with_head(weight, bias, ["a", "b", "c"])
    after = headed.read(views)
    assert headed.fingerprint == network.fingerprint
    assert headed.classifier_fingerprint != network.classifier_fingerprint
    np.testing.assert_array_equal(after.features, before.features)
    np.testing.assert_allclose(after.probabilities, probabilities(before.features, weight, bias), atol=1e-6)
    np.testing.assert_allclose(plain_scores(headed, views), before.features @ weight.T + bias, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(headed.class_weights("b"), weight[1])
    assert network.read(views).probabilities.shape == (4, 5), "the first network keeps its own head"
    again = headed.with_head(weight[:2], bias[:2], ["x", "y"])
    assert again.fingerprint == network.fingerprint
    np.testing.assert_allclose(
        again.read(views).probabilities, probabilities(before.features, weight[:2], bias[:2]), atol=1e-6
    )
    if headed.spatial_layer is not None:
        assert headed.module.get_submodule(headed.spatial_layer) is not None


def test_threads_agree_with_one_after_another(resnet: ExplainedNetwork) -> None:
    views = views_for(resnet.loaded, 48)
    chunks = [views[i : i + 4] for i in range(0, 48, 4)] * 3
    alone = [(resnet.read(c), resnet.read_maps(c)) for c in chunks]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda c: (resnet.read(c), resnet.read_maps(c)), chunks))
    for (one, maps), (other, others) in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.features, other.features)
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        np.testing.assert_array_equal(maps[1], others[1])


def test_hooks_and_training_of_others_are_left_alone() -> None:
    loaded = small("torchvision:resnet18")
    seen: list[int] = []
    loaded.module.get_submodule("layer4").register_forward_hook(lambda m, i, o: seen.append(1))
    network = ExplainedNetwork(loaded)
    seen.clear()
    network.read(views_for(loaded, 2))
    assert not seen, "the engine runs a copy without other people's hooks"
    assert len(network.module.get_submodule("layer4")._forward_hooks) == 1
    assert all(p.requires_grad for p in network.module.parameters())
    assert all(p.grad is None for p in network.module.parameters())


def test_gradients_flow_through_the_module(resnet: ExplainedNetwork) -> None:
    images = torch.randn(1, 3, 64, 64, requires_grad=True)
    kept: list[torch.Tensor] = []
    handle = resnet.module.get_submodule(resnet.spatial_layer or "").register_forward_hook(
        lambda m, i, o: kept.append(o)
    )
    score = resnet.module(images)[0, 0]
    handle.remove()
    (grad,) = torch.autograd.grad(score, kept[0])
    weights = resnet.class_weights("class 0")
    cells = kept[0].shape[2] * kept[0].shape[3]
    np.testing.assert_allclose(grad[0, :, 0, 0].numpy() * cells, weights, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("spec", ["torchvision:resnet18", "torchvision:densenet121", "timm:test_vit"])
def test_bf16_is_close_to_fp32_and_another_space(networks: dict[str, ExplainedNetwork], spec: str) -> None:
    network = networks[spec]
    half = network.with_precision("bf16")
    views = views_for(network.loaded, 4)
    one, other = network.read(views).features, half.read(views).features
    assert other.dtype == np.float32
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    assert cosine.min() > 0.999
    assert half.fingerprint.differences(network.fingerprint) == ["precision: bf16 / fp32"]
    if half.pooled_exactly:
        features, maps, _ = half.read_maps(views)
        np.testing.assert_allclose(maps.mean((2, 3)), features, rtol=1e-4, atol=1e-6)


def test_the_fingerprint_names_weights_and_preprocessing() -> None:
    one, same = ExplainedNetwork(small("timm:test_resnet")), ExplainedNetwork(small("timm:test_resnet"))
    other = ExplainedNetwork(small("timm:test_resnet", seed=1))
    larger = ExplainedNetwork(small("timm:test_resnet", size=96))
    assert one.fingerprint == same.fingerprint
    assert one.classifier_fingerprint == same.classifier_fingerprint
    assert other.fingerprint.weights != one.fingerprint.weights
    assert larger.fingerprint.preprocess != one.fingerprint.preprocess
    renamed = one.with_classes(["v", "w", "x", "y", "z"])
    assert renamed.fingerprint == one.fingerprint
    assert renamed.classifier_fingerprint != one.classifier_fingerprint


def test_a_layer_can_be_named(resnet: ExplainedNetwork) -> None:
    named = ExplainedNetwork(resnet.loaded, layer="layer3")
    assert named.spatial_layer == "layer3"
    assert not named.pooled_exactly
    assert named.fingerprint == resnet.fingerprint, "the embedding is the head's input either way"
    features, maps, _ = named.read_maps(views_for(resnet.loaded, 2))
    assert maps.shape == (2, 256, 4, 4)
    assert features.shape == (2, 512)
    for wrong, told in (("layer9", "no layer 'layer9'"), ("fc", "has no output of shape")):
        with pytest.raises(NoTargetLayer, match=told):
            ExplainedNetwork(resnet.loaded, layer=wrong)


def test_a_named_convolution_gives_its_own_output_and_not_that_of_the_norm_after_it() -> None:
    loaded = small("torchvision:resnet18")
    norm = loaded.module.get_submodule("layer4.1.bn2")
    assert isinstance(norm, torch.nn.BatchNorm2d)
    with torch.no_grad():
        norm.bias.fill_(3.0)
    network = ExplainedNetwork(loaded, layer="layer4.1.conv2")
    views = views_for(loaded, 2)
    seen: list[torch.Tensor] = []
    handle = network.module.get_submodule("layer4.1.conv2").register_forward_hook(lambda *told: seen.append(told[2]))
    with torch.no_grad():
        network.module(torch.from_numpy(network.preprocess.normalise(views)))
    handle.remove()
    assert network.read_maps(views)[1] == pytest.approx(seen[0].numpy(), abs=1e-3)


def test_no_images_give_no_rows(resnet: ExplainedNetwork) -> None:
    none = np.zeros((0, 64, 64, 3), np.uint8)
    assert resnet.read(none).features.shape == (0, 512)
    features, maps, scores = resnet.read_maps(none)
    assert (features.shape, maps.shape, scores.shape) == ((0, 512), (0, 512, 2, 2), (0, 5))


@pytest.mark.parametrize("shape", [(1, 32, 64, 3), (64, 64, 3), (1, 3, 64, 64)])
def test_other_views_are_refused(resnet: ExplainedNetwork, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="uint8 views"):
        resnet.read(np.zeros(shape, np.uint8))
    with pytest.raises(ModelError, match="uint8 views"):
        resnet.read(np.zeros((1, 64, 64, 3), np.float32))


def test_read_only_and_strided_views_are_read(resnet: ExplainedNetwork) -> None:
    views = views_for(resnet.loaded, 4)
    expected = resnet.read(views[::2].copy()).features
    views.flags.writeable = False
    np.testing.assert_array_equal(resnet.read(views[::2]).features, expected)


def test_without_class_names_there_are_no_probabilities() -> None:
    network = ExplainedNetwork(replace(small("timm:test_resnet"), classes=None))
    assert network.classifier is None
    assert network.read(views_for(network.loaded, 1)).probabilities is None
    with pytest.raises(ModelError, match="3 class names"):
        network.with_classes(["a", "b", "c"])
    with pytest.raises(UsageError, match="'a' stands for"):
        network.with_classes(["a", "a", "b", "c", "d"])


def test_an_unknown_class_is_told(resnet: ExplainedNetwork) -> None:
    with pytest.raises(UnknownClass, match="'wolf'"):
        resnet.class_weights("wolf")


class Odd(nn.Module):
    """A user's network, ending as told."""

    def __init__(self, ending: str) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.head = nn.Linear(8, 4)
        self.ending = ending

    def forward(self, images: torch.Tensor) -> object:
        scores = self.head(self.stem(images).mean((2, 3)))
        endings = {
            "plain": lambda: scores,
            "softmax": lambda: functional.softmax(scores, 1),
            "tuple": lambda: (scores, images),
            "scaled": lambda: scores * 3,
            "map": lambda: self.stem(images),
        }
        return endings[self.ending]()


def test_a_users_network_is_taken_apart() -> None:
    network = ExplainedNetwork(Loaded(Odd("plain"), "mine:make", CHAIN, classes=("a", "b", "c", "d")))
    assert (network.spatial_layer, network.pooling, network.anatomy.head) == ("stem", "identity", "head")
    views = views_for(network.loaded, 2)
    np.testing.assert_allclose(
        network.read(views).probabilities,
        torch.softmax(torch.from_numpy(plain_scores(network, views)), 1).numpy(),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("ending", "told"),
    [("softmax", "probabilities"), ("tuple", "tuple"), ("scaled", "last linear layer 'head'"), ("map", "shape")],
)
def test_networks_with_other_endings_are_refused(ending: str, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        ExplainedNetwork(Loaded(Odd(ending), "mine:make", CHAIN))


def test_features_that_are_not_finite_come_back_as_they_are_for_whoever_stores_them_to_refuse() -> None:
    broken = Odd("plain")
    network = ExplainedNetwork(Loaded(broken, "mine:make", CHAIN))
    with torch.no_grad():
        for part in network._engine._net.modules():
            if isinstance(part, nn.Conv2d) and part.bias is not None:
                part.bias.fill_(float("inf"))
    assert not np.isfinite(network.read(views_for(network.loaded, 1)).features).any()
