"""Classifiers of torchvision: architecture, weights, and the preprocessing and class names that come with them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torchvision
from torch import Tensor, nn

from casebase.errors import ModelError, UnknownBackbone
from casebase.networks.checkpoints import load_into
from casebase.networks.loaded import told_apart
from casebase.reading import Preprocess

IMAGENET = 1000


def names() -> list[str]:
    """The architectures there are, image classifiers only."""
    return list(torchvision.models.list_models(module=torchvision.models))


def weights_entry(name: str, tag: str | None) -> Any:
    """A record of published weights, ``DEFAULT`` unless ``tag`` names others; raises ``UnknownBackbone``."""
    known = torchvision.models.get_model_weights(name)
    if tag is None:
        return known.DEFAULT
    try:
        return known[tag]
    except KeyError:
        raise UnknownBackbone(
            f"torchvision has no weights {tag!r} for {name}; it has {', '.join(w.name for w in known)}"
        ) from None


def build(name: str, num_classes: int, state: Mapping[str, Tensor] | None = None) -> nn.Module:
    """The architecture with random weights and ``num_classes`` outputs; ``state`` only decides about extra branches."""
    builder = torchvision.models.get_model_builder(name)
    chosen: dict[str, Any] = {"weights": None, "num_classes": num_classes}
    if name in ("googlenet", "inception_v3"):
        # Their ImageNet weights want Caffe's scale inside; torchvision sets this only when it downloads them itself.
        extra = state is not None and any(n.startswith(("aux", "AuxLogits")) for n in state)
        chosen |= {"transform_input": True, "init_weights": False, "aux_logits": extra}
    accepted = inspect.signature(builder).parameters
    if "weights_backbone" in accepted:
        raise UnknownBackbone(f"torchvision's {name} is no image classifier")
    module: nn.Module = builder(**chosen)
    return module


def pretrained(name: str, tag: str | None) -> nn.Module:
    """The architecture with torchvision's weights, downloaded unless they are in its cache."""
    entry = weights_entry(name, tag)
    state = entry.get_state_dict(progress=True, check_hash=True)
    module = build(name, len(entry.meta["categories"]), state)
    load_into(module, state, Path(entry.url))
    return module


def categories(name: str, tag: str | None, outputs: int) -> tuple[str, ...] | None:
    """The class names of the published weights, where there are as many as outputs."""
    found = [str(c) for c in weights_entry(name, tag).meta.get("categories", [])]
    return told_apart(found) if len(found) == outputs else None


def preprocess(name: str, tag: str | None) -> Preprocess:
    """The preprocessing of the published weights, from their ``transforms()``."""
    chain = weights_entry(name, tag).transforms()
    resize, crop = list(chain.resize_size), list(chain.crop_size)
    if len(resize) != 1 or len(crop) not in (1, 2):
        raise ModelError(f"torchvision's {name} wants resize {resize} and crop {crop}, which casebase cannot do")
    return Preprocess(
        resize=int(resize[0]),
        crop=(int(crop[0]), int(crop[-1])),
        interpolation=str(chain.interpolation.value),
        mean=_triple(chain.mean),
        std=_triple(chain.std),
    )


def spatial_layer(name: str, module: nn.Module) -> str | None:
    """The layer to explain, for families where watching a forward pass finds another one; None for the rest.

    VGG and AlexNet pool adaptively behind their features, SqueezeNet scores every cell.
    """
    if name.startswith("vgg"):
        parts = module.get_submodule("features").named_children()
        return [f"features.{child}" for child, part in parts if isinstance(part, nn.ReLU)][-1]
    if name.startswith(("squeezenet", "alexnet")):
        return "features"
    return None


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(v) for v in values)
    return (red, green, blue)
