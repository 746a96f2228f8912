"""Trainings of a few steps: that they go on after a kill as if nothing had been, and what is kept when they diverge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from casebase.association import Direction, Standing
from casebase.errors import DataError, Diverged, UsageError
from casebase.networks.cae import losses, material, reader, run, training
from casebase.networks.cae.material import Pairs, gather
from casebase.networks.cae.recipe import CaeRecipe, Progress
from casebase.networks.cae.training import train
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.training_cases import TrainingCases
from tests.networks.prototypes import made

RECIPE = CaeRecipe("test", iterations=20, seed=3)


class Killed(BaseException):
    """What a kill looks like from inside."""


@pytest.fixture(scope="module")
def task() -> tuple[ExplainedNetwork, TrainingCases]:
    views, labels = made.pictures(16)
    net = made.network(views, labels)
    return net, made.cases(net, views, labels)


def quiet(progress: Progress) -> None:
    """Tell nobody."""


def killing(at: int) -> object:
    def watch(progress: Progress) -> None:
        if progress.stage == "training" and progress.done >= at and progress.standing is None:
            raise Killed

    return watch


def test_a_killed_training_ends_with_the_same_numbers(
    task: tuple[ExplainedNetwork, TrainingCases], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "KEEP_SECONDS", 0.0)  # after every step
    whole, tensors = train(*task, RECIPE, tmp_path / "whole", quiet)
    with pytest.raises(Killed):
        train(*task, RECIPE, tmp_path / "killed", killing(10))  # type: ignore[arg-type]
    again, others = train(*task, RECIPE, tmp_path / "killed", quiet)
    assert again.standing.to_dict() == whole.standing.to_dict()
    assert [one.iteration for one in again.log] == [one.iteration for one in whole.log] == list(range(2, 21, 2))
    assert all(torch.equal(value, others.state[name]) for name, value in tensors.state.items())


def test_another_seed_is_another_training(task: tuple[ExplainedNetwork, TrainingCases], tmp_path: Path) -> None:
    one = train(*task, replace(RECIPE, iterations=2), tmp_path / "a", quiet)[1]
    other = train(*task, replace(RECIPE, iterations=2, seed=4), tmp_path / "b", quiet)[1]
    assert not torch.equal(one.mean, other.mean)


def test_an_interrupted_training_of_other_choices_is_not_gone_on_from(
    task: tuple[ExplainedNetwork, TrainingCases], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "KEEP_SECONDS", 0.0)
    with pytest.raises(Killed):
        train(*task, RECIPE, tmp_path, killing(10))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"\(iterations 20 / 40; seed 3 / 4: there / now\).*--fresh"):
        train(*task, replace(RECIPE, iterations=40, seed=4), tmp_path, quiet)
    train(*task, replace(RECIPE, iterations=1), tmp_path, quiet, fresh=True)


def test_a_loss_that_is_no_number_keeps_the_best_checkpoint_and_says_so(
    task: tuple[ExplainedNetwork, TrainingCases], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = losses.generator, [0]

    def breaking(*given: object) -> dict[str, torch.Tensor]:
        calls[0] += 1
        terms = real(*given)  # type: ignore[arg-type]
        return {name: value * (float("nan") if calls[0] > 10 else 1.0) for name, value in terms.items()}

    monkeypatch.setattr(losses, "generator", breaking)
    found, tensors = train(*task, RECIPE, tmp_path, quiet)
    assert "iteration 11 of 20" in found.settings["ended"]
    assert found.standing.iteration in {2, 4, 6, 8, 10}
    assert all(torch.isfinite(value).all() for value in tensors.state.values())


def test_a_training_that_diverges_before_any_checkpoint_raises(
    task: tuple[ExplainedNetwork, TrainingCases], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "weighted", lambda terms, weights: torch.tensor(float("inf")))
    with pytest.raises(Diverged, match="--seed"):
        train(*task, RECIPE, tmp_path, quiet)


def test_few_steps_do_not_pass_the_gates_and_say_which(
    task: tuple[ExplainedNetwork, TrainingCases], tmp_path: Path
) -> None:
    found, _ = train(*task, RECIPE, tmp_path, quiet)
    assert not found.trustworthy
    assert any("are needed" in sentence for sentence in found.failed)
    sheets = sorted((tmp_path / "sheets").glob("synthetic-*.png"))
    assert len(sheets) == len(found.log)


def test_what_was_trained_reads_images_as_the_training_did(
    task: tuple[ExplainedNetwork, TrainingCases], tmp_path: Path
) -> None:
    network, cases = task
    found, tensors = train(network, cases, RECIPE, tmp_path, quiet)
    digest = reader.save(tensors, tmp_path / "cae-0.safetensors")
    held = reader.load(tmp_path / "cae-0.safetensors", digest)
    one = reader.CaeReader(network, replace(found, digest=digest), held)
    views = cases.views[np.arange(8)]
    codes = one.encode(views)
    assert np.allclose(codes.of_class, one.codes(views))
    rebuilt = one.decode(codes.of_class, codes.individual)
    assert (rebuilt.shape, rebuilt.dtype) == ((8, 32, 32, 3), np.uint8)
    alone = one.decode(codes.of_class[2:3], codes.individual[2:3])
    assert np.abs(alone.astype(int) - rebuilt[2:3].astype(int)).max() <= 1
    said = one.judge(rebuilt)
    assert said.shape == (8, 2)
    assert np.allclose(said.sum(1), 1.0, atol=1e-5)
    nodes = one.nodes
    rows = [cases.ids.index(name) for name in nodes.case_ids]
    assert rows
    assert [found.classes[place] for place in nodes.called] == [cases.predicted[row] for row in rows]
    assert np.allclose(one.codes(cases.views[np.array(rows)]), nodes.codes, atol=1e-4)


def test_pairs_are_of_different_classes_and_targets_are_what_the_network_says(
    task: tuple[ExplainedNetwork, TrainingCases], tmp_path: Path
) -> None:
    network, cases = task
    material = gather(network, cases, RECIPE, tmp_path, quiet)
    assert not set(material.learn) & set(material.judge)
    said = network.read(cases.views[np.arange(len(cases))]).probabilities
    assert said is not None
    assert np.allclose(material.targets, said[material.rows], atol=1e-5)
    pairs = Pairs(material, 4, 0)
    for step in range(20):
        images, targets = pairs.at(step)
        assert images.shape == (8, 3, 32, 32)
        assert (targets[:4].argmax(1) != targets[4:].argmax(1)).all()
    assert torch.equal(pairs.at(7)[0], Pairs(material, 4, 0).at(7)[0])


def test_labels_are_hard_targets(task: tuple[ExplainedNetwork, TrainingCases], tmp_path: Path) -> None:
    material = gather(*task, replace(RECIPE, target="labels"), tmp_path, quiet)
    assert set(np.unique(material.targets)) == {0.0, 1.0}


def test_walks_lead_along_cases_of_what_the_network_says_whatever_the_labels(
    task: tuple[ExplainedNetwork, TrainingCases], tmp_path: Path
) -> None:
    network, cases = task
    turned = replace(cases, labels=[*cases.predicted[1:9], *cases.predicted[8:]])  # eight are labelled otherwise now
    found = gather(network, turned, replace(RECIPE, target="labels"), tmp_path, quiet)
    nodes = training._nodes(Perfect(), found, np.zeros(8, np.float32), 3)  # type: ignore[arg-type]
    rows = [cases.ids.index(name) for name in nodes.case_ids]
    assert rows
    assert [found.classes[place] for place in nodes.called] == [cases.predicted[row] for row in rows]
    assert all(turned.labels[row] == cases.predicted[row] for row in rows)


class Perfect:
    """Codes that say nothing, and a decoder that gives every image back."""

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.ones((len(images), 8), np.float32), images

    def decode(self, codes: np.ndarray, individual: np.ndarray) -> np.ndarray:
        return individual


@pytest.mark.parametrize("part", ["judge by", "learn from"])
def test_groups_that_leave_no_case_of_a_class_are_one_sentence(
    task: tuple[ExplainedNetwork, TrainingCases], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    network, cases = task
    grouped = replace(cases, groups=[f"all {name}" for name in cases.predicted])  # too large to be set aside
    if part == "learn from":
        monkeypatch.setattr(material, "_parts", lambda called, groups, seed: (np.flatnonzero(called), np.arange(8)))
    with pytest.raises(DataError, match=f"groups stay whole: that leaves no case of '.*' to {part}"):
        gather(network, grouped, RECIPE, tmp_path, quiet)


def standing(worst: float, own: float, near: float = 0.9) -> Standing:
    both = [Direction("a", "b", worst, 10), Direction("b", "a", 1.0, 10)]
    return Standing(1, 20, both, 1.0, 1.0, 0.1, near, own, 0.05, 1.0, 0.05, 0.1)


def test_checkpoints_are_ranked_by_the_worse_direction_among_those_that_copy_nobody() -> None:
    good, better, copier = standing(0.8, 0.9), standing(0.9, 0.2), standing(1.0, 0.9, near=0.3)
    assert max([good, better, copier], key=run.rank) is better
    assert run.rank(standing(0.9, 0.5)) > run.rank(better)
