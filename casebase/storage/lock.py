"""One writer at a time. The lock is the operating system's, so a killed writer leaves none behind."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from casebase import clock
from casebase.errors import Locked
from casebase.storage.translate import file_errors

NAME = "writer.lock"
HOLDER = "writer.json"


@contextmanager
def writer(folder: Path, command: str) -> Iterator[None]:
    """Hold the case base for writing; raises ``Locked`` at once, naming the holder, if somebody else does."""
    with file_errors(folder):
        lock = FileLock(folder / NAME, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise Locked(f"{folder} is being written by {holder(folder)}; wait for it to finish, or stop it") from None
    try:
        with file_errors(folder):
            facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": clock.now(), "command": command}
            (folder / HOLDER).write_text(json.dumps(facts), encoding="utf-8")
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def held(folder: Path) -> bool:
    """Whether somebody is writing right now."""
    if not (folder / NAME).exists():
        return False
    try:
        with FileLock(folder / NAME, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def holder(folder: Path) -> str:
    """Who holds the lock, in words."""
    try:
        facts = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {facts['pid']} on {facts['host']} (`{facts['command']}`, since {facts['since']})"
    except (OSError, ValueError, KeyError):
        return "another process"
