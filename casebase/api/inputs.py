"""What callers hand over: an image, the data to index, and the choices of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from casebase import reading, settings
from casebase.errors import DataError, ImageError, UsageError
from casebase.wiring import ModelChoice

Image = str | Path | bytes
"""A path, or the bytes of an image file."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """Everything ``index`` can be told beyond the data: networks, spaces, and which part of the data."""

    model: ModelChoice | None = None
    spaces: Sequence[str] = ()
    split: str | None = None
    limit: int | None = None
    thumbnails: bool = True

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit must be at least 1, not {self.limit}")


def data_of(chosen: settings.Settings, data: str | Path | None) -> Path:
    """What to index: the folder named, else the ``data`` setting, else ``./data``; else ``DataError``."""
    if data is not None:
        return Path(data)
    if chosen.data is not None:
        named = Path(chosen.data)
        return named if chosen.origin.get("data") in ("environment", "flag") else chosen.base / named
    if Path("data").is_dir():
        return Path("data")
    raise DataError("no data named: give a folder or a manifest, or set `data` in casebase.toml")


def decoded(image: Image, chosen: settings.Settings) -> tuple[str, reading.Picture]:
    """An image's name as it was given, and the image decoded; raises ``ImageError`` with that name."""
    name = reading.STANDARD_INPUT if isinstance(image, bytes) else str(image)
    try:
        source = image if isinstance(image, bytes) else Path(image)
        return name, reading.read(source, megapixels=chosen.max_megapixels)
    except ImageError as error:
        raise ImageError(f"{reading.printable(name)}: {error}") from None
