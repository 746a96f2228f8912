"""The folder of a case base before anything is in it: made by the first run, removed if that run stores nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path

from casebase.settings import FILE_NAME
from casebase.storage import files
from casebase.storage.database import FILE
from casebase.storage.lock import HOLDER, NAME
from casebase.storage.translate import file_errors

_FOLDERS = ("chroma", "matrix", "models", "thumbnails", "reports")
TEMPLATE = """\
# Settings of this case base. Flags and CASEBASE_* variables win over this file.
# data = "../photos"            # what `casebase index` reads when no folder is named
# device = "auto"               # auto, cpu, cuda, mps
# max_megapixels = 90           # larger images are skipped
# sql_url = "postgresql+psycopg://user@host/name"
# chroma_url = "http://host:8000"
"""


def make(folder: Path) -> None:
    """Make what is missing of the folders and the settings file."""
    with file_errors(folder):
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        if not (folder / FILE_NAME).exists():
            files.write(folder / FILE_NAME, TEMPLATE.encode())


def remove(folder: Path) -> None:
    """Remove the database and what :func:`make` made; folders with something in them and others' files stay."""
    with contextlib.suppress(OSError):
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", HOLDER, NAME):
            (folder / name).unlink(missing_ok=True)
        settings = folder / FILE_NAME
        if settings.read_text(encoding="utf-8") == TEMPLATE:
            settings.unlink()
    for path in (*(folder / name for name in _FOLDERS), folder):
        with contextlib.suppress(OSError):
            path.rmdir()
