"""What to type next: whole commands, every word quoted for a shell, paths as a person would write them."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from casebase.cases import Case
from casebase.reading import printable
from casebase.settings import DEFAULT_BASE


def typed(*words: str | Path, base: str | Path = DEFAULT_BASE) -> list[str]:
    """The command ``casebase WORDS… --base BASE`` as a list of one, ready to be pasted into a shell.

    The base is left out where it is the default. The list is empty where a word cannot be typed as it is printed, such
    as a file name with control characters: half a command helps nobody.
    """
    line = ["casebase", *map(str, words)]
    if str(base) != DEFAULT_BASE:
        line += ["--base", str(base)]
    return [shlex.join(line)] if all(printable(word) == word for word in line) else []


def spoken(*words: str | Path, base: str | Path = DEFAULT_BASE) -> str:
    """A command for a sentence: as :func:`typed`, without its base where that cannot be typed as it is printed."""
    return next(iter(typed(*words, base=base)), f"casebase {' '.join(map(str, words))}")


def again(line: list[str]) -> str:
    """A command line as it was typed (``sys.argv``), quoted, so that it can be typed again."""
    return shlex.join(["casebase", *line[1:]])


def about(case: Case, base: str | Path, *, rival: str | None = None) -> list[str]:
    """How to look at a stored image and how to ask about it; ``rival`` asks why it is not of that class."""
    against = () if rival is None else ("--rival", rival)
    asked = typed("query", place(case.file), *against, base=base)
    return typed("cases", "show", case.id, base=base) + asked


def named(case: Case) -> str:
    """A case's path as people read it: below its source, or where its file is if it lies outside of the source.

    Manifests may lead out of their own folder: ``../../../photos/cat/1.jpg`` tells nobody anything.
    """
    return place(case.file) if case.path.split("/", 1)[0] == ".." else case.path


def place(path: Path) -> str:
    """A path without detours: relative if it lies in the current folder, else absolute.

    ``..`` behind a linked folder leads out of the link's target: there the folders are followed. What looks like an
    option gets ``./`` in front.
    """
    whole = os.path.abspath(path)
    if ".." in path.parts and not _same(Path(whole), path):
        whole = os.path.join(os.path.realpath(path.parent), path.name)
    try:
        here = os.path.join(os.getcwd(), "")
    except OSError:  # a folder that is gone
        return whole
    if not os.path.join(whole, "").startswith(here):
        return whole
    inside = whole[len(here) :] or "."
    return f"./{inside}" if inside.startswith("-") else inside


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are one file; paths to nothing are taken to be."""
    try:
        return one.samefile(other)
    except OSError:
        return not other.exists()
