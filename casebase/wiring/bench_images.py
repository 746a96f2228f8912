"""The images of the saliency bench and their masks: from folders, manifests, files, or the held-out part of a base."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casebase import parts, reading
from casebase.errors import DataError, ImageError, UsageError
from casebase.evaluate.saliency.options import MaskChoice, SaliencyOptions
from casebase.indexer.sources import MANIFESTS, Listed, open_source
from casebase.parts import TEST, TRAINING
from casebase.reading import SUFFIXES, printable
from casebase.settings import Settings
from casebase.spaces import NETWORK_SPACE
from casebase.storage.writing import SqlCaseStore

if TYPE_CHECKING:
    from casebase.evaluate.saliency.annotations import Masks
    from casebase.evaluate.saliency.bench import BenchImage
    from casebase.evaluate.saliency.seeing import MaskPair


def images_of(
    settings: Settings, options: SaliencyOptions, store: SqlCaseStore | None
) -> tuple[list[BenchImage], list[str], Mapping[str, Any] | None]:
    """The images to explain, what should be said of the choice, and how masks were read; None without masks.

    Raises ``DataError`` where nothing is found, ``UsageError`` for a part that is not there.
    """
    from casebase.evaluate.saliency.bench import BenchImage

    notes: list[str] = []
    if options.images:
        listed = [one for data in options.images for one in _listed(Path(data), options, notes)]
    elif store is None:
        raise UsageError("no images named: give a folder, a manifest or image files, or a --base with held-out images")
    else:
        listed = _held_out(store, options.split, notes)
    chosen = _limited(listed, options.limit)
    read = partial(reading.read, megapixels=settings.max_megapixels)
    masks = None if options.masks is None else masks_of(options.masks, options.mask_choice, chosen, read)
    found = [
        BenchImage(name, partial(read, path), group, None if masks is None else partial(mask_in_view, masks, path))
        for name, path, _, group in chosen
    ]
    return found, notes, None if masks is None else masks.facts


def masks_of(
    place: Path, choice: MaskChoice, images: Sequence[Image], read: Callable[[Path], reading.Picture]
) -> Masks:
    """Masks of the images, each looked at before the work: one that is empty or of another size is an error.

    Raises ``DataError`` with the file's name, also where no image has a mask.
    """
    from casebase.evaluate.saliency.annotations import open_masks

    masks = open_masks(place, **asdict(choice))
    paths = [path for _, path, _, _ in images if masks.has(path)]
    if not paths:
        name = images[0][1]
        hint = (
            f"a mask has the name of its image, such as {printable(name.stem)}.png"
            if place.is_dir()
            else f"its annotations go by the file names of the images, such as {printable(name.name)}"
        )
        raise DataError(f"none of the {len(images)} images has a mask in {printable(str(place))}; {hint}")
    for path in paths:
        try:
            size = read(path).size
        except ImageError:
            continue  # left out later, with its reason
        masks.read(path, size)
    return masks


def mask_in_view(masks: Masks, path: Path, picture: reading.Picture, preprocess: reading.Preprocess) -> MaskPair | None:
    """The mask as the network sees the picture; None without one, or where the object lies outside the view."""
    from casebase.evaluate.saliency.annotations import seen

    if not masks.has(path):
        return None
    found = masks.read(path, picture.size)
    inside = seen(found.inside, preprocess)
    return (inside, None if found.ignored is None else seen(found.ignored, preprocess)) if inside.any() else None


Image = tuple[str, Path, str, str | None]
"""Name, file, label, group."""


def _held_out(store: SqlCaseStore, split: str | None, notes: list[str]) -> list[Image]:
    part = parts.choose(store.parts(), split)
    if part.note is not None:
        notes.append(part.note)
    blocks = store.snapshot().examined(NETWORK_SPACE, part.status, split=part.split)
    return [(case.path, case.file, case.label, case.group) for block in blocks for case in block.cases]


def _listed(data: Path, options: SaliencyOptions, notes: list[str]) -> list[Image]:
    if data.is_file() and data.suffix.lower() not in MANIFESTS:
        return [(str(data), data, "", None)]
    if data.is_dir() and not _has_class_folders(data):
        found = sorted((one for one in data.iterdir() if _is_image(one)), key=lambda path: os.fsencode(path.name))
        if not found:
            raise DataError(f"no image in {printable(str(data))}; name a folder of images, a manifest or image files")
        return [(path.name, path, "", None) for path in found]
    source = open_source(data)
    split = options.split
    if split is None and source.has_training_split:
        held = [name for name in source.splits if name.lower() not in TRAINING]
        split = next((name for name in held if name.lower() in TEST), held[0] if held else None)
        if split is not None:
            notes.append(f"{printable(str(data))}: the images of its part {printable(split)} are explained")
    masks = None if options.masks is None else options.masks.resolve()
    chosen: Sequence[Listed] = source.chosen(split)
    return [
        (one.relative, source.root / one.relative, one.label, one.group)
        for one in chosen
        if masks is None or masks not in (source.root / one.relative).resolve().parents
    ]


def _has_class_folders(data: Path) -> bool:
    """Whether images lie in folders below, and none in the folder itself."""
    return not any(map(_is_image, data.iterdir())) and any(one.is_dir() for one in data.iterdir())


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _limited(images: Sequence[Image], limit: int | None) -> list[Image]:
    """At most ``limit`` images, in turn from every class."""
    if limit is None or limit >= len(images):
        return list(images)
    seen: Counter[str] = Counter()
    turns = []
    for place, (_, _, label, _) in enumerate(images):
        turns.append((seen[label], place))
        seen[label] += 1
    return [images[place] for place in sorted(place for _, place in sorted(turns)[:limit])]
