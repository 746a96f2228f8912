"""Thumbnails, named by the pixels they show: what is left to look at when an image's file is gone."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

SIDE = 128


def place(base: Path, pixel_hash: str) -> Path:
    """Where the thumbnail of a picture lies."""
    return base / "thumbnails" / pixel_hash[:2] / f"{pixel_hash}.jpg"


def encode(view: Image.Image) -> bytes:
    """The network's view of a picture as a small JPEG without any metadata."""
    small = view.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()


def keep(base: Path, pixel_hash: str, data: bytes) -> None:
    """Store a thumbnail; a full or read-only disk is no reason to stop, since it can be made again."""
    target = place(base, pixel_hash)
    try:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            aside = target.with_suffix(f".{threading.get_ident()}")
            aside.write_bytes(data)
            aside.replace(target)  # whole or absent; not synced, since it can be made again
    except OSError:
        with contextlib.suppress(OSError):
            target.unlink(missing_ok=True)


def find(base: Path, pixel_hash: str) -> Image.Image | None:
    """A stored thumbnail, or None."""
    try:
        with Image.open(place(base, pixel_hash), formats=("JPEG",)) as opened:
            return opened.convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None


def forget(base: Path, in_use: Callable[[Sequence[str]], set[str]]) -> int:
    """Remove thumbnails whose pixels no stored image has any more; returns how many."""
    removed = 0
    for folder in sorted((base / "thumbnails").glob("??")):
        found = {path.stem: path for path in folder.glob("*.jpg")}
        used = in_use(list(found))
        for name, path in found.items():
            if name not in used:
                path.unlink(missing_ok=True)
                removed += 1
    return removed
