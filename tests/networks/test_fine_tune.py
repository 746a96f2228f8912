"""The training loop: it learns, repeats itself under a seed, and leaves what it started from alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from casebase.errors import ModelError
from casebase.networks import backbones, model_folder
from casebase.networks.checkpoints import digest
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.fine_tune import Epoch, Labelled, Options, fine_tune, resized

SIZE = 32
QUICK = Options(epochs=3, lr=3e-3, batch_size=16, precision="fp32", shift=2)


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


def tune(options: Options = QUICK, spec: str = "timm:test_resnet", **more):
    loaded = start(spec)
    chain = resized(loaded.preprocess, SIZE, whole=True)
    val = stripes(40, 1)
    return fine_tune(loaded, stripes(96, 0), ["lying", "upright"], val=val, options=options, preprocess=chain, **more)


def test_it_learns_and_tells_every_epoch() -> None:
    told: list[Epoch] = []
    tuned = tune(on_epoch=told.append)
    assert [e.number for e in told] == [1, 2, 3]
    assert tuple(told) == tuned.epochs
    assert tuned.epochs[-1].val_accuracy is not None
    assert tuned.epochs[-1].val_accuracy > 0.9
    val = stripes(40, 1)
    reading = tuned.network.read(np.asarray(val.views))
    share = (reading.probabilities.argmax(1) == np.array(val.labels)).mean()
    assert share == pytest.approx(tuned.epochs[-1].val_accuracy, abs=0.03)
    assert tuned.network.classes == ("lying", "upright")
    assert not tuned.network.untrained
    metrics = tuned.metrics()
    assert metrics["val_interval"][0] < metrics["val_accuracy"] <= metrics["val_interval"][1] <= 1
    assert metrics["seed"] == 0


def test_a_seed_gives_the_same_weights_and_no_generator_is_touched() -> None:
    torch.manual_seed(9)
    expected = torch.rand(2)
    torch.manual_seed(9)
    one = tune()
    assert torch.equal(torch.rand(2), expected)
    same, other = tune(), tune(replace(QUICK, seed=1))
    assert digest(one.network.module.state_dict()) == digest(same.network.module.state_dict())
    assert digest(one.network.module.state_dict()) != digest(other.network.module.state_dict())


@pytest.mark.parametrize("spec", ["torchvision:squeezenet1_1", "timm:test_vit", "torchvision:mobilenet_v2"])
def test_other_architectures_train_and_are_saved(spec: str, tmp_path: Path) -> None:
    loaded = start(spec)
    size = 160 if "vit" in spec else 48
    chain = resized(loaded.preprocess, size, whole=True)
    views = np.repeat(np.repeat(np.asarray(stripes(12, 0).views), -(-size // SIZE), 1), -(-size // SIZE), 2)
    before = digest(loaded.module.state_dict())
    few = Labelled(views[:, :size, :size], stripes(12, 0).labels)
    tuned = fine_tune(loaded, few, ["a", "b"], options=replace(QUICK, epochs=1), preprocess=chain)
    assert digest(loaded.module.state_dict()) == before, "the network it started from is left alone"
    assert tuned.epochs[0].val_accuracy is None
    folder = model_folder.save(tuned.network, tmp_path / "m", tuned.metrics())
    again = ExplainedNetwork(model_folder.load(folder))
    assert again.fingerprint == tuned.network.fingerprint
    np.testing.assert_array_equal(again.read(few.views).probabilities, tuned.network.read(few.views).probabilities)


def test_a_frozen_backbone_only_learns_its_head() -> None:
    loaded = start()
    chain = resized(loaded.preprocess, SIZE, whole=True)
    options = replace(QUICK, freeze_backbone=True, epochs=1)
    tuned = fine_tune(loaded, stripes(32, 0), ["a", "b"], options=options, preprocess=chain)
    plain = ExplainedNetwork(replace(loaded, preprocess=chain, classes=None))
    assert tuned.network.fingerprint == plain.fingerprint
    assert all(p.requires_grad for p in tuned.network.module.parameters())


def test_folded_batch_norms_are_kept_still() -> None:
    """Weights with mean 0 and variance 1 everywhere have their statistics inside the convolutions."""
    loaded = replace(start(), untrained=False)
    chain = resized(loaded.preprocess, SIZE, whole=True)
    tuned = fine_tune(loaded, stripes(32, 0), ["a", "b"], options=replace(QUICK, epochs=1), preprocess=chain)
    assert tuned.frozen_batch_norm
    norms = [m for m in tuned.network.module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(bool((m.running_var == 1).all()) for m in norms)
    assert not tune(replace(QUICK, epochs=1)).frozen_batch_norm


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_optimisers_and_bf16(optimiser: str) -> None:
    tuned = tune(replace(QUICK, optimiser=optimiser, epochs=1, precision="bf16", label_smoothing=0.1))
    assert tuned.precision == "bf16"
    assert np.isfinite(tuned.epochs[0].loss)


def test_a_loss_that_is_no_number_stops() -> None:
    with pytest.raises(ModelError, match="smaller learning rate than 1e"):
        tune(replace(QUICK, lr=1e25, optimiser="sgd", warm_up=0.01, momentum=0.0))


@pytest.mark.parametrize(
    ("train", "told"),
    [
        (Labelled(np.zeros((0, SIZE, SIZE, 3), np.uint8), []), "0 training images"),
        (Labelled(np.zeros((2, SIZE, SIZE, 3), np.uint8), [0]), "2 training images and 1 labels"),
        (Labelled(np.zeros((2, SIZE, SIZE, 3), np.uint8), [0, 2]), "outside the 2 classes"),
    ],
)
def test_what_cannot_be_trained_on_is_told(train: Labelled, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        fine_tune(start(), train, ["a", "b"], options=QUICK)


def test_options_are_checked() -> None:
    with pytest.raises(ModelError, match="optimisers are"):
        Options(optimiser="lion")
    with pytest.raises(ModelError, match="lr above 0"):
        Options(lr=0.0)
