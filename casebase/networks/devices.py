"""Where networks run, and in which number format this machine is fast."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

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


class _Alone:
    """Who is inside :func:`one_thread_each`, and what torch's setting was before the first came."""

    lock = threading.Lock()
    inside = 0
    before = 1


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Networks run on one thread for every caller, so that several run side by side without waiting for each other.

    torch's setting is one for the whole process: it is put back when the last of those inside leaves.
    """
    with _Alone.lock:
        if not _Alone.inside:
            _Alone.before = torch.get_num_threads()
            torch.set_num_threads(1)
        _Alone.inside += 1
    try:
        yield
    finally:
        with _Alone.lock:
            _Alone.inside -= 1
            if not _Alone.inside:
                torch.set_num_threads(_Alone.before)
