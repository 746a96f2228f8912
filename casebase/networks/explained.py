"""The explained network: features, class probabilities and maps of one classifier, each from one forward pass."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from casebase import hashing
from casebase.cases import Fingerprint
from casebase.errors import ModelError, NoTargetLayer
from casebase.networks import heads
from casebase.networks.anatomy import Anatomy, dissect
from casebase.networks.checkpoints import digest
from casebase.networks.classifier_view import ClassifierView
from casebase.networks.engine import Engine
from casebase.networks.loaded import HeadPlan, Loaded, checked_classes
from casebase.ports import Matrix, Reading, Vector
from casebase.reading import Preprocess

SPACE = "avgpool"
DEFAULT_BATCH = 16


class ExplainedNetwork:
    """A classifier taken apart: implements the port ``Embedder`` for the space ``avgpool``; ``classifier`` the other.

    ``precision`` is ``fp32`` or ``bf16``; ``layer`` names the spatial layer instead of having it found. The methods
    that read may be called from several threads at once; whoever puts hooks on ``module`` holds ``lock`` meanwhile.

    Raises ``ModelError`` and ``NoTargetLayer`` for networks that cannot be taken apart.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        layer: str | None = None,
        batch_size: int = DEFAULT_BATCH,
    ) -> None:
        self._loaded, self._device, self._precision, self._asked_layer = loaded, device, precision, layer
        self._batch_size = batch_size
        self._module = loaded.module.eval()
        self._anatomy = dissect(self._module, loaded.preprocess.crop, layer=layer or loaded.layer, embeds=loaded.embeds)
        if loaded.classes is not None and len(loaded.classes) != self._anatomy.outputs:
            raise ModelError(
                f"{len(loaded.classes)} class names were given for a network with {self._anatomy.outputs} outputs"
            )
        self._engine = Engine(self._module, self._anatomy, loaded.preprocess, device=device, precision=precision)
        self.lock = threading.Lock()
        self._fingerprint = self._named()
        weight, bias = self.head_weights()
        self._classifier: ClassifierView | None = None
        if loaded.classes is not None and not loaded.embeds:
            self._classifier = ClassifierView(loaded.classes, self._head_named(loaded.classes, weight, bias), weight)

    @property
    def space(self) -> str:
        """``avgpool``."""
        return SPACE

    @property
    def spec(self) -> str:
        """The architecture, for example ``torchvision:resnet18``."""
        return self._loaded.spec

    @property
    def loaded(self) -> Loaded:
        """The network as it was loaded."""
        return self._loaded

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the space: the backbone without its head, preprocessing and precision."""
        return self._fingerprint

    @property
    def classifier_fingerprint(self) -> str | None:
        """16 hexadecimal digits of the space's fingerprint, the head and its classes; None without class names."""
        return None if self._classifier is None else self._classifier.fingerprint

    @property
    def classifier(self) -> ClassifierView | None:
        """The ``Classifier`` port; None where there is no head, or its classes have no names."""
        return self._classifier

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names in the order of the scores, or None where they are not known."""
        return self._loaded.classes

    @property
    def preprocess(self) -> Preprocess:
        """What the network is fed."""
        return self._loaded.preprocess

    @property
    def batch_size(self) -> int:
        """Images per forward pass."""
        return self._batch_size

    @property
    def device(self) -> str:
        """Where the network runs."""
        return self._device

    @property
    def precision(self) -> str:
        """``fp32`` or ``bf16``."""
        return self._precision

    @property
    def untrained(self) -> bool:
        """Whether the weights are random."""
        return self._loaded.untrained

    @property
    def module(self) -> nn.Module:
        """The network as it is, float32 and unfused: normalised images ``(N, 3, H, W)`` to scores ``(N, K)``."""
        return self._module

    @property
    def anatomy(self) -> Anatomy:
        """Head, spatial layer and pooling."""
        return self._anatomy

    @property
    def spatial_layer(self) -> str | None:
        """A name for ``module.get_submodule``: the last layer with places, or None."""
        return self._anatomy.layer

    @property
    def asked_layer(self) -> str | None:
        """The spatial layer that was asked for when this was made, or None where it was found."""
        return self._asked_layer

    @property
    def pooling(self) -> str | None:
        """``identity``, ``relu`` or None: how the features are the mean of the spatial layer's output."""
        return self._anatomy.pooling

    @property
    def pooled_exactly(self) -> bool:
        """Whether the features are the mean of the spatial map (or of its ReLU), so that where maps are exact."""
        return self._anatomy.pooling is not None

    @property
    def where_unavailable(self) -> str | None:
        """Why there are no where maps, as a sentence; None where there are."""
        return self._anatomy.why_not

    def read(self, views: NDArray[np.uint8]) -> Reading:
        """``(N, H, W, 3) uint8`` views to features ``(N, D)`` and probabilities ``(N, K)``, or None without classes."""
        if len(views) == 0:
            none = torch.empty((0, self._anatomy.outputs))
            return Reading(self._no_rows(self._anatomy.dim), self._probabilities(none))
        found = self._engine.run(views)
        return Reading(_array(found.features), self._probabilities(found.scores))

    def scores(self, images: NDArray[np.float32]) -> Matrix:
        """Class scores before softmax ``(N, K) float32`` of normalised images ``(N, 3, H, W)``.

        For images that no file holds, such as those a metric has altered; any size that the network takes.
        """
        return _array(self._engine.scores(torch.from_numpy(np.ascontiguousarray(images, np.float32))))

    def read_maps(self, views: NDArray[np.uint8]) -> tuple[Matrix, NDArray[np.float32], Matrix]:
        """Features ``(N, D)``, maps ``(N, C, h, w)`` and scores ``(N, K)``, float32, from one forward pass.

        Where ``pooled_exactly``, C is D and the mean of a map over its cells is the feature. Raises ``NoTargetLayer``
        where the network has no spatial layer.
        """
        if self._anatomy.layer is None or self._anatomy.grid is None:
            raise NoTargetLayer(f"no maps: {self._anatomy.why_not}")
        if len(views) == 0:
            maps = np.zeros((0, self._anatomy.dim, *self._anatomy.grid), np.float32)
            return self._no_rows(self._anatomy.dim), maps, self._no_rows(self._anatomy.outputs)
        found = self._engine.run(views, maps=True)
        if found.maps is None:
            raise NoTargetLayer(f"the layer {self._anatomy.layer!r} took no part in this forward pass")
        return _array(found.features), _array(found.maps), _array(found.scores)

    def class_weights(self, name: str) -> Vector | None:
        """The head's row ``(D,) float32`` for a class; None where the head is not one linear layer."""
        return None if self._classifier is None else self._classifier.class_weights(name)

    def head_weights(self) -> tuple[Matrix | None, Vector | None]:
        """Weight ``(K, D)`` and bias ``(K,)`` of the linear head, float32 copies; None, None where there is none."""
        if self._anatomy.head is None:
            return None, None
        linear = self._module.get_submodule(self._anatomy.head)
        assert isinstance(linear, nn.Linear)  # noqa: S101  # by construction of the anatomy; for the type checker
        weight = _array(linear.weight)
        bias = np.zeros(len(weight), np.float32) if linear.bias is None else _array(linear.bias)
        return weight, bias

    def with_head(self, weight: Matrix, bias: Vector, classes: Sequence[str]) -> ExplainedNetwork:
        """The same backbone under a linear head: ``weight (K, D)``, ``bias (K,)``, K class names.

        The space and its fingerprint stay the same. Raises ``ModelError`` for shapes that do not fit, and where the
        network has no place for a head.
        """
        names = checked_classes(classes)
        if weight.shape != (len(names), self._anatomy.dim) or bias.shape != (len(names),):
            raise ModelError(
                f"a head for {len(names)} classes on {self._anatomy.dim} features has shapes "
                f"({len(names)}, {self._anatomy.dim}) and ({len(names)},), not {weight.shape} and {bias.shape}"
            )
        old = self._loaded
        plan = heads.plan_for(self._anatomy.head, self._anatomy.tail, embeds=old.embeds, old=old.head)
        place = plan if old.head.kind == "own" else _again(plan)
        module = heads.put(self._module, place, self._anatomy.dim, len(names))
        linear = heads.linear_of(module, plan)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(np.array(weight, np.float32)))
            linear.bias.copy_(torch.from_numpy(np.array(bias, np.float32)))
        layer = old.layer if plan.kind != "stacked" or old.layer is None else f"backbone.{old.layer}"
        return self._rebuilt(replace(old, module=module, classes=names, embeds=False, head=plan, layer=layer))

    def with_precision(self, precision: str) -> ExplainedNetwork:
        """The same network read in another precision: another fingerprint."""
        return self._rebuilt(self._loaded, precision)

    def with_classes(self, names: Sequence[str]) -> ExplainedNetwork:
        """The same network with class names."""
        return self._rebuilt(self._loaded.with_classes(names))

    def _rebuilt(self, loaded: Loaded, precision: str | None = None) -> ExplainedNetwork:
        return ExplainedNetwork(
            loaded,
            device=self._device,
            precision=precision or self._precision,
            layer=self._asked_layer,
            batch_size=self._batch_size,
        )

    def _probabilities(self, scores: Tensor) -> Matrix | None:
        return None if self._classifier is None else _array(torch.softmax(scores, dim=1))

    def _no_rows(self, width: int) -> Matrix:
        return np.zeros((0, width), np.float32)

    def _named(self) -> Fingerprint:
        old = self._loaded
        state: dict[str, Tensor] = dict(self._module.state_dict())
        dropped = self._anatomy.head or self._anatomy.tail
        kept = {n: v for n, v in state.items() if dropped is None or not n.startswith(f"{dropped}.")}
        if old.head.kind == "stacked":
            kept = {n.removeprefix("backbone."): v for n, v in kept.items()}
        at = "" if self._anatomy.features_from != "layer" or self._asked_layer is None else f"@{self._asked_layer}"
        return Fingerprint(
            backbone=f"{old.spec}{at}",
            weights=digest(kept)[: hashing.SHORT],
            preprocess=old.preprocess.short,
            precision=self._precision,
            dim=self._anatomy.dim,
        )

    def _head_named(self, classes: Sequence[str], weight: Matrix | None, bias: Vector | None) -> str:
        if weight is None or bias is None:
            head = digest(self._module.state_dict())
        else:
            head = digest({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
        return hashing.of_json({"space": self._fingerprint.short, "head": head, "classes": list(classes)})


def _again(plan: HeadPlan) -> HeadPlan:
    """A head that was put on before is exchanged where it lies."""
    names = {"linear": plan.name, "tail": f"{plan.name}.linear", "stacked": "head"}
    return HeadPlan("linear", names[plan.kind])


def _array(value: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = value.detach().to(device="cpu", dtype=torch.float32).contiguous().numpy().copy()
    return found
