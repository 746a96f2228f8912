"""Tensors in a safetensors file that is written in one step and known by its SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from casebase.errors import CheckpointRefused, ModelError, WeightsMissing
from casebase.reading import printable


def save(tensors: Mapping[str, Tensor], path: Path, what: str) -> str:
    """Write float32 copies in one step; the SHA-256 of the file. Raises ``ModelError``, which calls them ``what``."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({n: v.detach().to("cpu", torch.float32).clone().contiguous() for n, v in tensors.items()}, aside)
        aside.chmod(0o644)  # safetensors makes files that only their owner can read
        with aside.open("rb+") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        aside.replace(path)
    except (OSError, SafetensorError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ModelError(f"{what} cannot be written to {printable(str(path))} ({reason})") from None
    finally:
        aside.unlink(missing_ok=True)
    return digest


def load(path: Path, digest: str, what: str, command: str) -> dict[str, Tensor]:
    """Read what :func:`save` wrote.

    Raises ``WeightsMissing`` and ``CheckpointRefused`` where the file is gone or is not the one of this digest, and
    names ``command``, which makes it anew.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            raise CheckpointRefused(
                f"{printable(str(path))} is not the file {what} were saved in; restore it, or run `{command}` again"
            )
        return load_file(path)
    except FileNotFoundError:
        raise WeightsMissing(
            f"no {printable(path.name)} in {printable(str(path.parent))}; restore it, or run `{command}` again"
        ) from None
    except (OSError, SafetensorError) as error:
        raise CheckpointRefused(f"{printable(str(path))} cannot be read ({error})") from None
