"""How to measure a class association embedding: what a person may choose. Light to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from casebase.errors import UsageError
from casebase.evaluate.saliency.options import MaskChoice

FEWEST = 4


@dataclass(frozen=True, slots=True)
class CaeOptions:
    """``n`` images are swapped, ``walks`` of them walked along both routes.

    Of ``hidden`` the maps are made and compared by taking patches away (0: none), with ``draws`` random fillings.
    ``masks`` is a folder of PNG masks, a COCO file or a VOC folder, read as ``mask_choice`` says.
    """

    n: int = 200
    walks: int = 30
    hidden: int = 10
    draws: int = 10
    masks: Path | None = None
    mask_choice: MaskChoice = field(default_factory=MaskChoice)

    def __post_init__(self) -> None:
        if self.n < FEWEST:
            raise UsageError(f"-n must be at least {FEWEST} images, not {self.n}")
        for name, value, least in (("walks", self.walks, 0), ("hidden", self.hidden, 0), ("draws", self.draws, 1)):
            if value < least:
                raise UsageError(f"--{name} must be {least} or more, not {value}")
        if self.masks is None and self.mask_choice != MaskChoice():
            raise UsageError("a choice of how masks are read belongs to --masks, which names where they are")
