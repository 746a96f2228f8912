"""What the libraries raise, said in the words of ``casebase.errors``. Nothing of theirs leaves this room."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import exc

from casebase.errors import CasebaseError, StorageFailed


@contextmanager
def sql_errors(place: str) -> Iterator[None]:
    """Run SQL; every error of the database or of SQLAlchemy leaves as ``StorageFailed``."""
    try:
        yield
    except CasebaseError:
        raise
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        raise StorageFailed(_sql_sentence(place, error)) from error


def _sql_sentence(place: str, error: Exception) -> str:
    cause = str(getattr(error, "orig", None) or error).lower()
    if "readonly" in cause or "read-only" in cause:
        return f"{place} is read-only; nothing was written. Make it writable, or choose another --base"
    if "disk is full" in cause or "no space" in cause:
        return f"no space left on the disk of {place}; what was acknowledged is kept. Free some space and run again"
    if "disk i/o" in cause:
        return f"the disk of {place} fails or is full; what was acknowledged is kept. Check it and run again"
    if "locked" in cause or "busy" in cause:
        return f"{place} is locked by another program for too long; try again when it has finished"
    if "malformed" in cause or "not a database" in cause or "corrupt" in cause:
        return f"{place} is damaged; run `casebase verify`, and restore it from a backup"
    if "no such table" in cause or "no such column" in cause:
        return f"{place} is not a case base of this casebase; run `casebase verify`"
    if "unable to open" in cause:
        return f"{place} cannot be opened; check that the folder exists and may be written"
    return f"{place}: the database failed ({cause.splitlines()[0] if cause else type(error).__name__})"


@contextmanager
def file_errors(place: Path | str) -> Iterator[None]:
    """Write files; a full, read-only or failing disk leaves as ``StorageFailed``."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(_file_sentence(place, error)) from error


def _file_sentence(place: Path | str, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"no space left on the disk of {place}; what was acknowledged is kept. Free some space and run again"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{place} is read-only; nothing was written. Make it writable, or choose another --base"
    return f"{place}: {error.strerror or error}"
