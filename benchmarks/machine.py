"""What the figures were taken on: CPU, cores, the flags that matter, versions, date."""

from __future__ import annotations

import datetime as dt
import os
import platform
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "chromadb", "sqlalchemy", "scikit-learn")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> dict[str, str]:
    """Name and value of every fact, in the order in which they are shown."""
    model, flags = _cpu()
    import casebase

    versions = [f"{name} {_version(name)}" for name in PACKAGES]
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "CPU": model,
        "cores": str(cores()),
        "flags": ", ".join(f"{name} {'yes' if name in flags else 'no'}" for name in FLAGS) if flags else "unknown",
        "load at the start": _load(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": ", ".join([f"casebase {casebase.__version__}", *versions]),
    }


def _cpu() -> tuple[str, frozenset[str]]:
    model, flags = platform.processor() or platform.machine(), frozenset[str]()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return model, flags
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            model = value.strip()
        elif name.strip() == "flags":
            flags = frozenset(value.split())
    return model, flags


def _load() -> str:
    if not hasattr(os, "getloadavg"):
        return "unknown"
    one, five, _ = os.getloadavg()
    busy = "" if one < 0.5 else ": other work was running, times and ratios are disturbed"
    return f"{one:.2f} (1 min), {five:.2f} (5 min){busy}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
