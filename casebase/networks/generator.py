"""Images from a diffusers pipeline: an unconditional UNet denoises noise, step by step, as its scheduler says.

Sources: J. Ho, A. Jain, P. Abbeel, 2020, "Denoising
Diffusion Probabilistic Models", https://arxiv.org/abs/2006.11239; J. Song, C. Meng, S. Ermon, 2020, "Denoising
Diffusion Implicit Models", https://arxiv.org/abs/2010.02502.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from casebase import clock
from casebase.errors import ModelError, UsageError
from casebase.networks import checkpoints
from casebase.networks.pipeline_files import KNOWN, PipelineFiles, read_pipeline
from casebase.reading import printable

DTYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
DDPM, DDIM = "ddpm", "ddim"
DDIM_STEPS, TRAINED_STEPS = 50, 1000
"""The usual steps: of DDIM, and of a training whose configuration does not say."""


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A network and its noise schedule. ``digest`` names weights and configurations, ``revision`` the hub's commit.

    In training, noise was divided into ``trained_steps``; no scheduler can take more.
    """

    name: str
    revision: str | None
    unet: Any
    scheduler: Mapping[str, Any]
    digest: str
    trained_steps: int


def open_pipeline(name: str, revision: str | None = None, *, allow_pickle: bool = False) -> Pipeline:
    """A pipeline by its folder or its name on the hub; see :func:`pipeline_files.read_pipeline` for what it raises."""
    files = read_pipeline(name, revision, allow_pickle=allow_pickle)
    steps = files.scheduler.get("num_train_timesteps", TRAINED_STEPS)
    if not isinstance(steps, int) or steps < 1:
        raise ModelError(f"{printable(name)} is no whole pipeline: it was trained in {printable(repr(steps))} steps")
    return Pipeline(name, files.revision, _built(files, name), files.scheduler, files.digest, steps)


def _built(files: PipelineFiles, name: str) -> Any:
    """The UNet in evaluation mode with its weights."""
    from diffusers import UNet2DModel

    kind: Any = UNet2DModel
    try:
        with _hushed():
            network = kind.from_config(dict(files.unet))
    except Exception as error:  # a configuration from elsewhere may make any line of the constructor fail
        raise ModelError(f"{printable(name)} is no whole pipeline: its UNet cannot be built ({_said(error)})") from None
    config = network.config
    if config.class_embed_type is not None or config.num_class_embeds is not None:
        raise ModelError(f"{printable(name)} wants to be told a class for every image; {KNOWN}")
    sides = _sides(config.sample_size)
    if config.in_channels not in (1, 3) or not all(isinstance(side, int) and side > 0 for side in sides):
        shown = "x".join(printable(str(size)) for size in (config.in_channels, *sides))
        raise ModelError(f"{printable(name)} makes {shown} numbers (channels, height, width), no pictures; {KNOWN}")
    checkpoints.load_into(network, files.state, files.weights)
    return network.eval()


def _sides(size: Any) -> tuple[Any, ...]:
    """Height and width of a UNet's samples, as its configuration gives them."""
    return tuple(size) if isinstance(size, (list, tuple)) and len(size) == 2 else (size, size)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample: ``scheduler`` ddpm or ddim, so many ``steps`` (None: as usual for it), ``eta`` only for ddim."""

    scheduler: str = DDPM
    steps: int | None = None
    eta: float | None = None
    dtype: str = "fp32"


class Sampler:
    """Makes images of seeds; each image has its own generator, on the CPU, so that it is alone in what it draws.

    Equal seeds give equal noise in any batch and on any device. The network's arithmetic depends on both in its last
    digits, and so may pixels, by a level or two of 255.
    """

    def __init__(self, pipeline: Pipeline, sampling: Sampling, device: str) -> None:
        from diffusers import DDIMScheduler, DDPMScheduler

        most = pipeline.trained_steps
        usual = most if sampling.scheduler == DDPM else min(most, DDIM_STEPS)
        steps = usual if sampling.steps is None else sampling.steps
        if not 1 <= steps <= most:
            raise UsageError(
                f"--steps must be from 1 to {most}, as {printable(pipeline.name)} was trained, not {steps}"
            )
        kind: Any = DDPMScheduler if sampling.scheduler == DDPM else DDIMScheduler
        try:
            with _hushed():
                self._scheduler = kind.from_config(dict(pipeline.scheduler))
                self._scheduler.set_timesteps(steps)
        except Exception as error:  # as for the UNet
            raise ModelError(
                f"{printable(pipeline.name)} is no whole pipeline: its scheduler cannot be built ({_said(error)})"
            ) from None
        channels, predicted = pipeline.unet.config.in_channels, pipeline.unet.config.out_channels
        learnt = sampling.scheduler == DDPM and str(self._scheduler.config.variance_type).startswith("learned")
        if predicted != (2 * channels if learnt else channels):
            raise ModelError(
                f"{printable(pipeline.name)} predicts {predicted} channels for images of {channels}, which "
                f"--scheduler {sampling.scheduler} has no use for; {KNOWN}"
            )
        self.steps, self.device, self.dtype = len(self._scheduler.timesteps), device, sampling.dtype
        self.eta = (sampling.eta or 0.0) if sampling.scheduler == DDIM else None
        self._extra = {} if self.eta is None else {"eta": self.eta}
        with _hushed():
            self._unet = pipeline.unet.to(device, DTYPES[sampling.dtype])
        self._shape = (channels, *_sides(pipeline.unet.config.sample_size))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the images in pixels."""
        return self._shape[2], self._shape[1]

    @torch.inference_mode()
    def images(self, seeds: Sequence[int], stepped: Callable[[], None] = lambda: None) -> list[Image.Image]:
        """One RGB picture for each seed; ``stepped`` is called after each denoising step of the whole batch."""
        with _in_words(len(seeds)):
            generators = [torch.Generator().manual_seed(seed) for seed in seeds]
            sample = self._noise(generators)  # (N, C, H, W)
            for moment in self._scheduler.timesteps:
                sample = self._step(moment, sample, generators)
                stepped()
        if not bool(torch.isfinite(sample).all()):
            advice = "the weights are damaged, fetch them again" if self.dtype == "fp32" else "take --dtype fp32"
            raise ModelError(f"the images are not finite numbers in {self.dtype}; {advice}")
        scaled = (sample.float() / 2 + 0.5).clamp(0, 1).cpu()
        levels = (scaled * 255).round().to(torch.uint8).permute(0, 2, 3, 1)  # (N, H, W, C)
        return [Image.fromarray(one.expand(-1, -1, 3).contiguous().numpy()) for one in levels]

    @torch.inference_mode()
    def seconds_a_step(self, batch: int) -> float:
        """How long one denoising step of a batch takes here; measured on the second of two, the first warms up."""
        with _in_words(batch):
            generators = [torch.Generator().manual_seed(seed) for seed in range(batch)]
            sample, moment = self._noise(generators), self._scheduler.timesteps[0]
            self._step(moment, sample, generators).cpu()
            started = clock.seconds()
            self._step(moment, sample, generators).cpu()  # waits for the device
            return clock.seconds() - started

    def _noise(self, generators: Sequence[torch.Generator]) -> Tensor:
        drawn = [torch.randn(self._shape, generator=one, dtype=DTYPES[self.dtype]) for one in generators]
        return torch.stack(drawn).to(self.device)

    def _step(self, moment: Tensor, sample: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        predicted = self._unet(sample, moment).sample
        found: Tensor = self._scheduler.step(
            predicted, moment, sample, generator=list(generators), **self._extra
        ).prev_sample
        return found


def library() -> str:
    """The libraries an image was made with, by version."""
    import diffusers

    return f"diffusers {diffusers.__version__}, torch {torch.__version__}"


@contextmanager
def _in_words(batch: int) -> Iterator[None]:
    """A device without enough memory becomes ``ModelError``."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        raise ModelError(f"not enough memory for {batch} images at once; say a smaller --batch-size") from None


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep diffusers' remarks on configurations of another version to itself."""
    log = logging.getLogger("diffusers")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _said(error: Exception) -> str:
    return printable(" ".join(str(error).split())[:120])
