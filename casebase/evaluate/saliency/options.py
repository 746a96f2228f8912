"""How to compare saliency methods: what a person may choose. Light to import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from casebase.errors import UsageError
from casebase.evaluate.saliency.metric import BenchSettings

ALL = "all"
NO_WEIGHTS = "-"
"""Stands for a network's own weights where another one is given a file."""
DECKS = ("deck",)
"""Published rows that can be printed beside one's own."""


@dataclass(frozen=True, slots=True)
class MaskChoice:
    """How masks are read; what each means is told at :func:`casebase.evaluate.saliency.annotations.open_masks`."""

    values: Sequence[int] | None = None
    ignored: Sequence[int] | None = None
    part: str | None = None
    category: str | None = None
    as_stored: bool = False


@dataclass(frozen=True, slots=True)
class SaliencyOptions:
    """What is explained, by which methods, measured how.

    ``images`` are folders, manifests or image files; none means the held-out images of the base. ``models`` are
    networks as ``--model`` names them, none means the base's own; ``weights`` are as many files in the same order, with
    ``-`` for a network that brings its own. ``untrained`` takes random weights where none are given. ``methods`` and
    ``metrics`` are names of the catalogues, none means the quick ones, ``all`` every one. ``masks`` is a folder of PNG
    masks, a COCO file or a VOC folder, read as ``mask_choice`` says. ``kept`` is the folder of what was computed
    before, None for its usual place; ``fresh`` computes everything anew. ``against`` names published rows to print
    beside these.
    """

    images: Sequence[str | Path] = ()
    split: str | None = None
    models: Sequence[str] = ()
    weights: Sequence[str | Path] = ()
    untrained: bool = False
    methods: Sequence[str] = ()
    metrics: Sequence[str] = ()
    masks: Path | None = None
    mask_choice: MaskChoice = field(default_factory=MaskChoice)
    layer: str | None = None
    sign: str = "absolute"
    samples: int | None = None
    limit: int | None = None
    against: str | None = None
    kept: Path | None = None
    fresh: bool = False
    bench: BenchSettings = field(default_factory=BenchSettings)

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit must be at least 1, not {self.limit}")
        if self.against is not None and self.against not in DECKS:
            raise UsageError(f"--against knows {', '.join(DECKS)}, not {self.against!r}")
        if self.masks is None and self.mask_choice != MaskChoice():
            raise UsageError("a choice of how masks are read belongs to --masks, which names where they are")
        if self.weights and not self.models:
            raise UsageError("--weights belongs to a --model; without one the base's own network is explained")
        if self.weights and len(self.weights) != len(self.models):
            raise UsageError(
                f"{len(self.weights)} --weights for {len(self.models)} --model: give one file for each network, in the "
                f"same order; {NO_WEIGHTS} stands for a network that brings its own weights"
            )
