"""What a saliency method is: a network and a class in, one raw map per image out, and what to know before using it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from casebase.errors import UsageError
from casebase.explanations import SaliencyMap, frozen
from casebase.overlay import enlarge

if TYPE_CHECKING:
    from torch import nn

    from casebase.ports import AssociationView
    from casebase.reading import Preprocess

Images = NDArray[np.float32]
"""``(N, 3, H, W)``, normalised as the network wants to be fed."""
SIGNS = ("absolute", "positive")
FEWEST_VALUES = 3
SILENT = "silent"
"""The fact under which a method says why a map of its own says nothing."""


class Network(Protocol):
    """What a method needs of the explained network."""

    @property
    def module(self) -> nn.Module: ...
    @property
    def spatial_layer(self) -> str | None: ...
    @property
    def lock(self) -> threading.Lock | threading.RLock: ...
    @property
    def preprocess(self) -> Preprocess: ...

    def scores(self, images: Images) -> NDArray[np.float32]:
        """Class scores before softmax ``(N, C)`` of normalised images; any number of threads may call it."""
        ...


@dataclass(frozen=True, eq=False)
class MethodSettings:
    """What may be chosen of a method; None leaves it to the method, which records what it took.

    ``layer`` is a submodule's name; ``sign`` says how signed attributions become a map (their absolute value or their
    positive part); ``samples`` is the number of random samples, masks or integration steps; ``background (M, 3, H, W)``
    are the images that SHAP integrates over, None for the mean colour; ``batch`` images go through the network at once;
    ``association`` is the class association embedding that ``cae`` walks in, None where the base has none that can be
    used; ``no_association`` then says why, where it has one.
    """

    layer: str | None = None
    sign: str = "absolute"
    samples: int | None = None
    background: Images | None = None
    seed: int = 0
    batch: int = 16
    association: AssociationView | None = None
    no_association: str | None = None

    def __post_init__(self) -> None:
        if self.sign not in SIGNS:
            raise UsageError(f"--sign must be {' or '.join(SIGNS)}, not {self.sign!r}")
        if self.samples is not None and self.samples < 1:
            raise UsageError(f"--samples must be at least 1, not {self.samples}")


@dataclass(frozen=True, eq=False)
class RawMap:
    """One map as the method gives it: ``values (h, w) float32`` of any size, signed where the method is.

    ``facts`` hold what was measured on the way (the fit of LIME, SHAP's additivity gap).
    """

    values: NDArray[np.float32]
    facts: Mapping[str, Any] = field(default_factory=dict)


class Saliency(Protocol):
    """One method on one network: the port behind every map. Made by :attr:`Method.build`.

    Whatever happens inside, the network's mode, gradients, hooks and ``requires_grad``, the global random generators
    and the caller's arrays are afterwards as they were. Calls on one network wait for each other.
    """

    @property
    def facts(self) -> Mapping[str, Any]:
        """What all maps share: library and version, layer, activation, samples, seed; JSON values."""
        ...

    def raw(self, images: Images, targets: Sequence[int]) -> list[RawMap]:
        """Maps of images, one class index each; NaN where the scores are not finite."""
        ...


@dataclass(frozen=True, slots=True)
class Method:
    """An entry of the catalogue: ``name`` is typed, ``title`` is shown, ``source`` is the paper.

    ``extra`` is the optional dependency it needs, None for none; ``passes`` roughly how many forward passes a map
    costs (a backward pass counts two), for estimates and warnings; ``signed`` whether raw values may be negative;
    ``background`` whether the settings' background images matter to it, ``association`` whether it needs theirs.
    ``build`` raises ``MissingExtra``, ``NoTargetLayer``, or ``ModelError`` where this network cannot be explained so.
    """

    name: str
    title: str
    source: str
    build: Callable[[Network, MethodSettings], Saliency]
    passes: int
    extra: str | None = None
    signed: bool = False
    background: bool = False
    association: bool = False


def unsigned(values: NDArray[np.float32], sign: str) -> NDArray[np.float32]:
    """Signed attributions as a map >= 0: their absolute value, or their positive part."""
    return np.abs(values) if sign == "absolute" else np.maximum(values, 0.0)


def degenerate(values: NDArray[np.float32]) -> str | None:
    """Why a map says nothing, or None: not finite, the same everywhere, or fewer than three distinct values."""
    if not np.isfinite(values).all():
        return "the map is not finite"
    if float(np.ptp(values)) <= 1e-12 * max(1.0, float(np.abs(values).max())):
        return "the map is zero everywhere" if not values.any() else "the map is the same everywhere"
    if np.unique(values).size < FEWEST_VALUES and values.size >= FEWEST_VALUES:
        return "the map has only two values"
    return None


def silence(values: NDArray[np.float32], facts: Mapping[str, Any]) -> str | None:
    """Why a map says nothing, or None: in the method's own words where it has some, else as it looks."""
    reason = degenerate(values)
    return None if reason is None else str(facts.get(SILENT) or reason)


def scaled(
    raw: NDArray[np.float32],
    method: str,
    target: str,
    image: str,
    facts: Mapping[str, Any],
    *,
    size: tuple[int, int] | None = None,
) -> SaliencyMap:
    """A map >= 0 as it is shown and measured: bilinear to ``size`` (height, width), then min-max scaled to [0, 1].

    The order is fixed: scaling comes last and per image (``saliency.md`` calls anything else a trap). A map that says
    nothing is all zeros and names its reason. ``size`` None keeps the method's own resolution.
    """
    reason = silence(raw, facts)
    values = raw if size is None or size == raw.shape or reason is not None else enlarge(raw, size)
    if reason is not None:
        flat = frozen(np.zeros(values.shape if size is None else size, dtype=np.float32))
        return SaliencyMap(flat, method, target, image, str(facts.get("layer") or ""), reason, facts)
    low = values.min()
    spread = frozen(((values - low) / np.ptp(values)).astype(np.float32))
    return SaliencyMap(spread, method, target, image, str(facts.get("layer") or ""), None, facts)
