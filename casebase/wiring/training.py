"""From a source and a recipe to a model folder: the one way to train, for the command, the Python API and the demo."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casebase.errors import Diverged, ModelError, UsageError
from casebase.indexer import splitting
from casebase.indexer.sources import Source, open_source
from casebase.indexer.splitting import Division
from casebase.indexer.views import Looked, Seeing, look_through
from casebase.networks.recipe import Recipe
from casebase.reading import Preprocess, printable
from casebase.settings import Settings
from casebase.storage import lock
from casebase.trained import Onlooker, Trained
from casebase.wiring.choices import named
from casebase.wiring.machine import workers
from casebase.wiring.trained_folder import finished, metadata, same_training

if TYPE_CHECKING:
    from casebase.networks.fine_tune import Images, Tuned
    from casebase.networks.loaded import Loaded
    from casebase.networks.model_folder import Description

__all__ = ["Recipe", "TrainOptions", "train"]

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Everything ``train`` can be told beyond the data.

    ``model``, ``arch``, ``weights`` and ``pretrained`` name the network to start from; ``image_size`` the side of its
    square views in pixels (None: what its weights want); ``mean`` and ``std`` replace its normalisation. ``fresh``
    begins anew where an interrupted training, or another model, stands at ``out``.
    """

    out: Path = Path("model")
    model: str | None = None
    arch: str | None = None
    weights: Path | None = None
    pretrained: bool = True
    image_size: int | None = None
    mean: Triple | None = None
    std: Triple | None = None
    recipe: Recipe = field(default_factory=Recipe)
    allow_leak: bool = False
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.weights is not None and not self.pretrained:
            raise UsageError("--weights and --no-pretrained contradict each other; leave one out")
        if self.image_size is not None and self.image_size < 1:
            raise UsageError(f"--image-size must be at least 1, not {self.image_size}")
        for name, values in (("--mean", self.mean), ("--std", self.std)):
            if values is not None and not all(math.isfinite(v) and (v > 0 or name == "--mean") for v in values):
                raise UsageError(f"{name} must be finite{' and above 0' if name == '--std' else ''}, not {values}")


def train(
    settings: Settings,
    data: Path,
    options: TrainOptions,
    onlooker: Onlooker,
    announce: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Divide, train, measure and save; an interrupted training of the same choices is gone on with.

    Raises ``DataError`` for data that cannot be trained on, ``Diverged`` where the loss stopped being a number (what
    was good is saved, and said), ``UsageError`` where something else stands at ``out``, ``Locked``, and all errors of
    loading a network.
    """
    from casebase.networks import devices, fine_tune, model_folder, resuming

    source, out = open_source(data), options.out
    model_folder.check_place(out)
    _outside(source, out)
    splitting.check_classes(source)
    device = devices.choose(settings.device)
    start, recipe = _start(options, settings), _set(options.recipe, settings)
    chain = _chain(start, options)
    known = _standing(out)
    if known is None or options.fresh:
        model_folder.check_replaced(out)
    key = _key(start, chain, recipe, device)
    if known is not None and not options.fresh:
        same_training(known, key, out)
    with _alone(resuming.folder_beside(out), out) as folder:
        seeing = Seeing(chain, workers(settings), settings.view_megabytes, settings.max_megapixels)
        looked = look_through(source, source.chosen(None), seeing, onlooker.reading)
        parts = splitting.divide(looked.listed, looked.hashes, settings.seed, allow_leak=options.allow_leak)
        key = {**key, "data": parts.digest, "classes": parts.classes}
        refused = {**source.refused, **looked.refused}
        if known is not None and not options.fresh:
            same_training(known, key, out)
            model_folder.load(out)  # files that have changed since are said here
            resuming.Resuming(folder, key).forget_own()
            return finished(out, known.source, known.metadata, refused, already=True)
        uneven = parts.uneven() if recipe.class_weights == "none" else None
        told = [*source.notes, *parts.notes, *([uneven] if uneven else []), *_about(start, chain)]
        resume = resuming.Resuming(folder, key)
        if options.fresh:
            resume.forget_state()
        state = resume.load()
        begun = fine_tune.Begun.of(start, parts.classes, preprocess=chain, seed=settings.seed)
        after = None if state is None else len(json.loads(state["history"]))
        announce(_opening(parts, start, device, looked, after))
        watch = fine_tune.Watch(onlooker.told, resume.save, state)
        images = _images(looked, parts)
        try:
            tuned = fine_tune.fine_tune(begun, images, recipe, device=device, watch=watch)
        except Diverged as error:
            raise Diverged(
                f"{error} in epoch 1, before any epoch was finished, so nothing was saved; {_advice(recipe)}"
            ) from None
        if tuned.diverged is not None and known is not None:  # --fresh over a model that is whole
            resume.forget_state()
            raise Diverged(
                f"{tuned.diverged} in epoch {len(tuned.epochs) + 1}; the earlier model in {printable(str(out))} was "
                f"kept; {_advice(recipe)}"
            )
        facts = metadata(tuned, key, parts, told, _normalisation(start, chain), len(refused))
        _save(tuned, out, facts, parts, source)
        resume.forget_state()
    if tuned.diverged is not None:
        raise Diverged(
            f"{tuned.diverged} in epoch {len(tuned.epochs) + 1}; the weights of epoch {tuned.kept} are saved in "
            f"{printable(str(out))}; {_advice(recipe)}"
        )
    return finished(out, start.spec, facts, refused, resumed_after=after)


def _outside(source: Source, out: Path) -> None:
    """A model folder among class folders would be a class of its own the next time."""
    if source.manifest is None and Path(os.path.realpath(out)).is_relative_to(os.path.realpath(source.root)):
        raise UsageError(
            f"--out {printable(str(out))} lies among the images, where it would be read as a class; put it elsewhere"
        )


def _start(options: TrainOptions, settings: Settings) -> Loaded:
    from casebase.networks import backbones

    model, arch = named(options.model, options.arch)
    spec = backbones.parse(model, arch, options.weights)
    if not options.pretrained and (spec.kind == "folder" or spec.path is not None):
        raise UsageError(f"{printable(model)} brings its weights; leave out --no-pretrained")
    wanted = backbones.Wanted(model, arch, options.weights, pretrained=options.pretrained, seed=settings.seed)
    return backbones.load(wanted)


def _set(recipe: Recipe, settings: Settings) -> Recipe:
    """The recipe with the seed of the settings, and with their precision where it names none."""
    precision = settings.precision if recipe.precision == "auto" else recipe.precision
    return replace(recipe, seed=settings.seed, precision=precision)


def _chain(start: Loaded, options: TrainOptions) -> Preprocess:
    """The preprocessing to train with: that of the weights, but for size and normalisation that were asked for."""
    from casebase.networks.fine_tune import resized

    chain = start.preprocess
    if options.image_size is not None and chain.crop != (options.image_size, options.image_size):
        chain = resized(chain, options.image_size)
    return replace(chain, mean=options.mean or chain.mean, std=options.std or chain.std)


def _key(start: Loaded, chain: Preprocess, recipe: Recipe, device: str) -> dict[str, Any]:
    """Everything that decides the final weights, as JSON; data and classes are added when they are known."""
    from casebase.networks import checkpoints

    weights = checkpoints.digest(start.module.state_dict())[:16]
    named_so = {"network": start.spec, "weights": weights, "preprocessing": chain.short, "device": device}
    found: dict[str, Any] = json.loads(json.dumps({**named_so, **asdict(recipe)}))
    return found


def _standing(out: Path) -> Description | None:
    """What stands at ``out``; a training that went wrong counts as nothing."""
    from casebase.networks import model_folder

    if not (out / model_folder.DESCRIPTION).is_file():
        return None
    known = model_folder.describe(out)
    return None if known.metadata.get("diverged") else known


@contextmanager
def _alone(folder: Path, out: Path) -> Iterator[Path]:
    """The folder for the training's state, held by one process.

    It goes again if no state was kept in it, and so do the folders above it that were made here and stayed empty.
    Raises ``ModelError`` where it cannot be made: nothing could be written to ``out`` either.
    """
    from casebase.networks.resuming import STATE

    above = [place for place in folder.parents if not place.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        _empty_away(above)
        raise ModelError(
            f"the model folder {printable(str(out))} cannot be written ({error.strerror}); name another --out"
        ) from None
    try:
        with lock.writer(folder, "train"):
            yield folder
    finally:
        if not (folder / STATE).exists() and not lock.held(folder):
            for name in (lock.NAME, lock.HOLDER):
                (folder / name).unlink(missing_ok=True)
            if not os.listdir(folder):
                folder.rmdir()
        _empty_away(above)


def _empty_away(folders: Sequence[Path]) -> None:
    """Remove folders, innermost first, as far as they are empty."""
    for place in folders:
        try:
            place.rmdir()
        except OSError:  # not empty, or never made
            continue


def _images(looked: Looked, parts: Division) -> Images:
    from casebase.networks.fine_tune import Images, Labelled

    place = {name: number for number, name in enumerate(parts.classes)}
    where = {image.relative: row for row, image in enumerate(looked.listed)}  # divide may have left some out

    def of(part: str) -> Labelled | None:
        chosen = [image for image in parts.placed if image.part == part]
        if not chosen:
            return None
        rows = [where[image.relative] for image in chosen]
        labels, groups = [place[image.label] for image in chosen], [image.group for image in chosen]
        return Labelled(looked.views.only(rows), labels, groups)

    train = of(splitting.TRAIN)
    assert train is not None  # noqa: S101  # divide refuses data without training images; for the type checker
    return Images(train, of(splitting.VAL), of(splitting.TEST))


def _save(tuned: Tuned, out: Path, facts: Mapping[str, Any], parts: Division, source: Source) -> None:
    from casebase.evaluate.curves import curves
    from casebase.networks import model_folder

    plot = curves(tuned.epochs, tuned.kept)
    pictures = (plot.png, plot.svg.encode("utf-8"))
    beside = {
        model_folder.SPLIT: parts.manifest(source.root, out),
        **dict(zip(model_folder.CURVES, pictures, strict=True)),
    }
    model_folder.save(tuned.network, out, facts, beside)


def _normalisation(start: Loaded, chain: Preprocess) -> dict[str, Any]:
    own = start.preprocess
    same = (own.mean, own.std) == (chain.mean, chain.std)
    return {"mean": list(chain.mean), "std": list(chain.std), "of_the_weights": same}


def _about(start: Loaded, chain: Preprocess) -> list[str]:
    """What should be said about the network and how it is fed."""
    told = []
    own = start.preprocess
    if not start.untrained and (own.mean, own.std) != (chain.mean, chain.std):
        told.append(
            f"normalised with mean {_three(chain.mean)} and deviation {_three(chain.std)}, but the weights were made "
            f"for {_three(own.mean)} and {_three(own.std)}: they are fed shifted inputs; leave out --mean and --std"
        )
    if start.untrained:
        told.append("trained from random weights: far more images and epochs are needed than with pretrained ones")
    return told


def _three(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else "/".join(f"{v:g}" for v in values)


def _opening(parts: Division, start: Loaded, device: str, looked: Looked, after: int | None) -> str:
    counts = {part: sum(of.values()) for part, of in parts.counts().items()}
    made = f" ({', '.join(parts.made)} made by a seeded split)" if parts.made else ""
    told = ", ".join(f"{n} {part}" for part, n in counts.items())
    line = f"{start.spec} on {device}: {told} images in {len(parts.classes)} classes{made}"
    if looked.views.in_memory < len(looked.views):
        line += f"; {looked.views.in_memory} of {len(looked.views)} views are kept in memory, see view_megabytes"
    if after is not None:
        line += f"; goes on after epoch {after}"
    return line


def _advice(recipe: Recipe) -> str:
    return f"train again with a smaller --lr than {recipe.lr:g} (and --fresh), a tenth of it for a start"
