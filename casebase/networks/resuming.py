"""Where an interrupted training goes on: a folder beside the model folder to be, written anew after every epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from casebase.errors import CasebaseError, ModelError, UsageError
from casebase.reading import printable

STATE = "state.pt"


def folder_beside(out: Path) -> Path:
    """The folder that belongs to the model folder ``out``: ``.NAME.training`` next to it."""
    return out.with_name(f".{out.name}.training")


@dataclass(frozen=True, eq=False)
class Resuming:
    """The state of one training.

    ``key`` holds everything that decides the final weights (recipe, network, data digest, …): a state of another key
    is not gone on from.
    """

    folder: Path
    key: Mapping[str, Any]

    def load(self) -> dict[str, Any] | None:
        """The state after the last finished epoch; None where nothing was begun.

        Read with ``weights_only``: it holds tensors, numbers and text, and runs no code. Raises ``UsageError`` where
        it belongs to another training, naming what differs, and ``ModelError`` where it cannot be read.
        """
        path = self.folder / STATE
        if not path.exists():
            return None
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
            theirs = json.loads(found["key"])
        except Exception as error:  # the unpickler meets bytes that anybody may have changed
            raise ModelError(
                f"the interrupted training in {_shown(self.folder)} cannot be read ({type(error).__name__}); "
                "--fresh begins anew"
            ) from None
        apart = differences(theirs, self.key)
        if apart:
            raise UsageError(
                f"{_shown(self.folder)} holds an interrupted training with other choices ({'; '.join(apart)}: "
                "there / now); give the same ones to go on with it, or --fresh to begin anew"
            )
        state: dict[str, Any] = found["state"]
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state in one step; raises ``ModelError`` where it cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            aside = self.folder / f"{STATE}.{os.getpid()}"
            try:
                with aside.open("wb") as file:
                    torch.save({"key": json.dumps(self.key, sort_keys=True), "state": dict(state)}, file)
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(self.folder / STATE)
            finally:
                aside.unlink(missing_ok=True)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            said = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise ModelError(
                f"the state of the training cannot be kept in {_shown(self.folder)} ({said}); "
                "make room there, and the same command goes on from the last epoch that was kept"
            ) from None

    def forget_own(self) -> None:
        """Remove the state of this very training, if a kill left it behind; another's stays where it is."""
        try:
            ours = self.load() is not None
        except CasebaseError:
            return
        if ours:
            self.forget_state()

    def forget_state(self) -> None:
        """Remove the state: the training is finished, or begins anew."""
        for path in self.folder.glob(f"{STATE}*"):
            path.unlink(missing_ok=True)


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """The entries in which two keys differ, as readable text."""
    told = []
    for name in sorted({*theirs, *ours}):
        one, other = theirs.get(name), ours.get(name)
        if one != other:
            told.append(f"{printable(name)} {_word(one)} / {_word(other)}")
    return told


def _word(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= 40 else f"{text[:16]}…"


def _shown(path: Path) -> str:
    return printable(str(path))
