"""``cases.db`` opened: engine, pragmas, schema version. SQLite by default, any SQLAlchemy URL by setting."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.pool import QueuePool

from casebase.errors import MigrationNeeded, NoCaseBase, SettingsError, StorageFailed
from casebase.storage import lock, schema
from casebase.storage.translate import file_errors, sql_errors

FILE = "cases.db"
BUSY_MS = 15_000
SHARED_BYTES = 65_536
_NETWORK_DISKS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "lustre", "ceph"}


def writable(folder: Path) -> bool:
    """Whether files can be made and filled in this folder.

    Tried, since permission bits do not tell (root, read-only mounts), and with as much as SQLite needs beside the
    database before it reads: on a full disk questions are answered as from a read-only one.
    """
    probe = folder / f".writable-{os.getpid()}"
    try:
        probe.write_bytes(bytes(SHARED_BYTES))
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return True


def engine_for(folder: Path, url: str | None, *, readonly: bool) -> Engine:
    """An engine on the base's store. ``readonly`` opens SQLite without writing a single file beside it."""
    if url is not None:
        try:
            return create_engine(make_url(url), pool_pre_ping=True)
        except Exception as error:  # SQLAlchemy raises its own and the driver's ImportError
            raise SettingsError(f"sql_url cannot be used ({type(error).__name__}: {error})") from None
    path = (folder / FILE).resolve()
    if readonly:
        # With a -wal file left by a killed writer, immutable=1 would overlook committed rows.
        immutable = "" if path.with_name(FILE + "-wal").exists() else "&immutable=1"
        target = f"file:{_quoted(path)}?mode=ro{immutable}"
    else:
        target = f"file:{_quoted(path)}?mode=rwc"
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: sqlite3.connect(target, uri=True, timeout=BUSY_MS / 1000, check_same_thread=False),
        poolclass=QueuePool,
        pool_size=4,
    )
    journal = "DELETE" if _on_network(path) else "WAL"

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late for consistent reads
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        if not readonly:
            cursor.execute(f"PRAGMA journal_mode={journal}")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _quoted(path: Path) -> str:
    return "".join(f"%{b:02x}" if chr(b) in "?#%" or b < 33 or b > 126 else chr(b) for b in os.fsencode(path))


def _on_network(path: Path) -> bool:
    """Whether a path lies on a network file system, where SQLite's WAL is unsafe (Linux; elsewhere: no)."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    best, kind = "", ""
    for line in mounts:
        _, point, found, *_ = line.split()
        if str(path).startswith(point) and len(point) >= len(best):
            best, kind = point, found
    return kind in _NETWORK_DISKS


def exists(folder: Path, url: str | None) -> bool:
    """Whether a case base was made here. A server store counts as made when the folder has its settings."""
    return (folder / FILE).exists() if url is None else folder.is_dir() and (folder / "models").is_dir()


def ensure_schema(engine: Engine, folder: Path, url: str | None, *, readonly: bool, create: bool) -> None:
    """Create the tables where there are none, upgrade an older store after a file backup, refuse a newer one.

    Without ``create`` a file without tables is refused: it is what is left of a base, or of a first run's first moment.
    """
    with sql_errors(str(folder / FILE)):
        found = revision(engine)
        if found == schema.REVISION:
            return
        if found is None and url is None and not create:
            raise StorageFailed(
                f"{folder / FILE} is empty; fill it with `casebase index DATA`, or restore it from a backup"
            )
        if readonly:
            raise MigrationNeeded(
                f"{folder} was written by another version of casebase (schema {found or 'none'}, "
                f"here {schema.REVISION}) and is read-only; make it writable once"
            )
        if found is not None and found > schema.REVISION:
            raise MigrationNeeded(
                f"{folder} was written by a newer casebase (schema {found}, here {schema.REVISION}); upgrade casebase"
            )
        if found is None:
            _upgrade(engine)
            return
        with lock.writer(folder, "upgrade"):  # two commands may meet an old base at once
            if revision(engine) == schema.REVISION:
                return
            if url is None:
                _backup(folder)
            _upgrade(engine)


def revision(engine: Engine) -> str | None:
    """The schema's revision, or None for an empty store."""
    with engine.connect() as connection:
        tables = set(engine.dialect.get_table_names(connection))
        if "alembic_version" not in tables:
            if tables & {"cases", "vectors"}:
                raise StorageFailed("the store has casebase's tables without a version; restore it from a backup")
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, schema.REVISION)


def _backup(folder: Path) -> None:
    target = folder / f"{FILE}.before-{schema.REVISION}"
    with file_errors(folder):
        source = sqlite3.connect(folder / FILE)
        try:
            copy = sqlite3.connect(target)
            with copy:
                source.backup(copy)
            copy.close()
        finally:
            source.close()
        shutil.copymode(folder / FILE, target)


def require(folder: Path, url: str | None) -> None:
    """Raise ``NoCaseBase`` with the next command where there is no case base."""
    if not exists(folder, url):
        raise NoCaseBase(
            f"no case base at {folder}; make one with `casebase index DATA --base {shlex.quote(str(folder))}`"
        )
