"""Classifiers of timm: the architecture, the weights, and the preprocessing that comes with them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import timm
from torch import nn

from casebase.errors import ModelError
from casebase.networks.loaded import told_apart
from casebase.reading import Preprocess

_data: Any = timm.data  # typed without its own public names


def names() -> list[str]:
    """The architectures there are."""
    return list(timm.list_models())


def build(name: str, num_classes: int | None) -> nn.Module:
    """The architecture with random weights; None keeps its own number of outputs."""
    chosen: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    module: nn.Module = timm.create_model(name, pretrained=False, **chosen)
    return module


def pretrained(name: str) -> nn.Module:
    """The architecture with timm's weights, downloaded unless they are in the hub's cache."""
    module: nn.Module = timm.create_model(name, pretrained=True)
    return module


def spatial_layer(name: str, module: nn.Module) -> str | None:
    """The layer to explain, for families where watching a forward pass finds another one; None for the rest."""
    if not name.startswith("vgg"):
        return None
    parts = module.get_submodule("features").named_children()
    return [f"features.{child}" for child, part in parts if isinstance(part, nn.ReLU)][-1]


def categories(module: nn.Module, outputs: int) -> tuple[str, ...] | None:
    """timm's own class names for what its weights were trained on, where there are as many as outputs.

    ImageNet's are WordNet's lemmas ("tench, Tinca tinca"), not torchvision's short names.
    """
    config = getattr(module, "pretrained_cfg", None) or {}
    named = config.get("label_names")
    if named is None:
        subset = _data.infer_imagenet_subset(module)
        if subset is None or config.get("num_classes") != outputs:
            return None
        named = _data.ImageNetInfo(subset).label_descriptions()
    found = [str(n) for n in named]
    return told_apart(found) if len(found) == outputs else None


def preprocess(module: nn.Module) -> Preprocess:
    """The preprocessing of the weights, from ``timm.data.resolve_model_data_config``."""
    return from_config(_data.resolve_model_data_config(module))


def from_config(config: Mapping[str, Any]) -> Preprocess:
    """timm's data config as ``Preprocess``; raises ``ModelError`` for what casebase's reading cannot do exactly."""
    channels, height, width = (int(v) for v in config["input_size"])
    mode, share = str(config["crop_mode"]), float(config["crop_pct"])
    if channels != 3:
        raise ModelError(f"this timm network reads {channels} channels; casebase reads RGB")
    if mode == "squash" and share == 1.0:
        resize = None
    elif mode == "center" and height == width:
        resize = math.floor(height / share)
    else:
        raise ModelError(
            f"this timm network wants crop mode {mode!r} at {share:g} of {height}x{width}; "
            "casebase has 'center' on squares, and 'squash' without a crop"
        )
    mean, std = ((float(r), float(g), float(b)) for r, g, b in (config["mean"], config["std"]))
    return Preprocess(resize, (height, width), str(config["interpolation"]), mean, std)
