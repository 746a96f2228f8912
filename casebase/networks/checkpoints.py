"""Weights from files: safetensors, or a plain state dict read with ``weights_only``; everything else is refused.

There is no fallback to a full unpickle: a pickle can run any code while it is being read.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from casebase.errors import CheckpointRefused, WeightsMissing
from casebase.reading import printable

SAFE = ".safetensors"
SUFFIXES = (SAFE, ".pt", ".pth")
_WRAPPERS = ("state_dict", "model", "model_state_dict")
_PREFIXES = ("module.", "_orig_mod.")
_COUNTER = "num_batches_tracked"
_SHOWN = 5


def load_state(path: Path, suffixes: Sequence[str] = SUFFIXES) -> dict[str, Tensor]:
    """The weights in a file, on the CPU; floating-point ones as float32, names without ``module.`` and the like.

    Files with other ``suffixes`` than safetensors are read as state dicts.

    Raises
    ------
    WeightsMissing
        there is no such file.
    CheckpointRefused
        another kind of file, damaged, more than tensors in it (what it tried to load is named), or weights that are
        not finite numbers.
    """
    if not path.is_file():
        raise WeightsMissing(f"no weights file at {_shown(path)}; check the path given with --weights or --model")
    if path.suffix.lower() not in suffixes:
        raise CheckpointRefused(
            f"{_shown(path)} is not read as weights; give a state dict as {', '.join(suffixes)}, safetensors preferred"
        )
    found = _safetensors(path) if path.suffix.lower() == SAFE else _state_dict(path)
    return {name: _plain(name, value, path) for name, value in _unprefixed(found).items()}


def load_into(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Put every weight of ``state`` into ``module``; every name and every shape has to fit.

    Only batch norm's step counters may be absent. Raises ``CheckpointRefused`` with up to five names of each kind of
    mismatch; the module is then as it was.
    """
    wanted = module.state_dict()
    missing = [n for n in wanted if n not in state and not n.endswith(_COUNTER)]
    unexpected = [n for n in state if n not in wanted]
    shapes = [
        f"{n} {list(state[n].shape)} where {list(wanted[n].shape)} belongs"
        for n in wanted
        if n in state and state[n].shape != wanted[n].shape
    ]
    told = [_some("missing", missing), _some("unexpected", unexpected), _some("of another shape", shapes)]
    if any(told):
        raise CheckpointRefused(
            f"the weights in {_shown(path)} do not fit this architecture: {'; '.join(t for t in told if t)}"
        )
    module.load_state_dict(dict(state), strict=False)


def digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 (64 hexadecimal digits) of names, shapes and float32 values, in order of names.

    The same for equal values in any file format, container and order; batch norm's step counters decide nothing and
    are left out.
    """
    found = hashlib.sha256()
    for name in sorted(state):
        if name.endswith(_COUNTER):
            continue
        value = state[name].detach().to(device="cpu", dtype=torch.float32).contiguous()
        found.update(f"{name} {list(value.shape)} ".encode())
        found.update(value.numpy().tobytes())
    return found.hexdigest()


def _safetensors(path: Path) -> Mapping[str, Any]:
    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointRefused(f"{_shown(path)} is no readable safetensors file ({_first_line(error)})") from None


def _state_dict(path: Path) -> Mapping[str, Any]:
    _refuse_programs(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler meets hostile bytes: it may raise anything at all
        blocked = _blocked(path, error)
        if blocked:
            raise CheckpointRefused(
                f"{_shown(path)} is more than weights: it tried to load {', '.join(blocked)}, which can run code; "
                "save the state dict as .safetensors and give that"
            ) from None
        raise CheckpointRefused(
            f"{_shown(path)} is not a state dict saved by torch ({_first_line(error)}); "
            "save the state dict as .safetensors and give that"
        ) from None
    for key in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            break
    if not isinstance(found, Mapping) or not found:
        raise CheckpointRefused(f"{_shown(path)} holds {_kind(found)}, not a state dict (names to tensors)")
    return found


def _refuse_programs(path: Path) -> None:
    """TorchScript and exported programs are zip files that carry code beside their weights."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [name.split("/", 1)[-1] for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError):
        return  # torch will refuse it, with its own reason
    if "constants.pkl" in inside or any(name.startswith("code/") for name in inside):
        kind = "a TorchScript archive"
    elif "archive_format" in inside or any(name.startswith("models/") for name in inside):
        kind = "an exported program"
    else:
        return
    raise CheckpointRefused(
        f"{_shown(path)} is {kind}, which carries code; save the state dict as .safetensors and give that"
    )


def _blocked(path: Path, error: Exception) -> list[str]:
    """What a pickle asked for and was denied, as dotted names."""
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # only torch's own zip format can be listed; the message has to do for the others
        named = []
    named = [*named, *re.findall(r"GLOBAL ([\w.]+)", str(error))]
    if not named:
        named = _legacy_globals(path)
    return list(dict.fromkeys(named))[:_SHOWN]


def _legacy_globals(path: Path) -> list[str]:
    """The names a bare pickle refers to, read from its opcodes without executing one of them."""
    import pickletools

    strings: list[str] = []
    found: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(path.read_bytes()):
            if opcode.name == "GLOBAL":
                found.append(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL":
                found.append(".".join(strings[-2:]))
            elif isinstance(argument, str):
                strings.append(argument)
    except Exception:  # not a pickle, or a damaged one: what was seen so far is what there is
        return found
    return found


def _unprefixed(found: Mapping[str, Any]) -> dict[str, Any]:
    names = {str(name): value for name, value in found.items()}
    for _ in range(len(_PREFIXES)):
        for prefix in _PREFIXES:
            if names and all(name.startswith(prefix) for name in names):
                names = {name.removeprefix(prefix): value for name, value in names.items()}
    return names


def _plain(name: str, value: Any, path: Path) -> Tensor:
    if not isinstance(value, Tensor):
        raise CheckpointRefused(
            f"{_shown(path)} is not a plain state dict: {printable(name)!r} is {_kind(value)}, not a tensor"
        )
    if value.layout is not torch.strided or value.is_quantized or value.is_complex():
        what = f"{printable(name)!r} is sparse, quantised or complex"
        raise CheckpointRefused(f"{_shown(path)}: {what}; give dense weights")
    plain = value.detach()
    if not plain.is_floating_point():
        return plain
    plain = plain.to(torch.float32)
    if not bool(torch.isfinite(plain).all()):
        raise CheckpointRefused(f"{_shown(path)}: {printable(name)!r} holds NaN or infinity; the file is damaged")
    return plain


def _some(kind: str, names: Iterable[str]) -> str:
    listed = list(names)
    if not listed:
        return ""
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"{kind}: {', '.join(printable(n) for n in listed[:_SHOWN])}{more}"


def _kind(value: object) -> str:
    return f"a {type(value).__name__}" if value is not None else "nothing"


def _shown(path: Path) -> str:
    return printable(str(path))


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    if isinstance(error, KeyError | EOFError) or text.startswith("Weights only load failed"):
        return "damaged or of another kind"
    return text if len(text) <= 120 else f"{text[:119]}…"
