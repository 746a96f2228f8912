"""What every library's loader hands over: a network, and all that came with its weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from casebase.errors import UsageError
from casebase.reading import Preprocess, printable


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """How the head of a network came about, so that a model folder can rebuild it.

    ``kind`` is ``own`` (the architecture's), ``linear`` (its last linear layer ``name`` exchanged), ``tail`` (the child
    ``name`` exchanged for average pooling and a linear layer) or ``stacked`` (a linear layer put behind an embedder).
    """

    kind: str = "own"
    name: str = ""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network in eval mode, float32, on the CPU, and what came with its weights.

    ``spec`` names it, for example ``torchvision:resnet18``. ``classes`` is None where the names are not known.
    ``layer`` names the spatial layer of families known by name. ``embeds`` says that the output is an embedding and no
    class scores. ``untrained`` says that the weights are random, ``runs_code`` that a user's own code made the network.
    """

    module: nn.Module
    spec: str
    preprocess: Preprocess
    classes: tuple[str, ...] | None = None
    layer: str | None = None
    embeds: bool = False
    untrained: bool = False
    runs_code: bool = False
    head: HeadPlan = HeadPlan()

    def with_classes(self, names: Sequence[str] | None) -> Loaded:
        """The same network with class names; None leaves those it has."""
        return self if names is None else replace(self, classes=checked_classes(names))


def checked_classes(names: Sequence[str]) -> tuple[str, ...]:
    """Class names, each used once; raises ``UsageError`` for an empty name or one that comes twice."""
    seen: dict[str, int] = {}
    for position, name in enumerate(names):
        if not name.strip():
            raise UsageError(f"class {position} has an empty name; give one name per class")
        if name in seen:
            raise UsageError(f"the class name {printable(name)!r} stands for classes {seen[name]} and {position}")
        seen[name] = position
    return tuple(names)


def told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """A library's own names; those it uses for several classes get the class's number behind them."""
    return tuple(f"{name} ({i})" if names.count(name) > 1 else name for i, name in enumerate(names))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random weights from ``seed``; torch's global generators are as before afterwards."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
