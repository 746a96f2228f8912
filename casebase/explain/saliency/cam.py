"""One class activation map method on one network: hooks, passes and what is kept from whom.

The network is explained on a copy that shares its weights, with the layer's output as the beginning of the graph; see
:mod:`~casebase.explain.saliency.guard`. torchcam is not safe on several threads, so a lock is held from hooking to
unhooking.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from casebase.errors import UsageError
from casebase.explain.album import cores
from casebase.explain.passes import side_by_side
from casebase.explain.saliency import layers
from casebase.explain.saliency.guard import cut, gradients, heard, safe_copy, spared
from casebase.explain.saliency.layers import Target
from casebase.explain.saliency.method import Images, RawMap
from casebase.explain.saliency.watching import arranged

BATCH = 16
"""Images per pass."""
BACKWARD = 2
"""What a backward pass costs, in forward passes."""

Extractor = Callable[[nn.Module, Target], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Recipe:
    """What tells one method from another.

    ``extractor`` makes torchcam's for a network and a layer, None where ``own`` makes the maps ``(N, h, w)`` from the
    layer's output and the score's gradient there, both ``(N, D, h, w)``. ``gradient`` says whether one is needed,
    ``per_channel`` that the image is covered once for every channel, which is done image by image.
    """

    name: str
    extractor: Extractor | None = None
    own: Callable[[Tensor, Tensor | None], Tensor] | None = None
    gradient: bool = True
    per_channel: bool = False
    facts: Mapping[str, Any] | None = None


class Cam:
    """One of these methods on one network at one layer; implements the port ``Saliency``."""

    def __init__(
        self,
        recipe: Recipe,
        module: nn.Module,
        target: Target,
        lock: threading.Lock | threading.RLock,
        *,
        batch: int = BATCH,
    ) -> None:
        self._recipe, self._batch, self._lock = recipe, 1 if recipe.per_channel else batch, lock
        self._original, self._copies = module, [safe_copy(module)]
        parameter = next(module.parameters(), None)
        self._device = torch.device("cpu") if parameter is None else parameter.device
        self._targets = {target.size: target}
        self.target = target

    @property
    def _on_cpu(self) -> bool:
        return self._device.type == "cpu"

    @property
    def layer(self) -> str:
        """The layer explained."""
        return self.target.name

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """Library, version, layer, its layout and activation, the score; ``passes`` forward passes a map costs."""
        library = "casebase" if self._recipe.extractor is None else f"torchcam {version('torchcam')}"
        return {
            "library": library, **self.target.facts, "score": "logit", "passes": self.passes,
            **(self._recipe.facts or {}),
        }  # fmt: skip

    @property
    def passes(self) -> int:
        """Forward passes a map costs, a backward pass counted as two."""
        if self._recipe.per_channel:
            return self.target.layout.channels + 2  # one to read the maps, one for the whole image
        return 1 + BACKWARD * self._recipe.gradient

    def raw(self, images: Images, targets: Sequence[int]) -> list[RawMap]:
        """Maps ``(h, w) float32`` >= 0, one class index each; NaN where scores or activations are not finite.

        Raises ``UsageError`` for targets that do not fit the images or the scores, ``ModelError`` for images that the
        network cannot read.
        """
        wanted = [int(one) for one in targets]
        if len(wanted) != len(images):
            raise UsageError(f"{len(images)} images need as many classes, not {len(wanted)}")
        found: list[RawMap] = []
        with self._lock:
            target = self._for_size((int(images.shape[2]), int(images.shape[3]))) if len(images) else self.target
            beyond = [one for one in wanted if not 0 <= one < target.outputs]
            if beyond:
                raise UsageError(f"this network has classes 0 to {target.outputs - 1}, not {beyond[0]}")
            parts = self._parts(len(images))
            copies: SimpleQueue[nn.Module] = SimpleQueue()
            for copied in self._each_their_own(len(parts)):
                copies.put(copied)

            def work(rows: Sequence[int]) -> Tensor:
                copied = copies.get()
                try:
                    chosen = [wanted[row] for row in rows]
                    return self._maps(copied, np.array(images[rows[0] : rows[-1] + 1], np.float32), chosen, target)
                finally:
                    copies.put(copied)

            for maps in side_by_side(work, parts):
                found += [RawMap(values.copy()) for values in maps.float().cpu().numpy()]
        return found

    def _parts(self, count: int) -> list[Sequence[int]]:
        """Rows that go through the network together: a share for every core, at most ``batch``."""
        size = min(self._batch, -(-count // (cores() if self._on_cpu else 1))) or 1
        return [range(start, min(start + size, count)) for start in range(0, count, size)]

    def _each_their_own(self, count: int) -> list[nn.Module]:
        """As many copies as work at the same time: no hook meets another thread's pass. They share the weights."""
        while self._on_cpu and len(self._copies) < min(count, cores()):
            self._copies.append(safe_copy(self._original))
        return self._copies

    def _for_size(self, size: tuple[int, int]) -> Target:
        """The layer for images of this size, whose grid is another."""
        if size not in self._targets:
            self._targets[size] = layers.find(self._original, size, named=self.target.name)
        return self._targets[size]

    def _maps(self, module: nn.Module, images: Images, wanted: list[int], target: Target) -> Tensor:
        part = arranged(torch.from_numpy(images), channels_last=target.channels_last and self._on_cpu).to(self._device)
        make = self._recipe.extractor
        with (
            gradients(),
            torch.set_grad_enabled(self._recipe.gradient),
            cut(module, target.name) as seen,
            nullcontext() if make is None else make(module, target) as extractor,
            spared(module, target.name),
            heard(module) as all_finite,
        ):
            scores = module(part)
            leaf = seen[-1]
            finite = torch.isfinite(scores).all(dim=1) & torch.isfinite(leaf).flatten(1).all(dim=1)
            if extractor is None:
                maps = self._own(leaf, scores, wanted, target)
            else:
                (maps,) = extractor(wanted, scores, normalized=False)
        if self._recipe.per_channel and not all(all_finite):  # a covered image of the only one there is
            finite = torch.zeros_like(finite)
        # torchcam sums around NaN and would show a clean map.
        return torch.where(finite[:, None, None], maps.detach().relu(), torch.nan)

    def _own(self, leaf: Tensor, scores: Tensor, wanted: list[int], target: Target) -> Tensor:
        own = self._recipe.own
        assert own is not None  # noqa: S101  # a recipe has an extractor or this; for the type checker
        slopes = None
        if self._recipe.gradient:
            chosen = scores.gather(1, torch.tensor(wanted, device=scores.device)[:, None]).sum()
            (found,) = torch.autograd.grad(chosen, leaf)
            slopes = target.layout.places(found)
        return own(target.layout.places(leaf.detach()), slopes)
