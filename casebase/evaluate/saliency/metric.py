"""What a metric is: a pure function of a map, an image and the network's score for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casebase.errors import UsageError

Map = NDArray[np.float32]
"""``(H, W)`` in [0, 1], resized to the image."""
Image = NDArray[np.float32]
"""``(3, H, W)``; in which range is said where it is used."""
Predict = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Images ``(N, 3, H, W)`` to the softmax ``(N,)`` of the class that is explained."""
THRESHOLDS = ("top_fraction", "percentile", "otsu", "relative_to_max")
LEVELS: Mapping[str, float | None] = {"top_fraction": 0.25, "percentile": 0.75, "otsu": None, "relative_to_max": 0.5}
"""What marks about a quarter of a map of different values, and half of the maximum."""
FILLS = ("normalised_zero", "black", "image_mean", "blur", "road")
ROAD_RULES = ("count", "percentile")
ROAD_SPACES = ("unit", "normalised")
PATCH_RANKS = ("sum", "mean")
PATCH_FILLS = ("normalised_zero", "black", "image_mean", "blur", "uniform")
SUBSTRATES = ("blur", "normalised_zero")
WIDTHS = ("true", "equal")


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """What is chosen of the metrics; every value goes into the file beside the figures.

    ``threshold`` turns a map into a mask: its ``top_fraction`` (share of all pixels), the pixels above a
    ``percentile``, above ``otsu``'s cut, or ``relative_to_max``; ``level`` is the share, percentile / 100, or fraction,
    and None the usual one of the threshold (``LEVELS``; Otsu has none). ``fill`` is what hidden pixels become in the
    four occlusion columns.
    """

    threshold: str = "top_fraction"
    level: float | None = None
    fill: str = "normalised_zero"
    seed: int = 0
    road_fractions: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    road_noise: float = 0.01
    """Standard deviation, on the scale of the space that is imputed."""
    road_space: str = "unit"
    """Pixels in [0, 1], then normalised; ``normalised`` is what pytorch-grad-cam does."""
    road_rule: str = "count"
    """Exactly floor(fN) pixels; ``percentile`` is pytorch-grad-cam's cut, which takes too many on ties."""
    steps: int = 20
    """Blocks of deletion and insertion."""
    step_widths: str = "true"
    """Share of pixels under the curves; ``equal`` gives a short last block a full width, as RISE's code does."""
    insertion_substrate: str = "blur"
    """What insertion starts from: the blurred image (RISE) or ``normalised_zero``, from which deletion ends."""
    patch: int = 8
    """Side of the squares of AOPC, in pixels; squares at the right and lower edge may be smaller."""
    patches: int = 100
    """Most squares that AOPC takes away."""
    patch_rank: str = "sum"
    """Squares go by the ``sum`` of the map inside, which puts smaller ones at the edge last, or by its ``mean``."""
    patch_fill: str = "normalised_zero"
    """What the squares become; ``uniform`` is noise in [0, 1], as AOPC was first measured."""
    patch_repeats: int = 1
    """Fillings with ``uniform`` that are averaged; the other fills are the same every time."""
    pointing_tolerance: int = 15
    """Pixels, as in TorchRay."""
    radius: float = 0.02
    """Of max-sensitivity, in the units of the normalised image."""
    draws: int = 10
    """Noisy copies for max-sensitivity."""

    def __post_init__(self) -> None:
        if self.threshold not in THRESHOLDS:
            raise UsageError(f"--threshold must be one of {', '.join(THRESHOLDS)}, not {self.threshold!r}")
        if self.fill not in FILLS:
            raise UsageError(f"--fill must be one of {', '.join(FILLS)}, not {self.fill!r}")
        if self.level is None:
            object.__setattr__(self, "level", LEVELS[self.threshold])
        elif not 0 < self.level < 1:
            raise UsageError(f"--level must lie between 0 and 1, not {self.level}")
        for name, known in (
            ("road_space", ROAD_SPACES), ("road_rule", ROAD_RULES), ("step_widths", WIDTHS),
            ("patch_rank", PATCH_RANKS), ("patch_fill", PATCH_FILLS), ("insertion_substrate", SUBSTRATES),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise UsageError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        for name in ("steps", "patch", "patches", "patch_repeats"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.road_fractions or not all(0 < fraction < 1 for fraction in self.road_fractions):
            raise UsageError("road_fractions must lie between 0 and 1, and there must be one")
        if not 0 <= self.road_noise < float("inf"):
            raise UsageError(f"road_noise must be 0 or more, not {self.road_noise}")

    @property
    def cut(self) -> float:
        """The level as a number; 0 for Otsu's threshold, which finds its own."""
        return 0.0 if self.level is None else self.level


@dataclass(frozen=True, eq=False)
class Subject:
    """One image as one network sees it, with all that a metric may ask about it.

    ``fed (3, H, W)`` is normalised, ``unit`` the same in [0, 1]; ``predict`` takes images like ``fed``,
    ``predict_unit`` images like ``unit``; both give the softmax of class ``target``, which is the predicted one.
    ``before`` is that softmax for the image as it is. ``mask (H, W) bool`` marks the object, where it is known, and
    ``ignored (H, W) bool`` the pixels that its drawer left open, which count neither for nor against;
    ``raw`` is the map before resizing and scaling. ``again`` makes scaled maps ``(N, H, W)`` of altered images
    ``(N, 3, H, W)`` like ``fed``; ``randomised`` makes raw maps of the image by networks whose weights are redrawn
    from the output downwards, deeper and deeper, with the name of the last layer redrawn; ``other`` makes the raw map
    of the runner-up class. Each is None where nobody asked for it, or for a baseline.
    """

    key: str
    name: str
    fed: Image
    unit: Image
    target: int
    before: float
    predict: Predict
    predict_unit: Predict
    raw: NDArray[np.float32]
    mask: NDArray[np.bool_] | None = None
    again: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
    randomised: Callable[[], Sequence[tuple[str, NDArray[np.float32]]]] | None = None
    ignored: NDArray[np.bool_] | None = None
    other: Callable[[], NDArray[np.float32]] | None = None

    def generator(self, seed: int, *about: str | float) -> np.random.Generator:
        """Random numbers that hang on the image, the seed and ``about`` alone, so that a resumed run repeats them."""
        text = "|".join([self.key, str(seed), *map(repr, about)])
        return np.random.default_rng(list(text.encode("utf-8")))


@dataclass(frozen=True, eq=False)
class Scored:
    """Figures of one map by column key; None where this map has none. ``curves`` are ``(x, y)`` points by name."""

    figures: Mapping[str, float | None]
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figure:
    """A column: ``better`` is ``higher``, ``lower`` or None; ``kind`` as in :class:`casebase.evaluations.Column`.

    The mean over images is shown, with a bootstrap interval. ``counted``: each image has 0 or 1, so that the mean is a
    share of images and keeps an interval where all are alike. ``given`` names baselines whose figure is the best there
    can be by construction: nothing could beat them, so nobody is held against them.
    """

    key: str
    title: str
    better: str | None
    kind: str = "number"
    help: str = ""
    counted: bool = False
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Metric:
    """An entry of the catalogue. ``score(map, subject, settings)``; ``passes(settings)`` counts forward passes.

    ``needs`` names what of :class:`Subject` must be there: ``mask``, ``again``, ``randomised``, ``other``. ``settings``
    names the fields of :class:`BenchSettings` that the figures hang on: they are part of the cache key and of the file.
    """

    name: str
    title: str
    source: str
    figures: Sequence[Figure]
    score: Callable[[Map, Subject, BenchSettings], Scored]
    passes: Callable[[BenchSettings], int]
    settings: Sequence[str] = ()
    needs: frozenset[str] = frozenset()

    def chosen(self, settings: BenchSettings) -> dict[str, Any]:
        """The settings that this metric's figures hang on."""
        return {name: getattr(settings, name) for name in self.settings}
