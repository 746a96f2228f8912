"""The published network: closed forms, costs, projection and pruning on numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from casebase.networks.loaded import seeded
from casebase.networks.prototypes.model import Tensors, activations, distances, log_similarity
from casebase.networks.prototypes.published import (
    PublishedNet,
    assigned,
    cluster,
    separation,
    sparsity,
    worth_keeping,
)
from casebase.prototypes import CLASSIC


def net(k: int = 2, classes: int = 3, channels: int = 5, width: int = 4, seed: int = 0) -> PublishedNet:
    with seeded(seed):
        return PublishedNet(nn.Identity(), channels, np.repeat(np.arange(classes), k), classes, width)


def test_the_log_similarity_has_its_published_values_and_slope() -> None:
    distance = torch.tensor([0.0, 1.0, 29.0], dtype=torch.float64, requires_grad=True)
    found = log_similarity(distance)
    assert found.tolist() == pytest.approx([9.210340, 0.693047, 0.033898], abs=5e-7)
    (slope,) = torch.autograd.grad(found.sum(), distance)
    assert slope[2].item() == pytest.approx(-1.149e-3, abs=5e-7)


def test_cluster_and_separation_on_two_cells() -> None:
    # cells (0, 0) and (1, 0); prototypes: own (0, 1) and (1, 0.5), other (0.5, 0) and (3, 0)
    cells = torch.tensor([[[[0.0, 1.0]], [[0.0, 0.0]]]])  # (1, 2, 1, 2)
    vectors = torch.tensor([[0.0, 1.0], [1.0, 0.5], [0.5, 0.0], [3.0, 0.0]])
    near = distances(cells, vectors).flatten(2).min(2).values
    assert near.tolist() == [[1.0, 0.25, 0.25, 4.0]]
    mine = torch.tensor([[True, True, False, False]])
    assert cluster(near, mine, 128).item() == pytest.approx(0.25)
    assert separation(near, mine, 128).item() == pytest.approx(0.25)
    two = torch.cat([near, torch.tensor([[2.0, 9.0, 3.0, 5.0]])])  # the mean over images
    both = torch.cat([mine, mine])
    assert cluster(two, both, 128).item() == pytest.approx((0.25 + 2) / 2)
    assert separation(two, both, 128).item() == pytest.approx((0.25 + 3) / 2)


def test_the_start_is_the_published_one() -> None:
    found = net(k=10, classes=2, channels=64, width=128)
    assert found.head.tolist() == [[1.0] * 10 + [-0.5] * 10, [-0.5] * 10 + [1.0] * 10]
    assert sparsity(found.head, found.own).item() == 10.0
    assert 0 <= found.vectors.min() < 0.01
    assert 0.99 < found.vectors.max() <= 1
    for at, fan_out in ((0, 128), (2, 128)):
        part = found.add_on[at]
        assert part.bias.abs().max() == 0
        assert part.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.03)
    names = [name for name, _ in found.named_parameters()]
    assert not [name for name in names if "head" in name and "bias" in name]


def test_the_cost_is_the_weighted_sum_of_its_four_terms() -> None:
    found = net()
    maps, targets = torch.rand(3, 5, 2, 2, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 2, 1])
    near = found.nearest(maps)
    own, other = [], []
    for row, target in zip(near.tolist(), targets.tolist(), strict=True):  # with plain loops
        own.append(min(row[2 * target : 2 * target + 2]))
        other.append(min(d for j, d in enumerate(row) if j // 2 != target))
    scores = log_similarity(near) @ found.head.T
    wanted = nn.functional.cross_entropy(scores, targets).item()
    wanted += 0.8 * sum(own) / 3 - 0.08 * sum(other) / 3 + 1e-4 * 0.5 * 12
    assert found.cost(maps, targets).item() == pytest.approx(wanted, abs=1e-6)


def test_contributions_add_up_to_the_score_and_are_those_of_the_reader() -> None:
    found = net()
    maps = torch.rand(4, 5, 3, 2, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        scores = found.scores(found.nearest(maps)).numpy()
    tensors = Tensors(
        vectors=found.vectors.detach(), mean=torch.zeros(5), shift=torch.zeros(6), scale=torch.ones(6),
        head=found.head.detach(), bias=torch.zeros(3),
        add_on={name: value.detach() for name, value in found.add_on.named_parameters()},
    )  # fmt: skip
    for one, score in zip(activations(maps, tensors, CLASSIC), scores, strict=True):
        assert one.scores == pytest.approx(score, abs=1e-4)
        assert one.bias + one.contributions.sum(1) == pytest.approx(score, abs=1e-4)


def test_push_takes_the_nearest_cell_of_an_image_that_none_has_taken() -> None:
    # two prototypes, three images of two cells
    distance = np.array([[[5, 1], [3, 9], [2, 9]], [[0.5, 9], [4, 9], [7, 0.75]]], np.float32)
    found = assigned(distance)  # the second is nearest to image 0, so the first takes its next, image 2
    assert found.image.tolist() == [2, 0]
    assert found.cell.tolist() == [0, 0]
    assert found.moved == 1
    alone = assigned(distance[:1])
    assert (alone.image.tolist(), alone.cell.tolist(), alone.moved) == ([0], [1], 0)


def test_push_shares_images_only_where_there_are_too_few_and_cells_only_after_that() -> None:
    same = np.tile(np.array([[[1, 2], [3, 4]]], np.float32), (6, 1, 1))  # six prototypes, two images of two cells
    found = assigned(same)
    places = list(zip(found.image.tolist(), found.cell.tolist(), strict=True))
    assert places[:4] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert places[4:] == [(0, 0), (0, 0)]
    assert found.moved == 3


def test_pruning_asks_for_three_of_the_six_nearest_and_leaves_every_class_one() -> None:
    targets = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    of_class = np.array([0, 0, 1, 1])
    similarities = np.array(
        [
            [8, 7, 6, 1, 5, 4, 3, 0],  # nearest six: 0 0 0 1 1 1: three are its own
            [8, 7, 1, 0, 6, 5, 4, 3],  # 0 0 1 1 1 1: two
            [8, 7, 6, 5, 4, 3, 1, 0],  # of class 1, two
            [8, 7, 6, 5, 4, 0, 1, 2],  # of class 1, two as well: the first of the best stays
        ],
        np.float32,
    ).T
    assert worth_keeping(similarities, targets, of_class).tolist() == [0, 2]
    few = np.array([[3, 2, 1], [1, 2, 3]], np.float32).T  # three images: at least half of them
    assert worth_keeping(few, np.array([0, 0, 1]), np.array([0, 1])).tolist() == [0, 1]
    assert worth_keeping(few, np.array([0, 0, 1]), np.array([0, 0])).tolist() == [0, 1]
