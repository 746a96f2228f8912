"""From a folder and settings to an opened store."""

from __future__ import annotations

from pathlib import Path

from casebase.settings import FILE_NAME, Settings
from casebase.storage import database, files
from casebase.storage.translate import file_errors
from casebase.storage.writing import SqlCaseStore

_FOLDERS = ("chroma", "matrix", "models", "thumbnails", "reports")
_TEMPLATE = """\
# Settings of this case base. Flags and CASEBASE_* variables win over this file.
# data = "../photos"            # what `casebase index` reads when no folder is named
# device = "auto"               # auto, cpu, cuda, mps
# max_megapixels = 90           # larger images are skipped
# sql_url = "postgresql+psycopg://user@host/name"
# chroma_url = "http://host:8000"
"""


def open_store(settings: Settings) -> SqlCaseStore:
    """Open an existing case base; read-only where its folder cannot be written.

    Raises ``NoCaseBase``, ``MigrationNeeded``, ``StorageFailed``.
    """
    folder = settings.base
    database.require(folder, settings.sql_url)
    readonly = not database.writable(folder)
    engine = database.engine_for(folder, settings.sql_url, readonly=readonly)
    database.ensure_schema(engine, folder, settings.sql_url, readonly=readonly)
    return SqlCaseStore(engine, folder, readonly=readonly, chroma_url=settings.chroma_url)


def make_store(settings: Settings) -> SqlCaseStore:
    """Open a case base, making it first where there is none."""
    folder: Path = settings.base
    with file_errors(folder):
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        if not (folder / FILE_NAME).exists():
            files.write(folder / FILE_NAME, _TEMPLATE.encode())
    engine = database.engine_for(folder, settings.sql_url, readonly=False)
    database.ensure_schema(engine, folder, settings.sql_url, readonly=False)
    return SqlCaseStore(engine, folder, readonly=False, chroma_url=settings.chroma_url)
