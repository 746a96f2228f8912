"""Choices are checked by name, and the learning rate is that of the papers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from casebase.errors import UsageError
from casebase.networks.recipe import Recipe


@pytest.mark.parametrize("steps", [7, 40])
def test_onecycle_and_cosine_are_torchs(steps: int) -> None:
    for name in ("onecycle", "cosine"):
        optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
        recipe = Recipe(lr=0.3, schedule=name)
        schedule = (
            torch.optim.lr_scheduler.OneCycleLR(
                optimiser, max_lr=0.3, total_steps=steps, pct_start=recipe.warm_up, cycle_momentum=False
            )
            if name == "onecycle"
            else torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        )
        for step in range(steps):
            assert recipe.rate(step, steps) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-6), (name, step)
            optimiser.step()
            schedule.step()


def test_a_constant_rate_is_constant_and_one_step_is_enough() -> None:
    assert {Recipe(schedule="constant").rate(step, 9) for step in range(9)} == {1e-4}
    assert all(Recipe(schedule=name).rate(0, 1) > 0 for name in ("constant", "cosine", "onecycle"))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"optimiser": "lion"}, "--optimiser must be adam, adamw or sgd, not 'lion'"),
        ({"schedule": "steps"}, "--schedule must be"),
        ({"keep": "first"}, "--keep must be"),
        ({"batch_norm": "off"}, "--batch-norm must be"),
        ({"class_weights": "yes"}, "--class-weights must be"),
        ({"precision": "fp8"}, "--precision must be"),
        ({"epochs": 0}, "--epochs must be at least 1, not 0"),
        ({"batch_size": 1}, "--batch-size must be at least 2"),
        ({"patience": -1}, "--patience must be at least 0"),
        ({"lr": 0.0}, "--lr must be a number above 0"),
        ({"lr": float("nan")}, "--lr must be a number above 0"),
        ({"weight_decay": -1.0}, "--weight-decay"),
        ({"label_smoothing": 1.0}, "--label-smoothing"),
        ({"warm_up": 1.0}, "warm-up"),
    ],
)
def test_wrong_choices_are_told(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Recipe(**wrong)


def test_the_page_on_training_tells_the_default_recipe() -> None:
    told = " ".join((Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8").split())
    _, _, told = told.partition("## The recipe")
    recipe = Recipe()
    assert (recipe.optimiser, recipe.warm_up) == ("adamw", 0.25)
    for said in (
        f"rises to {recipe.lr:.4f} for a quarter of the steps (`--schedule {recipe.schedule}`)",
        f"weight decay {recipe.weight_decay:g}, batches of {recipe.batch_size}",
        f"at most {recipe.epochs} epochs, stopping after {recipe.patience} without",
    ):
        assert said in told
