"""The service behind ``casebase index``: pictures become cases, once each, and a run can be killed at any time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from casebase import clock, reading
from casebase.cases import SourceImage
from casebase.errors import DataError, ImageError
from casebase.indexer.batches import chunked, in_order
from casebase.indexer.sources import TRAINING, Source
from casebase.ports import CaseStore, Changes, Embedder, Entry, Known, Matrix, Relabel
from casebase.spaces import NETWORK_SPACE

BLOCK = 512
COMMIT = 192
"""Images per transaction: a commit waits for the disk, a crash costs at most this many forward passes."""


@dataclass(frozen=True, slots=True)
class Classification:
    """Which classifier the predictions come from; fields as in :class:`casebase.ports.Changes`."""

    classify: Callable[[Matrix], Matrix] | None
    reclassify: bool
    facts: Mapping[str, Any]
    notes: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Plan:
    """What to do with a source.

    ``embedders`` holds the explained network first; ``predicts`` tells whether its probabilities are the classifier's.
    ``settle`` is called when all images are stored and says how they are classified. ``around`` is entered while the
    workers run (thread counts); ``thumbnail(pixel_hash, view)`` keeps a small picture.
    """

    embedders: Sequence[Embedder]
    predicts: bool
    settle: Callable[[], Classification]
    split: str | None = None
    limit: int | None = None
    workers: int = 1
    batch_size: int = 16
    megapixels: float = reading.DEFAULT_MEGAPIXELS
    around: AbstractContextManager[object] = field(default_factory=nullcontext)
    thumbnail: Callable[[str, Image.Image], None] | None = None
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DryPlan:
    """What a dry run needs of a plan: no network."""

    spaces: Sequence[str]
    split: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class IndexSummary:
    """What a run of ``index`` did; ``to_dict`` is schema ``casebase.index/1``."""

    seen: int
    added: int
    updated: int
    unchanged: int
    withdrawn: int
    skipped: Mapping[str, str]
    cases: int
    held_out: int
    classes: Mapping[str, int]
    spaces: Sequence[str]
    fingerprint: str
    seconds: float
    embedded: int
    embed_seconds: float
    warnings: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False

    @property
    def images_per_second(self) -> float | None:
        """Images embedded per second of embedding and storing; None where none was."""
        return self.embedded / self.embed_seconds if self.embedded and self.embed_seconds else None

    def to_dict(self) -> dict[str, Any]:
        """The object of schema ``casebase.index/1``."""
        return {
            "schema": "casebase.index/1", "seen": self.seen, "added": self.added, "updated": self.updated,
            "unchanged": self.unchanged, "withdrawn": self.withdrawn,
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped.items()],
            "cases": self.cases, "held_out": self.held_out, "classes": dict(self.classes),
            "space": list(self.spaces), "fingerprint": self.fingerprint, "seconds": self.seconds,
            "images_per_second": self.images_per_second, "classifier": dict(self.facts),
            "warnings": list(self.warnings), "dry_run": self.dry_run,
        }  # fmt: skip

    def _repr_html_(self) -> str:
        from html import escape

        cells = "".join(f"<tr><th scope='row'>{escape(k)}<td>{escape(str(v))}" for k, v in self.to_dict().items())
        return f"<table>{cells}</table>"


Progress = Callable[[int, int, int], None]
"""Called with (done, total, skipped) as images are finished."""


@dataclass(eq=False)
class _Tally:
    """What has been counted so far in one run."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    embedded: int = 0
    done: int = 0
    kept: int = 0
    relabelled: dict[str, Relabel] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


_Outcome = Entry | Relabel | str
"""An image as read, an image whose pixels are known, or the reason it cannot be used."""


@dataclass(frozen=True, slots=True)
class _Task:
    """An image to be read: which spaces it lacks, and what is known of it."""

    image: SourceImage
    held_out: bool
    size: int
    mtime: int
    spaces: tuple[str, ...]
    known: Known | None
    source: int = 0


def index(
    source: Source, plan: Plan, store: CaseStore, run: int, progress: Progress = lambda done, total, skipped: None
) -> IndexSummary:
    """Bring the store in line with a source and make the result visible at once; ``run`` comes from ``writing``.

    Images that are known by path, size, time and every space are not read; the others are embedded and stored in
    transactions of ``COMMIT`` images. Raises ``DataError`` if no image can be used; ``KeyboardInterrupt`` passes
    through after what is finished has been stored.
    """
    started = clock.seconds()
    listed = source.chosen(plan.split, plan.limit)
    tally = _Tally(skipped=dict(source.refused))
    names = [embedder.space for embedder in plan.embedders]
    number = store.source(source.origin)
    for embedder in plan.embedders:
        store.declare(embedder.space, embedder.fingerprint, plan.facts.get(embedder.space, {}))
    store.skip(run, source.refused)
    images = ((source.image(one, number), _held_out(source, plan.split, one.split)) for one in listed)
    embedding = clock.seconds()
    _embed(images, len(listed), plan, store, number, run, tally, progress)
    embed_seconds = clock.seconds() - embedding
    if len(tally.skipped) >= len(listed) + len(source.refused) and not tally.unchanged:
        path, reason = next(iter(tally.skipped.items()))
        raise DataError(f"none of {len(listed)} images can be used; the first, {reading.printable(path)}: {reason}")
    whole = {source.image(one, number).id for one in source.listed}
    withdrawn = [name for name in store.ids_of(number) if name not in whole]
    classified = plan.settle()
    store.publish(
        run, Changes(withdrawn, tally.relabelled, classified.classify, classified.reclassify, classified.facts)
    )
    if tally.kept:
        incomplete = [f"{tally.kept} skipped files are still answered from their last readable version"]
    else:
        incomplete = []
    incomplete += [
        f"the space {name!r} is not complete yet: index all data with `--space {name}` before asking in it"
        for name in names
        if name not in store.spaces()
    ]
    summary = IndexSummary(
        seen=len(listed), added=tally.added, updated=tally.updated, unchanged=tally.unchanged,
        withdrawn=len(withdrawn), skipped=tally.skipped, cases=store.count(), held_out=store.held_out(),
        classes=store.labels(), spaces=list(store.spaces()), fingerprint=str(classified.facts["fingerprint"]),
        seconds=clock.seconds() - started, embedded=tally.embedded, embed_seconds=embed_seconds,
        warnings=[*source.notes, *classified.notes, *incomplete], facts=classified.facts,
    )  # fmt: skip
    store.finish(run, summary.to_dict())
    return summary


def dry_run(source: Source, plan: DryPlan, store: CaseStore) -> IndexSummary:
    """What :func:`index` would do, by path, size and time alone; nothing is read, embedded or written."""
    started = clock.seconds()
    listed = source.chosen(plan.split, plan.limit)
    number = store.source_number(source.origin)
    added = updated = unchanged = 0
    for block in chunked(listed, BLOCK):
        images = [source.image(one, number) for one in block]
        found = store.known([i.id for i in images])
        for image in images:
            held_out = _held_out(source, plan.split, image.split)
            task = _task(image, tuple(plan.spaces), found.get(image.id), held_out=held_out)
            if isinstance(task, _Task):
                added += task.known is None
                updated += task.known is not None
            else:
                unchanged += 1
    whole = {source.image(one, number).id for one in source.listed}
    withdrawn = sum(name not in whole for name in store.ids_of(number))
    return IndexSummary(
        seen=len(listed), added=added, updated=updated, unchanged=unchanged, withdrawn=withdrawn,
        skipped=dict(source.refused), cases=store.count(), held_out=store.held_out(), classes=store.labels(),
        spaces=list(plan.spaces), fingerprint="", seconds=clock.seconds() - started, embedded=0, embed_seconds=0.0,
        warnings=list(source.notes), dry_run=True,
    )  # fmt: skip


def _held_out(source: Source, chosen: str | None, split: str | None) -> bool:
    """Whether an image is a yardstick instead of a case: the source has training images and this is none of them."""
    if chosen is not None or not source.has_training_split:
        return False
    return split is None or split.lower() not in TRAINING


def _embed(
    images: Iterator[tuple[SourceImage, bool]], total: int, plan: Plan, store: CaseStore, number: int, run: int,
    tally: _Tally, progress: Progress,
) -> None:  # fmt: skip
    names = tuple(embedder.space for embedder in plan.embedders)

    def tasks() -> Iterator[_Task]:
        for block in chunked(images, BLOCK):
            found = store.known([image.id for image, _ in block])
            for image, held_out in block:
                task = _task(image, names, found.get(image.id), held_out=held_out)
                if isinstance(task, str):
                    tally.skipped[image.relative] = task
                    store.skip(run, {image.relative: task})
                elif isinstance(task, _Task):
                    yield replace(task, source=number)
                    continue
                else:
                    if isinstance(task, Relabel):
                        tally.relabelled[image.id] = task
                        tally.updated += 1
                    else:
                        tally.unchanged += 1
                tally.done += 1
                progress(tally.done, total, len(tally.skipped))

    waiting: list[Entry] = []
    try:
        with plan.around:
            for batch in in_order(lambda chunk: _read(chunk, plan), chunked(tasks(), plan.batch_size), plan.workers):
                for task, outcome in batch:
                    _count(task, outcome, store, run, tally, waiting)
                if len(waiting) >= COMMIT:
                    store.retain(run, waiting)
                    waiting.clear()
                progress(tally.done, total, len(tally.skipped))
    finally:
        store.retain(run, waiting)  # Ctrl-C and errors too: what is finished is kept
    progress(tally.done, total, len(tally.skipped))


def _task(
    image: SourceImage, names: tuple[str, ...], known: Known | None, *, held_out: bool
) -> _Task | Relabel | str | None:
    """What an image needs: reading, a new label only, nothing (None), or the reason it cannot be had."""
    try:
        status = os.stat(image.path)
    except OSError as error:
        return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
    size, mtime = status.st_size, status.st_mtime_ns
    if known is None:
        return _Task(image, held_out, size, mtime, names, None)
    missing = tuple(name for name in names if name not in known.spaces)
    if (size, mtime) != (known.file_size, known.file_mtime):
        return _Task(image, held_out, size, mtime, names, known)
    if missing:
        return _Task(image, held_out, size, mtime, missing, known)
    if (image.label, image.split, image.group, held_out) != _said(known):
        return Relabel(image.label, image.split, image.group, held_out, size, mtime)
    return None


def _said(known: Known) -> tuple[str, str | None, str | None, bool]:
    """What the source said of an image when it was last indexed."""
    return known.label, known.split, known.group, known.held_out


def _read(tasks: Sequence[_Task], plan: Plan) -> list[tuple[_Task, _Outcome]]:
    """Decode and embed a batch on one worker; a bad picture becomes its reason and spoils nothing else."""
    outcomes, pictures, needed = _decode(tasks, plan)
    vectors: dict[int, dict[str, np.ndarray]] = {place: {} for place in pictures}
    softmax: dict[int, np.ndarray] = {}
    shown: dict[int, np.ndarray] = {}
    for embedder in plan.embedders:
        wanted = [place for place in pictures if embedder.space in needed[place]]
        if not wanted:
            continue
        views = np.stack([embedder.preprocess.pixels(pictures[place].image) for place in wanted])
        if embedder is plan.embedders[0]:
            shown = dict(zip(wanted, views, strict=True))
        read = embedder.read(views)
        good: np.ndarray = np.isfinite(read.features).all(axis=1) & (read.features != 0).any(axis=1)
        for row, place in enumerate(wanted):
            if not good[row]:
                outcomes[place] = f"the network's {embedder.space} features are zero or not finite"
                continue
            vectors[place][embedder.space] = read.features[row]
            if embedder.space == NETWORK_SPACE and plan.predicts and read.probabilities is not None:
                softmax[place] = read.probabilities[row]
    for place, picture in pictures.items():
        if place in outcomes:
            continue
        outcomes[place] = _entry(tasks[place], picture, vectors[place], softmax.get(place))
        _keep_thumbnail(plan, picture, shown.get(place))
    return [(task, outcomes[place]) for place, task in enumerate(tasks)]


def _keep_thumbnail(plan: Plan, picture: reading.Picture, view: np.ndarray | None) -> None:
    """Keep what the first embedder was shown; where it was shown nothing, its view is made for this."""
    if plan.thumbnail is None:
        return
    if view is None:
        view = plan.embedders[0].preprocess.pixels(picture.image)
    plan.thumbnail(picture.pixel_hash, Image.fromarray(view))


def _decode(
    tasks: Sequence[_Task], plan: Plan
) -> tuple[dict[int, _Outcome], dict[int, reading.Picture], dict[int, set[str]]]:
    """By place: what is settled without a forward pass, the pictures that need one, and in which spaces."""
    outcomes: dict[int, _Outcome] = {}
    pictures: dict[int, reading.Picture] = {}
    needed = {place: set(task.spaces) for place, task in enumerate(tasks)}
    for place, task in enumerate(tasks):
        try:
            picture = reading.read(task.image.path, megapixels=plan.megapixels)
        except ImageError as error:
            outcomes[place] = str(error)
            continue
        known = task.known
        if known is not None and known.sha256 == picture.sha256 and not _lacking(task, plan):
            image = task.image
            outcomes[place] = Relabel(image.label, image.split, image.group, task.held_out, task.size, task.mtime)
        else:
            pictures[place] = picture
            if known is None or known.sha256 != picture.sha256:  # other bytes behind the same size and time
                needed[place] = {embedder.space for embedder in plan.embedders}
    return outcomes, pictures, needed


def _lacking(task: _Task, plan: Plan) -> bool:
    known = task.known
    return known is not None and any(embedder.space not in known.spaces for embedder in plan.embedders)


def _entry(
    task: _Task, picture: reading.Picture, vectors: Mapping[str, np.ndarray], softmax: np.ndarray | None
) -> Entry:
    return Entry(
        image=task.image, source=task.source, file_size=task.size, file_mtime=task.mtime, width=picture.size[0],
        height=picture.size[1], sha256=picture.sha256, pixel_hash=picture.pixel_hash, look_hash=picture.look_hash,
        held_out=task.held_out, vectors=vectors, probabilities=softmax,
    )  # fmt: skip


def _count(task: _Task, outcome: _Outcome, store: CaseStore, run: int, tally: _Tally, waiting: list[Entry]) -> None:
    tally.done += 1
    if isinstance(outcome, str):
        tally.skipped[task.image.relative] = outcome
        tally.kept += task.known is not None
        store.skip(run, {task.image.relative: outcome})
    elif isinstance(outcome, Relabel):
        new = (outcome.label, outcome.split, outcome.group, outcome.held_out)
        same = task.known is not None and _said(task.known) == new
        tally.unchanged += same
        tally.updated += not same
        tally.relabelled[task.image.id] = outcome
    else:
        waiting.append(outcome)
        tally.embedded += 1
        if task.known is None:
            tally.added += 1
            return
        tally.updated += 1
        if task.known.sha256 == outcome.sha256:  # it gained a space; its label may have changed as well
            image = task.image
            tally.relabelled[image.id] = Relabel(
                image.label, image.split, image.group, task.held_out, task.size, task.mtime
            )
