"""Folders that may be replaced: those that hold nothing but what casebase wrote there before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from casebase.errors import StorageFailed, UsageError
from casebase.reading import printable

_HEAD = 200
"""Bytes of a JSON file that its schema stands in: it is written first, and some of these files are large."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What casebase writes into a folder: ``data`` is a JSON file that opens with ``schema``.

    ``files`` lie beside it; ``below`` maps folders to the endings of the files in them. ``of`` is the ``kind`` that the
    JSON must name after its schema, where there are several under one schema.
    """

    name: str
    data: str
    schema: str
    files: frozenset[str]
    below: Mapping[str, frozenset[str]]
    of: str | None = None


def check(folder: Path, kind: Kind) -> None:
    """Whether a folder may be written, or replaced as a whole, since nothing that is not ours would be lost.

    Raises ``UsageError`` where anything else is there, ``StorageFailed`` where it cannot be looked at.
    """
    shown = printable(str(folder))
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise UsageError(f"{shown} is a file; name a folder for the {kind.name} with --out")
        entries = sorted(folder.iterdir())
        strange = [path.name for path in entries if not _ours(path, kind)]
        strange += [
            f"{path.name}/{inner.name}"
            for path in entries
            if path.name in kind.below and path.is_dir()
            for inner in sorted(path.iterdir())
            if inner.suffix not in kind.below[path.name] or not inner.is_file()
        ]
        head = _head(folder / kind.data)
        if strange or (entries and re.match(_opening(kind.schema), head) is None):
            what = f"it holds {printable(strange[0])}" if strange else "it is not empty"
            raise UsageError(f"{shown} is no {kind.name} of casebase: {what}; name another folder with --out")
        other = re.match(_opening(kind.schema) + rb',\s*"kind":\s*"([^"]*)"', head)
        if kind.of is not None and other is not None and other[1] != kind.of.encode():
            said = printable(other[1].decode("utf-8", "replace"))
            raise UsageError(
                f"{shown} is the {kind.name} of another kind ({said}), which would be lost; "
                "name another folder with --out"
            )
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageFailed(f"{shown} cannot be looked at ({reason}); name another folder with --out") from None


def _ours(path: Path, kind: Kind) -> bool:
    if path.name in kind.below:
        return path.is_dir()
    return path.name in {kind.data, *kind.files} and path.is_file()


def _opening(schema: str) -> bytes:
    return rb'\{\s*"schema":\s*"' + re.escape(schema.encode()) + b'"'


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_HEAD)
    except FileNotFoundError:
        return b""
