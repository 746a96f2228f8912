"""Files that are whole or absent: written aside, synced, renamed into place."""

from __future__ import annotations

import hashlib
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from casebase.folders import replaced, sync
from casebase.storage.translate import file_errors


def checksum(path: Path) -> tuple[int, int]:
    """A file's size and CRC-32."""
    crc, size = 0, 0
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            crc, size = zlib.crc32(block, crc), size + len(block)
    return size, crc


def sha256(path: Path) -> str | None:
    """A file's SHA-256; None where it cannot be read."""
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        return None


def write(path: Path, data: bytes) -> None:
    """Replace a file in one step."""
    with file_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            aside.write_bytes(data)
            sync(aside)
            os.replace(aside, path)
            sync(path.parent)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """:func:`casebase.folders.replaced`, whose disk errors leave as ``StorageFailed``."""
    with ExitStack() as inside:
        with file_errors(path.parent):
            aside = inside.enter_context(replaced(path))
        yield aside
        with file_errors(path.parent):
            inside.close()


def try_folder(path: Path) -> None:
    """Make a folder beside ``path`` and take it away again: an ``OSError`` now rather than after hours of work."""
    above = [place for place in path.parents if not place.exists()]
    aside = path.with_name(f".{path.name[:80]}.{os.getpid()}.try")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
        aside.rmdir()
    finally:
        for place in above:
            with suppress(OSError):  # never made
                place.rmdir()


def remove_others(folder: Path, keep: Callable[[str], bool]) -> None:
    """Remove every entry of a folder whose name is not kept; what cannot be removed is left for the next time."""
    if not folder.is_dir():
        return
    for child in folder.iterdir():
        if keep(child.name):
            continue
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child, ignore_errors=True)
        else:
            try:
                child.unlink(missing_ok=True)
            except OSError:
                continue
