"""Settings: flags > environment > casebase.toml of the base > the user's own file > defaults. One frozen object."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from casebase.errors import SettingsError
from casebase.reading import DEFAULT_MEGAPIXELS

DEFAULT_BASE = ".casebase"
FILE_NAME = "casebase.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set for a case base; ``origin`` tells where each value came from."""

    base: Path = Path(DEFAULT_BASE)
    data: str | None = None
    sql_url: str | None = None
    chroma_url: str | None = None
    device: str = "auto"
    precision: str = "auto"
    max_megapixels: float = DEFAULT_MEGAPIXELS
    workers: int = 0
    batch_size: int = 16
    seed: int = 0
    view_megabytes: int = 1024
    origin: Mapping[str, str] = field(default_factory=dict)


_CHOICES = {"device": ("auto", "cpu", "cuda", "mps"), "precision": ("auto", "fp32", "bf16")}
_MOST = {"max_megapixels": 178.0}  # Pillow itself refuses what is larger
_LEAST = {"max_megapixels": 0.0001, "workers": 0, "batch_size": 1, "seed": 0, "view_megabytes": 0}


def user_file(environment: Mapping[str, str]) -> Path:
    """The user's own settings: ``casebase/casebase.toml`` in the configuration folder of the system."""
    if os.name == "nt":
        folder = Path(environment.get("APPDATA", "~"))
    else:
        folder = Path(environment.get("XDG_CONFIG_HOME") or "~/.config")
    return folder.expanduser() / "casebase" / FILE_NAME


def load(
    base: str | Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read all sources in their order.

    Raises ``SettingsError`` for an unreadable file, an unknown key or a value of the wrong kind, naming the source.
    """
    env = os.environ if environment is None else environment
    named = base if base is not None else env.get("CASEBASE_BASE")
    folder = Path(named) if named else Path(DEFAULT_BASE)
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    known = {f.name for f in fields(Settings)} - {"base", "origin"}
    values: dict[str, Any] = {}
    origin: dict[str, str] = {"base": "flag" if base is not None else "environment" if named else "default"}
    layers: list[tuple[str, Mapping[str, Any]]] = [
        (str(path), _toml(path)) for path in (user_file(env), folder / FILE_NAME)
    ]
    layers.append(("environment", {n: env[f"CASEBASE_{n.upper()}"] for n in known if env.get(f"CASEBASE_{n.upper()}")}))
    layers.append(("flag", given))
    for source, layer in layers:
        for name, value in layer.items():
            if name not in known:
                raise SettingsError(f"{source}: unknown setting {name!r}; known are {', '.join(sorted(known))}")
            values[name] = _checked(name, value, source)
            origin[name] = source
    return Settings(base=folder, **values, origin=origin)


def shown(chosen: Settings) -> list[dict[str, Any]]:
    """Every setting with its value and origin; passwords inside URLs are masked."""
    rows = []
    for entry in fields(Settings):
        if entry.name == "origin":
            continue
        value = getattr(chosen, entry.name)
        if entry.name.endswith("_url") and value:
            value = _masked(str(value))
        shown_value = str(value) if isinstance(value, Path) else value
        rows.append({"name": entry.name, "value": shown_value, "origin": chosen.origin.get(entry.name, "default")})
    return rows


def _masked(url: str) -> str:
    hidden = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)
    return re.sub(r"([?&](?:password|sslpassword|token)=)[^&]*", r"\1***", hidden)


def _toml(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None


def _checked(name: str, value: Any, source: str) -> Any:
    whole = ("workers", "batch_size", "seed", "view_megabytes")
    kind: type = float if name == "max_megapixels" else int if name in whole else str
    try:
        if isinstance(value, bool) or (kind is str and not isinstance(value, str)):
            raise ValueError
        found = kind(value)
    except (TypeError, ValueError):
        raise SettingsError(f"{source}: {name} must be of kind {kind.__name__}, not {value!r}") from None
    if name in _CHOICES and found not in _CHOICES[name]:
        raise SettingsError(f"{source}: {name} must be one of {', '.join(_CHOICES[name])}, not {found!r}")
    if name in _LEAST and not found >= _LEAST[name]:
        raise SettingsError(f"{source}: {name} must be at least {_LEAST[name]}, not {found}")
    if name in _MOST and found > _MOST[name]:
        raise SettingsError(f"{source}: {name} must be at most {_MOST[name]:g}, not {found}")
    return found
