"""The published recipe on small stripes: what each stage may change, what push and pruning leave, and going on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from casebase.errors import Diverged, ModelError, UsageError
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.loaded import Loaded, seeded
from casebase.networks.prototypes import published
from casebase.networks.prototypes.classic import Outcome, classic, forget
from casebase.networks.prototypes.classic_plan import Data, Plan
from casebase.networks.prototypes.classic_run import Run
from casebase.networks.prototypes.model import PrototypeReader, activations
from casebase.networks.prototypes.recipe import PrototypeRecipe
from casebase.networks.prototypes.stage import cached_inputs, cached_maps, last_stage
from casebase.networks.training_cases import TrainingCases
from casebase.prototypes import CLASSIC, Patch, Prototype, PrototypeSet, cell_box
from casebase.reading import Preprocess

SIDE, N = 16, 24
CHAIN = Preprocess(None, (SIDE, SIDE), "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
RECIPE = PrototypeRecipe(profile=CLASSIC, seed=3)
PLAN = Plan(k=3, warm=60, joint=30, decay=20, last=40, batch=8, keep_every=7)
CLASSES = ("lying", "upright", "never")
TARGETS = np.array([i % 2 for i in range(N)], np.intp)


def stripes() -> np.ndarray:
    rng = np.random.default_rng(0)
    wave = 70 * np.sin(np.arange(SIZE := SIDE) * 1.2)
    views = [128 + np.tile(wave if t else wave[:, None], (SIZE, 1) if t else (1, SIZE))[..., None] for t in TARGETS]
    return (np.array(views) + rng.normal(0, 8, (N, SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8)


VIEWS = stripes()


@pytest.fixture(scope="module")
def network() -> ExplainedNetwork:
    with seeded(0):
        parts = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12)]
        module = nn.Sequential(*parts, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 3))
    return ExplainedNetwork(Loaded(module.eval(), "tests:small", CHAIN, classes=CLASSES, untrained=True), batch_size=8)


def cases(targets: np.ndarray = TARGETS) -> TrainingCases:
    names = [CLASSES[t] for t in targets]
    return TrainingCases(VIEWS, [f"case {i}" for i in range(N)], [f"{i:x}" for i in range(N)], names, names, [None] * N)


def trained(network: ExplainedNetwork, folder: Path, watch=lambda *_: None, **more: Any) -> Outcome:
    choices = {"recipe": RECIPE, "plan": PLAN} | more
    return classic(network, cases(), TARGETS, folder=folder, watch=watch, **choices)


@pytest.fixture(scope="module")
def outcome(network: ExplainedNetwork, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return trained(network, tmp_path_factory.mktemp("classic"))


def run(network: ExplainedNetwork, folder: Path, plan: Plan = PLAN, judged: np.ndarray | None = None) -> Run:
    stage = last_stage(network)
    inputs = cached_inputs(stage, VIEWS, folder, {}, batch=8, watch=lambda *_: None)
    maps = cached_maps(stage, inputs, folder, {}, batch=8, watch=lambda *_: None)
    with seeded(0):
        return Run(stage, Data(inputs, maps, TARGETS, TARGETS, CLASSES, judged), plan, "cpu", 0)


def numbers(one: Run) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in one.net.state_dict().items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def same(one: Outcome, other: Outcome) -> bool:
    names = ("vectors", "head")
    ours, theirs = one.tensors, other.tensors
    return (
        all(torch.equal(getattr(ours, name), getattr(theirs, name)) for name in names)
        and all(torch.equal(ours.add_on[name], theirs.add_on[name]) for name in ours.add_on)
        and all(torch.equal(ours.stage[name], theirs.stage[name]) for name in ours.stage)
        and list(one.patches) == list(other.patches)
        and [s.figures for s in one.stages] == [s.figures for s in other.stages]
    )


def test_it_learns_and_logs_four_judgements_counted_in_steps(outcome: Outcome) -> None:
    assert [(s.name, s.steps) for s in outcome.stages] == [
        ("before push", 90), ("after push", 0), ("after last layer", 40), ("after pruning", 40)
    ]  # fmt: skip
    assert outcome.stages[-1].figures["accuracy"] >= 0.9
    assert outcome.stages[0].figures["sources"] is None
    assert outcome.stages[1].figures["sources"] == 6
    assert outcome.stages[1].figures["moved"] >= 0
    assert outcome.stages[3].figures["dropped"] == 6 - len(outcome.of_class)
    assert set(outcome.of_class.tolist()) == {0, 1}  # no prototype of a class without cases
    assert outcome.tensors.head.shape == (3, len(outcome.of_class))
    assert (outcome.tensors.head[2] < 0).all()
    assert outcome.grid == (4, 4)
    assert outcome.settings["warm"] == 60
    assert outcome.settings["stage"] == ["3", "4", "5"]


def test_a_prototype_is_the_cell_of_its_case_as_it_is_read_later(network: ExplainedNetwork, outcome: Outcome) -> None:
    prototypes = [
        Prototype(j, CLASSES[c], Patch(f"case {i}", f"{i:x}", row, col, cell_box(row, col, (4, 4))), 1.0, None, 0, 0.0)
        for j, (c, (i, row, col)) in enumerate(zip(outcome.of_class.tolist(), outcome.patches, strict=True))
    ]
    found = PrototypeSet(
        CLASSIC, "", "", network.spatial_layer or "", outcome.grid, (SIDE, SIDE), (7, 7), CLASSES, "labels",
        prototypes, outcome.stages, {}, "",
    )  # fmt: skip
    reader = PrototypeReader(network, found, outcome.tensors)
    assert not reader.shares_maps
    maps = torch.from_numpy(reader.maps(VIEWS))
    with torch.no_grad():
        cells = published.added(maps, outcome.tensors.add_on)
    for j, (case, row, column) in enumerate(outcome.patches):
        assert TARGETS[case] == outcome.of_class[j]
        assert cells[case, :, row, column].numpy() == pytest.approx(outcome.tensors.vectors[j].numpy(), abs=2e-3)
    for one in activations(maps, outcome.tensors, CLASSIC):
        assert one.contributions.sum(1) == pytest.approx(one.scores, abs=1e-4)


def test_every_stage_changes_its_own_group_and_no_other(network: ExplainedNetwork, tmp_path: Path) -> None:
    one = run(network, tmp_path)
    start, before = numbers(one), {name: value.clone() for name, value in network.module.state_dict().items()}
    silent = lambda *_: None  # noqa: E731
    one.warm(silent)
    warm = numbers(one)
    assert changed(start, warm) == {"add_on", "vectors"}
    one.joint(silent)
    joint = numbers(one)
    assert changed(warm, joint) == {"stage", "add_on", "vectors"}
    own = network.module.state_dict()
    assert all(torch.equal(own[name], value) for name, value in before.items())  # the explained network stays
    assert not any("running" in name and not torch.equal(warm[name], joint[name]) for name in warm)
    one.push(silent)
    pushed = numbers(one)
    assert changed(joint, pushed) == {"vectors"}
    one.last_layer(silent)
    assert changed(pushed, numbers(one)) == {"head"}


def test_rates_are_the_published_ones_and_fall_to_a_tenth(
    network: ExplainedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[tuple[float, float]]] = []
    step = torch.optim.Adam.step

    def watched(self: torch.optim.Adam, *args: Any, **named: Any) -> Any:
        seen.append([(group["lr"], group["weight_decay"]) for group in self.param_groups])
        return step(self, *args, **named)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    run(network, tmp_path).go(Kept(), lambda *_: None)
    assert len(seen) == 60 + 30 + 40 + 40
    assert seen[0] == seen[59] == [(3e-3, 1e-3), (3e-3, 0)]
    assert seen[60] == seen[79] == [(1e-4, 1e-3), (3e-3, 1e-3), (3e-3, 0)]
    assert seen[80] == pytest.approx(np.array([(1e-5, 1e-3), (3e-4, 1e-3), (3e-4, 0)]))
    assert seen[90] == seen[-1] == [(1e-4, 0)]


class Kept:
    """Keeps nothing."""

    def load(self) -> None:
        return None

    def save(self, state: Any) -> None:
        return None


def test_push_is_the_nearest_cell_of_the_own_class(network: ExplainedNetwork, tmp_path: Path) -> None:
    one = run(network, tmp_path, replace(PLAN, k=1, warm=20, joint=5), judged=np.arange(18, N))
    silent = lambda *_: None  # noqa: E731
    one.warm(silent)
    one.joint(silent)
    before = one.net.vectors.detach().clone()
    with torch.no_grad():
        cells = one.net.add_on(one.net.stage(torch.from_numpy(one.data.inputs.rows(np.arange(N)))))
    one.push(silent)
    for j in (0, 1):  # by plain loops over the images that are trained on
        best = min(
            (float(((cells[i, :, r, c] - before[j]) ** 2).sum()), i, r, c)
            for i in range(18) if TARGETS[i] == j for r in range(4) for c in range(4)
        )  # fmt: skip
        assert one.patches[j] == best[1:]
        assert one.net.vectors[j].detach().numpy() == pytest.approx(
            cells[best[1], :, best[2], best[3]].numpy(), abs=1e-6
        )
    assert one.logs[-1].figures["moved"] == 0


@pytest.mark.parametrize(
    ("stage", "at"), [("stage inputs", 16), ("warm", 0), ("warm", 33), ("joint", 17), ("push", 1), ("pruning", 0)]
)
def test_an_interrupted_run_goes_on_bit_for_bit(
    network: ExplainedNetwork, outcome: Outcome, tmp_path: Path, stage: str, at: int
) -> None:
    def stop(name: str, done: int, total: int) -> None:
        if (name, done) == (stage, at):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(network, tmp_path, stop)
    told: list[tuple[str, int]] = []
    again = trained(network, tmp_path, lambda name, done, total: told.append((name, done)))
    assert same(again, outcome)
    begun = {"warm": 0 if at == 0 else 28, "joint": 14}.get(stage)  # states are kept every 7 steps
    if begun is not None:
        assert next(done for name, done in told if name == stage) == begun
    if stage in ("push", "pruning"):
        assert "joint" not in {name for name, _ in told}


def test_a_finished_run_is_not_run_again_and_is_forgotten_whole(
    network: ExplainedNetwork, outcome: Outcome, tmp_path: Path
) -> None:
    trained(network, tmp_path)
    told: list[str] = []
    assert same(trained(network, tmp_path, lambda name, *_: told.append(name)), outcome)
    assert set(told) == {"stage inputs", "stage maps"}
    with pytest.raises(UsageError, match="seed"):
        trained(network, tmp_path, recipe=replace(RECIPE, seed=4))
    other = trained(network, tmp_path, recipe=replace(RECIPE, seed=4), fresh=True)
    assert not same(other, outcome)
    forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_pruning_is_called_for_and_the_head_is_weighed_again(
    network: ExplainedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from casebase.networks.prototypes import classic_run

    monkeypatch.setattr(classic_run, "worth_keeping", lambda *_: np.array([0, 2, 4], np.intp))
    found = trained(network, tmp_path)
    assert found.of_class.tolist() == [0, 0, 1]
    assert len(found.patches) == len(found.tensors.vectors) == 3
    assert found.tensors.head.shape == (3, 3)
    assert found.stages[-1].figures["prototypes"] == 3
    assert found.stages[-1].figures["dropped"] == 3
    assert same(trained(network, tmp_path), found)  # its state holds fewer prototypes than it began with


def test_the_recipe_bounds_the_steps_and_names_the_number_of_prototypes() -> None:
    assert Plan.of(PrototypeRecipe(profile=CLASSIC)) == Plan(k=10, warm=300, joint=200, last=2000)
    assert Plan.of(PrototypeRecipe(profile=CLASSIC, steps=250, k=4)) == Plan(k=4, warm=250, joint=200, last=250)


def test_one_class_is_refused_and_a_cost_that_is_no_number_is_told(network: ExplainedNetwork, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="have 1 of them; index cases of at least two classes"):
        classic(network, cases(), np.zeros(N, np.intp), RECIPE, tmp_path, lambda *_: None, plan=PLAN)
    one = run(network, tmp_path, replace(PLAN, rate=float("inf")))
    with pytest.raises(Diverged, match=r"the cost became nan \(warm, step 2\); use --profile signed"):
        one.warm(lambda *_: None)
