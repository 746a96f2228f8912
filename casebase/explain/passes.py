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
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from casebase.errors import UsageError
from casebase.explain.album import Shelf, cores, in_threads
from casebase.explain.network import ExplainedNetwork
from casebase.explain.saliency.method import MethodSettings, RawMap, Saliency
from casebase.explanations import Pixels
from casebase.ports import Matrix, Vector

BATCH = 16
"""Most pictures per forward pass: enough to keep a core busy, few enough to stay in a few hundred megabytes."""
KEPT_BYTES = 96_000_000
"""Feature maps that are kept: those of about 900 cases with ResNet-18 at 224 pixels."""
KEPT_MAPS = 16_000_000
"""Maps by a method of its own that are kept: 80 at 224 pixels, tens of thousands of a 7 x 7 layer."""
GRADCAM = "gradcam"
CLOSED_FORM = "casebase, in closed form, equal to torchcam's"

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
        self._closed: bool | None = None
        self._made: dict[tuple[object, ...], tuple[Saliency, MethodSettings]] = {}
        self._raw: Shelf[RawMap] = Shelf(KEPT_MAPS, lambda found: found.values.nbytes + 200)

    @property
    def classes(self) -> Sequence[str]:
        """The network's classes, in the order of its scores."""
        return list(self._place)

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

    def reads_for(self, method: str, settings: MethodSettings) -> bool:
        """Whether a method's maps follow from what :meth:`read` finds."""
        return method == GRADCAM and settings.layer in (None, self._network.spatial_layer) and self.closed

    def facts(self, method: str, settings: MethodSettings) -> dict[str, Any]:
        """How a method's maps are made: library, layer, samples, seed. Raises as :meth:`maps` does."""
        if self.reads_for(method, settings):
            return {"library": CLOSED_FORM, "layer": self._network.spatial_layer, "score": "logit"}
        return dict(self._saliency(method, settings).facts)

    def maps(
        self,
        method: str,
        settings: MethodSettings,
        pairs: Sequence[tuple[str, str]],
        views: Mapping[str, Pixels],
        reads: Mapping[str, Read],
    ) -> dict[tuple[str, str], RawMap]:
        """Raw maps of any method by (picture, class): the one way to a map, for all commands.

        Grad-CAM at the network's own layer is taken from ``reads`` where it follows from them. Raises what
        :attr:`casebase.explain.saliency.method.Method.build` raises.
        """
        wanted = list(dict.fromkeys(pairs))
        if self.reads_for(method, settings):
            missing = {key: views[key] for key, _ in wanted if key not in reads}
            known = {**reads, **self.read(missing)} if missing else reads
            return {(key, name): RawMap(self._by_weights(known[key], name)) for key, name in wanted}
        return self._by_method(self._saliency(method, settings), wanted, views)

    def _by_method(
        self, made: Saliency, pairs: Sequence[tuple[str, str]], views: Mapping[str, Pixels]
    ) -> dict[tuple[str, str], RawMap]:
        found: dict[tuple[str, str], RawMap] = {}
        for pair in pairs:
            held = self._raw.get(f"{id(made)} {pair[0]} {pair[1]}")
            if held is not None:
                found[pair] = held
        missing = [pair for pair in pairs if pair not in found]
        for start in range(0, len(missing), BATCH):
            part = missing[start : start + BATCH]
            images = self._network.preprocess.normalise(np.stack([views[key] for key, _ in part]))
            for pair, one in zip(part, made.raw(images, [self._place[name] for _, name in part]), strict=True):
                found[pair] = one
                self._raw.put(f"{id(made)} {pair[0]} {pair[1]}", one)
        return found

    def _saliency(self, method: str, settings: MethodSettings) -> Saliency:
        """A method on this network, made once for the same settings."""
        from casebase.explain.saliency import catalogue

        # Background and embedding are held with the settings, so that their ids are not used again; signs are no
        # matter of the method.
        held = id(settings.background), id(settings.association)
        key = (method, settings.layer, settings.samples, settings.seed, settings.batch, *held)
        if key not in self._made:
            self._made[key] = catalogue.make(method, self._network, settings), settings
        return self._made[key][0]

    def _by_weights(self, read: Read, name: str) -> Map:
        """``ReLU(W_c . a_p) / P``."""
        row = self._network.class_weights(name)
        if row is None or not np.isfinite(read.scores).all():
            return np.full(read.maps.shape[1:], np.nan, np.float32)
        depth, height, width = read.maps.shape
        cells = row @ read.maps.reshape(depth, height * width) / np.float32(height * width)
        found: Map = np.maximum(cells, 0.0).astype(np.float32).reshape(height, width)
        return found

    def place(self, name: str) -> int:
        """The column of a class."""
        return self._place[name]

    def probabilities(self, views: Views) -> Matrix:
        """The softmax ``(N, C)`` of ``(N, H, W, 3) uint8`` views."""
        passed = side_by_side(lambda rows: self._softmax(views[rows[0] : rows[-1] + 1]), shares(range(len(views))))
        return np.concatenate(passed) if passed else np.zeros((0, len(self._place)), np.float32)

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
