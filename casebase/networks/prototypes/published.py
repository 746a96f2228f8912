"""The published prototype network: its costs, its projection onto patches and its pruning; ``classic`` has the stages.

C. Chen et al., "This Looks Like That: Deep Learning for Interpretable Image Recognition", NeurIPS 2019,
https://arxiv.org/abs/1806.10574. With cells z_p of the add-on's map and prototypes p_j, k of each class c(j):

    d_j = min_p |z_p - p_j|^2        s_j = log((d_j + 1) / (d_j + 1e-4))        score_c = sum_j W_cj s_j
    cost = CE + 0.8 Clst - 0.08 Sep + 1e-4 sum over c != c(j) of |W_cj|
    Clst = mean_i min over own j of d_ij        Sep = mean_i min over other j of d_ij
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from casebase.networks.prototypes.model import added, distances, log_similarity

WIDTH = 128
CLUSTER, SEPARATION, SPARSE = 0.8, -0.08, 1e-4
NEAREST, OWN = 6, 3
"""Pruning: of the 6 training images nearest to a prototype, at least 3 are of its class."""
Index = NDArray[np.intp]


class PublishedNet(nn.Module):
    """Inputs of ``stage`` to class scores: add-on, prototypes ``vectors (P, D)``, ``head (K, P)`` without bias.

    ``stage`` gives maps ``(N, channels, h, w)``; ``of_class (P,)`` are the prototypes' classes among ``classes`` many.
    Random start from torch's generator: the add-on Kaiming normal by fan-out with zero bias, prototypes uniform in
    [0, 1]; the head is +1 for the own class and -0.5 for others.
    """

    own: Tensor

    def __init__(self, stage: nn.Module, channels: int, of_class: Index, classes: int, width: int = WIDTH) -> None:
        super().__init__()
        self.stage = stage
        self.add_on = nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.Sigmoid())
        for part in self.add_on:
            if isinstance(part, nn.Conv2d) and part.bias is not None:
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(part.bias)
        self.vectors = nn.Parameter(torch.rand(len(of_class), width))
        own = torch.from_numpy(of_class)[None, :] == torch.arange(classes)[:, None]
        self.register_buffer("own", own, persistent=False)  # (K, P)
        self.head = nn.Parameter(torch.where(own, 1.0, -0.5))

    def distances(self, maps: Tensor) -> Tensor:
        """Squared distances of the cells of maps ``(N, channels, h, w)`` to every prototype: ``(N, P, h, w)``."""
        return distances(added(maps, dict(self.add_on.named_parameters())), self.vectors)

    def nearest(self, maps: Tensor) -> Tensor:
        """The smallest distance over an image's cells ``(N, P)``."""
        return self.distances(maps).flatten(2).min(2).values

    def scores(self, nearest: Tensor) -> Tensor:
        """Class scores ``(N, K)`` from smallest distances ``(N, P)``."""
        return functional.linear(log_similarity(nearest), self.head)

    def cost(self, maps: Tensor, targets: Tensor) -> Tensor:
        """The whole cost of a batch: maps ``(N, channels, h, w)``, classes ``(N,)``."""
        near = self.nearest(maps)
        mine = self.own[targets]  # (N, P)
        return (
            functional.cross_entropy(self.scores(near), targets)
            + CLUSTER * cluster(near, mine, self.vectors.shape[1])
            + SEPARATION * separation(near, mine, self.vectors.shape[1])
            + SPARSE * sparsity(self.head, self.own)
        )


def cluster(near: Tensor, mine: Tensor, width: int) -> Tensor:
    """Mean over images of the distance to the nearest own prototype: ``near (N, P)``, ``mine (N, P) bool``.

    As published it is width - max over j of mine_j (width - d_j): no cell in [0, 1] lies further off than ``width``.
    """
    return (width - ((width - near) * mine).max(1).values).mean()


def separation(near: Tensor, mine: Tensor, width: int) -> Tensor:
    """The same to the nearest prototype of another class."""
    return cluster(near, ~mine, width)


def sparsity(head: Tensor, own: Tensor) -> Tensor:
    """Sum of |weights| between a prototype and the classes that are not its own; ``head``, ``own`` ``(K, P)``."""
    return (head * ~own).abs().sum()


@dataclass(frozen=True, eq=False)
class Pushed:
    """Which cell each prototype of one class takes: ``image`` and ``cell`` ``(k,)``.

    ``moved`` of them left their nearest cell to another prototype whose image it was.
    """

    image: Index
    cell: Index
    moved: int


def assigned(distance: NDArray[np.float32]) -> Pushed:
    """Prototypes to cells: ``distance (k, n, cells)`` of one class's prototypes to the cells of its n images.

    The prototype nearest to any cell chooses first. Each takes the nearest cell of an image that none has taken yet,
    or, once every image is taken, the nearest cell that is free; published is the nearest cell, shared or not.
    """
    count, images, cells = distance.shape
    flat = distance.reshape(count, -1).astype(np.float64)
    chosen, moved = np.zeros(count, np.intp), 0
    image_free, cell_free = np.ones(images, np.bool_), np.ones(images * cells, np.bool_)
    for one in np.argsort(flat.min(1), kind="stable"):
        free = np.repeat(image_free, cells) if image_free.any() else cell_free
        if not free.any():
            free = np.ones_like(cell_free)
        at = int(np.where(free, flat[one], np.inf).argmin())
        moved += int(flat[one, at] > flat[one].min())
        chosen[one] = at
        image_free[at // cells] = cell_free[at] = False
    return Pushed(chosen // cells, chosen % cells, moved)


def worth_keeping(similarities: NDArray[np.float32], targets: Index, of_class: Index) -> Index:
    """The prototypes ``(P',)`` that pruning keeps: ``similarities (N, P)`` of training images of classes ``(N,)``.

    A prototype goes where fewer than 3 of its 6 nearest images (each by its nearest cell; fewer than 6 images: half of
    them) are of its class. Of every class the one with the most of its own stays, whatever that is.
    """
    nearest = np.argsort(-similarities, axis=0, kind="stable")[:NEAREST]  # (6, P)
    right = (targets[nearest] == of_class[None, :]).sum(0)
    keep = right * NEAREST >= OWN * len(nearest)
    for one in np.unique(of_class):
        ours = np.flatnonzero(of_class == one)
        if not keep[ours].any():
            keep[ours[right[ours].argmax()]] = True
    return np.flatnonzero(keep)
