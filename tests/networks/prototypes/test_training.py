"""The signed recipe as a whole on pictures made here: what it hands over, what it refuses, how it goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from casebase.errors import (
    CheckpointRefused,
    DataError,
    GateFailed,
    ModelError,
    NoTargetLayer,
    UsageError,
    WeightsMissing,
)
from casebase.networks.cached_rows import CachedRows
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.prototypes import features, model, prepared, refine, signed, training
from casebase.networks.prototypes.recipe import PrototypeRecipe
from casebase.networks.training_cases import TrainingCases
from tests.networks.conftest import small, views_for
from tests.networks.prototypes.made import Counting, cases, network, pictures

QUICK = PrototypeRecipe(k=2, steps=20)


def silent(*_told: object) -> None:
    """Nobody wants to know."""


@pytest.fixture(scope="module")
def views() -> tuple[np.ndarray, list[str]]:
    return pictures(20)


@pytest.fixture(scope="module")
def net(views: tuple[np.ndarray, list[str]]) -> ExplainedNetwork:
    return network(*views)


@pytest.fixture(scope="module")
def those(net: ExplainedNetwork, views: tuple[np.ndarray, list[str]]) -> TrainingCases:
    return cases(net, *views)


@pytest.fixture(scope="module")
def made(net: ExplainedNetwork, those: TrainingCases, tmp_path_factory: pytest.TempPathFactory):
    return training.train(net, those, QUICK, tmp_path_factory.mktemp("work") / "w", silent)


def test_every_prototype_is_a_real_patch_of_a_case_of_its_own(net, those, made) -> None:
    found, tensors = made
    reader = model.PrototypeReader(net, found, tensors)
    places = {name: number for number, name in enumerate(those.ids)}
    assert len({one.patch.case_id for one in found.prototypes}) == len(found.prototypes)
    for one in found.prototypes:
        row = places[one.patch.case_id]
        assert those.predicted[row] == one.of_class
        assert those.pixel_hashes[row] == one.patch.pixel_hash
        (said,) = reader.read(those.views[np.array([row])])
        assert said.maps[one.number, one.patch.row, one.patch.column] == pytest.approx(1.0, abs=1e-5)


def test_what_the_prototypes_add_is_the_score(net, those, made) -> None:
    reader = model.PrototypeReader(net, *made)
    for one in reader.read(those.views[np.arange(8)]):
        assert one.bias + one.contributions.sum(1) == pytest.approx(one.scores, abs=1e-5)
        assert one.maps.reshape(len(one.similarity), -1).max(1) == pytest.approx(one.similarity)
        for number, (row, column) in enumerate(one.cells.tolist()):
            assert one.maps[number, row, column] == one.similarity[number]


def test_pictures_never_seen_are_told_apart_as_the_network_does(net, made) -> None:
    unseen, _ = pictures(15, seed=9)
    reader = model.PrototypeReader(net, *made)
    called = np.array([one.scores.argmax() for one in reader.read(unseen)])
    said = net.read(unseen).probabilities
    assert said is not None
    assert (called == said.argmax(1)).mean() >= 0.9


def test_the_stages_are_told_in_order_with_their_figures(made) -> None:
    found, _ = made
    assert [stage.name for stage in found.stages] == [
        "start",
        "before push",
        "after push",
        "after head",
        "after pruning",
    ]
    assert [stage.steps for stage in found.stages] == [0, 20, 0, 0, 0]
    for stage in found.stages:
        assert 0.0 <= float(stage.figures["balanced_accuracy"] or 0.0) <= 1.0
        assert stage.figures["n"] == 40
    assert found.stages[-1].figures["sources"] == len(found.prototypes)
    assert type(found).from_dict(found.to_dict()).to_dict() == found.to_dict()


def test_how_it_stood_after_earlier_stages_can_be_asked_of_any_image(net, those, made, tmp_path: Path) -> None:
    found, tensors = made
    back = model.load(tmp_path / "p", model.save(tensors, tmp_path / "p"))
    reader = model.PrototypeReader(net, found, back)
    maps = reader.maps(those.views[np.arange(len(those))])
    told = reader.earlier(maps)
    assert set(told) == {"before push", "after push", "after head"}
    judged = {stage.name: stage.figures["accuracy"] for stage in found.stages}
    labels = np.array([found.classes.index(name) for name in those.labels])
    assert (told["after push"].argmax(1) == labels).mean() == pytest.approx(judged["after push"], abs=0.051)
    # after the head nothing but weights changes: all but the pruned prototypes are those of the end
    kept = [int((back.earlier["after head"].vectors @ vector).argmax()) for vector in back.vectors]
    assert torch.equal(back.earlier["after head"].vectors[kept], back.vectors)


def test_the_same_seed_gives_the_same_prototypes(net, those, made, tmp_path: Path) -> None:
    again, tensors = training.train(net, those, QUICK, tmp_path / "w", silent)
    assert [one.patch for one in again.prototypes] == [one.patch for one in made[0].prototypes]
    assert torch.equal(tensors.head, made[1].head)


def test_an_interrupted_training_reads_no_case_twice_and_ends_the_same(net, those, made, tmp_path: Path) -> None:
    views = those.views
    assert isinstance(views, Counting)
    counted = replace(those, views=Counting(views.views, []))

    def broken(stage: str, done: int, total: int) -> None:
        if stage == "reading the cases" and done >= 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(net, counted, QUICK, tmp_path / "w", broken)
    counted.views.asked.clear()  # type: ignore[attr-defined]
    again, _ = training.train(net, counted, QUICK, tmp_path / "w", silent)
    assert sum(counted.views.asked) == 8 + 1  # type: ignore[attr-defined]  # what was missing, and one for the shape
    assert [one.patch for one in again.prototypes] == [one.patch for one in made[0].prototypes]


def test_learning_goes_on_bit_for_bit(net, those, made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refine, "_KEEP", 10)

    def broken(stage: str, done: int, total: int) -> None:
        if stage == "learning what to compare" and done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(net, those, QUICK, tmp_path / "w", broken)
    _, tensors = training.train(net, those, QUICK, tmp_path / "w", silent)
    assert torch.equal(tensors.add_on["weight"], made[1].add_on["weight"])
    assert torch.equal(tensors.vectors, made[1].vectors)


def test_an_interrupted_training_of_other_choices_is_not_gone_on_with(net, those, tmp_path: Path) -> None:
    def broken(stage: str, done: int, total: int) -> None:
        if stage == "weighing the prototypes":
            raise KeyboardInterrupt

    longer = replace(QUICK, steps=60)
    with pytest.raises(KeyboardInterrupt):
        training.train(net, those, longer, tmp_path / "w", broken)
    with pytest.raises(UsageError, match="steps 60 / 20"):
        training.train(net, those, QUICK, tmp_path / "w", silent)
    found, _ = training.train(net, those, QUICK, tmp_path / "w", silent, fresh=True)
    assert found.settings["steps"] == 20


def test_the_file_is_the_one_that_was_saved(made, tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    digest = model.save(made[1], path)
    back = model.load(path, digest)
    assert torch.equal(back.vectors, made[1].vectors)
    assert torch.equal(back.add_on["weight"], made[1].add_on["weight"])
    with pytest.raises(CheckpointRefused, match="casebase prototypes train"):
        model.load(path, "0" * 64)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointRefused):
        model.load(path, digest)
    with pytest.raises(WeightsMissing):
        model.load(tmp_path / "none", digest)


def test_a_class_with_fewer_cases_than_prototypes_is_told(net, those, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'class \d' has 20 cases, too few for 20 prototypes.*--k 19 or fewer"):
        training.train(net, those, replace(QUICK, k=20), tmp_path / "w", silent)


def test_one_class_alone_is_told(net, those, tmp_path: Path) -> None:
    alone = replace(those, predicted=["class 0"] * len(those))
    with pytest.raises(DataError, match=r"all 40 cases are called .class 0.; --target labels learns the 2 labels"):
        training.train(net, alone, QUICK, tmp_path / "w", silent)


def test_cases_that_all_look_the_same_are_told(net, those, tmp_path: Path) -> None:
    views = those.views
    assert isinstance(views, Counting)
    same = np.repeat(views.views[:1], len(those), axis=0)
    with pytest.raises(ModelError, match="all 40 cases look the same"):
        training.train(net, replace(those, views=Counting(same, [])), QUICK, tmp_path / "w", silent)


def test_a_network_that_cannot_tell_the_labels_apart_has_nothing_to_explain(net, those, tmp_path: Path) -> None:
    mixed = replace(those, labels=[those.labels[number // 2 % 2] for number in range(len(those))])
    with pytest.raises(ModelError, match=r"no class signal.*casebase train"):
        training.train(net, mixed, QUICK, tmp_path / "w", silent)


def test_prototypes_that_explain_nothing_are_not_handed_over(net, those, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(training.gates, "purity", lambda *_given: (0.5, 10))
    with pytest.raises(GateFailed, match=r"only 50% are of its class.*try --k 4"):
        training.train(net, those, QUICK, tmp_path / "w", silent)


@pytest.mark.parametrize("profile", ["signed", "classic"])
def test_what_a_failed_gate_names_can_be_tried_at_once_without_reading_the_cases_again(
    net, those, tmp_path: Path, monkeypatch, profile: str
) -> None:
    views = those.views
    assert isinstance(views, Counting)
    counted, recipe = replace(those, views=Counting(views.views, [])), PrototypeRecipe(profile, k=2, steps=5)
    monkeypatch.setattr(refine, "_KEEP", 2)
    with monkeypatch.context() as failing:
        failing.setattr(training.gates, "purity", lambda *_given: (0.5, 10))
        with pytest.raises(GateFailed):
            training.train(net, counted, recipe, tmp_path / "w", silent)
    kept = [path.name for path in (tmp_path / "w").rglob("*.rows")]
    assert "maps.rows" in kept
    assert len(kept) == (1 if profile == "signed" else 3)
    counted.views.asked.clear()  # type: ignore[attr-defined]
    monkeypatch.setattr(training.gates, "check", lambda *_given: None)
    found, _ = training.train(net, counted, replace(recipe, k=3), tmp_path / "w", silent)
    assert found.settings["k"] == 3
    assert sum(counted.views.asked) <= len(those) + 1  # type: ignore[attr-defined]  # classic compares under its stage


def test_labels_that_are_no_classes_of_the_network_cannot_be_fitted(net, those, tmp_path: Path) -> None:
    labels = ["bird" if number in (0, 2, 4, 6) else name for number, name in enumerate(those.labels)]
    strange = replace(those, labels=labels)
    with pytest.raises(DataError, match=r"4 of 40 cases are labelled otherwise, 'bird' for one; use --target pred"):
        training.train(net, strange, replace(QUICK, target="labels"), tmp_path / "w", silent)
    found, _ = training.train(net, strange, QUICK, tmp_path / "w", silent)
    assert list(found.classes) == ["class 0", "class 1"]


def test_without_a_head_over_the_map_the_network_still_says_what_it_predicted() -> None:
    """Fitted to labels, the prototypes are drawn towards the network's answers, not towards the labels once more."""
    headless = SimpleNamespace(head_weights=lambda: (None, None), pooled_exactly=False, classes=("a", "b"))
    task = SimpleNamespace(
        network=headless, classes=("a", "b"), learn=np.array([0, 2, 3]), target=np.array([0, 0, 1, 1]),
        predicted=np.array([1, 0, 1, -1]),
    )  # fmt: skip
    said = signed._Run.said(SimpleNamespace(task=task))
    assert said.argmax(1).tolist() == [1, 1, 1]
    assert said.sum(1) == pytest.approx(np.ones(3))


@pytest.mark.parametrize("profile", ["signed", "classic"])
def test_nothing_is_learnt_from_the_cases_that_are_judged_by(tmp_path: Path, monkeypatch, profile: str) -> None:
    monkeypatch.setattr(prepared, "FEWEST_JUDGES", 6)
    views, labels = pictures(24)
    net = network(views, labels)
    those = cases(net, views, labels)
    recipe = PrototypeRecipe(profile, k=2, steps=2)
    task = prepared.prepare(net, those, recipe)
    assert task.aside
    assert not set(task.learn) & set(task.judge)
    spoilt = views.copy()
    spoilt[task.judge] = np.random.default_rng(0).integers(0, 256, (len(task.judge), *views.shape[1:]))
    monkeypatch.setattr(training.gates, "check", lambda *_given: None)
    (one, first), (other, second) = (
        training.train(net, replace(those, views=Counting(seen, [])), recipe, tmp_path / str(n), silent)
        for n, seen in enumerate((views, spoilt))
    )
    for name in ("vectors", "mean", "shift", "scale", "head", "bias"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    assert [each.patch for each in one.prototypes] == [each.patch for each in other.prototypes]
    assert one.stages[-1].figures["accuracy"] != other.stages[-1].figures["accuracy"]
    assert {each.figures["n"] for each in one.stages} == {len(task.judge)}


def test_stages_are_held_against_what_has_learnt_from_as_much(net, those, tmp_path: Path, monkeypatch) -> None:
    """Not against the network's answers to cases it has seen itself; where none is set aside, there is nothing else."""
    rng = np.random.default_rng(0)
    target = np.repeat([0, 1], 40)
    maps = rng.normal(size=(80, 6, 1, 1)).astype(np.float32)
    maps[:, 0, 0, 0] += 4 * target
    maps[60:70, 0, 0, 0] -= 4  # ten cases set aside that look like the other class
    rows = CachedRows(tmp_path, "maps", maps.shape, {})
    rows.put(np.arange(80), maps)
    judge = np.r_[10:20, 60:70]
    task = prepared.Prepared(
        net, replace(those, ids=[str(n) for n in range(80)]), QUICK, 2, ("class 0", "class 1"), target, target, target,
        np.setdiff1d(np.arange(80), judge), judge, True,
    )  # fmt: skip
    found = prepared.held_against(task, rows)
    assert found.reference is not None
    assert (found.reference[60:70] == 0).mean() >= 0.8  # the network says 1, as it has learnt by heart
    told = {"vectors": rng.normal(size=(2, 3)), "of_class": np.array([0, 1]), "patches": None}
    stage = found.stage("s", np.eye(2)[target], rng.normal(size=(80, 2)), **told)
    assert stage.figures["network_balanced_accuracy"] == pytest.approx(
        np.mean([(found.reference[judge] == target[judge])[part].mean() for part in (slice(10), slice(10, 20))])
    )
    assert prepared.held_against(replace(task, aside=False), rows).reference is None
    given: list[prepared.Prepared] = []
    monkeypatch.setattr(training.signed, "make", lambda fair, *_more: given.append(fair))
    monkeypatch.setattr(training, "held_against", lambda task, _rows: replace(task, reference=task.predicted))
    training._made(prepared.prepare(net, those, QUICK), tmp_path / "w", silent)
    assert given[0].reference is not None


def test_a_prototype_is_not_weighed_by_its_likeness_to_itself() -> None:
    maps = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]])[:, :, None, None]
    task = SimpleNamespace(cases=range(4), learn=np.arange(3), target=np.array([0, 0, 0, 1]))
    run = SimpleNamespace(
        task=task, cells=lambda block: (None, maps[block]),
        _similar=lambda cells, vectors: model.similarity_maps(cells, torch.from_numpy(vectors), "signed"),
    )  # fmt: skip
    vectors = maps[:1, :, 0, 0].numpy()
    found = signed._Run.similarities(run, vectors, [(0, 0, 0)], np.array([0]))
    assert found[:, 0] == pytest.approx([0.8, 0.6, 0.8, 0.0])
    assert signed._Run.similarities(run, vectors, None, np.array([0]))[0, 0] == 1.0


def test_a_network_without_places_is_told_what_is_left(those, tmp_path: Path) -> None:
    loaded = small("torchvision:vit_b_16", 2, size=None)
    vit = ExplainedNetwork(replace(loaded, classes=("class 0", "class 1")))
    with pytest.raises(NoTargetLayer, match=r"no prototypes of .*vit_b_16.*prototypes summarize"):
        training.train(vit, those, QUICK, tmp_path / "w", silent)


def test_an_earlier_layer_has_more_places_and_a_probe_of_its_own(net, those, tmp_path: Path) -> None:
    found, tensors = training.train(net, those, replace(QUICK, layer="layer3"), tmp_path / "w", silent)
    assert found.grid == (4, 4)
    assert tensors.mean.shape == (256,)
    reader = model.PrototypeReader(net, found, tensors)
    assert not reader.shares_maps
    (said,) = reader.read(those.views[np.array([0])])
    assert said.maps.shape[1:] == (4, 4)


def test_the_receptive_field_is_the_textbook_one() -> None:
    """AlexNet's last map: 195 by the recursion r += (kernel - 1) * jump, of which a last max-pool uses nearly all."""
    loaded = small("torchvision:alexnet", 3, size=None)
    assert features.receptive_field(ExplainedNetwork(loaded)) == pytest.approx((195, 195), abs=2)
    assert features.receptive_field(ExplainedNetwork(small("torchvision:resnet18", 3))) == (64, 64)


def test_wide_maps_start_from_their_principal_axes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    maps = np.zeros((6, 600, 2, 2), np.float32)
    maps[:, 3] = 5 * rng.normal(size=(6, 2, 2))
    maps[:, 8] = rng.normal(size=(6, 2, 2))
    rows = CachedRows(tmp_path, "maps", maps.shape, {})
    rows.put(np.arange(6), maps)
    mean = maps.mean((0, 2, 3))
    found = refine.start(rows, np.arange(6), mean, 0)
    assert found.shape == (refine.WIDEST, 600)
    assert abs(found[0, 3]) == pytest.approx(1.0, abs=0.1)
    assert found @ found.T == pytest.approx(np.eye(refine.WIDEST), abs=1e-5)


def test_noise_has_no_prototypes(net, tmp_path: Path) -> None:
    """Pictures of nothing, called by the flip of a coin: whatever is found, it is not handed over."""
    noise = views_for(small("torchvision:resnet18"), 160, seed=3)
    coin = np.random.default_rng(0).integers(0, 2, 160)
    names = [f"class {side}" for side in coin.tolist()]
    made_up = TrainingCases(Counting(noise, []), names, names, names, names, [None] * 160)
    made_up = replace(made_up, ids=[str(n) for n in range(160)], pixel_hashes=[str(n) for n in range(160)])
    with pytest.raises(GateFailed):
        training.train(net, made_up, QUICK, tmp_path / "w", silent)
