"""From a folder or a manifest to images in a fixed order.

A folder of class folders (``root/cat/1.jpg``), optionally with splits above them (``root/train/cat/1.jpg``); or a CSV
or JSONL manifest with ``path`` and ``label`` and, if wanted, ``split`` and ``group``. Whatever cannot be used is kept
in ``refused`` with its reason, so that it can be shown.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from casebase import hashing
from casebase.cases import SourceImage
from casebase.errors import DataError, UsageError
from casebase.reading import SUFFIXES, printable

TRAINING = frozenset({"train", "training"})
SPLITS = TRAINING | {"val", "valid", "validation", "dev", "test", "testing"}
MANIFESTS = frozenset({".csv", ".jsonl", ".ndjson"})
_OTHER_IMAGES = frozenset(
    {".heic", ".heif", ".avif", ".jp2", ".jxl", ".svg", ".psd", ".dng", ".cr2", ".nef", ".tga", ".dcm", ".ico", ".pdf"}
)
LEADS_BACK = "a link back into the images being indexed; they would be listed twice"


@dataclass(frozen=True, slots=True)
class Listed:
    """One image as a source lists it. ``relative`` is a POSIX path below the source's root."""

    relative: str
    label: str
    split: str | None = None
    group: str | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """Everything a folder or manifest lists, sorted by path, with what was refused and what should be said."""

    root: Path
    listed: Sequence[Listed]
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    manifest: Path | None = None

    @property
    def origin(self) -> Path:
        """What names the source: the manifest, or the folder. Two manifests of one folder are two sources."""
        return self.manifest or self.root

    @property
    def manifests_beside(self) -> list[str]:
        """Names of files in the source's folder that may be manifests, where the folder itself was listed."""
        return [] if self.manifest is not None else _manifests_in(self.root)

    @property
    def labels(self) -> list[str]:
        """The class names, sorted."""
        return sorted({image.label for image in self.listed})

    @property
    def splits(self) -> list[str]:
        """The splits that occur, sorted."""
        return sorted({image.split for image in self.listed if image.split is not None})

    @property
    def has_training_split(self) -> bool:
        """Whether some images are marked as training images, so that the others are held out."""
        return any(image.split is not None and image.split.lower() in TRAINING for image in self.listed)

    def chosen(self, split: str | None, limit: int | None = None) -> list[Listed]:
        """The images of one split, or all; with ``limit`` that many, in turn from every class and split.

        Raises ``UsageError`` for a split that does not occur.
        """
        found = list(self.listed) if split is None else [image for image in self.listed if image.split == split]
        if not found:
            have = ", ".join(self.splits) or "no splits at all"
            raise UsageError(f"no image of split {printable(split or '')!r} under {self.root}; it has {have}")
        if limit is None or limit >= len(found):
            return found
        seen: Counter[tuple[str, str | None]] = Counter()
        turns = []
        for place, image in enumerate(found):
            turns.append((seen[image.label, image.split], place))
            seen[image.label, image.split] += 1
        return [found[place] for place in sorted(place for _, place in sorted(turns)[:limit])]

    def renamed(self, names: Mapping[str, str]) -> Source:
        """The same images with other class names."""
        return replace(self, listed=[replace(one, label=names.get(one.label, one.label)) for one in self.listed])

    def image(self, listed: Listed, number: int) -> SourceImage:
        """A listed image as the source with this number knows it."""
        name = hashing.case_id(number, listed.relative)
        return SourceImage(name, self.root / listed.relative, listed.relative, listed.label, listed.split, listed.group)


def open_source(data: Path) -> Source:
    """List a folder or a manifest. Raises ``DataError`` with what was found instead of images."""
    if data.is_dir():
        try:
            source = _folder(data)
        except OSError as error:  # an incomplete list would withdraw the cases that it lacks
            where = printable(os.fsdecode(error.filename or data))
            raise DataError(f"{where} cannot be read ({error.strerror}); make it readable, or move it away") from None
    elif data.is_file() and data.suffix.lower() in MANIFESTS:
        source = _manifest(data)
    elif data.is_file():
        raise DataError(f"{data} is a file, not a folder of class folders or a manifest (.csv, .jsonl)")
    else:
        raise DataError(f"no such folder or manifest: {data}; name a folder of class folders, or a CSV/JSONL manifest")
    if not source.listed:
        raise DataError(f"no image to index under {data}; {_instead(source)}")
    return source


def one_class(root: Path, label: str) -> Source:
    """Every image below a folder, at any depth, as one class. Raises ``DataError`` where there is none."""
    try:
        found = _Found(root)
        found.announced["."] = (label, None, Path(os.path.realpath(root)))
        found.read(".")
    except OSError as error:
        where = printable(os.fsdecode(error.filename or root))
        raise DataError(f"{where} cannot be read ({error.strerror}); make it readable, or move it away") from None
    listed = [replace(image, relative=image.relative.removeprefix("./")) for image in found.listed]
    listed.sort(key=lambda image: os.fsencode(image.relative))
    refused = {name.removeprefix("./"): reason for name, reason in found.refused.items()}
    if not listed:
        others = f"; {len(refused)} files were refused" if refused else ""
        raise DataError(f"no image under {printable(str(root))}{others}; name a folder of images, or a manifest")
    return Source(root, listed, refused)


def matched(labels: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """Which of the network's class names each label means; labels without one are left out.

    Exact names first; then spaces, underscores and hyphens count as one; then letter case is ignored, where that is
    unambiguous: ``Rhodesian_ridgeback`` means ``Rhodesian ridgeback``.
    """
    found: dict[str, str] = {}
    for level in (str, _spaced, lambda name: _spaced(name).casefold()):
        known: dict[str, list[str]] = {}
        for name in classes:
            known.setdefault(level(name), []).append(name)
        for label in labels:
            candidates = known.get(level(label), [])
            if label not in found and len(candidates) == 1:
                found[label] = candidates[0]
    return found


def _spaced(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.strip()))


def _instead(source: Source) -> str:
    if source.refused:
        name, reason = next(iter(source.refused.items()))
        count = len(source.refused)
        told = "1 file was refused," if count == 1 else f"{count} files were refused, the first"
        return f"{told} {printable(name)!r} ({reason})"
    return "images belong into one folder per class, such as photos/cat/1.jpg"


def _folder(root: Path) -> Source:
    tops = sorted((e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith(".")), key=os.fsencode)
    training = [t for t in tops if t.lower() in TRAINING and any(child.is_dir() for child in (root / t).iterdir())]
    found = _Found(root)
    if training:
        ignored = [t for t in tops if t.lower() not in SPLITS]
        if ignored:
            found.notes.append(f"folders beside the splits were not read: {', '.join(map(printable, ignored))}")
        for split in (t for t in tops if t.lower() in SPLITS):
            for name in sorted((e.name for e in os.scandir(root / split) if e.is_dir()), key=os.fsencode):
                found.announce(f"{split}/{name}", name, split.lower())
    else:
        for name in tops:
            found.announce(name, name, None)
    for below in found.announced:
        found.read(below)
    if not training and len(tops) == 1 and found.listed:
        found.notes.append(
            f"all images lie under one folder, so there is one class, {printable(tops[0])!r}; "
            f"index {printable(tops[0])}/ itself if its subfolders are the classes, or a manifest"
            + "".join(f"; {printable(name)} lies there" for name in _manifests_in(root)[:1])
        )
    loose = [e.name for e in os.scandir(root) if e.is_file() and Path(e.name).suffix.lower() in SUFFIXES]
    found.refused.update(dict.fromkeys(loose, "not in a class folder"))
    found.listed.sort(key=lambda image: os.fsencode(image.relative))
    return Source(root, found.listed, found.refused, found.notes)


@dataclass(eq=False)
class _Found:
    """What a walk over class folders has found so far; ``announced`` maps each folder to label, split, real place."""

    root: Path
    listed: list[Listed] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    announced: dict[str, tuple[str, str | None, Path]] = field(default_factory=dict)

    def announce(self, below: str, label: str, split: str | None) -> None:
        """A class folder that is to be read; all are known before the first, so that links back are recognised."""
        if label.startswith("."):
            return
        try:
            label.encode("utf-8")
        except UnicodeEncodeError:
            self.refused[below] = "the folder's name is not UTF-8, so it cannot be a class name"
            return
        self.announced[below] = (label, split, Path(os.path.realpath(self.root / below)))

    def read(self, below: str) -> None:
        """List one class folder."""
        label, split, _ = self.announced[below]
        if (self.root / below).is_symlink() and self._leads_back(self.root / below, below):
            self.refused[below] = LEADS_BACK
            return
        before = len(self.listed)
        for relative in self._files(below):
            suffix = Path(relative).suffix.lower()
            if suffix in SUFFIXES:
                self.listed.append(Listed(relative, label, split))
            elif suffix in _OTHER_IMAGES:
                self.refused[relative] = f"format {suffix} is not read; convert it to JPEG or PNG"
        if len(self.listed) == before:
            self.notes.append(f"the class folder {printable(below)!r} holds no image")

    def _files(self, below: str) -> Iterator[str]:
        """Files under a folder as POSIX paths relative to root; links are followed, but not back into the set."""
        seen: set[tuple[int, int]] = set()
        for folder, names, files in os.walk(self.root / below, followlinks=True, onerror=_passed_on):
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                names.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            inside = os.path.relpath(folder, self.root).replace(os.sep, "/")
            visible = [n for n in names if not n.startswith(".")]
            back = {n for n in visible if Path(folder, n).is_symlink() and self._leads_back(Path(folder, n), None)}
            self.refused.update(dict.fromkeys((f"{inside}/{n}" for n in back), LEADS_BACK))
            names[:] = [n for n in visible if n not in back]
            for name in files:
                if not name.startswith("."):
                    yield f"{inside}/{name}"

    def _leads_back(self, link: Path, itself: str | None) -> bool:
        """Whether a linked folder is, holds, or lies in a class folder: its images would get a second label."""
        target = Path(os.path.realpath(link))
        homes = [home for below, (_, _, home) in self.announced.items() if below != itself]
        return any(target == home or target in home.parents or home in target.parents for home in homes)


def _manifests_in(folder: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_file() and not entry.name.startswith(".") and Path(entry.name).suffix.lower() in MANIFESTS
    )


def _passed_on(error: OSError) -> None:
    raise error


def _manifest(path: Path) -> Source:
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _jsonl_rows(path)
    root = path.parent
    listed: dict[str, tuple[int, Listed]] = {}
    refused: dict[str, str] = {}
    for line, row in rows:
        name, label = (row.get(column) for column in ("path", "label"))
        if not name or not label:
            missing = "path" if not name else "label"
            raise DataError(f"{path}, line {line}: no {missing}; every row needs path and label")
        if "\0" in name or "\0" in label:
            raise DataError(f"{path}, line {line}: a NUL character in path or label")
        relative = os.path.relpath(root / name, root).replace(os.sep, "/")
        image = Listed(relative, label, (row.get("split") or None), (row.get("group") or None))
        if relative in listed:
            first, other = listed[relative]
            if other.label != label:
                raise DataError(
                    f"{path}, line {line}: {printable(name)!r} is labelled {printable(label)!r}, "
                    f"but {printable(other.label)!r} on line {first}; one image has one label"
                )
            refused[f"{relative} (line {line})"] = f"listed twice, first on line {first}"
            continue
        listed[relative] = (line, image)
    images = sorted((image for _, image in listed.values()), key=lambda image: os.fsencode(image.relative))
    return Source(root, images, refused, manifest=path)


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, str | None]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            columns = reader.fieldnames or []
            lacking = [c for c in ("path", "label") if c not in columns]
            if lacking:
                found = ", ".join(map(printable, columns)) or "nothing"
                raise DataError(f"{path}, line 1: no column {' and no column '.join(lacking)}; found {found}")
            for row in reader:
                if None in row:
                    raise DataError(f"{path}, line {reader.line_num}: more fields than columns")
                yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataError(f"{path} cannot be read as CSV ({error})") from None


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Mapping[str, str | None]]]:
    try:
        with path.open(encoding="utf-8-sig") as handle:
            for number, line in enumerate(handle, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except (json.JSONDecodeError, RecursionError):
                    raise DataError(f"{path}, line {number}: not JSON") from None
                if not isinstance(row, dict):
                    raise DataError(f"{path}, line {number}: not an object with path and label")
                yield number, {str(k): v if v is None else str(v) for k, v in row.items()}
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path} cannot be read as JSONL ({error})") from None
