"""JSON that any reader can parse and any terminal can print."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

# json escapes only C0. DEL, C1 and the marks that turn the reading direction would reach a terminal as they are.
_UNSEEN = re.compile("[\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def dumps(value: Any, *, indent: int | None = 2) -> str:
    """A value of dicts, lists, text and numbers as JSON text, encodable as UTF-8.

    NaN and infinities become null; what cannot be printed, unpaired surrogates included, is written as an escape and
    so comes back unchanged. NumPy scalars and arrays, paths and tuples are taken for what they stand for.
    """
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent)
    seen = _UNSEEN.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
    return seen.encode("utf-8", "backslashreplace").decode("utf-8")


def plain(value: Any) -> Any:
    """The same value made of dict, list, str, int, float, bool and None only; every float finite."""
    match value:
        case None | bool() | int():
            return value
        case str() | PurePath():
            return str(value)
        case float():
            return float(value) if math.isfinite(value) else None
        case np.generic() | np.ndarray():
            return plain(value.tolist())
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case Sequence():
            return [plain(inner) for inner in value]
    raise TypeError(f"no JSON form for {type(value).__name__}")
