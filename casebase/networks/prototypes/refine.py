"""Learning what to compare: one linear map of the cells, so that a class's own parts are alike and others' are not.

The network stays as it is; what is learnt are T of cos(T (a_p - mu), p_j) and the prototypes before they are projected.
The loss is that of small-data prototype training put together from: an additive angular margin on wrong prototypes
(J. Donnelly et al., "Deformable ProtoPNet", 2022, https://arxiv.org/abs/2111.15000), cluster and separation in cosine
(C. Chen et al. 2019, https://arxiv.org/abs/1806.10574), orthogonality within a class (J. Wang et al., "TesNet", 2021,
https://doi.org/10.1109/ICCV48922.2021.00093), and the distance to the explained network's own answers:

    CE(tau/K A s') + 0.8 (1 - max own s) + 0.08 max other s
    + 1e-3 |P P' - I|^2 / C + 1e-3 |T - T_0|^2 + 0.5 KL(network | tau/K A s)

The last but one term is ours: without it T fits a few hundred images at will.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from casebase import clock
from casebase.errors import Diverged
from casebase.networks.cached_rows import CachedRows
from casebase.networks.prototypes.head import signs
from casebase.networks.prototypes.recipe import Watch
from casebase.networks.resuming import Resuming

STEPS = 400
BATCH = 64
RATE = 1e-3
MARGIN = 0.1
TEMPERATURE = 10.0
WIDEST = 512
"""Channels that T makes at most; wider maps start from their principal components."""
_KEEP = 50
_SAMPLE = 20_000


@dataclass(frozen=True, eq=False)
class Learnt:
    """``projection (D, C)`` and unit ``vectors (P, D)`` after the last step, and the mean loss of the last ten."""

    projection: Tensor
    vectors: Tensor
    loss: float


def start(rows: CachedRows, index: NDArray[np.intp], mean: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """``T_0 (D, C)``: the identity, or the first :data:`WIDEST` principal axes of some cells of wide maps."""
    channels = len(mean)
    if channels <= WIDEST:
        return np.eye(channels, dtype=np.float32)
    random = clock.generator(seed)
    taken = np.sort(random.permutation(index)[:_SAMPLE])
    each = max(1, _SAMPLE // len(taken))
    cells = []
    for part in np.array_split(taken, max(1, len(taken) // 64)):
        maps = rows.rows(part).reshape(len(part), channels, -1)
        at = random.integers(0, maps.shape[2], size=each)
        cells.append(maps[:, :, at].transpose(0, 2, 1).reshape(-1, channels) - mean)
    sample = np.concatenate(cells).astype(np.float64)
    _, axes = np.linalg.eigh(sample.T @ sample)
    found: NDArray[np.float32] = np.ascontiguousarray(axes[:, ::-1][:, :WIDEST].T, np.float32)
    return found


@dataclass(frozen=True, eq=False)
class Task:
    """What is learnt from: maps, the images to learn from, their classes, and the network's own answers to them.

    ``index (N,)`` are rows of ``rows``, ``target (N,)`` positions of classes, ``said (N, K)`` the softmax of the
    explained network over these classes; ``of_class (P,)`` the classes of the prototypes.
    """

    rows: CachedRows
    index: NDArray[np.intp]
    target: NDArray[np.intp]
    said: NDArray[np.float32]
    mean: NDArray[np.float32]
    of_class: NDArray[np.intp]
    seed: int


def learn(
    task: Task,
    first: NDArray[np.float32],
    vectors: NDArray[np.float32],
    steps: int,
    watch: Watch,
    resuming: Resuming | None = None,
) -> Learnt:
    """``steps`` steps of AdamW from ``first (D, C)`` and ``vectors (P, D)``; goes on where a killed one stood.

    Batches are drawn class by class in turn, so that a rare class is seen as often as a common one. Raises
    ``Diverged`` where the loss is no number.
    """
    count = task.said.shape[1]
    projection, prototypes = torch.from_numpy(first.copy()), torch.from_numpy(vectors.copy())
    projection.requires_grad_()
    prototypes.requires_grad_()
    optimiser = torch.optim.AdamW([projection, prototypes], lr=RATE, weight_decay=0.0)
    random, done, losses = clock.generator(task.seed), 0, []
    state = None if resuming is None else resuming.load()
    if state is not None:
        with torch.no_grad():
            projection.copy_(state["projection"])
            prototypes.copy_(state["prototypes"])
        optimiser.load_state_dict(state["optimiser"])
        random.bit_generator.state = json.loads(state["random"])
        done, losses = int(state["done"]), [float(value) for value in state["losses"]]
    sign = torch.from_numpy(signs(task.of_class.tolist(), count)).float()
    anchor, of_class = torch.from_numpy(first), torch.from_numpy(task.of_class)
    each = torch.bincount(of_class, minlength=count).clamp(min=1)[of_class].float()
    while done < steps:
        part = _batch(task.target, random)
        loss = _loss(task, part, projection, prototypes, sign / each, anchor, of_class)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise Diverged(f"the loss of the prototypes became {value} at step {done}; try --steps {max(done // 2, 1)}")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        done, losses = done + 1, [*losses, value][-10:]
        if done % 10 == 0 or done == steps:
            watch("learning what to compare", done, steps)
        if resuming is not None and done % _KEEP == 0 and done < steps:
            resuming.save(_state(projection, prototypes, optimiser, random, done, losses))
    with torch.no_grad():
        unit = functional.normalize(prototypes, dim=1)
    return Learnt(projection.detach(), unit, float(np.mean(losses)))


def _state(
    projection: Tensor,
    prototypes: Tensor,
    optimiser: torch.optim.Optimizer,
    random: np.random.Generator,
    done: int,
    losses: list[float],
) -> Mapping[str, Any]:
    return {
        "projection": projection.detach(), "prototypes": prototypes.detach(), "optimiser": optimiser.state_dict(),
        "random": json.dumps(random.bit_generator.state), "done": done, "losses": losses,
    }  # fmt: skip


def _batch(target: NDArray[np.intp], random: np.random.Generator) -> NDArray[np.intp]:
    """Places of :data:`BATCH` images, every class as often as any other, as nearly as can be."""
    names = np.unique(target)
    drawn = [random.permutation(np.flatnonzero(target == name)) for name in random.permutation(names)]
    size = min(BATCH, len(target))
    taken: list[int] = []
    for lap in range(max(len(rows) for rows in drawn)):
        taken += [int(rows[lap]) for rows in drawn if lap < len(rows)]
        if len(taken) >= size:
            break
    return np.array(taken[:size], np.intp)


def _loss(
    task: Task,
    part: NDArray[np.intp],
    projection: Tensor,
    prototypes: Tensor,
    sign: Tensor,
    anchor: Tensor,
    of_class: Tensor,
) -> Tensor:
    maps = torch.from_numpy(task.rows.rows(task.index[part]) - task.mean[:, None, None])
    cells = functional.normalize(functional.conv2d(maps, projection[:, :, None, None]), dim=1)
    unit = functional.normalize(prototypes, dim=1)
    similar = functional.conv2d(cells, unit[:, :, None, None]).flatten(2).amax(2)  # (n, P)
    target = torch.from_numpy(task.target[part])
    own = of_class[None] == target[:, None]
    # arccos has an infinite slope at +-1; clamped just inside.
    turned = torch.cos((torch.acos(similar.clamp(-0.999, 0.999)) - MARGIN).clamp(min=0.0))
    strict = TEMPERATURE * torch.where(own, similar, turned) @ sign.T
    plain = TEMPERATURE * similar @ sign.T
    low = torch.tensor(-2.0)
    cluster = (1.0 - torch.where(own, similar, low).amax(1)).mean()
    apart = torch.where(own, low, similar).amax(1).mean()
    alike = unit @ unit.T
    same = (of_class[None] == of_class[:, None]) & ~torch.eye(len(unit), dtype=torch.bool)
    spread = (alike * alike * same).sum() / sign.shape[0]
    said = torch.from_numpy(task.said[part])
    kept = functional.kl_div(functional.log_softmax(plain, dim=1), said, reduction="batchmean")
    return (
        functional.cross_entropy(strict, target)
        + 0.8 * cluster
        + 0.08 * apart
        + 1e-3 * spread
        + 1e-3 * (projection - anchor).square().sum()
        + 0.5 * kept
    )
