"""The space clip, on a tiny network of open_clip's own making."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from casebase.errors import CheckpointRefused, ModelError
from casebase.networks import backbones, open_clip_net
from casebase.networks.backbones import Wanted
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.open_clip_net import ClipEmbedder
from tests.networks.conftest import small, views_for


def test_features_are_encode_image(tiny_clip: str, tmp_path: Path) -> None:
    name = tiny_clip.partition(":")[2]
    torch.manual_seed(0)
    whole = open_clip.create_model(name, pretrained=None).eval()
    torch.save(whole.state_dict(), tmp_path / "whole.pt")
    torch.save(whole.visual.state_dict(), tmp_path / "visual.pt")
    clip = ClipEmbedder(backbones.load(Wanted(tiny_clip, weights=tmp_path / "whole.pt")))
    tower = ClipEmbedder(open_clip_net.load(name, weights=tmp_path / "visual.pt"))
    views = views_for(clip.loaded, 4)
    with torch.inference_mode():
        expected = whole.encode_image(torch.from_numpy(clip.preprocess.normalise(views))).numpy()
    reading = clip.read(views)
    assert reading.probabilities is None
    assert (clip.space, clip.fingerprint.dim, clip.untrained) == ("clip", 16, False)
    np.testing.assert_allclose(reading.features, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(tower.read(views).features, reading.features)
    assert tower.fingerprint == clip.fingerprint
    assert clip.read(views[:0]).features.shape == (0, 16)


def test_random_weights_are_named_by_their_seed(tiny_clip: str) -> None:
    one, same, other = (ClipEmbedder(backbones.load(Wanted(tiny_clip, pretrained=False, seed=s))) for s in (0, 0, 1))
    assert one.untrained
    assert one.fingerprint == same.fingerprint
    assert one.fingerprint != other.fingerprint


def test_threads_and_bf16(tiny_clip: str) -> None:
    clip = ClipEmbedder(backbones.load(Wanted(tiny_clip, pretrained=False)))
    chunks = np.split(views_for(clip.loaded, 24), 6)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda c: clip.read(c).features, chunks))
    np.testing.assert_array_equal(np.concatenate(together), np.concatenate([clip.read(c).features for c in chunks]))
    half = clip.with_precision("bf16").read(chunks[0]).features
    cosine = (half * together[0]).sum(1) / np.linalg.norm(half, axis=1) / np.linalg.norm(together[0], axis=1)
    assert cosine.min() > 0.999


def test_as_the_explained_network_it_has_no_classes_until_a_head_is_put_on(tiny_clip: str) -> None:
    network = ExplainedNetwork(backbones.load(Wanted(tiny_clip, pretrained=False)))
    assert network.classifier is None
    assert network.where_unavailable
    views = views_for(network.loaded, 2)
    weight = np.eye(2, network.anatomy.dim, dtype=np.float32)
    headed = network.with_head(weight, np.zeros(2, np.float32), ["a", "b"])
    assert headed.fingerprint == network.fingerprint
    assert headed.read(views).probabilities.shape == (2, 2)
    np.testing.assert_array_equal(headed.read(views).features, network.read(views).features)


def test_what_does_not_fit_is_refused(tiny_clip: str, tmp_path: Path) -> None:
    torch.save(backbones.blueprint("timm:test_resnet", 2).module.state_dict(), tmp_path / "w.pt")
    with pytest.raises(CheckpointRefused, match="missing"):
        backbones.load(Wanted(tiny_clip, weights=tmp_path / "w.pt"))
    with pytest.raises(ModelError, match="wants an open_clip network"):
        ClipEmbedder(small("timm:test_resnet"))


def test_the_usual_tag_suits_the_activation() -> None:
    assert open_clip_net._usual_tag("ViT-B-32", {}) == "laion2b_s34b_b79k"
    assert open_clip_net._usual_tag("RN101", {"quick_gelu": False}) in open_clip.list_pretrained_tags_by_model("RN101")
    assert open_clip_net._usual_tag("RN50", {"quick_gelu": True}) == "openai"
