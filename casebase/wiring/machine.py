"""What this machine offers: cores, threads, versions."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import sys
from importlib import metadata
from typing import Any

from casebase.settings import Settings
from casebase.storage import database


def workers(settings: Settings) -> int:
    """Threads to work on: those asked for, else the cores this process may use."""
    if settings.workers:
        return settings.workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


NEEDED = {
    "torch": (2, 14), "torchvision": (0, 29), "chromadb": (1, 5), "torchcam": (0, 5), "open-clip-torch": (2, 30),
    "timm": (1, 0), "diffusers": (0, 30), "sqlalchemy": (2, 0), "alembic": (1, 13), "pillow": (12, 3), "numpy": (2, 0),
    "scikit-learn": (1, 5), "safetensors": (0, 4), "jinja2": (3, 1), "typer": (0, 26), "rich": (13, 7),
}  # fmt: skip


def environment(settings: Settings) -> list[dict[str, Any]]:
    """What ``casebase doctor`` reports: rows of name, found, ok."""
    rows = [_row("python", platform.python_version(), sys.version_info >= (3, 11))]
    for name, least in NEEDED.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            rows.append(_row(name, "not installed", ok=False))
            continue
        numbers = tuple(int(n) for n in re.findall(r"\d+", found)[:2])
        rows.append(_row(name, found, numbers >= least))
    try:
        import torch
        import torchvision

        rows.append(_row("torch with torchvision", f"{torch.__version__}, {torchvision.__version__}", ok=True))
        rows.append(_row("devices", ", ".join(["cpu", *(["cuda"] if torch.cuda.is_available() else [])]), ok=True))
    except Exception as error:  # a mismatched pair fails with all sorts of errors while importing
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        rows.append(_row("torch with torchvision", f"they do not fit together ({said})", ok=False))
    rows.append(_row("sqlite", sqlite3.sqlite_version, sqlite3.sqlite_version_info >= (3, 35)))
    if database.exists(settings.base, settings.sql_url):
        rows.append(_row("case base", str(settings.base), database.writable(settings.base)))
    else:
        rows.append(_row("case base", f"none at {settings.base} yet", ok=True))
    return rows


def _row(name: str, found: str, ok: bool) -> dict[str, Any]:  # noqa: FBT001  # private, three words
    return {"name": name, "found": found, "ok": ok}
