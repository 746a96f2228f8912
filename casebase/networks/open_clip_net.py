"""Image encoders of open_clip: the space ``clip``, and backbones for a linear head.

Only the visual tower is kept; texts are not embedded here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from casebase import hashing
from casebase.cases import Fingerprint
from casebase.errors import CheckpointRefused, ModelError, UnknownBackbone
from casebase.networks import checkpoints
from casebase.networks.anatomy import dissect
from casebase.networks.downloading import fetching
from casebase.networks.engine import Engine
from casebase.networks.loaded import Loaded, seeded
from casebase.ports import Reading
from casebase.reading import Preprocess, printable

SPACE = "clip"
DEFAULT_SPEC = "open_clip:ViT-B-32"
_PREFERRED = ("laion2b_s34b_b79k", "laion2b_s34b_b88k", "laion2b_s32b_b82k", "datacomp_xl_s13b_b90k")
_TOWER = "visual."


class ClipEmbedder:
    """The port ``Embedder`` for the space ``clip``: ``encode_image`` of an open_clip network, not normalised.

    Several threads may read at once. ``untrained`` says that the weights are random, which makes likeness a matter of
    colour and layout at best; whoever shows results says so.
    """

    def __init__(self, loaded: Loaded, *, device: str = "cpu", precision: str = "fp32", batch_size: int = 16) -> None:
        if not loaded.embeds:
            raise ModelError(f"{loaded.spec} is a classifier; the space 'clip' wants an open_clip network")
        self._loaded, self._precision, self._batch_size, self._device = loaded, precision, batch_size, device
        module = loaded.module.eval()
        self._anatomy = dissect(module, loaded.preprocess.crop, embeds=True)
        self._engine = Engine(module, self._anatomy, loaded.preprocess, device=device, precision=precision)
        self._fingerprint = Fingerprint(
            backbone=loaded.spec,
            weights=checkpoints.digest(module.state_dict())[: hashing.SHORT],
            preprocess=loaded.preprocess.short,
            precision=precision,
            dim=self._anatomy.dim,
        )

    @property
    def space(self) -> str:
        """``clip``."""
        return SPACE

    @property
    def spec(self) -> str:
        """The architecture, for example ``open_clip:ViT-B-32``."""
        return self._loaded.spec

    @property
    def loaded(self) -> Loaded:
        """The network as it was loaded."""
        return self._loaded

    @property
    def module(self) -> nn.Module:
        """The visual tower: normalised images ``(N, 3, H, W)`` to ``(N, D)``."""
        return self._loaded.module

    @property
    def fingerprint(self) -> Fingerprint:
        """Of this space: random weights have a digest as well, so two seeds never mix."""
        return self._fingerprint

    @property
    def preprocess(self) -> Preprocess:
        """What the network is fed."""
        return self._loaded.preprocess

    @property
    def batch_size(self) -> int:
        """Images per forward pass."""
        return self._batch_size

    @property
    def precision(self) -> str:
        """``fp32`` or ``bf16``."""
        return self._precision

    @property
    def untrained(self) -> bool:
        """Whether the weights are random."""
        return self._loaded.untrained

    def read(self, views: NDArray[np.uint8]) -> Reading:
        """``(N, H, W, 3) uint8`` views to features ``(N, D) float32``; never probabilities."""
        if len(views) == 0:
            return Reading(np.zeros((0, self._anatomy.dim), np.float32), None)
        return Reading(self._engine.run(views).features.cpu().numpy().copy(), None)

    def with_precision(self, precision: str) -> ClipEmbedder:
        """The same encoder read in another precision: another fingerprint."""
        return ClipEmbedder(self._loaded, device=self._device, precision=precision, batch_size=self._batch_size)


def names() -> list[str]:
    """The architectures there are."""
    return list(open_clip.list_models())


def load(
    name: str,
    tag: str | None = None,
    *,
    weights: Path | None = None,
    pretrained: bool = True,
    seed: int = 0,
) -> Loaded:
    """The visual tower of an open_clip network.

    ``weights`` is a local file, of the whole network or of its visual tower; without it, and with ``pretrained``,
    ``tag``'s weights are downloaded (without a tag, the first usual one). Otherwise the weights are random, from
    ``seed``. A tag also brings its own preprocessing.

    Raises ``UnknownBackbone`` (name or tag), ``WeightsMissing``, ``CheckpointRefused``, ``ModelError``.
    """
    config = open_clip.get_model_config(name)
    if config is None:
        raise UnknownBackbone(f"open_clip has no network {printable(name)!r}; `open_clip.list_models()` lists them")
    if tag is not None and not open_clip.is_pretrained_cfg(name, tag):
        known = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise UnknownBackbone(f"open_clip has no weights {printable(tag)!r} for {name}; it has {known}")
    if weights is None and pretrained and tag is None:
        tag = _usual_tag(name, config)
    published = {} if tag is None else dict(open_clip.get_pretrained_cfg(name, tag) or {})
    options: dict[str, Any] = {"force_quick_gelu": bool(published.get("quick_gelu")), "pretrained_text": False}
    spec = f"open_clip:{name}"
    if weights is None and pretrained:
        with fetching(f"{spec}/{tag}"):
            whole = open_clip.create_model(name, pretrained=tag, **options)
    else:
        state = None if weights is None else _tower(checkpoints.load_state(weights), weights)
        with seeded(seed), _hushed():
            whole = open_clip.create_model(name, pretrained=None, **options)
        if state is not None and weights is not None:
            checkpoints.load_into(whole.visual, state, weights)
    config_of = {**open_clip.get_model_preprocess_cfg(whole), **_own(published)}
    visual: nn.Module = whole.visual
    return Loaded(
        module=visual.float().eval(),
        spec=spec,
        preprocess=from_config(config_of),
        embeds=True,
        untrained=weights is None and not pretrained,
    )


def from_config(config: Mapping[str, Any]) -> Preprocess:
    """open_clip's preprocessing record as ``Preprocess``; raises ``ModelError`` for what casebase cannot do exactly."""
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    mode = str(config.get("resize_mode") or "shortest")
    if mode == "squash":
        resize = None
    elif mode == "shortest" and height == width:
        resize = height
    else:
        raise ModelError(
            f"this open_clip network wants resize mode {mode!r} to {height}x{width}; "
            "casebase has 'shortest' on squares, and 'squash'"
        )
    mean, std = ((float(r), float(g), float(b)) for r, g, b in (config["mean"], config["std"]))
    interpolation = str(config.get("interpolation") or "bicubic")
    return Preprocess(resize=resize, crop=(height, width), interpolation=interpolation, mean=mean, std=std)


def _usual_tag(name: str, config: Mapping[str, Any]) -> str:
    """The first of the preferred tags, else of those made with the same activation as the architecture's."""
    known: list[str] = list(open_clip.list_pretrained_tags_by_model(name))
    quick = bool(config.get("quick_gelu", False))
    fitting = [t for t in known if bool((open_clip.get_pretrained_cfg(name, t) or {}).get("quick_gelu")) == quick]
    for tag in (*(t for t in _PREFERRED if t in known), *fitting, *known):
        return tag
    raise UnknownBackbone(f"open_clip publishes no weights for {name}; give them with --weights FILE")


def _tower(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    if not state:
        raise CheckpointRefused(f"{printable(str(path))} holds no weights")
    if not any(n.startswith(_TOWER) for n in state):
        return dict(state)
    return {n.removeprefix(_TOWER): v for n, v in state.items() if n.startswith(_TOWER)}


def _own(published: Mapping[str, Any]) -> dict[str, Any]:
    return {n: published[n] for n in ("mean", "std", "interpolation", "resize_mode") if published.get(n) is not None}


@contextmanager
def _hushed() -> Iterator[None]:
    """open_clip warns on the root logger that weights are random, which is what was asked for."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with torch.no_grad():
            yield
    finally:
        root.setLevel(level)
