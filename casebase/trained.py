"""What training reports while it goes on and when it is done: steps, epochs, and the model folder it made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from casebase.evaluations import Measured, flat


@dataclass(frozen=True, slots=True)
class Step:
    """Where an epoch stands after ``done`` of its ``total`` images; ``loss`` and ``accuracy`` are over those."""

    epoch: int
    of: int
    done: int
    total: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch brought.

    ``loss`` and ``accuracy`` are means over the training images as they were fed, while the weights still changed;
    ``val_loss`` (cross-entropy, nats) and ``val_accuracy`` are of the weights after the epoch, None without validation
    images. ``lr`` is the learning rate of the last step.
    """

    number: int
    of: int
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    seconds: float


Watcher = Callable[[Step | Epoch], None]
"""Called with a step after each batch, and with the epoch when it is over."""


@dataclass(frozen=True, eq=False)
class Onlooker:
    """Who hears how it goes on: ``reading`` of images looked through (done, total, skipped), ``told`` of training."""

    reading: Callable[[int, int, int], None] = field(default=lambda done, total, skipped: None)
    told: Watcher = field(default=lambda moment: None)


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished training; ``to_dict`` is schema ``casebase.training/1``.

    ``accuracy`` maps ``train``, ``val``, ``test`` to what the saved weights get right there. ``kept`` is the epoch
    whose weights were saved, ``selected_by`` the figure it was chosen by. ``already`` says that the folder was there
    and nothing was computed; ``resumed_after`` is the epoch after which an interrupted training went on.
    """

    folder: Path
    network: str
    classes: Sequence[str]
    accuracy: Mapping[str, Measured]
    epochs: Sequence[Epoch]
    kept: int
    selected_by: str
    seconds: float
    facts: Mapping[str, Any]
    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    already: bool = False
    resumed_after: int | None = None

    @property
    def split_file(self) -> Path:
        """The manifest that holds out the same images when it is indexed."""
        return self.folder / "split.csv"

    def to_dict(self) -> dict[str, Any]:
        """The object of schema ``casebase.training/1``."""
        return {
            "schema": "casebase.training/1",
            "model": str(self.folder),
            "split_file": str(self.split_file),
            "network": self.network,
            "classes": list(self.classes),
            "accuracy": {name: flat({"value": found}) for name, found in self.accuracy.items()},
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "kept_epoch": self.kept,
            "selected_by": self.selected_by,
            "seconds": self.seconds,
            "facts": dict(self.facts),
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped.items()],
            "warnings": list(self.warnings),
            "already": self.already,
            "resumed_after": self.resumed_after,
        }

    def _repr_html_(self) -> str:
        from html import escape

        rows = {name: _told(found) for name, found in self.accuracy.items()} | {"model": str(self.folder)}
        cells = "".join(f"<tr><th scope='row'>{escape(k)}<td>{escape(v)}" for k, v in rows.items())
        return f"<table>{cells}</table>"


def _told(found: Measured) -> str:
    from casebase.reading import percent

    if found.value is None or found.low is None or found.high is None:
        return found.reason or "not measured"
    return f"{percent(found.value)} ({percent(found.low)} to {percent(found.high)}, n = {found.n})"
