"""From a folder of photographs and one of generated images to the two-class set of a study."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from casebase import clock, folders, hashing, reading
from casebase.canonical import FORMATS, Canonical
from casebase.datasets import Paired
from casebase.errors import DataError, ImageError, StorageFailed, UsageError
from casebase.indexer import pairing
from casebase.indexer.batches import in_order
from casebase.indexer.pairing import Looked, Seen
from casebase.indexer.sources import Source, one_class, open_source
from casebase.indexer.splitting import PARTS
from casebase.reading import printable, some
from casebase.settings import Settings
from casebase.wiring.machine import workers

__all__ = ["PairOptions", "pair"]

MANIFEST, DESCRIPTION = "manifest.jsonl", "pair.json"
UNEVEN = 1.5
"""From this ratio of the classes' median reductions on, resampling alone may tell them apart."""
Stages = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class PairOptions:
    """How to make the set; see ``casebase data pair``. ``count`` is per class, None: as many as the smaller one has."""

    canonical: Canonical = field(default_factory=Canonical)
    count: int | None = None
    val: float = 0.2
    test: float = 0.2
    real_label: str = "real"
    generated_label: str = "generated"
    groups: bool = True

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise UsageError(f"--count must be at least 1, not {self.count}")
        for name, share in (("--val", self.val), ("--test", self.test)):
            if not 0 <= share < 1:
                raise UsageError(f"{name} must be a share from 0 to below 1, not {share:g}")
        if self.val + self.test >= 1:
            raise UsageError(f"--val and --test leave nothing to train on: {self.val:g} + {self.test:g}")
        for label in (self.real_label, self.generated_label):
            if not label.isprintable() or not label.strip(" .") or "/" in label or "\\" in label or label[0] == ".":
                raise UsageError(f"a class cannot be called {printable(label)!r}; it names a folder")
        if self.real_label == self.generated_label:
            raise UsageError(f"both classes are called {printable(self.real_label)!r}; give them two names")


@dataclass(frozen=True, eq=False)
class _Planned:
    """One file to be written: from which image, in which quality, and where."""

    image: Seen
    part: str
    group: str | None
    quality: int
    name: str


def pair(
    settings: Settings,
    real: Path,
    generated: Path,
    out: Path,
    options: PairOptions,
    progress: Stages = lambda stage, done, total: None,
) -> Paired:
    """Make the set at ``out``, whole or not at all; the same arguments and images give the same bytes.

    Raises ``UsageError`` for places and numbers that make no sense, ``DataError`` for too few images,
    ``StorageFailed`` where the disk ends.
    """
    _places(real, generated, out)
    sources, groups = _opened(real, generated, options)
    canonical, threads = options.canonical, workers(settings)
    looked = pairing.look(
        sources, groups, canonical, workers=threads, megapixels=settings.max_megapixels, progress=progress
    )
    count = _count(looked, sources, options)
    need = pairing.needs(count, {"val": options.val, "test": options.test})
    blocks = pairing.together(looked.images)
    found = pairing.dealt(looked.images, blocks, need, settings.seed)
    pairing.check_enough(found, need)
    planned = _planned(looked.images, blocks, found, canonical, settings.seed)
    told = [*looked.notes, *_remarks(looked, planned, count, options)]
    counts = {part: {label: len(places) for label, places in found[part].items()} for part in PARTS if need[part]}
    made_so = _settings(real, generated, options, settings.seed)
    done = Paired(out, out / MANIFEST, counts, made_so, looked.found, looked.smaller, looked.left_out, told)
    _write(planned, canonical, done, settings.max_megapixels, threads, progress)
    return done


def _places(real: Path, generated: Path, out: Path) -> None:
    """Raise ``UsageError`` where a place is taken, or one lies in another."""
    homes = {"REAL": Path(os.path.realpath(real)), "GENERATED": Path(os.path.realpath(generated))}
    if homes["REAL"] == homes["GENERATED"] and not real.is_file():
        raise UsageError(f"REAL and GENERATED are the same, {printable(str(real))}; a set needs two classes")
    for one, other in (("REAL", "GENERATED"), ("GENERATED", "REAL")):
        if real.is_dir() and generated.is_dir() and homes[one].is_relative_to(homes[other]):
            raise UsageError(f"{one} lies in {other}, so its images would be in both classes; move it out")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{printable(str(out))} is there already; name a folder that is not, or remove it")
    target = Path(os.path.realpath(out))
    for name, place in (("REAL", real), ("GENERATED", generated)):
        if place.is_dir() and target.is_relative_to(homes[name]):
            raise UsageError(
                f"{printable(str(out))} lies in {name}, where it would be read as images; put it elsewhere"
            )


def _opened(real: Path, generated: Path, options: PairOptions) -> tuple[dict[str, Source], dict[str, list[str | None]]]:
    """The two classes, and what each image belongs to."""
    sources: dict[str, Source] = {}
    groups: dict[str, list[str | None]] = {}
    for label, place in ((options.real_label, real), (options.generated_label, generated)):
        if place.is_dir():
            source = one_class(place, label)
            below = [image.relative.rpartition("/")[0] for image in source.listed]
            parted = options.groups and len(set(below)) > 1
            groups[label] = [f"{label}/{folder}" if parted and folder else None for folder in below]
        else:
            source = _labelled(open_source(place), label)
            groups[label] = [image.group for image in source.listed]
        sources[label] = source
    return sources, groups


def _labelled(source: Source, label: str) -> Source:
    """Of a manifest with several labels the images of one; one with a single label is all of this class."""
    if len(source.labels) < 2:
        return source
    listed = [image for image in source.listed if image.label == label]
    if not listed:
        raise DataError(
            f"{printable(str(source.origin))} calls no image {printable(label)!r}; it has {some(source.labels)}: say "
            "--real-label and --generated-label as it does, or give a manifest of one label"
        )
    return replace(source, listed=listed)


def _count(looked: Looked, sources: Mapping[str, Source], options: PairOptions) -> int:
    """Images per class. Raises ``DataError`` where there are not enough."""
    have = {label: sum(image.label == label for image in looked.images) for label in sources}
    told = " and ".join(f"{n} of {printable(label)}" for label, n in have.items())
    parts = 1 + sum(share > 0 for share in (options.val, options.test))
    wanted = options.count if options.count is not None else min(have.values())
    if wanted < parts or min(have.values()) < parts:
        small = sum(looked.smaller.values())
        why = f"; {small} are smaller than {options.canonical.size} pixels, see --size" if small else ""
        raise DataError(f"{told} can be used, and {parts} parts need at least {parts} images of each class{why}")
    if wanted > min(have.values()):
        raise DataError(f"--count asks for {wanted} images of each class, and {told} can be used; ask for fewer")
    return wanted


def _planned(
    images: Sequence[Seen], blocks: Sequence[Sequence[int]], found: Mapping[str, Mapping[str, Sequence[int]]],
    canonical: Canonical, seed: int,
) -> list[_Planned]:  # fmt: skip
    """Every file of the set. In a part, both classes are given the very same qualities, in a seeded order."""
    random = clock.generator(seed + 1)
    group = {place: f"g{number:05d}" for number, block in enumerate(blocks) if len(block) > 1 for place in block}
    planned = []
    for part in PARTS:
        n = max(map(len, found[part].values()))
        drawn = canonical.qualities(n, random)
        for label, places in found[part].items():
            order = random.permutation(n).tolist()
            for turn, place in enumerate(places):
                name = f"{part}/{label}/{turn:06d}.{FORMATS[canonical.format]}"
                planned.append(_Planned(images[place], part, group.get(place), drawn[order[turn]], name))
    return planned


def _remarks(looked: Looked, planned: Sequence[_Planned], count: int, options: PairOptions) -> list[str]:
    told = []
    small = {label: n for label, n in looked.smaller.items() if n}
    if small:
        named = ", ".join(f"{n} of {looked.found[label]} {printable(label)}" for label, n in small.items())
        told.append(
            f"left out, as they are smaller than {options.canonical.size} pixels and nothing is enlarged: {named}"
        )
    made = len(planned) // 2
    if made < count:
        told.append(f"{made} of {count} images of each class could be used, as groups and near-copies are kept whole")
    reduced = {
        label: median(min(one.image.size) / options.canonical.size for one in planned if one.image.label == label)
        for label in looked.found
    }
    if max(reduced.values()) > UNEVEN * min(reduced.values()):
        named = ", ".join(f"{printable(label)} {by:.2g} times" for label, by in reduced.items())
        told.append(
            f"the classes are reduced unevenly (at the median {named}), and resampling leaves traces that can tell "
            "them apart; take photographs of the size the generator makes, or a smaller --size"
        )
    across = {one.group for one in planned if one.group is not None}
    both = [g for g in across if len({one.image.label for one in planned if one.group == g}) > 1]
    if both:
        told.append(
            f"{len(both)} {'group holds' if len(both) == 1 else 'groups hold'} images of both classes, such as a "
            "generated near-copy of a photograph; each is in one part"
        )
    return told


def _settings(real: Path, generated: Path, options: PairOptions, seed: int) -> dict[str, Any]:
    return {
        "real": str(real), "generated": str(generated), **options.canonical.to_dict(), "count": options.count,
        "val": options.val, "test": options.test, "labels": [options.real_label, options.generated_label],
        "groups": options.groups, "seed": seed,
    }  # fmt: skip


def _write(
    planned: Sequence[_Planned], canonical: Canonical, done: Paired, megapixels: float, threads: int, progress: Stages
) -> None:
    """Files, manifest and description into a new folder, in one step."""
    out = done.folder

    def made(one: _Planned) -> tuple[bytes, dict[str, Any]]:
        try:
            picture = reading.read(one.image.path, megapixels=megapixels)
        except ImageError as error:
            raise DataError(f"{printable(str(one.image.path))} could be read before, and now not ({error})") from None
        if picture.sha256 != one.image.sha256:
            raise DataError(f"{printable(str(one.image.path))} has changed while it was read; run the command again")
        data = canonical.encoded(picture.image, one.quality)
        return data, {
            "path": one.name, "label": one.image.label, "split": one.part, "group": one.group,
            "source": str(one.image.path), "source_sha256": picture.sha256, "source_size": list(picture.size),
            "source_group": one.image.group, "crop": list(canonical.box(picture.size)), "quality": one.quality,
            "sha256": hashing.of_bytes(data),
        }  # fmt: skip

    try:
        if out.is_dir():
            out.rmdir()  # empty, or it would have been refused
        with folders.replaced(out) as aside:
            rows = []
            for one, (data, row) in zip(planned, in_order(made, planned, threads), strict=True):
                target = aside / one.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
                rows.append(json.dumps(row, ensure_ascii=True))
                progress("encoding", len(rows), len(planned))
            (aside / MANIFEST).write_text("\n".join(rows) + "\n", encoding="utf-8")
            told = json.dumps(done.to_dict(), ensure_ascii=True, indent=1)
            (aside / DESCRIPTION).write_text(told + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageFailed(
            f"{printable(str(out))} cannot be written ({error.strerror}); nothing was made there, run the command "
            "again when there is room"
        ) from error
