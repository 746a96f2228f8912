"""Forward passes while many answers are explained: in batches across answers, each picture through the network once.

Where the features are the mean of the last map and one linear layer follows, a class's Grad-CAM needs no backward pass:
its weights w_k are that class's row of the head over the number of cells (Selvaraju et al. 2017, section 3.1,
https://arxiv.org/abs/1610.02391), so that the map is CAM's (Zhou et al. 2016, https://arxiv.org/abs/1512.04150):

    z_c = sum_k W_ck (1/P) sum_p a_kp + b_c     =>     dz_c / da_kp = W_ck / P     =>     L_c = ReLU( W_c . a_p ) / P

Whether this holds is not read off names: the gradient itself is compared, cell by cell, once for each network. All
other networks are left to torchcam.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from casebase.errors import UsageError
from casebase.explain.album import Shelf, cores, in_threads
from casebase.explanations import Pixels
from casebase.ports import Matrix, Vector

if TYPE_CHECKING:
    from casebase.explain.saliency.cam import Cam
    from casebase.explain.service import ExplainedNetwork

BATCH = 16
"""Most pictures per forward pass: enough to keep a core busy, few enough to stay in a few hundred megabytes."""
KEPT_BYTES = 96_000_000
"""Feature maps that are kept: those of about 900 cases with ResNet-18 at 224 pixels."""
KEPT_MAPS = 4_000_000

Map = NDArray[np.float32]
Views = NDArray[np.uint8]
A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, eq=False)
class Read:
    """One picture's forward pass: ``features (D,)``, ``maps (D, h, w)`` whose means they are, ``scores (C,)``."""

    features: Vector
    maps: Map
    scores: Vector


class Passes:
    """One network asked about many pictures. A picture's ``key`` names its pixels; what was read of it is kept."""

    def __init__(self, network: ExplainedNetwork, classes: Sequence[str], *, kept: int = KEPT_BYTES) -> None:
        self._network = network
        self._place = {name: number for number, name in enumerate(classes)}
        self._reads: Shelf[Read] = Shelf(kept, lambda read: read.maps.nbytes + read.features.nbytes)
        self._cams: Shelf[Map] = Shelf(KEPT_MAPS, lambda found: found.nbytes + 200)
        self._method: Cam | None = None
        self._closed: bool | None = None

    def knows(self, name: str) -> bool:
        """Whether the network has a class of this name."""
        return name in self._place

    @property
    def closed(self) -> bool:
        """Whether Grad-CAM follows from the forward pass alone, for this network."""
        if self._closed is None:
            self._closed = self._checked()
        return self._closed

    def _checked(self) -> bool:
        from casebase.explain.saliency.pooled import is_head_over_cells

        network, layer = self._network, self._network.spatial_layer
        if layer is None or network.pooling != "identity":
            return False
        rows = [network.class_weights(name) for name in self._place]
        if any(row is None for row in rows):
            return False
        head: Matrix = np.stack([row for row in rows if row is not None])
        return is_head_over_cells(network.module, layer, head, network.preprocess.crop, network.lock)

    def read(self, views: Mapping[str, Pixels]) -> dict[str, Read]:
        """What the network makes of pictures ``(H, W, 3) uint8`` by key; raises ``NoTargetLayer`` without maps."""
        found: dict[str, Read] = {}
        for key in views:
            held = self._reads.get(key)
            if held is not None:
                found[key] = held
        missing = [key for key in views if key not in found]
        parts = shares(missing)
        passed = side_by_side(lambda keys: self._network.read_maps(np.stack([views[key] for key in keys])), parts)
        for keys, (features, maps, scores) in zip(parts, passed, strict=True):
            for key, one, spatial, said in zip(keys, features, maps, scores, strict=True):
                found[key] = Read(one.copy(), spatial.copy(), said.copy())  # a row must not keep its batch alive
                self._reads.put(key, found[key])
        return found

    def cams(
        self, pairs: Sequence[tuple[str, str]], views: Mapping[str, Pixels], reads: Mapping[str, Read]
    ) -> dict[tuple[str, str], Map]:
        """Grad-CAM ``(h, w) float32`` >= 0, not scaled, by (picture, class); NaN where the scores are not finite.

        ``reads`` holds what was read of the pictures; it is used where :attr:`closed`, ``views`` elsewhere. Raises
        ``NoTargetLayer`` where the network has no layer with places.
        """
        wanted = list(dict.fromkeys(pairs))
        if not self.closed:
            return self._by_gradient(wanted, views)
        return {(key, name): self._by_weights(reads[key], name) for key, name in wanted}

    def _by_weights(self, read: Read, name: str) -> Map:
        """``ReLU(W_c . a_p) / P``."""
        row = self._network.class_weights(name)
        if row is None or not np.isfinite(read.scores).all():
            return np.full(read.maps.shape[1:], np.nan, np.float32)
        depth, height, width = read.maps.shape
        cells = row @ read.maps.reshape(depth, height * width) / np.float32(height * width)
        found: Map = np.maximum(cells, 0.0).astype(np.float32).reshape(height, width)
        return found

    @property
    def facts(self) -> Mapping[str, Any]:
        """What all Grad-CAMs of the network share: library, layer; raises ``NoTargetLayer`` where there are none."""
        if self.closed:
            return {"library": "casebase, closed form", "layer": self._network.spatial_layer, "score": "logit"}
        return self._gradcam().facts

    def _gradcam(self) -> Cam:
        from casebase.explain.saliency import cams

        if self._method is None:
            self._method = cams.gradcam(self._network)
        return self._method

    def _by_gradient(self, pairs: Sequence[tuple[str, str]], views: Mapping[str, Pixels]) -> dict[tuple[str, str], Map]:
        method = self._gradcam()
        found: dict[tuple[str, str], Map] = {}
        for key, name in pairs:
            held = self._cams.get(f"{key} {name}")
            if held is not None:
                found[key, name] = held
        missing = [pair for pair in pairs if pair not in found]
        for start in range(0, len(missing), BATCH):
            part = missing[start : start + BATCH]
            images = self._network.preprocess.normalise(np.stack([views[key] for key, _ in part]))
            for (key, name), one in zip(part, method.raw(images, [self._place[n] for _, n in part]), strict=True):
                found[key, name] = one.values
                self._cams.put(f"{key} {name}", found[key, name])
        return found

    def probabilities(self, views: Views, names: Sequence[str]) -> Vector:
        """The softmax ``(N,)`` of one class for each of ``(N, H, W, 3) uint8`` views."""
        parts = shares(range(len(views)))
        passed = side_by_side(lambda rows: self._softmax(views[rows[0] : rows[-1] + 1]), parts)
        if not passed:
            return np.zeros(0, np.float32)
        columns = [self._place[name] for name in names]
        return np.concatenate(passed)[np.arange(len(columns)), columns]

    def _softmax(self, views: Views) -> Matrix:
        found = self._network.read(views).probabilities
        if found is None:
            raise UsageError("this network has no class names, so no probabilities")
        return found


def shares(items: Sequence[A]) -> list[Sequence[A]]:
    """Items in parts of at most ``BATCH``, of one size as nearly as can be, and as many to every core."""
    laps = max(1, -(-len(items) // (BATCH * cores())))
    size = max(1, -(-len(items) // (laps * cores())))
    return [items[start : start + size] for start in range(0, len(items), size)]


def side_by_side(work: Callable[[Sequence[A]], B], parts: Sequence[Sequence[A]]) -> list[B]:
    """One forward pass per part, in order: each core has a part of its own, since cores that share one wait."""
    from casebase.networks.devices import one_thread_each

    if len(parts) < 2:
        return [work(part) for part in parts]
    with one_thread_each():
        return in_threads(work, parts)
