"""A model folder: ``weights.safetensors`` and ``model.json``, enough to rebuild a network without any download."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError
from safetensors.torch import save_file

from casebase.cases import Fingerprint
from casebase.errors import CasebaseError, CheckpointRefused, ModelError, WeightsMissing
from casebase.folders import replaced
from casebase.networks import backbones, checkpoints, heads
from casebase.networks.anatomy import dissect
from casebase.networks.loaded import HeadPlan, Loaded, checked_classes
from casebase.reading import Preprocess, printable

SCHEMA = "casebase.model/1"
WEIGHTS = "weights.safetensors"
DESCRIPTION = backbones.MODEL_FILE
SPLIT, CURVES = "split.csv", ("curves.png", "curves.svg")
"""What a training leaves beside them."""


class Saveable(Protocol):
    """What can be put into a model folder: an ``ExplainedNetwork`` or a ``ClipEmbedder``."""

    @property
    def loaded(self) -> Loaded:
        """The network as it was loaded."""
        ...

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the space it makes."""
        ...


@dataclass(frozen=True, slots=True)
class Description:
    """What ``model.json`` says: everything but the weights; ``metadata`` is the writer's own (seed, metrics, …)."""

    kind: str
    source: str
    num_classes: int | None
    classes: tuple[str, ...] | None
    preprocess: Preprocess
    spatial_layer: str | None
    head: HeadPlan
    dim: int
    untrained: bool
    runs_code: bool
    sha256: str
    weights_digest: str
    metadata: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "source": self.source,
            "num_classes": self.num_classes,
            "classes": None if self.classes is None else list(self.classes),
            "preprocess": self.preprocess.to_dict(),
            "spatial_layer": self.spatial_layer,
            "head": {"kind": self.head.kind, "name": self.head.name},
            "dim": self.dim,
            "untrained": self.untrained,
            "runs_code": self.runs_code,
            "weights": {"file": WEIGHTS, "sha256": self.sha256, "digest": self.weights_digest},
            "metadata": dict(self.metadata),
        }


def check_place(folder: Path) -> None:
    """Raise ``ModelError`` where something else than a model folder stands, or no folder can be made."""
    try:
        if folder.exists() and not (folder / DESCRIPTION).is_file() and (not folder.is_dir() or any(folder.iterdir())):
            raise ModelError(f"{_shown(folder)} exists and is no model folder; choose another place")
        above = next(place for place in folder.absolute().parents if place.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise ModelError(f"the model folder {_shown(folder)} cannot be written (no writing in {_shown(above)})")
    except OSError as error:
        raise ModelError(f"the model folder {_shown(folder)} cannot be written ({error.strerror})") from None


def check_replaced(folder: Path) -> None:
    """Raise ``ModelError`` where a model folder holds anything that is no part of a model: it would go with it."""
    try:
        there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise ModelError(f"the model folder {_shown(folder)} cannot be looked at ({error.strerror})") from None
    strange = [name for name in there if name not in {WEIGHTS, DESCRIPTION, SPLIT, *CURVES}]
    if strange:
        raise ModelError(
            f"{_shown(folder)} holds {printable(strange[0])} beside the model, which would be lost; "
            "move it elsewhere, or save the model in another place"
        )


def save(
    network: Saveable,
    folder: Path,
    metadata: Mapping[str, Any] | None = None,
    beside: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a model folder; one that is there already is replaced as a whole, or stays as it was.

    ``metadata`` (JSON: seed, metrics, options) is kept as it is; ``beside`` are further files by name. Raises
    ``ModelError`` where the folder cannot be written, and where something else than a model folder is in its place, or
    anything else lies in it.
    """
    loaded = network.loaded
    check_place(folder)
    check_replaced(folder)
    further = dict(beside or {})
    state = {n: v.detach().to("cpu").contiguous().clone() for n, v in loaded.module.state_dict().items()}
    try:
        with replaced(folder) as draft:
            save_file(state, draft / WEIGHTS, metadata={"schema": SCHEMA})
            description = Description(
                kind="open_clip" if loaded.embeds else "classifier",
                source=loaded.spec,
                num_classes=None if loaded.embeds else _outputs(loaded),
                classes=loaded.classes,
                preprocess=loaded.preprocess,
                spatial_layer=loaded.layer,
                head=loaded.head,
                dim=network.fingerprint.dim,
                untrained=loaded.untrained,
                runs_code=loaded.runs_code,
                sha256=_sha256(draft / WEIGHTS),
                weights_digest=checkpoints.digest(state),
                metadata=dict(metadata or {}),
            )
            text = json.dumps(description.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
            (draft / DESCRIPTION).write_text(f"{text}\n", encoding="utf-8")
            for name, data in further.items():
                (draft / name).write_bytes(data)
            (draft / WEIGHTS).chmod(0o644)  # safetensors makes files that only their owner can read
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ModelError(f"the model folder {_shown(folder)} cannot be written ({reason})") from None
    return folder


def describe(folder: Path) -> Description:
    """What ``model.json`` says, checked; the weights are not looked at. Raises ``ModelError``, ``WeightsMissing``."""
    path = folder / DESCRIPTION
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsMissing(f"no {DESCRIPTION} in {_shown(folder)}: not a model folder of casebase") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{_shown(path)} cannot be read ({error}); save the model anew") from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        found = value.get("schema") if isinstance(value, dict) else type(value).__name__
        raise ModelError(f"{_shown(path)} has the schema {found!r}; this casebase reads {SCHEMA!r}")
    try:
        head, weights, classes = value["head"], value["weights"], value["classes"]
        return Description(
            kind=str(value["kind"]),
            source=str(value["source"]),
            num_classes=None if value["num_classes"] is None else int(value["num_classes"]),
            classes=None if classes is None else checked_classes([str(c) for c in classes]),
            preprocess=Preprocess.from_dict(value["preprocess"]),
            spatial_layer=None if value["spatial_layer"] is None else str(value["spatial_layer"]),
            head=HeadPlan(str(head["kind"]), str(head["name"])),
            dim=int(value["dim"]),
            untrained=bool(value["untrained"]),
            runs_code=bool(value["runs_code"]),
            sha256=str(weights["sha256"]),
            weights_digest=str(weights["digest"]),
            metadata=dict(value["metadata"]),
        )
    except CasebaseError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{_shown(path)} is incomplete ({error!r}); save the model anew") from None


def load(folder: Path) -> Loaded:
    """The network of a model folder, rebuilt from its architecture with these weights; nothing is downloaded.

    A ``module:factory`` network imports the user's module again. Raises ``CheckpointRefused`` where the weights are
    not those that ``model.json`` names, ``WeightsMissing`` where a file is absent, ``ModelError`` for the rest.
    """
    told = describe(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise WeightsMissing(f"no {WEIGHTS} in {_shown(folder)}; save the model anew or restore the file")
    if _sha256(path) != told.sha256:
        raise CheckpointRefused(f"{_shown(path)} has changed since the model was saved; restore it or save anew")
    plain = backbones.blueprint(told.source, told.num_classes if told.head.kind == "own" else None)
    module = plain.module
    if told.head.kind != "own":
        if told.num_classes is None:
            raise ModelError(f"{_shown(folder)} names a head without a number of classes; save the model anew")
        module = heads.put(module, told.head, told.dim, told.num_classes)
    checkpoints.load_into(module, checkpoints.load_state(path), path)
    return Loaded(
        module=module.eval(),
        spec=told.source,
        preprocess=told.preprocess,
        classes=told.classes,
        layer=told.spatial_layer,
        embeds=told.kind == "open_clip",
        untrained=told.untrained,
        runs_code=told.runs_code,
        head=told.head,
    )


def _outputs(loaded: Loaded) -> int:
    return dissect(loaded.module, loaded.preprocess.crop, layer=loaded.layer, embeds=loaded.embeds).outputs


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shown(path: Path) -> str:
    return printable(str(path))
