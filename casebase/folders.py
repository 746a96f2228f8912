"""Folders that are whole or absent: filled aside, brought to the disk, renamed into place."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART, OLD = "part", "old"
_LONGEST = 80  # of a folder's name in its names aside, so that they stay below what file systems allow


def sync(path: Path) -> None:
    """Bring a file, or a folder's list of names, to the disk."""
    if os.name != "posix" and path.is_dir():  # elsewhere a folder cannot be opened
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Fill a folder aside; on success it stands at ``path``, on failure what was there before does.

    What was there is moved away and removed only when the new one stands: whatever goes wrong, one is whole. What a
    process that was killed has left beside ``path`` is cleared away first, and put back where it is all there is.
    Raises ``OSError`` where the disk does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear(path)
    mark = f".{path.name[:_LONGEST]}.{os.getpid()}-{secrets.token_hex(4)}"
    aside, old = path.with_name(f"{mark}.{PART}"), path.with_name(f"{mark}.{OLD}")
    try:
        aside.mkdir()
        yield aside
        for child in aside.rglob("*"):
            sync(child)
        sync(aside)
        there = path.exists()
        if there:
            path.rename(old)
        try:
            aside.rename(path)
        except OSError:
            if there:
                old.rename(path)
            raise
        sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _clear(path: Path) -> None:
    """Take away, or put back, what processes that are gone have left of :func:`replaced`."""
    if os.name != "posix":  # whether a process is gone cannot be asked without harm
        return
    left = re.compile(rf"\.{re.escape(path.name[:_LONGEST])}\.(\d+)-[0-9a-f]{{8}}\.({PART}|{OLD})")
    for child in list(path.parent.iterdir()):
        found = left.fullmatch(child.name)
        if found is None or _alive(int(found[1])):
            continue
        if found[2] == OLD and not path.exists():
            child.rename(path)
        else:
            shutil.rmtree(child, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
