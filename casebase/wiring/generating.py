"""From a diffusers pipeline to a folder of images: the one way, for the command and the Python API."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casebase import clock
from casebase.datasets import Generated
from casebase.errors import StorageFailed, UsageError
from casebase.indexer.batches import chunked
from casebase.indexer.generated import MANIFEST, GeneratedFolder
from casebase.reading import printable
from casebase.settings import Settings
from casebase.storage import lock
from casebase.storage.translate import file_errors

if TYPE_CHECKING:
    from casebase.networks.generator import Pipeline, Sampler

__all__ = ["GenerateOptions", "generate"]

SCHEDULERS = ("ddpm", "ddim")
DTYPES = ("fp32", "fp16", "bf16")
MOST_SEED = 2**63 - 1
Stages = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """What to generate, how many, and how; see ``casebase data generate``.

    ``pipeline`` is a local folder or a name on the Hugging Face hub, ``revision`` a commit or branch there. ``steps``
    None means as many as the pipeline was trained with for ddpm, 50 for ddim; ``eta`` in [0, 1] is only for ddim.
    ``count`` is how many images the folder has in the end.
    """

    pipeline: str = "google/ddpm-cat-256"
    revision: str | None = None
    scheduler: str = "ddpm"
    steps: int | None = None
    eta: float | None = None
    count: int = 10
    batch_size: int = 4
    dtype: str = "fp32"
    label: str = "generated"
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (("scheduler", self.scheduler, SCHEDULERS), ("dtype", self.dtype, DTYPES)):
            if value not in known:
                raise UsageError(f"--{name} must be {' or '.join(known)}, not {printable(value)!r}")
        for name, number in (("count", self.count), ("batch-size", self.batch_size), ("steps", self.steps)):
            if number is not None and number < 1:
                raise UsageError(f"--{name} must be at least 1, not {number}")
        if self.eta is not None and self.scheduler != "ddim":
            raise UsageError("--eta belongs to --scheduler ddim; ddpm draws all its noise anew, leave --eta out")
        if self.eta is not None and not 0 <= self.eta <= 1:
            raise UsageError(f"--eta must be from 0 (deterministic) to 1 (as noisy as ddpm), not {self.eta:g}")
        if not self.label or not self.label.isprintable():
            raise UsageError(f"--label must be a class name, not {printable(self.label)!r}")


def generate(
    settings: Settings,
    out: Path,
    options: GenerateOptions,
    progress: Stages = lambda stage, done, total: None,
    announce: Callable[[str], None] = lambda line: None,
) -> Generated:
    """Make the images that ``out`` lacks; image i is made of the seed ``settings.seed`` + i.

    Raises ``UsageError`` for options that contradict each other or the images that are there, ``ModelError`` and what
    is below it for a pipeline that cannot be used, ``StorageFailed`` where the disk ends (what is finished stays),
    ``Locked``.
    """
    from casebase.networks import devices, generator

    _usable(out)
    if settings.seed + options.count > MOST_SEED:
        raise UsageError(f"--seed must be below {MOST_SEED - options.count}, not {settings.seed}")
    device = devices.choose(settings.device)
    pipeline = generator.open_pipeline(options.pipeline, options.revision, allow_pickle=options.allow_pickle)
    sampling = generator.Sampling(options.scheduler, options.steps, options.eta, options.dtype)
    sampler = generator.Sampler(pipeline, sampling, device)
    facts = _facts(pipeline, sampler, options, settings.seed, generator.library())
    seeds = range(settings.seed, settings.seed + options.count)
    with _alone(out):
        with file_errors(printable(str(out))):
            folder = GeneratedFolder(out)
            folder.same(facts)
            missing = folder.missing(seeds)
        told = _remarks(folder, facts)
        expected = _expected(sampler, missing, options, announce, len(seeds))
        started = clock.seconds()
        _make(folder, sampler, missing, options.batch_size, facts, progress)
        with file_errors(printable(str(out))):
            folder.settle()
        seconds = clock.seconds() - started
        return Generated(out, folder.manifest, list(folder.rows.values()), len(missing), facts, seconds, expected, told)


def _usable(out: Path) -> None:
    """Raise ``UsageError`` where something stands that is no folder of generated images."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{printable(str(out))} is a file; name a folder")
    leftovers = {lock.NAME, lock.HOLDER}
    if out.is_dir() and not (out / MANIFEST).exists():
        others = [name for name in os.listdir(out) if name not in leftovers and not name.endswith(".part")]
        if others:
            raise UsageError(
                f"{printable(str(out))} holds other files and no manifest of generated images; name another folder"
            )


def _facts(pipeline: Pipeline, sampler: Sampler, options: GenerateOptions, seed: int, made_by: str) -> dict[str, Any]:
    return {
        "label": options.label,
        "pipeline": pipeline.name,
        "revision": pipeline.revision,
        "weights": pipeline.digest,
        "scheduler": options.scheduler,
        "steps": sampler.steps,
        "eta": sampler.eta,
        "dtype": sampler.dtype,
        "first_seed": seed,
        "device": sampler.device,
        "library": made_by,
    }


def _remarks(folder: GeneratedFolder, facts: Mapping[str, Any]) -> list[str]:
    told = []
    if folder.changed:
        n = len(folder.changed)
        told.append(f"{n} {'image was' if n == 1 else 'images were'} not as made and made again: {folder.changed[0]}")
    for key in ("library", "device"):
        others = sorted({str(row.get(key)) for row in folder.rows.values()} - {str(facts[key])})
        if others:
            told.append(
                f"images made before were made with {printable(others[0])}, not with {facts[key]}: the same seeds may "
                "differ in their last digits"
            )
    return told


def _expected(
    sampler: Sampler, missing: Sequence[int], options: GenerateOptions, announce: Callable[[str], None], count: int
) -> float | None:
    """Time one step and say what that means for all of them, before the first image."""
    if not missing:
        announce("all images are there")
        return None
    n, batch = len(missing), min(options.batch_size, len(missing))
    step = sampler.seconds_a_step(batch)
    total = step * sampler.steps * n / batch
    width, height = sampler.size
    there = f"; {count - n} of {count} are there" if n < count else ""
    announce(
        f"{n} {'image' if n == 1 else 'images'} of {width}x{height} pixels to make{there}: {sampler.steps} steps each, "
        f"one step of {batch} at once took {step:.2g} s on {sampler.device}, so about {clock.lasting(total)} in all"
    )
    return total


def _make(
    folder: GeneratedFolder, sampler: Sampler, missing: Sequence[int], batch: int, facts: Mapping[str, Any],
    progress: Stages,
) -> None:  # fmt: skip
    """Batch by batch; each image is listed as soon as it is whole. Progress counts denoising steps of single images."""
    done, total = 0, len(missing) * sampler.steps

    for seeds in chunked(missing, batch):

        def stepped(n: int = len(seeds)) -> None:
            nonlocal done
            done += n
            progress("denoising steps", done, total)

        images = sampler.images(seeds, stepped)
        try:
            for seed, image in zip(seeds, images, strict=True):
                folder.keep(image, seed, facts)
        except OSError as error:
            raise _stopped(folder, error) from error


def _stopped(folder: GeneratedFolder, error: OSError) -> StorageFailed:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    n = len(folder.rows)
    finished = "no image is finished" if not n else f"{n} {'image is' if n == 1 else 'images are'} finished and listed"
    return StorageFailed(
        f"{'no space left on the disk of' if full else 'cannot write to'} {printable(str(folder.folder))}"
        f"{'' if full else f' ({error.strerror})'}: {finished} in {folder.manifest.name}; "
        f"{'free some space' if full else 'make it writable'} and run the same command again"
    )


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """The folder, made if need be and written by one process; one that stayed empty goes again."""
    there = out.is_dir()
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not os.access(out, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise StorageFailed(
            f"{printable(str(out))} cannot be written ({error.strerror}); name another folder"
        ) from None
    try:
        with lock.writer(out, "data generate"):
            yield
    finally:
        if not lock.held(out):
            for name in (lock.NAME, lock.HOLDER):
                (out / name).unlink(missing_ok=True)
            if not there and not os.listdir(out):
                out.rmdir()
