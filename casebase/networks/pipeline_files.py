"""The files of a diffusers pipeline: read here and not by diffusers' own loader, so that nothing in them is ever run.

Only known classes are named in them, weights are safetensors; what needs code of its own is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from casebase import hashing
from casebase.errors import CheckpointRefused, ModelError, UsageError
from casebase.networks import checkpoints
from casebase.networks.downloading import fetching
from casebase.reading import printable

INDEX, WEIGHTS, PICKLED = "model_index.json", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"
UNET, SCHEDULERS = "UNet2DModel", ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler", "DPMSolverMultistepScheduler")
"""The classes a pipeline may be made of; of its scheduler only the noise schedule is used, for DDPM or DDIM."""
KNOWN = f"casebase generates with unconditional pipelines of a {UNET} and its scheduler, such as DDPMPipeline"
_LIBRARIES = ("diffusers", "transformers", None)
_CONFIGS = (INDEX, "config.json", "scheduler_config.json", "unet/config.json", "scheduler/scheduler_config.json")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, eq=False)
class PipelineFiles:
    """What the files say: configurations and weights. ``revision`` is the hub's commit, None for a local folder."""

    revision: str | None
    unet: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    state: Mapping[str, Tensor]
    weights: Path

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that name the weights and both configurations."""
        return hashing.of_json(
            {"unet": self.unet, "scheduler": self.scheduler, "weights": checkpoints.digest(self.state)}
        )


def read_pipeline(name: str, revision: str | None = None, *, allow_pickle: bool = False) -> PipelineFiles:
    """The files of a local folder or, where there is no such folder, of a pipeline on the Hugging Face hub.

    ``allow_pickle`` also reads weights that are only there as ``.bin``, with torch's weights-only reader, which runs
    no code. Raises ``ModelError`` for a folder that is no such pipeline, ``CheckpointRefused`` where its files would
    need code to be run, ``WeightsMissing`` where nothing can be downloaded.
    """
    folder = Path(name)
    if folder.is_dir():
        if revision is not None:
            raise UsageError(f"--revision belongs to the hub, and {printable(name)} is a folder; leave it out")
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
    weights = _weights(folder, name, allow_pickle=allow_pickle)
    state = checkpoints.load_state(weights, (weights.suffix,))
    return PipelineFiles(commit, unet, scheduler, state, weights)


def _fetched(name: str, revision: str | None, *, allow_pickle: bool) -> Path:
    from huggingface_hub import snapshot_download

    instead = "there is no folder of that name either; fetch it where there is a network, and say --pipeline FOLDER"
    with fetching(printable(name), instead):
        wanted = [*_CONFIGS, WEIGHTS, f"unet/{WEIGHTS}"]
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
        if allow_pickle and not _place(folder, "unet", WEIGHTS).is_file():
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


def _weights(folder: Path, name: str, *, allow_pickle: bool) -> Path:
    path, pickled = (_place(folder, "unet", file) for file in (WEIGHTS, PICKLED))
    if path.is_file():
        return path
    if allow_pickle and pickled.is_file():
        return pickled
    if allow_pickle:
        raise ModelError(f"{printable(name)} has no weights: neither {WEIGHTS} nor {PICKLED}; save or fetch it again")
    raise CheckpointRefused(
        f"{printable(name)} has no {WEIGHTS}, and weights that are pickles (.bin) can run code while they are read; "
        "save it with safetensors, or say --allow-pickle, which takes tensors from a .bin and refuses all else"
    )
