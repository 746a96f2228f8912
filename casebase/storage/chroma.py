"""The ChromaDB index of a generation: every space, one collection each, serving the unfiltered list.

A generation is built in a folder of its own and never changed afterwards: a small change copies the last folder and
is applied to the copy, a large one is built afresh. So no reader ever meets a half-written or stale index, and a crash
leaves only a folder without a stamp, which nobody opens. Facts behind each rule: docs/storage.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from casebase.distance import Matrix, Vector
from casebase.errors import StorageFailed
from casebase.storage import files
from casebase.storage.translate import file_errors

EF_SEARCH = 100
PROBE_SECONDS = 60
ADD_MOST = 5_000
_CHECKED = (".bin", ".pickle")
_PERSISTED = "index_metadata.pickle"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What an index holds: written last, beside its folder, so an unfinished index has none.

    ``checks`` maps the graph's files to (size, crc32): a native library would crash on damage that SQLite never sees.
    """

    base: str
    generation: int
    digest: str
    counts: Mapping[str, int]
    checks: Mapping[str, tuple[int, int]]

    @property
    def name(self) -> str:
        """The folder's name."""
        return folder_name(self.generation, self.digest)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The stamp at ``path``; None where it is missing or damaged."""
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            checks = {name: (int(size), int(crc)) for name, (size, crc) in value["checks"].items()}
            return cls(value["base"], value["generation"], value["digest"], value["counts"], checks)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, path: Path) -> None:
        """Write the stamp in one step."""
        files.write(path, json.dumps(asdict(self)).encode())


def folder_name(generation: int, digest: str) -> str:
    """Name of a generation's folder, for matrix and Chroma alike."""
    return f"g{generation:06d}-{digest[:12]}"


def _checks(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        # Below chromadb's sync threshold a graph lives in its SQLite log; its files are rewritten at every opening.
        if path.suffix in _CHECKED and (path.parent / _PERSISTED).exists():
            found[path.relative_to(folder).as_posix()] = files.checksum(path)
    return found


def damage(folder: Path, stamp: Stamp) -> str | None:
    """What is wrong with the graph's files of a stamped folder, in words, or None; its database is not looked at."""
    place = folder / stamp.name
    try:
        damaged = [name for name, found in _checks(place).items() if stamp.checks.get(name) != found]
        missing = [name for name in stamp.checks if not (place / name).exists()]
    except OSError as error:
        return f"the Chroma index at {place} cannot be read ({error.strerror})"
    if damaged or missing:
        return f"the Chroma index at {place} is damaged ({', '.join([*damaged, *missing][:2])})"
    return None


def collection_name(space: str, generation: int) -> str:
    """Collections are named by space and generation, never by label text."""
    return f"{space}-g{generation:06d}"


class ChromaIndex:
    """An opened client and its collections. Raises ``StorageFailed`` for anything chromadb says or does."""

    def __init__(self, client: Any, collections: Mapping[str, Any]) -> None:
        self._client = client
        self._collections = dict(collections)

    @classmethod
    def open(cls, folder: Path, stamp: Stamp, spaces: Iterable[str]) -> Self:
        """Open a stamped folder after comparing the graph's files with the stamp."""
        place = folder / stamp.name
        problem = damage(folder, stamp)
        if problem is not None:
            raise StorageFailed(problem)
        client = _client(place)
        try:
            found = {s: collection(client, collection_name(s, stamp.generation)) for s in spaces}
            for space, held in found.items():
                if held.count() != stamp.counts.get(space):
                    raise StorageFailed(f"the Chroma index at {place} has lost rows of {space!r}")
        except BaseException:
            close(client)
            raise
        return cls(client, found)

    def search(self, space: str, vector: Vector, k: int) -> list[tuple[str, float]]:
        """The ``k`` nearest (id, distance) without any filter; approximate."""
        held = self._collections[space]
        return self.search_where(space, vector, min(k, max(1, held.count())), None)

    def search_where(
        self, space: str, vector: Vector, k: int, where: Mapping[str, Any] | None
    ) -> list[tuple[str, float]]:
        """The same with a metadata filter on ``predicted`` (a class number); for audits only."""
        try:
            answer = self._collections[space].query(
                query_embeddings=[vector.astype(np.float32).tolist()], n_results=k, where=where, include=["distances"]
            )
        except Exception as error:  # chromadb raises its own, pyo3's and sqlite's
            raise StorageFailed(f"the Chroma index failed ({first_line(error)})") from error
        pairs = zip(answer["ids"][0], answer["distances"][0], strict=True)
        return [(str(name), float(distance)) for name, distance in pairs]

    def set_ef_search(self, value: int) -> None:
        """Record a wider graph walk; it takes effect when the folder is opened again."""
        try:
            for held in self._collections.values():
                held.modify(configuration={"hnsw": {"ef_search": value}})
        except Exception as error:
            raise StorageFailed(f"the Chroma index failed ({first_line(error)})") from error

    def close(self) -> None:
        """Let go of the folder."""
        close(self._client)


def _client(place: Path) -> Any:
    try:
        import chromadb
        from chromadb.config import Settings

        return chromadb.PersistentClient(str(place), settings=Settings(anonymized_telemetry=False))
    except Exception as error:
        raise StorageFailed(f"the Chroma index at {place} cannot be opened ({first_line(error)})") from error


def close(client: Any) -> None:
    """Let go of a client."""
    close = getattr(client, "close", None)
    if close is not None:
        close()


def collection(client: Any, name: str) -> Any:
    """A collection by name; never with an embedding function, which could run code."""
    try:
        return client.get_collection(name, embedding_function=None)
    except Exception as error:
        raise StorageFailed(f"the Chroma index has no readable collection {name!r} ({first_line(error)})") from error


def first_line(error: BaseException) -> str:
    """The first line of what a library said."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:160]


@dataclass(frozen=True, eq=False)
class Rows:
    """Vectors on their way into a collection: ids, unit vectors ``(n, D)``, class numbers ``(n,)`` as metadata."""

    ids: Sequence[str]
    vectors: Matrix
    predicted: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Change:
    """What differs between an existing generation and the next, for one space."""

    removed: Sequence[str]
    added: Iterable[Rows]


def build(
    chroma: Path,
    stamp_of: Stamp,
    spaces: Mapping[str, Iterable[Rows]],
    *,
    ef_search: int = EF_SEARCH,
) -> Stamp:
    """Build a generation from nothing. ``stamp_of`` says what it will be; returns the stamp as written."""
    with files.new_folder(chroma / stamp_of.name) as place:
        client = _client(place)
        try:
            for space, rows in spaces.items():
                held = create(client, collection_name(space, stamp_of.generation), ef_search)
                for chunk in rows:
                    add_rows(client, held, chunk)
        finally:
            close(client)
    return _finish(chroma, stamp_of)


def extend(chroma: Path, old: Stamp, new: Stamp, changes: Mapping[str, Change]) -> Stamp:
    """Make the next generation from a copy of the last one: delete, then add (never upsert), then rename."""
    with files.new_folder(chroma / new.name) as place:
        with file_errors(chroma):
            shutil.copytree(chroma / old.name, place, dirs_exist_ok=True)
        client = _client(place)
        try:
            for space, change in changes.items():
                held = collection(client, collection_name(space, old.generation))
                for start in range(0, len(change.removed), ADD_MOST):
                    _try(held.delete, ids=list(change.removed[start : start + ADD_MOST]))
                for chunk in change.added:
                    add_rows(client, held, chunk)
                _try(held.modify, name=collection_name(space, new.generation))
        finally:
            close(client)
    return _finish(chroma, new)


def _try(call: Any, **arguments: Any) -> Any:
    try:
        return call(**arguments)
    except Exception as error:
        raise StorageFailed(f"the Chroma index failed ({first_line(error)})") from error


def create(client: Any, name: str, ef_search: int) -> Any:
    """A new collection for cosine; its metric cannot be changed later."""
    configuration = {"hnsw": {"space": "cosine", "ef_search": ef_search}}
    return _try(client.create_collection, name=name, configuration=configuration, embedding_function=None)


def add_rows(client: Any, held: Any, rows: Rows) -> None:
    """Add rows in batches that the client takes."""
    most = min(ADD_MOST, int(client.get_max_batch_size()))
    for start in range(0, len(rows.ids), most):
        part = slice(start, start + most)
        _try(
            held.add,
            ids=list(rows.ids[part]),
            embeddings=rows.vectors[part],
            metadatas=[{"predicted": int(p)} for p in rows.predicted[part]],
        )


def _finish(chroma: Path, stamp: Stamp) -> Stamp:
    place = chroma / stamp.name
    # A small index lives in its SQLite log; only a graph on the disk can crash the library that reads it.
    problem = probe(place, stamp) if any(place.rglob(_PERSISTED)) else None
    if problem is not None:
        shutil.rmtree(place, ignore_errors=True)
        raise StorageFailed(f"the Chroma index could not be built: {problem}")
    with file_errors(chroma):  # only now: the first opening rewrites the graph's files of small collections
        whole = Stamp(stamp.base, stamp.generation, stamp.digest, dict(stamp.counts), _checks(place))
    whole.write(chroma / f"{stamp.name}.json")
    files.remove_others(chroma, lambda name: name in (stamp.name, f"{stamp.name}.json"))
    return whole


def probe(place: Path, stamp: Stamp, seconds: float = PROBE_SECONDS) -> str | None:
    """Open, count and query a folder in a process of its own, so that a native crash becomes a sentence.

    Returns the problem in words, or None. Run once per generation, before it is stamped.
    """
    spaces = {collection_name(space, stamp.generation): count for space, count in stamp.counts.items()}
    command = [sys.executable, "-m", "casebase.storage.chroma_probe", str(place), json.dumps(spaces)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return f"it did not answer within {seconds:.0f} s"
    if done.returncode == 0:
        return None
    said = done.stdout.strip() or f"the process ended with code {done.returncode}"
    return said.splitlines()[-1]
