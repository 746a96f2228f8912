"""Images from a diffusers pipeline: an unconditional UNet denoises noise, step by step, as its scheduler says.

The pipeline's files are read here and not by diffusers' own loader: only known classes are built, weights are
safetensors, and nothing that comes with a pipeline is ever run. Sources: J. Ho, A. Jain, P. Abbeel, 2020, "Denoising
Diffusion Probabilistic Models", https://arxiv.org/abs/2006.11239; J. Song, C. Meng, S. Ermon, 2020, "Denoising
Diffusion Implicit Models", https://arxiv.org/abs/2010.02502.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from casebase import clock, hashing
from casebase.errors import CheckpointRefused, ModelError, UsageError
from casebase.networks import checkpoints
from casebase.networks.downloading import fetching
from casebase.reading import printable

DTYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
DDPM, DDIM = "ddpm", "ddim"
DDIM_STEPS = 50
INDEX, WEIGHTS, PICKLED = "model_index.json", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"
UNET, SCHEDULERS = "UNet2DModel", ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler", "DPMSolverMultistepScheduler")
"""The classes a pipeline may be made of; of its scheduler only the noise schedule is used, for DDPM or DDIM."""
KNOWN = f"casebase generates with unconditional pipelines of a {UNET} and its scheduler, such as DDPMPipeline"
_LIBRARIES = ("diffusers", "transformers", None)
_CONFIGS = (INDEX, "config.json", "scheduler_config.json", "unet/config.json", "scheduler/scheduler_config.json")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, eq=False)
class Pipeline:
    """What was read of a pipeline. ``digest`` names its weights and configurations, ``revision`` the hub's commit."""

    name: str
    revision: str | None
    unet: Any
    scheduler: Mapping[str, Any]
    digest: str

    @property
    def trained_steps(self) -> int:
        """Into how many steps the noise was divided when it was trained; no scheduler can take more."""
        return int(self.scheduler.get("num_train_timesteps", 1000))


def open_pipeline(name: str, revision: str | None = None, *, allow_pickle: bool = False) -> Pipeline:
    """A pipeline of a local folder or, where there is no such folder, of the Hugging Face hub.

    ``allow_pickle`` also reads weights that are only there as ``.bin``, with torch's weights-only reader, which runs
    no code. Raises ``ModelError`` for a folder that is no such pipeline, ``CheckpointRefused`` where its files would
    need code to be run, ``WeightsMissing`` where nothing can be downloaded.
    """
    folder = Path(name)
    if folder.is_dir():
        if revision is not None:
            raise UsageError(f"--revision belongs to the hub, and {_shown(folder)} is a folder; leave it out")
        commit = None
    elif folder.exists() or _HUB_NAME.fullmatch(name) is None:
        raise ModelError(
            f"no pipeline folder at {printable(name)}; name a folder that a diffusers pipeline was saved to, or a "
            "name on the hub such as google/ddpm-cat-256"
        )
    else:
        folder = _fetched(name, revision, allow_pickle=allow_pickle)
        commit = folder.name
    _check(folder, name)
    unet = _part(folder, "unet", "config.json", name)
    scheduler = _part(folder, "scheduler", "scheduler_config.json", name)
    state = _state(folder, name, allow_pickle=allow_pickle)
    network = _built(unet, state, _weights(folder) or folder, name)
    digest = hashing.of_json({"unet": unet, "scheduler": scheduler, "weights": checkpoints.digest(state)})
    return Pipeline(name, commit, network, scheduler, digest)


def _fetched(name: str, revision: str | None, *, allow_pickle: bool) -> Path:
    from huggingface_hub import snapshot_download

    instead = "there is no folder of that name either; fetch it where there is a network, and say --pipeline FOLDER"
    with fetching(printable(name), instead):
        wanted = [*_CONFIGS, WEIGHTS, f"unet/{WEIGHTS}"]
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
        if allow_pickle and _weights(folder) is None:
            snapshot_download(name, revision=folder.name, allow_patterns=[PICKLED, f"unet/{PICKLED}"])
    return folder


def _check(folder: Path, name: str) -> None:
    """Raise unless the folder is a pipeline of known classes that brings no code."""
    shown = printable(name)
    if not (folder / INDEX).is_file():
        raise ModelError(f"{shown} is no diffusers pipeline: it has no {INDEX}; name a folder saved by save_pretrained")
    index = _json(folder / INDEX, name)
    parts = {key: value for key, value in index.items() if isinstance(value, list) and not key.startswith("_")}
    foreign = [
        f"{key} from {printable(str(value[0] if value else value))!r}"
        for key, value in parts.items()
        if len(value) != 2 or value[0] not in _LIBRARIES
    ]
    own = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
    if not isinstance(index.get("_class_name"), str):
        foreign.append("its pipeline class")
    if "auto_map" in index:
        foreign.append("an auto_map")
    if own or foreign:
        told = ", ".join(map(printable, own[:3])) or ", ".join(foreign[:3])
        raise CheckpointRefused(
            f"{shown} needs code of its own ({told}), and casebase never runs code that comes with a model; {KNOWN}"
        )
    present = {key: value[1] for key, value in parts.items() if value[1] is not None}
    if set(present) != {"unet", "scheduler"} or present["unet"] != UNET or present["scheduler"] not in SCHEDULERS:
        made_of = ", ".join(sorted(printable(str(value)) for value in present.values())) or "nothing"
        raise ModelError(f"{shown} is a {printable(index['_class_name'])} made of {made_of}; {KNOWN}")


def _place(folder: Path, part: str, file: str) -> Path:
    """A file of a part: in the part's own folder, or beside the index as in the oldest pipelines."""
    inside = folder / part / file
    return inside if inside.is_file() else folder / file


def _part(folder: Path, part: str, file: str, name: str) -> dict[str, Any]:
    path = _place(folder, part, file)
    if not path.is_file():
        raise ModelError(f"{printable(name)} is no whole pipeline: {part}/{file} is missing; save or fetch it again")
    found = _json(path, name)
    if "auto_map" in found:
        raise CheckpointRefused(
            f"{printable(name)} needs code of its own (auto_map in {part}/{file}), and casebase never runs code that "
            f"comes with a model; {KNOWN}"
        )
    return found


def _json(path: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        hashing.of_json(found)  # NaN and the like have no place in it
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ModelError(f"{printable(name)} is no whole pipeline: {path.name} is damaged; save or fetch it again")
    return found


def _weights(folder: Path) -> Path | None:
    path = _place(folder, "unet", WEIGHTS)
    return path if path.is_file() else None


def _state(folder: Path, name: str, *, allow_pickle: bool) -> dict[str, Tensor]:
    path = _weights(folder)
    if path is not None:
        return checkpoints.load_state(path)
    pickled = _place(folder, "unet", PICKLED)
    if allow_pickle and pickled.is_file():
        return checkpoints.load_state(pickled, (pickled.suffix,))
    if allow_pickle:
        raise ModelError(f"{printable(name)} has no weights: neither {WEIGHTS} nor {PICKLED}; save or fetch it again")
    raise CheckpointRefused(
        f"{printable(name)} has no {WEIGHTS}, and weights that are pickles (.bin) can run code while they are read; "
        "save it with safetensors, or say --allow-pickle, which takes tensors from a .bin and refuses all else"
    )


def _built(config: Mapping[str, Any], state: Mapping[str, Tensor], path: Path, name: str) -> Any:
    from diffusers import UNet2DModel

    try:
        with _hushed():
            kind: Any = UNet2DModel
            network = kind.from_config(dict(config))
    except Exception as error:  # a configuration from elsewhere may make any line of the constructor fail
        said = " ".join(str(error).split())[:120]
        raise ModelError(f"{printable(name)} is no whole pipeline: its UNet cannot be built ({said})") from None
    if network.config.class_embed_type is not None or network.config.num_class_embeds is not None:
        raise ModelError(f"{printable(name)} wants to be told a class for every image; {KNOWN}")
    if network.config.in_channels not in (1, 3):
        raise ModelError(
            f"{printable(name)} makes images of {network.config.in_channels} channels, which are no pictures; {KNOWN}"
        )
    checkpoints.load_into(network, state, path)
    return network.eval()


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
            said = " ".join(str(error).split())[:120]
            raise ModelError(
                f"{printable(pipeline.name)} is no whole pipeline: its scheduler cannot be built ({said})"
            ) from None
        channels = pipeline.unet.config.in_channels
        if pipeline.unet.config.out_channels != channels and sampling.scheduler == DDIM:
            raise UsageError(f"{printable(pipeline.name)} learnt its variance, which --scheduler ddim cannot use")
        self.steps, self.device, self.dtype = len(self._scheduler.timesteps), device, sampling.dtype
        self.eta = (sampling.eta or 0.0) if sampling.scheduler == DDIM else None
        self._extra = {} if self.eta is None else {"eta": self.eta}
        with _hushed():
            self._unet = pipeline.unet.to(device, DTYPES[sampling.dtype])
        size = pipeline.unet.config.sample_size
        self._shape = (channels, *((size, size) if isinstance(size, int) else size))

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
            raise ModelError(f"the images are not finite numbers in {self.dtype}; take --dtype bf16 or fp32")
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


def _shown(path: Path) -> str:
    return printable(str(path))
