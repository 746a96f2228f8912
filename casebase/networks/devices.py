"""Where networks run, and in which number format this machine is fast."""

from __future__ import annotations

import torch

from casebase.errors import UsageError
from casebase.reading import printable


def available() -> dict[str, bool]:
    """Which devices this machine offers: ``cuda``, ``mps``, ``cpu``, the best first."""
    return {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}


def choose(wanted: str) -> str:
    """``auto`` becomes the best device there is; one that is absent raises ``UsageError``."""
    there = available()
    if wanted == "auto":
        return next(name for name, is_there in there.items() if is_there)
    if not there.get(wanted.partition(":")[0], False):
        names = ", ".join(name for name, is_there in there.items() if is_there)
        raise UsageError(f"no device {printable(wanted)!r} on this machine; there is {names}")
    return wanted


def fast_bf16(device: str) -> bool:
    """Whether ``device`` computes bf16 natively; a CPU that only emulates it is slower than in fp32."""
    kind = device.partition(":")[0]
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return False
    has = torch.cpu.get_capabilities()
    native = any(bool(has.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    try:
        return native and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a torch built without oneDNN
        return False
