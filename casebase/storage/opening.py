"""From a folder and settings to an opened store."""

from __future__ import annotations

from pathlib import Path

from casebase.settings import Settings
from casebase.storage import database, skeleton
from casebase.storage.writing import SqlCaseStore


def open_store(settings: Settings) -> SqlCaseStore:
    """Open an existing case base; read-only where its folder cannot be written.

    Raises ``NoCaseBase``, ``MigrationNeeded``, ``StorageFailed``.
    """
    folder = settings.base
    database.require(folder, settings.sql_url)
    readonly = not database.writable(folder)
    engine = database.engine_for(folder, settings.sql_url, readonly=readonly)
    database.ensure_schema(engine, folder, settings.sql_url, readonly=readonly, create=False)
    return SqlCaseStore(engine, folder, readonly=readonly, chroma_url=settings.chroma_url)


def make_store(settings: Settings) -> SqlCaseStore:
    """Open a case base, making it first where there is none."""
    folder: Path = settings.base
    skeleton.make(folder)
    engine = database.engine_for(folder, settings.sql_url, readonly=False)
    database.ensure_schema(engine, folder, settings.sql_url, readonly=False, create=True)
    return SqlCaseStore(engine, folder, readonly=False, chroma_url=settings.chroma_url)
