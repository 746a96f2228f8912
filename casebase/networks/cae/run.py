"""One training: steps of both networks, checkpoints judged as it goes, its state kept so that a kill costs little."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from casebase import clock
from casebase.association import COMPLETE, Standing
from casebase.errors import Diverged
from casebase.networks.cae import checks, losses, sheets
from casebase.networks.cae.coder import Coder
from casebase.networks.cae.judging import QUICK, Judge, Judges, judges
from casebase.networks.cae.material import Material, Pairs
from casebase.networks.cae.nets import Autoencoder, discriminator
from casebase.networks.cae.recipe import CaeRecipe, Progress, Watch
from casebase.networks.resuming import Resuming

JUDGED = 10
"""Checkpoints of a training, evenly spaced; the paper keeps one every 2,000 iterations and chooses by eye."""
KEEP_SECONDS = 60.0
MOVING, SHORT = 0.999, 5.0
"""Of the moving average of the generator, at most; a short training has one that looks back a fifth of its length."""
BETAS, DECAY = (0.5, 0.999), 1e-4
SMOOTH = 0.98
TOLD = 10


class Run:
    """The networks of one training and where it is.

    The weights that are judged, kept and handed over are a moving average of those that are trained. Chance comes from
    ``seed`` and the step alone.
    """

    def __init__(self, material: Material, recipe: CaeRecipe, folder: Path) -> None:
        plan = recipe.plan
        self._material, self._plan, self._seed, self._folder = material, plan, recipe.seed, folder
        self._device = torch.device(material.network.device)
        with _seeded(recipe.seed, self._device):
            self.net = Autoencoder(plan.size)
            self._judge = discriminator(plan.size, len(material.classes))
        for one in (self.net, self._judge):
            one.to(memory_format=torch.channels_last).to(self._device)
        self.smooth = copy.deepcopy(self.net).requires_grad_(requires_grad=False).eval()
        self._adams = [
            torch.optim.Adam(one.parameters(), plan.rate, BETAS, weight_decay=DECAY) for one in (self.net, self._judge)
        ]
        self.moving = 1.0 - max(1.0 - MOVING, SHORT / plan.iterations)
        self._pairs = Pairs(material, plan.batch, recipe.seed)
        self._among: Judges = judges(material, recipe.seed, QUICK)
        self._terms: dict[str, float] = {}
        self._best: dict[str, Tensor] = {}
        self.best: Standing | None = None
        self.log: list[Standing] = []
        self.step = 0
        self.ended = COMPLETE
        self._spent, self._began = 0.0, clock.seconds()

    @property
    def seconds(self) -> float:
        """Seconds of training, those before an interruption included."""
        return self._spent + clock.seconds() - self._began

    @property
    def checkpoints(self) -> list[int]:
        """After which iterations a checkpoint is judged."""
        total = self._plan.iterations
        return sorted({max(1, round(total * part / JUDGED)) for part in range(1, JUDGED + 1)})

    def go(self, resuming: Resuming, watch: Watch) -> None:
        """Every iteration that is not done yet; raises ``Diverged`` where no checkpoint had been reached."""
        found = resuming.load()
        if found is not None:
            self._restore(found)
        due, kept = set(self.checkpoints), clock.seconds()
        while self.step < self._plan.iterations:
            sound = self._one()
            if not sound:
                self._give_up()
                return
            self.step += 1
            if self.step % TOLD == 0 or self.step == self._plan.iterations:
                watch(self._progress())
            if self.step in due:
                watch(self._progress(self._checkpoint()))
            if self.step in due or clock.seconds() - kept > KEEP_SECONDS:
                resuming.save(self._state())
                kept = clock.seconds()

    def chosen(self) -> Autoencoder:
        """The checkpoint whose worse direction is best, among those that do not copy their lenders."""
        net = copy.deepcopy(self.smooth)
        net.load_state_dict(self._best)
        return net

    def _one(self) -> bool:
        """One iteration: the discriminator, then encoders and decoder; False where a loss is no number any more."""
        images, targets = (one.to(self._device) for one in self._pairs.at(self.step))
        images = images.contiguous(memory_format=torch.channels_last)
        for adam in self._adams:
            for group in adam.param_groups:
                group["lr"] = self._rate()
        generator, judge = self._adams
        # the seed is that of the dropout
        with _seeded((self._seed * 1_000_003 + self.step) % 2**63, self._device), torch.enable_grad():
            one = losses.forward(self.net, images)
            its = losses.of_discriminator(self._judge, images, one.swapped, targets)
            sound = _descend(losses.weighted(its, losses.DISCRIMINATOR), judge)
            self._judge.requires_grad_(requires_grad=False)
            ours = losses.generator(self.net, self._judge, one, targets)
            sound = sound and _descend(losses.weighted(ours, losses.WEIGHTS), generator)
            self._judge.requires_grad_(requires_grad=True)
        self._average()
        told = {**ours, **{f"discriminator: {name}": value for name, value in its.items()}}
        for name, value in told.items():
            held = self._terms.get(name)
            now = float(value.detach())
            self._terms[name] = now if held is None else SMOOTH * held + (1.0 - SMOOTH) * now
        return sound

    def _rate(self) -> float:
        part = self.step * self._plan.halved // self._plan.iterations
        return float(self._plan.rate * 0.5**part)

    def _average(self) -> None:
        moving = min(self.moving, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for held, now in zip(self.smooth.parameters(), self.net.parameters(), strict=True):
                held.lerp_(now, 1.0 - moving)

    def _checkpoint(self) -> Standing:
        coder = Coder(self.smooth, self._device)
        found = Judge(coder, self._among).standing(self.step)
        self.log.append(found)
        if self.best is None or rank(found) > rank(self.best):
            self.best = found
            self._best = {name: value.detach().cpu().clone() for name, value in self.smooth.state_dict().items()}
        sheets.write(coder, self._among, self._sheet(self.step))
        return found

    def _give_up(self) -> None:
        where = f"a loss was no number any more at iteration {self.step + 1} of {self._plan.iterations}"
        if self.best is None:
            raise Diverged(f"{where}, before the first checkpoint; try another --seed, or --batch-size 4")
        self.ended = f"diverged: {where}; the best checkpoint before it, of iteration {self.best.iteration}, was kept"

    def _sheet(self, step: int) -> Path:
        return self._folder / "sheets" / f"synthetic-{step:06d}.png"

    def _progress(self, standing: Standing | None = None) -> Progress:
        sheet = None if standing is None else str(self._sheet(standing.iteration))
        return Progress("training", self.step, self._plan.iterations, dict(self._terms), standing, sheet)

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step, "net": self.net.state_dict(), "judge": self._judge.state_dict(),
            "smooth": self.smooth.state_dict(), "adams": [one.state_dict() for one in self._adams],
            "best": self._best, "standing": None if self.best is None else self.best.to_dict(),
            "log": [one.to_dict() for one in self.log], "terms": dict(self._terms), "seconds": self.seconds,
        }  # fmt: skip

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self._judge.load_state_dict(state["judge"])
        self.smooth.load_state_dict(state["smooth"])
        for adam, held in zip(self._adams, state["adams"], strict=True):
            adam.load_state_dict(held)
        self._best = dict(state["best"])
        self.best = None if state["standing"] is None else Standing.from_dict(state["standing"])
        self.log = [Standing.from_dict(one) for one in state["log"]]
        self._terms, self.step = dict(state["terms"]), int(state["step"])
        self._spent, self._began = float(state["seconds"]), clock.seconds()


def rank(one: Standing) -> tuple[bool, float, float, float]:
    """By which checkpoints are compared: the worse direction, then how much stays the source's.

    First of all that reconstructions keep their class and that no lender is copied: a checkpoint without that could
    not pass the gates however many edits it turns.
    """
    worst = one.worst
    fit = one.rebuilt >= checks.REBUILT and not checks.copies(one)
    return fit, 0.0 if worst is None else worst.reassigned, one.own_rank1, -one.error


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Chance on the CPU and on this device begins at ``seed``; what it was before is put back afterwards."""
    on = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=on):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed: that would seed every accelerator
        for one in on:
            with torch.cuda.device(one):
                torch.cuda.manual_seed(seed)
        yield


def _descend(cost: Tensor, adam: torch.optim.Adam) -> bool:
    if not math.isfinite(float(cost.detach())):
        return False
    adam.zero_grad(set_to_none=True)
    torch.autograd.backward(cost)
    adam.step()
    return True
