"""One run of the profile ``classic``: stages on cached inputs, judged after each, kept so that a kill costs little."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from casebase import clock
from casebase.errors import Diverged, ModelError
from casebase.networks.cached_rows import CachedRows
from casebase.networks.prototypes import collapse
from casebase.networks.prototypes.classic_plan import Data, Plan
from casebase.networks.prototypes.model import Tensors, log_similarity
from casebase.networks.prototypes.published import SPARSE, Index, PublishedNet, assigned, sparsity, worth_keeping
from casebase.networks.prototypes.recipe import Watch
from casebase.networks.prototypes.stage import LastStage
from casebase.networks.resuming import Resuming
from casebase.prototypes import Stage

STAGES = ("warm", "joint", "push", "last layer", "pruning")
LAST = "after pruning"
BEFORE_HEAD = 0.25
"""How far a class's share may lie above its prior while the head is still +1 / -0.5."""
Place = tuple[int, int, int]


class Run:
    """One training of ``stage`` (cached inputs to maps) under prototypes, on ``data``.

    Its methods are the stages, to be called in the order of ``STAGES``; :meth:`go` does, and keeps its state. Random
    numbers come from torch's generator at the start, and from ``seed`` and the step afterwards.
    """

    def __init__(self, stage: nn.Module, data: Data, plan: Plan, device: str, seed: int) -> None:
        self.data, self.plan, self._device, self._seed = data, plan, torch.device(device), seed
        everything = np.arange(len(data.targets))
        self.train = everything if data.judged is None else np.setdiff1d(everything, data.judged)
        self.judged = everything if data.judged is None else data.judged
        present = np.unique(data.targets[self.train])
        if len(present) < 2:
            raise ModelError(
                f"prototypes tell classes apart, and the cases to learn from have {len(present)} of them; "
                "index cases of at least two classes"
            )
        self.of_class = np.repeat(present, plan.k)
        _, channels, rows, columns = data.maps.shape
        self.grid = (rows, columns)
        self.net = PublishedNet(stage, channels, self.of_class, len(data.classes)).to(self._device)
        self.net.eval()  # batch norms keep their statistics: those of small batches would drift
        self.patches: list[Place] | None = None
        self.logs: list[Stage] = []
        self.earlier: dict[str, Tensors] = {}
        self._similar: Tensor | None = None
        self._kept: Resuming | None = None
        self._at, self._step, self._optimiser = 0, 0, dict[str, Any]()
        self._spent, self._began = 0.0, clock.seconds()

    def go(self, resuming: Resuming, watch: Watch) -> None:
        """Every stage that is not done yet."""
        self._kept = resuming
        found = resuming.load()
        if found is not None:
            self._restore(found)
        done: dict[str, Callable[[Watch], None]] = {
            "warm": self.warm, "joint": self.joint, "push": self.push, "last layer": self.last_layer,
            "pruning": self.prune,
        }  # fmt: skip
        while self._at < len(STAGES):
            done[STAGES[self._at]](watch)
            self._at += 1
            self._keep()

    def warm(self, watch: Watch) -> None:
        """Add-on and prototypes; the stage and the head stay."""
        decayed = {"weight_decay": self.plan.weight_decay}
        parts: list[dict[str, Any]] = [
            {"params": self.net.add_on.parameters(), **decayed},
            {"params": [self.net.vectors]},
        ]
        self._steps("warm", 0, self.plan.warm, torch.optim.Adam(parts, self.plan.rate), watch)

    def joint(self, watch: Watch) -> None:
        """The network's last stage too; then the first judgement."""
        plan = self.plan
        decayed = {"weight_decay": plan.weight_decay}
        parts: list[dict[str, Any]] = [
            {"params": self.net.stage.parameters(), "lr": plan.stage_rate, **decayed},
            {"params": self.net.add_on.parameters(), **decayed}, {"params": [self.net.vectors]},
        ]  # fmt: skip
        self._steps("joint", 1, plan.joint, torch.optim.Adam(parts, plan.rate), watch)
        self._judge("before push", plan.warm + plan.joint, BEFORE_HEAD)

    def push(self, watch: Watch) -> None:
        """Every prototype becomes a cell of an un-augmented image of its class, the nearest that is free."""
        moved, places, pushed = 0, list[Place](), list[Tensor]()
        present = np.unique(self.of_class)
        for number, one in enumerate(present.tolist()):
            watch("push", number, len(present))
            ours = np.flatnonzero(self.of_class == one)
            rows = self.train[self.data.targets[self.train] == one]
            with torch.inference_mode():
                apart = [self.net.distances(maps)[:, ours].flatten(2).cpu().numpy() for _, maps in self._maps(rows)]
                found = assigned(np.concatenate(apart).transpose(1, 0, 2))
                sources = [self.net.add_on(maps).flatten(2) for _, maps in self._maps(rows[found.image])]
                pushed.append(torch.cat(sources)[torch.arange(len(ours)), :, torch.from_numpy(found.cell)])
            moved += found.moved
            for row, cell in zip(rows[found.image].tolist(), found.cell.tolist(), strict=True):
                places.append((row, *divmod(cell, self.grid[1])))
        with torch.no_grad():
            self.net.vectors.copy_(torch.cat(pushed))
        self.patches = places
        watch("push", len(present), len(present))
        self._judge("after push", 0, BEFORE_HEAD, moved=moved)

    def last_layer(self, watch: Watch) -> None:
        """The head alone: cross-entropy and sparse weights to other classes."""
        self._weigh("last layer", 2, watch)
        self._judge("after last layer", self.plan.last, collapse.SHARE)

    def prune(self, watch: Watch) -> None:
        """Drop prototypes whose nearest images are not of their class, then weigh the rest again."""
        similar = self.similarities()[self.train].numpy()
        keep = worth_keeping(similar, self.data.targets[self.train], self.of_class)
        dropped = len(self.of_class) - len(keep)
        self._take(keep)
        self._weigh("pruning", 3, watch)
        self._judge("after pruning", self.plan.last, collapse.SHARE, dropped=dropped)

    def tensors(self) -> Tensors:
        """The numbers as they are now."""
        net, count = self.net, len(self.of_class)
        return Tensors(
            vectors=_plain(net.vectors), mean=torch.zeros(self.data.maps.shape[1]), shift=torch.zeros(count),
            scale=torch.ones(count), head=_plain(net.head), bias=torch.zeros(len(self.data.classes)),
            add_on={name: _plain(value) for name, value in net.add_on.named_parameters()},
            stage=net.stage.tuned() if isinstance(net.stage, LastStage) else {}, earlier=dict(self.earlier),
        )  # fmt: skip

    def _weighed(self, vectors: Tensor, head: Tensor) -> Tensors:
        """Vectors ``(P, D)`` under a head ``(K, P)`` of an earlier stage."""
        count = len(vectors)
        return Tensors(vectors, torch.zeros(0), torch.zeros(count), torch.ones(count), head, torch.zeros(len(head)))

    def _steps(self, name: str, number: int, total: int, optimiser: torch.optim.Adam, watch: Watch) -> None:
        """Steps of the whole cost, from where an interrupted run had come to."""
        rates = [float(group["lr"]) for group in optimiser.param_groups]
        trained = [value for group in optimiser.param_groups for value in group["params"]]
        if self._optimiser:
            optimiser.load_state_dict(self._optimiser)
        for step in range(self._step, total):
            watch(name, step, total)
            fallen = 0.1 ** (step // self.plan.decay) if number else 1.0
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * fallen
            rows, views = self._batch(number, step)
            maps = (
                self.net.stage(self._taken(self.data.inputs, views)) if number else self._taken(self.data.maps, views)
            )
            self._descend(self.net.cost(maps, self._targets(rows)), optimiser, trained, f"{name}, step {step + 1}")
            if (step + 1) % self.plan.keep_every == 0 and step + 1 < total:
                self._step, self._optimiser = step + 1, optimiser.state_dict()
                self._keep()
        self._step, self._optimiser = 0, {}
        watch(name, total, total)

    def _weigh(self, name: str, number: int, watch: Watch) -> None:
        similar = self.similarities().to(self._device)
        optimiser = torch.optim.Adam([self.net.head], self.plan.head_rate)
        for step in range(self.plan.last):
            if step % self.plan.keep_every == 0:
                watch(name, step, self.plan.last)
            rows, _ = self._batch(number, step)
            scores = functional.linear(similar[rows], self.net.head)
            cost = functional.cross_entropy(scores, self._targets(rows)) + SPARSE * sparsity(
                self.net.head, self.net.own
            )
            self._descend(cost, optimiser, [self.net.head], f"{name}, step {step + 1}")
        watch(name, self.plan.last, self.plan.last)

    def _descend(self, cost: Tensor, optimiser: torch.optim.Adam, trained: Sequence[Tensor], where: str) -> None:
        value = float(cost.detach())
        if not math.isfinite(value):
            raise Diverged(f"the cost became {value} ({where}); use --profile signed, or another --seed")
        slopes = torch.autograd.grad(cost, list(trained), allow_unused=True)  # a stage may hold weights it never uses
        for weight, slope in zip(trained, slopes, strict=True):
            weight.grad = slope
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    def _batch(self, number: int, step: int) -> tuple[Index, Index]:
        """The images of a step and their rows among the views, half of them mirrored; a function of the step only."""
        count = len(self.train)
        size = min(self.plan.batch, count)
        turns = count // size
        rng = clock.generator((self._seed * 1_000_003 + step // turns) * len(STAGES) + number)
        order, mirrored = rng.permutation(count), rng.integers(0, 2, count)
        at = order[(step % turns) * size :][:size]
        return self.train[at], self.train[at] + mirrored[at] * len(self.data.targets)

    def _taken(self, cache: CachedRows, rows: Index) -> Tensor:
        return torch.from_numpy(cache.rows(rows)).to(self._device)

    def _targets(self, rows: Index) -> Tensor:
        return torch.from_numpy(self.data.targets[rows]).to(self._device)

    def _maps(self, rows: Index) -> Iterator[tuple[Index, Tensor]]:
        for start in range(0, len(rows), self.plan.batch):
            part = rows[start : start + self.plan.batch]
            yield part, self.net.stage(self._taken(self.data.inputs, part))

    def similarities(self) -> Tensor:
        """Similarities ``(N, P)`` of every image under the prototypes as they are now, on the CPU."""
        if self._similar is None:
            with torch.no_grad():
                found = [self.net.nearest(maps) for _, maps in self._maps(np.arange(len(self.data.targets)))]
                self._similar = log_similarity(torch.cat(found)).cpu()
        return self._similar

    def _judge(self, name: str, steps: int, share: float, **more: int) -> None:
        if name in ("before push", "after push"):  # the prototypes are others than before
            self._similar = None
        data = self.data
        truth = data.targets if data.labels is None else data.labels
        rows = self.judged[truth[self.judged] >= 0]
        held = data.answers if data.reference is None else data.reference
        similar = self.similarities()[rows]
        scores = functional.linear(similar, self.net.head.detach().cpu())
        found = collapse.stage(
            name, scores=scores.numpy(), similarities=similar.numpy(), targets=truth[rows],
            network_predicted=data.answers[rows], reference=held[rows], vectors=self.net.vectors.detach().cpu().numpy(),
            of_class=self.of_class, patches=self.patches, classes=self.data.classes, share_limit=share, steps=steps,
            seconds=self._seconds(),
        )  # fmt: skip
        self._spent, self._began = 0.0, clock.seconds()
        if name != LAST:
            self.earlier[name] = self.tensors().weighed()
        told = {"n": len(rows), "aside": int(data.judged is not None)}
        self.logs.append(replace(found, figures={**found.figures, **told, **more}))

    def _take(self, keep: Index) -> None:
        """Only these prototypes from now on."""
        net, at = self.net, torch.from_numpy(keep).to(self._device)
        net.vectors, net.head = nn.Parameter(net.vectors.detach()[at]), nn.Parameter(net.head.detach()[:, at])
        net.own = net.own[:, at]
        self.of_class = self.of_class[keep]
        self.patches = None if self.patches is None else [self.patches[one] for one in keep.tolist()]
        self._similar = None if self._similar is None else self._similar[:, keep]

    def _seconds(self) -> float:
        return self._spent + clock.seconds() - self._began

    def _keep(self) -> None:
        if self._kept is not None:
            self._kept.save({
                "at": self._at, "step": self._step, "optimiser": self._optimiser, "seconds": self._seconds(),
                "net": self.net.state_dict(), "own": self.net.own, "of_class": self.of_class.tolist(),
                "patches": self.patches,
                "earlier": {name: [one.vectors, one.head] for name, one in self.earlier.items()},
                "logs": json.dumps([one.to_dict() for one in self.logs]),
            })  # fmt: skip

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._take(np.arange(len(state["of_class"])))  # the shapes that pruning has left; the numbers follow
        self.net.load_state_dict(state["net"])
        self.net.own = state["own"].to(self._device)
        self.of_class = np.array(state["of_class"], np.intp)
        self.patches = None if state["patches"] is None else [(int(a), int(b), int(c)) for a, b, c in state["patches"]]
        self.logs = [Stage.from_dict(one) for one in json.loads(state["logs"])]
        self._at, self._step, self._optimiser = int(state["at"]), int(state["step"]), dict(state["optimiser"])
        self.earlier = {name: self._weighed(vectors, head) for name, (vectors, head) in state["earlier"].items()}
        self._spent, self._began = float(state["seconds"]), clock.seconds()


def _plain(value: Tensor) -> Tensor:
    return value.detach().to("cpu", torch.float32).clone()
