"""A real training on pictures whose evidence is known: one bright spot, and a network that looks for nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from casebase.association import Association, Walk
from casebase.explain.cae.walking import walk
from casebase.networks.cae.reader import CaeReader
from casebase.networks.cae.recipe import CaeRecipe
from casebase.networks.cae.training import train
from tests.networks.cae import bright

SIDE = 32


@dataclass(frozen=True, eq=False)
class Trained:
    """What was trained, and walks of pictures that it has not seen, from lesion to clear, with the spots' masks."""

    found: Association
    walks: list[Walk]
    masks: np.ndarray
    views: np.ndarray


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    net = bright.network(SIDE)
    views, labels, _ = bright.pictures(120, SIDE, 0)
    recipe = CaeRecipe("test", iterations=600)
    found, tensors = train(
        net, bright.cases(net, views, labels), recipe, tmp_path_factory.mktemp("cae"), lambda told: None
    )
    reader = CaeReader(net, found, tensors)
    others, named, masks = bright.pictures(20, SIDE, 9)
    spotted = [place for place, name in enumerate(named) if name == "lesion"]
    walks = [walk(reader, others[place : place + 1], "clear") for place in spotted]
    return Trained(found, walks, masks[spotted], others[spotted])


def test_both_directions_turn_and_every_gate_is_passed(trained: Trained) -> None:
    standing = trained.found.standing
    assert trained.found.failed == []
    assert {(one.source, one.towards) for one in standing.directions} == {("clear", "lesion"), ("lesion", "clear")}
    assert all(one.reassigned >= 0.9 for one in standing.directions)
    assert standing.rebuilt >= 0.9
    assert standing.separable is not None
    assert standing.separable >= 0.9


def test_walks_of_pictures_it_has_not_seen_flip_and_find_the_spot(trained: Trained) -> None:
    flipped = [one for one in trained.walks if one.flip is not None]
    assert len(flipped) >= 18
    areas, pointed = [], []
    for one, mask in zip(trained.walks, trained.masks, strict=True):
        changed = np.abs(one.difference).mean(axis=2)
        areas.append(roc_auc_score(mask.ravel(), changed.ravel()))
        pointed.append(bool(mask.ravel()[changed.argmax()]))
    assert np.mean(areas) >= 0.9
    assert np.mean(pointed) >= 0.9


def test_what_is_taken_away_is_brightness(trained: Trained) -> None:
    taken = [one.difference[mask].mean() for one, mask in zip(trained.walks, trained.masks, strict=True)]
    assert np.mean(taken) < -0.1


def test_outside_the_spot_the_picture_stays_nearer_to_itself_than_to_any_other(trained: Trained) -> None:
    """The individual is kept: without the spot, the flip frame's nearest picture is, as a rule, its own."""
    kept = []
    for place, (one, mask) in enumerate(zip(trained.walks, trained.masks, strict=True)):
        if one.flip is None:
            continue
        apart = np.abs(trained.views.astype(float) - one.flip.image.astype(float)).mean(axis=3)[:, ~mask].mean(axis=1)
        kept.append(int((apart < apart[place]).sum()))
    assert np.median(kept) <= 3  # of 20; chance is 9.5
