"""What the network is fed is what its own library would have fed it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from casebase.errors import ModelError
from casebase.networks import open_clip_net, timm_net, torchvision_net
from casebase.reading import Preprocess

SIZES = [(640, 427), (427, 640), (500, 375), (333, 999), (225, 224), (101, 67), (224, 224), (1301, 777)]


def photograph(size: tuple[int, int], seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    width, height = size
    coarse = Image.fromarray(rng.integers(0, 256, (height // 9 + 2, width // 9 + 2, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
    return Image.fromarray((smooth + rng.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8))


def assert_close(chain: Preprocess, theirs: torch.Tensor, image: Image.Image) -> None:
    """Within one step of 255, two where both passes of the resize round apart (rare); below 0.002 on average."""
    ours = chain.normalise(chain.pixels(image)[None])[0]
    assert ours.shape == tuple(theirs.shape)
    steps = np.abs(ours - theirs.numpy()) * np.float32(chain.std)[:, None, None] * 255
    assert steps.max() <= 2.001
    assert (steps > 1.001).mean() <= 5e-3
    assert steps.mean() / 255 < 0.002


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "swin_t", "maxvit_t", "vit_b_16", "inception_v3"])
def test_torchvision(name: str, size: tuple[int, int]) -> None:
    image = photograph(size)
    theirs = torchvision_net.weights_entry(name, None).transforms()(image)
    assert_close(torchvision_net.preprocess(name, None), theirs, image)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_byobnet"])
def test_timm(name: str, size: tuple[int, int]) -> None:
    import timm.data

    image, module = photograph(size), timm_net.build(name, 3)
    config = timm.data.resolve_model_data_config(module)
    theirs = timm.data.create_transform(**config, is_training=False)(image)
    assert_close(timm_net.preprocess(module), theirs, image)


@pytest.mark.parametrize("size", SIZES)
def test_timm_squash(size: tuple[int, int]) -> None:
    import timm.data

    config = {
        "input_size": (3, 96, 128),
        "interpolation": "bicubic",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "crop_pct": 1.0,
        "crop_mode": "squash",
    }
    image = photograph(size)
    assert_close(timm_net.from_config(config), timm.data.create_transform(**config, is_training=False)(image), image)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_open_clip(mode: str, size: tuple[int, int]) -> None:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    config = {"size": (224, 224), "mean": (0.48, 0.46, 0.41), "std": (0.27, 0.26, 0.28), "resize_mode": mode}
    image = photograph(size)
    theirs = image_transform_v2(PreprocessCfg(**config), is_train=False)(image)
    assert_close(open_clip_net.from_config({**config, "interpolation": "bicubic"}), theirs, image)


@settings(max_examples=25)
@given(st.integers(60, 700), st.integers(60, 700), st.integers(0, 1000))
def test_any_size_of_picture(width: int, height: int, seed: int) -> None:
    image = photograph((width, height), seed)
    chain = torchvision_net.weights_entry("resnet18", None).transforms()
    assert_close(torchvision_net.preprocess("resnet18", None), chain(image), image)


@pytest.mark.parametrize(
    "changed",
    [{"crop_mode": "border"}, {"crop_mode": "squash"}, {"input_size": (3, 224, 192)}, {"input_size": (1, 224, 224)}],
)
def test_what_cannot_be_done_exactly_is_refused(changed: dict[str, object]) -> None:
    config = {
        "input_size": (3, 224, 224),
        "interpolation": "bicubic",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "crop_pct": 0.9,
        "crop_mode": "center",
    }
    with pytest.raises(ModelError, match="casebase"):
        timm_net.from_config(config | changed)


def test_longest_is_refused() -> None:
    config = {"size": 224, "mean": (0.5,) * 3, "std": (0.5,) * 3, "resize_mode": "longest"}
    with pytest.raises(ModelError, match="longest"):
        open_clip_net.from_config(config)
