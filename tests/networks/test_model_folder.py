"""A model folder gives back the network that was saved, or says why not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from casebase.errors import CheckpointRefused, ModelError, WeightsMissing
from casebase.networks import backbones, model_folder
from casebase.networks.backbones import Wanted
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.open_clip_net import ClipEmbedder
from tests.networks.conftest import small, views_for


def headed(network: ExplainedNetwork) -> ExplainedNetwork:
    weight = np.random.default_rng(0).normal(size=(3, network.anatomy.dim)).astype(np.float32)
    return network.with_head(weight, np.zeros(3, np.float32), ["a", "ß 'b'", "c"])


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(
    "spec", ["torchvision:mobilenet_v2", "torchvision:squeezenet1_1", "torchvision:densenet121", "timm:test_vit"]
)
def test_saved_and_loaded_it_is_the_same_network(spec: str, fitted: bool, tmp_path: Path) -> None:
    network = ExplainedNetwork(small(spec, size=None if "vit" in spec else 64))
    network = headed(network) if fitted else network
    model_folder.save(network, tmp_path / "model", {"seed": 3, "metrics": {"accuracy": 0.5}})
    again = ExplainedNetwork(backbones.load(Wanted(str(tmp_path / "model"))))
    views = views_for(network.loaded, 3)
    one, other = network.read(views), again.read(views)
    np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert again.fingerprint == network.fingerprint
    assert again.classifier_fingerprint == network.classifier_fingerprint
    assert again.classes == network.classes
    assert again.untrained == network.untrained
    assert model_folder.describe(tmp_path / "model").metadata == {"seed": 3, "metrics": {"accuracy": 0.5}}
    rebuilt = headed(again)
    assert rebuilt.fingerprint == network.fingerprint
    model_folder.save(again, tmp_path / "model")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"], "nothing is left behind"


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    folder = model_folder.save(ExplainedNetwork(small("timm:test_resnet")), tmp_path / "m")
    path = folder / model_folder.WEIGHTS
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointRefused, match="has changed"):
        model_folder.load(folder)
    path.unlink()
    with pytest.raises(WeightsMissing, match=r"no weights\.safetensors"):
        model_folder.load(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema": "casebase.model/9"}, "casebase.model/9"),
        ({"head": None}, "incomplete"),
        ({"classes": "abc"}, "class"),
        ({"preprocess": {"resize": 3}}, "incomplete"),
    ],
)
def test_a_damaged_description_is_one_sentence(change: dict[str, object], told: str, tmp_path: Path) -> None:
    folder = model_folder.save(ExplainedNetwork(small("timm:test_resnet")), tmp_path / "m")
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change))
    with pytest.raises(ModelError, match=told) as raised:
        ExplainedNetwork(model_folder.load(folder))
    assert "\n" not in str(raised.value)
    path.write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        model_folder.load(folder)


def test_nothing_else_is_overwritten(tmp_path: Path) -> None:
    network = ExplainedNetwork(small("timm:test_resnet"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"x")
    with pytest.raises(ModelError, match="no model folder"):
        model_folder.save(network, tmp_path / "photos")
    with pytest.raises(ModelError, match="cannot be written"):
        model_folder.save(network, tmp_path / "photos" / "cat.jpg" / "model")
    with pytest.raises(ModelError, match="cannot be written"):
        model_folder.save(network, tmp_path / "m", {"loss": float("nan")})
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


def test_an_open_clip_embedder_and_its_headed_twin(tiny_clip: str, tmp_path: Path) -> None:
    loaded = backbones.load(Wanted(tiny_clip, pretrained=False, seed=4))
    clip, network = ClipEmbedder(loaded), headed(ExplainedNetwork(loaded))
    views = views_for(loaded, 3)
    model_folder.save(clip, tmp_path / "clip")
    model_folder.save(network, tmp_path / "headed")
    clip_again = ClipEmbedder(model_folder.load(tmp_path / "clip"))
    headed_again = ExplainedNetwork(model_folder.load(tmp_path / "headed"))
    assert clip_again.fingerprint == clip.fingerprint
    assert clip_again.untrained
    assert headed_again.fingerprint == network.fingerprint
    np.testing.assert_array_equal(clip_again.read(views).features, clip.read(views).features)
    np.testing.assert_array_equal(headed_again.read(views).probabilities, network.read(views).probabilities)


def test_a_users_network_names_its_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owl_nets.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)), "
        "['owl', 'hawk']\n"
    )
    monkeypatch.chdir(tmp_path)
    network = ExplainedNetwork(backbones.load(Wanted("owl_nets:make", seed=2)))
    folder = model_folder.save(network, tmp_path / "m")
    told = model_folder.describe(folder)
    assert (told.source, told.runs_code) == ("owl_nets:make", True)
    assert ExplainedNetwork(model_folder.load(folder)).fingerprint == network.fingerprint
