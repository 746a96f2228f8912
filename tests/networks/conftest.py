"""Tiny networks with random weights: nothing is downloaded, every size is small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from casebase.networks import backbones
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.fine_tune import resized
from casebase.networks.loaded import Loaded

SIZE = 64


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # several, on a busy machine, spend their time waiting for each other
    yield
    torch.set_num_threads(before)


def small(spec: str, outputs: int = 5, size: int | None = SIZE, seed: int = 0) -> Loaded:
    """An architecture with random weights and class names, for small pictures."""
    loaded = backbones.blueprint(spec, outputs, seed=seed)
    chain = loaded.preprocess if size is None else resized(loaded.preprocess, size)
    return replace(loaded, preprocess=chain, classes=tuple(f"class {i}" for i in range(outputs)))


def views_for(loaded: Loaded, n: int, seed: int = 0) -> np.ndarray:
    """Soft coloured noise, ``(n, H, W, 3) uint8``."""
    height, width = loaded.preprocess.crop
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 8, 8, 3)).astype(np.float32)
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    noisy = coarse[:, rows][:, :, columns] + rng.normal(0, 12, (n, height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def resnet() -> ExplainedNetwork:
    return ExplainedNetwork(small("torchvision:resnet18"))


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a CLIP of 32 pixels and two narrow layers, announced to open_clip by its own means."""
    import json

    import open_clip

    path = tmp_path_factory.mktemp("open_clip") / "casebase-tiny.json"
    path.write_text(
        json.dumps(
            {
                "embed_dim": 16,
                "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
                "text_cfg": {"context_length": 8, "vocab_size": 32, "width": 16, "heads": 2, "layers": 1},
            }
        )
    )
    open_clip.add_model_config(path)
    return "open_clip:casebase-tiny"
