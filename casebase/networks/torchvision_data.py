"""A torchvision data set as a folder with a manifest."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from casebase.errors import DataError


def pets(folder: Path) -> Path:
    """Download Oxford-IIIT Pet (CC BY-SA 4.0, 0.8 GB) with torchvision and write ``labels.csv``; returns its path.

    Raises ``DataError`` in one sentence where the network cannot be reached.
    """
    from torchvision.datasets import OxfordIIITPet

    parts: dict[str, Any] = {}
    try:
        for split, name in (("trainval", "train"), ("test", "test")):
            parts[name] = OxfordIIITPet(str(folder), split=split, download=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"Oxford-IIIT Pet cannot be downloaded ({reason}); `casebase demo` needs no network") from None
    target = folder / "labels.csv"
    with target.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["path", "label", "split"])
        for name, part in parts.items():
            for path, number in zip(part._images, part._labels, strict=True):
                writer.writerow([Path(path).relative_to(folder).as_posix(), part.classes[number], name])
    return target
