"""The Chroma index of a generation on a server, chosen by URL (``chroma_url``, ``CASEBASE_CHROMA_URL``).

The same rules as for the embedded one: a generation is built beside the last and never changed, SQL stays the truth,
and a stamp, kept in the base's own folder, says what is complete. Run the server behind TLS and a proxy that
authenticates: it listens to everybody by default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from casebase.errors import SettingsError, StorageFailed
from casebase.storage import files
from casebase.storage.chroma import EF_SEARCH, ChromaIndex, Rows, Stamp, add_rows, close, collection, create, first_line


def client(url: str) -> Any:
    """A client of the server; ``SettingsError`` for a URL that is none, ``StorageFailed`` if nobody answers."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"chroma_url must look like http://host:8000, not {url!r}")
    try:
        import chromadb
        from chromadb.config import Settings

        port = parts.port or (443 if parts.scheme == "https" else 8000)
        quiet = Settings(anonymized_telemetry=False)
        found = chromadb.HttpClient(host=parts.hostname, port=port, ssl=parts.scheme == "https", settings=quiet)
        found.heartbeat()
    except Exception as error:  # chromadb and httpx raise their own
        raise StorageFailed(f"the Chroma server at {url} does not answer ({first_line(error)})") from error
    return found


def _name(stamp: Stamp, space: str) -> str:
    return f"casebase-{stamp.base}-{space}-g{stamp.generation:06d}-{stamp.digest[:8]}"


def build(url: str, stamps: Path, stamp: Stamp, spaces: Mapping[str, Iterable[Rows]]) -> Stamp:
    """Build a generation on the server, check its counts, stamp it, and drop this base's older collections."""
    opened = client(url)
    try:
        wanted = {_name(stamp, space): rows for space, rows in spaces.items()}
        _drop(opened, lambda name: name in wanted)
        for name, rows in wanted.items():
            made = create(opened, name, EF_SEARCH)
            for chunk in rows:
                add_rows(opened, made, chunk)
        whole = Stamp(stamp.base, stamp.generation, stamp.digest, dict(stamp.counts), {})
        open_index(opened, whole, spaces)
        whole.write(stamps / f"{stamp.name}.json")
        mine = f"casebase-{stamp.base}-"
        _drop(opened, lambda name: name.startswith(mine) and name not in wanted)
        files.remove_others(stamps, lambda name: name == f"{stamp.name}.json")
    finally:
        close(opened)
    return whole


def open_index(opened: Any, stamp: Stamp, spaces: Iterable[str]) -> ChromaIndex:
    """The collections of a stamp, their counts compared with it."""
    found = {space: collection(opened, _name(stamp, space)) for space in spaces}
    for space, held in found.items():
        try:
            count = held.count()
        except Exception as error:
            raise StorageFailed(f"the Chroma server failed ({first_line(error)})") from error
        if count != stamp.counts.get(space):
            raise StorageFailed(f"the Chroma server holds {count} of {stamp.counts.get(space)} rows of {space!r}")
    return ChromaIndex(opened, found)


def _drop(opened: Any, doomed: Any) -> None:
    try:
        for held in opened.list_collections():
            name = held if isinstance(held, str) else held.name
            if doomed(name):
                opened.delete_collection(name)
    except Exception as error:
        raise StorageFailed(f"the Chroma server failed ({first_line(error)})") from error
