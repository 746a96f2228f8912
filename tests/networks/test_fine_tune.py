"""The training loop: it learns, repeats itself under a seed, and leaves what it started from alone."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from casebase.errors import Diverged, ModelError, UsageError
from casebase.networks import backbones, model_folder
from casebase.networks.checkpoints import digest
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.fine_tune import Begun, Images, Labelled, Recipe, Watch, fine_tune, resized
from casebase.networks.resuming import Resuming
from casebase.networks.training import Loop, balanced
from casebase.trained import Epoch, Step

SIZE = 32
QUICK = Recipe(epochs=3, lr=3e-3, batch_size=16, precision="fp32", shift=2, schedule="onecycle")


def stripes(n: int, seed: int) -> Labelled:
    """Upright or lying stripes in noise."""
    rng = np.random.default_rng(seed)
    labels = [int(v) for v in rng.integers(0, 2, n)]
    wave = 60 * np.sin(np.arange(SIZE) * 1.2)
    views = []
    for label in labels:
        pattern = np.tile(wave, (SIZE, 1)) if label else np.tile(wave[:, None], (1, SIZE))
        views.append((128 + pattern[..., None] + rng.normal(0, 20, (SIZE, SIZE, 3))).clip(0, 255))
    return Labelled(np.array(views, np.uint8), labels)


def start(spec: str = "timm:test_resnet"):
    return backbones.blueprint(spec, 4)


def begun(spec: str = "timm:test_resnet", seed: int = 0, **more) -> Begun:
    loaded = replace(start(spec), **more)
    return Begun.of(loaded, ["lying", "upright"], preprocess=resized(loaded.preprocess, SIZE, whole=True), seed=seed)


def tune(recipe: Recipe = QUICK, watch: Watch | None = None, val: Labelled | None = None):
    images = Images(stripes(96, 0), val or stripes(40, 1), stripes(30, 2))
    return fine_tune(begun(seed=recipe.seed), images, recipe, watch=watch)


def test_it_learns_tells_every_step_and_measures_what_it_kept() -> None:
    told: list[Step | Epoch] = []
    tuned = tune(watch=Watch(told=told.append))
    epochs = [moment for moment in told if isinstance(moment, Epoch)]
    steps = [moment for moment in told if isinstance(moment, Step)]
    assert [e.number for e in epochs] == [1, 2, 3]
    assert tuple(epochs) == tuned.epochs
    assert [(s.epoch, s.done) for s in steps] == [(e, 16 * i) for e in (1, 2, 3) for i in range(1, 7)]
    assert steps[5].loss == pytest.approx(epochs[0].loss)
    assert tuned.kept == min(epochs, key=lambda e: e.val_loss).number
    assert tuned.accuracy["val"].value == pytest.approx(epochs[tuned.kept - 1].val_accuracy)
    assert tuned.accuracy["val"].value > 0.9
    for part, images in {"train": stripes(96, 0), "val": stripes(40, 1), "test": stripes(30, 2)}.items():
        reading = tuned.network.read(np.asarray(images.views))
        share = (reading.probabilities.argmax(1) == np.array(images.labels)).mean()
        assert share == pytest.approx(tuned.accuracy[part].value, abs=1e-9), part
        assert tuned.accuracy[part].n == len(images)
        assert tuned.accuracy[part].low < share <= tuned.accuracy[part].high <= 1
    assert tuned.network.classes == ("lying", "upright")
    assert not tuned.network.untrained
    assert tuned.metrics()["seed"] == 0


def test_a_seed_gives_the_same_weights_and_no_generator_is_touched() -> None:
    torch.manual_seed(9)
    expected = torch.rand(2)
    torch.manual_seed(9)
    one = tune()
    assert torch.equal(torch.rand(2), expected)
    same, other = tune(), tune(replace(QUICK, seed=1))
    assert digest(one.network.module.state_dict()) == digest(same.network.module.state_dict())
    assert digest(one.network.module.state_dict()) != digest(other.network.module.state_dict())


class Stop(Exception):
    pass


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("after", [1, 2])
def test_interrupted_and_gone_on_with_it_is_the_same_to_the_bit(optimiser: str, after: int, tmp_path: Path) -> None:
    """Dropout, order, flips, shifts, momentum and schedule all go on where they were."""
    recipe = replace(QUICK, optimiser=optimiser, lr=1e-3)
    images = Images(stripes(50, 0), stripes(20, 1))

    def network() -> Begun:
        return Begun.of(dropping(), ["a", "b"], preprocess=resized(start().preprocess, SIZE, whole=True))

    whole = fine_tune(network(), images, recipe)
    resume = Resuming(tmp_path / "state", {"data": "x"})

    def save(state: Any) -> None:
        resume.save(state)
        if len(json.loads(state["history"])) == after:
            raise Stop

    with pytest.raises(Stop):
        fine_tune(network(), images, recipe, watch=Watch(save=save))
    told: list[Step | Epoch] = []
    again = fine_tune(network(), images, recipe, watch=Watch(told.append, state=resume.load()))
    assert [m.number for m in told if isinstance(m, Epoch)] == list(range(after + 1, 4))
    one, other = whole.network.module.state_dict(), again.network.module.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    without = [[{**asdict(e), "seconds": 0} for e in tuned.epochs] for tuned in (whole, again)]
    assert without[0] == without[1]
    assert again.kept == whole.kept


def dropping():
    """A network whose training draws from torch's own generator."""
    loaded = start()
    module = loaded.module
    module.global_pool = torch.nn.Sequential(module.global_pool, torch.nn.Dropout(0.3))
    return loaded


def test_a_state_of_another_training_or_of_none_is_told(tmp_path: Path) -> None:
    Resuming(tmp_path, {"lr": 0.1, "data": "x"}).save({"history": "[]"})
    with pytest.raises(UsageError, match=r"\(lr 0\.1 / 0\.2: there / now\)"):
        Resuming(tmp_path, {"lr": 0.2, "data": "x"}).load()
    (tmp_path / "state.pt").write_bytes(b"PK broken")
    with pytest.raises(ModelError, match="--fresh begins anew"):
        Resuming(tmp_path, {"lr": 0.1, "data": "x"}).load()
    assert Resuming(tmp_path / "none", {}).load() is None


def test_a_state_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "went off",))

    torch.save({"key": "{}", "state": Bomb()}, tmp_path / "state.pt")
    with pytest.raises(ModelError, match="cannot be read"):
        Resuming(tmp_path, {}).load()
    assert not (tmp_path / "went off").exists()


def test_accuracies_of_images_that_belong_together_have_the_wider_interval() -> None:
    val = stripes(40, 1)
    turned = [1 - label if i % 4 == 0 else label for i, label in enumerate(val.labels)]
    recipe = replace(QUICK, keep="last")
    alone = tune(recipe, val=Labelled(val.views, turned)).accuracy["val"]
    groups = [f"animal{i % 4}" for i in range(40)]  # one of four animals is always called otherwise
    together = tune(recipe, val=Labelled(val.views, turned, groups)).accuracy["val"]
    assert alone.value == together.value
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_early_stopping_ends_and_keeps_the_best_by_validation_loss() -> None:
    """Validation labels are turned round: from the first epoch on, learning makes the validation loss worse."""
    val = stripes(40, 1)
    wrong = Labelled(val.views, [1 - label for label in val.labels])
    recipe = replace(QUICK, epochs=12, patience=2, schedule="constant", lr=1e-3)
    tuned = tune(recipe, val=wrong)
    losses = [epoch.val_loss for epoch in tuned.epochs]
    best = losses.index(min(losses)) + 1
    assert (tuned.kept, len(tuned.epochs)) == (best, best + 2)
    assert tuned.metrics()["stopped_early"]
    assert tuned.losses["val"] == pytest.approx(min(losses), rel=1e-5)
    rising = tune(replace(recipe, schedule="onecycle"), val=wrong)
    losses = [epoch.val_loss for epoch in rising.epochs]
    assert len(rising.epochs) == max(losses.index(min(losses)) + 1, 3) + 2, "counted from where the rate is highest"
    last = tune(replace(recipe, epochs=4, patience=0, keep="last"), val=wrong)
    assert (last.kept, last.selected_by, len(last.epochs)) == (4, "last_epoch", 4)
    assert last.losses["val"] == pytest.approx(last.epochs[-1].val_loss, rel=1e-5)


@pytest.mark.parametrize("spec", ["torchvision:squeezenet1_1", "timm:test_vit", "torchvision:mobilenet_v2"])
def test_other_architectures_train_and_are_saved(spec: str, tmp_path: Path) -> None:
    loaded = start(spec)
    size = 160 if "vit" in spec else 48
    chain = resized(loaded.preprocess, size, whole=True)
    views = np.repeat(np.repeat(np.asarray(stripes(12, 0).views), -(-size // SIZE), 1), -(-size // SIZE), 2)
    before = digest(loaded.module.state_dict())
    few = Labelled(views[:, :size, :size], stripes(12, 0).labels)
    tuned = fine_tune(Begun.of(loaded, ["a", "b"], preprocess=chain), Images(few), replace(QUICK, epochs=1))
    assert digest(loaded.module.state_dict()) == before, "the network it started from is left alone"
    assert tuned.epochs[0].val_accuracy is None
    assert list(tuned.accuracy) == ["train"]
    folder = model_folder.save(tuned.network, tmp_path / "m", tuned.metrics())
    again = ExplainedNetwork(model_folder.load(folder))
    assert again.fingerprint == tuned.network.fingerprint
    np.testing.assert_array_equal(again.read(few.views).probabilities, tuned.network.read(few.views).probabilities)


def test_a_frozen_backbone_only_learns_its_head() -> None:
    loaded = start()
    chain = resized(loaded.preprocess, SIZE, whole=True)
    recipe = replace(QUICK, freeze_backbone=True, epochs=1)
    tuned = fine_tune(Begun.of(loaded, ["a", "b"], preprocess=chain), Images(stripes(32, 0)), recipe)
    plain = ExplainedNetwork(replace(loaded, preprocess=chain, classes=None))
    assert tuned.network.fingerprint == plain.fingerprint
    assert all(p.requires_grad for p in tuned.network.module.parameters())


def test_folded_batch_norms_are_kept_still() -> None:
    """Weights with mean 0 and variance 1 everywhere have their statistics inside the convolutions."""
    tuned = fine_tune(begun(untrained=False), Images(stripes(32, 0)), replace(QUICK, epochs=1))
    assert tuned.frozen_batch_norm
    norms = [m for m in tuned.network.module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(bool((m.running_var == 1).all()) for m in norms)
    assert not tune(replace(QUICK, epochs=1)).frozen_batch_norm


def test_restoring_folded_batch_norms_changes_no_answer_and_lets_them_train() -> None:
    made = begun(untrained=False)
    with torch.no_grad():
        for value in made.loaded.module.parameters():  # scales and shifts that are not 1 and 0
            if value.ndim == 1:
                value.add_(torch.linspace(-0.3, 0.4, len(value)))
    images, module = stripes(48, 0), made.loaded.module
    before = ExplainedNetwork(replace(made.loaded, module=copy.deepcopy(module))).read(np.asarray(images.views))
    loop = Loop(module, made.linear, made.loaded.preprocess, QUICK, "cpu", folded=True, counts=[24, 24])
    loop.unfold(images)
    after = ExplainedNetwork(replace(made.loaded, module=copy.deepcopy(module))).read(np.asarray(images.views))
    np.testing.assert_allclose(after.probabilities, before.probabilities, atol=2e-5)
    norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(bool((m.running_var != 1).any()) for m in norms)
    tuned = fine_tune(begun(untrained=False), Images(images), replace(QUICK, epochs=1, batch_norm="restored"))
    assert not tuned.frozen_batch_norm


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_optimisers_and_bf16(optimiser: str) -> None:
    tuned = tune(replace(QUICK, optimiser=optimiser, epochs=1, precision="bf16", label_smoothing=0.1))
    assert tuned.precision == "bf16"
    assert np.isfinite(tuned.epochs[0].loss)


def test_a_loss_that_is_no_number_stops() -> None:
    with pytest.raises(Diverged, match=r"the (validation )?loss became|a weight became"):
        tune(replace(QUICK, lr=1e30, optimiser="sgd", momentum=0.0))


def test_a_loss_that_is_no_number_later_leaves_the_last_good_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """One weight is made infinite at the beginning of the third epoch."""
    plain = Loop.epoch

    def spoilt(self: Loop, number: int, *more: Any) -> Epoch:
        if number == 3:
            next(self._module.parameters()).data.fill_(float("inf"))
        return plain(self, number, *more)

    whole = tune(replace(QUICK, schedule="constant", keep="last", epochs=2))
    monkeypatch.setattr(Loop, "epoch", spoilt)
    tuned = tune(replace(QUICK, schedule="constant", keep="last"))
    assert tuned.diverged is not None
    assert (tuned.kept, len(tuned.epochs)) == (2, 2)
    assert digest(tuned.network.module.state_dict()) == digest(whole.network.module.state_dict())
    assert not tuned.metrics()["stopped_early"]


def test_balanced_weights_count_every_class_the_same() -> None:
    assert balanced([30, 10]) == (40 / 60, 40 / 20)
    assert sum(w * n for w, n in zip(balanced([7, 2, 1]), [7, 2, 1], strict=True)) == pytest.approx(10)
    tuned = tune(replace(QUICK, epochs=1, class_weights="balanced"))
    counts = [stripes(96, 0).labels.count(label) for label in (0, 1)]
    assert tuned.class_weights == balanced(counts)


def test_a_model_folders_head_is_kept_for_its_own_classes(tmp_path: Path) -> None:
    folder = model_folder.save(tune().network, tmp_path / "m")
    loaded = model_folder.load(folder)
    before = digest(loaded.module.state_dict())
    assert digest(Begun.of(loaded, ["lying", "upright"]).loaded.module.state_dict()) == before
    other = Begun.of(loaded, ["a", "b", "c"])
    assert other.linear.out_features == 3
    tuned = fine_tune(other, Images(Labelled(stripes(9, 0).views, [0, 1, 2] * 3)), replace(QUICK, epochs=1))
    again = model_folder.load(model_folder.save(tuned.network, tmp_path / "n"))
    assert digest(again.module.state_dict()) == digest(tuned.network.module.state_dict())
    assert digest(loaded.module.state_dict()) == before


@pytest.mark.parametrize(
    ("train", "told"),
    [
        (Labelled(np.zeros((0, SIZE, SIZE, 3), np.uint8), []), "0 train images"),
        (Labelled(np.zeros((2, SIZE, SIZE, 3), np.uint8), [0]), "2 train images and 1 labels"),
        (Labelled(np.zeros((2, SIZE, SIZE, 3), np.uint8), [0, 2]), "outside the 2 classes"),
    ],
)
def test_what_cannot_be_trained_on_is_told(train: Labelled, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        fine_tune(begun(), Images(train), QUICK)
