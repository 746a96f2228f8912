"""How to measure prototypes: what a person may choose. Light to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from casebase.errors import UsageError
from casebase.evaluate.saliency.options import MaskChoice
from casebase.prototypes import PROFILES


@dataclass(frozen=True, slots=True)
class PrototypeOptions:
    """``profile`` measures one set of prototypes, None every one of the base.

    ``sample`` images are looked at again under noise, re-encoded and with their matches hidden (0: none). ``masks`` is
    a folder of PNG masks, a COCO file or a VOC folder, read as ``mask_choice`` says; ``parts`` a CSV file with the
    places of named parts.
    """

    profile: str | None = None
    sample: int = 100
    masks: Path | None = None
    mask_choice: MaskChoice = field(default_factory=MaskChoice)
    parts: Path | None = None

    def __post_init__(self) -> None:
        if self.profile is not None and self.profile not in PROFILES:
            raise UsageError(f"--profile must be {' or '.join(PROFILES)}, not {self.profile!r}")
        if self.sample < 0:
            raise UsageError(f"the sample must be 0 (no images looked at again) or more images, not {self.sample}")
        if self.masks is None and self.mask_choice != MaskChoice():
            raise UsageError("a choice of how masks are read belongs to --masks, which names where they are")
