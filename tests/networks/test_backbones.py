"""What a --model text means, and what is said when it means nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from casebase.errors import CheckpointRefused, ModelError, UnknownBackbone, UsageError, WeightsMissing
from casebase.networks import backbones, devices
from casebase.networks.backbones import Wanted, parse
from casebase.networks.checkpoints import digest
from casebase.networks.explained import ExplainedNetwork


def test_importing_the_room_loads_no_heavy_library() -> None:
    code = "import casebase.networks, sys; print([m for m in ('torch', 'timm', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_texts_are_read() -> None:
    assert parse("torchvision:resnet18").text == "torchvision:resnet18"
    assert parse("torchvision:resnet50/IMAGENET1K_V1").tag == "IMAGENET1K_V1"
    clip = parse("open_clip:ViT-B-32/laion2b_s34b_b79k")
    assert (clip.name, clip.tag) == ("ViT-B-32", "laion2b_s34b_b79k")
    assert parse("my_models.birds:make").runs_code
    assert not parse("timm:test_vit").runs_code
    assert parse("some.pt", arch="resnet18").text == "torchvision:resnet18"
    assert parse("some.pt", arch="timm:test_vit").path == Path("some.pt")


@pytest.mark.parametrize(
    ("wanted", "kind", "told"),
    [
        (Wanted("torchvision:resnet19"), UnknownBackbone, "resnet18"),
        (Wanted("torchvison:resnet18"), UnknownBackbone, "did you mean torchvision:resnet18"),
        (Wanted("timm:test_resnat"), UnknownBackbone, "test_resnet"),
        (Wanted("open_clip:ViT-B-33"), UnknownBackbone, "ViT-B-32"),
        (Wanted("open_clip:ViT-B-32/nope", pretrained=False), UnknownBackbone, "laion2b_s34b_b79k"),
        (Wanted("torchvision:resnet18/nope", pretrained=False), UnknownBackbone, "IMAGENET1K_V1"),
        (Wanted("resnet18"), UnknownBackbone, "torchvision:resnet18"),
        (Wanted("torchvision:"), UnknownBackbone, "names no network"),
        (Wanted("torchvision:fasterrcnn_resnet50_fpn"), UnknownBackbone, "has no network"),
        (Wanted("no_such_module_here:make"), UnknownBackbone, "no library and no module"),
        (Wanted("os:no_such_function"), UnknownBackbone, "no function"),
        (Wanted("models/nothing"), WeightsMissing, r"nothing at models"),
        (Wanted("nothing.pt", arch="resnet18"), WeightsMissing, "no weights file"),
        (Wanted("weights.pt"), UsageError, "--arch"),
        (Wanted("weights.pt", arch="resnet18", weights=Path("b.pt")), UsageError, "twice"),
        (Wanted("torchvision:resnet18", arch="resnet18"), UsageError, "--arch"),
    ],
)
def test_what_means_nothing_is_told_in_one_line(wanted: Wanted, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told) as raised:
        backbones.load(wanted)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("model", ["torchvision:squeezenet1_1", "timm:test_resnet", "open_clip:ViT-S-32-alt"])
def test_a_failed_download_is_one_sentence_and_quick(
    model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import socket

    def nowhere(*_: object, **__: object) -> object:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    started = time.monotonic()
    with pytest.raises((WeightsMissing, UnknownBackbone), match="give them with --weights FILE"):
        backbones.load(Wanted(model))
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("spec", ["torchvision:resnet18", "torchvision:squeezenet1_1", "timm:test_vit"])
def test_local_weights_bring_their_number_of_classes(spec: str, tmp_path: Path) -> None:
    plain = backbones.blueprint(spec, 7, seed=3)
    path = tmp_path / "w.safetensors"
    save_file({n: v.half() if v.is_floating_point() else v for n, v in plain.module.state_dict().items()}, path)
    loaded = backbones.load(Wanted(spec, weights=path))
    assert ExplainedNetwork(loaded).anatomy.outputs == 7
    assert loaded.classes is None, "seven outputs are not ImageNet's classes"
    assert not loaded.untrained
    names = tmp_path / "names.txt"
    names.write_text("\n".join("abcdefg") + "\n", encoding="utf-8")
    named = backbones.load(Wanted(str(path), arch=spec, class_names=names))
    assert named.classes == tuple("abcdefg")
    assert digest(named.module.state_dict()) == digest(loaded.module.state_dict())


def test_imagenet_weights_bring_imagenets_names(tmp_path: Path) -> None:
    for spec, first in (("torchvision:squeezenet1_1", "tench"), ("timm:test_resnet", "tench, Tinca tinca")):
        path = tmp_path / f"{spec.partition(':')[2]}.pt"
        torch.save(backbones.blueprint(spec, 1000).module.state_dict(), path)
        classes = backbones.load(Wanted(spec, weights=path)).classes
        assert classes is not None
        assert (classes[0], len(set(classes))) == (first, 1000)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(backbones.blueprint("torchvision:squeezenet1_1", 3).module.state_dict(), path)
    with pytest.raises(CheckpointRefused, match=r"missing: conv1\.weight"):
        backbones.load(Wanted("torchvision:resnet18", weights=path))


def test_class_names_are_checked(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    for text, told in (("a\na\n", "stands for classes 0 and 1"), ("a\n\nb\n", "empty name")):
        names.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=told):
            backbones.load(Wanted("timm:test_resnet", pretrained=False, outputs=2, class_names=names))
    with pytest.raises(UsageError, match="cannot be read"):
        backbones.load(Wanted("timm:test_resnet", pretrained=False, class_names=tmp_path / "none.txt"))


def test_random_weights_follow_the_seed_and_touch_no_generator() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = backbones.blueprint("timm:test_resnet", 3, seed=1)
    assert torch.equal(torch.rand(3), expected)
    same, other = (backbones.blueprint("timm:test_resnet", 3, seed=s) for s in (1, 2))
    assert one.untrained
    assert digest(one.module.state_dict()) == digest(same.module.state_dict())
    assert digest(one.module.state_dict()) != digest(other.module.state_dict())


FACTORY = """
from torch import nn

def plain():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))

def full():
    return plain(), ["cat", "dog"], {"resize": 36, "crop": [32, 32], "interpolation": "bilinear",
                                     "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}

def wrong():
    return 3

def odd():
    return plain(), None, {"size": 3}
"""


def test_a_users_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bird_nets.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    loaded = backbones.load(Wanted("bird_nets:full"))
    assert sys.path == before
    assert loaded.runs_code
    assert loaded.classes == ("cat", "dog")
    assert loaded.preprocess.crop == (32, 32)
    assert ExplainedNetwork(loaded).pooling == "identity"
    assert backbones.load(Wanted("bird_nets:plain")).preprocess.crop == (224, 224)
    with pytest.raises(ModelError, match="returned int"):
        backbones.load(Wanted("bird_nets:wrong"))
    with pytest.raises(ModelError, match=r"preprocessing .* resize, crop"):
        backbones.load(Wanted("bird_nets:odd"))


def test_devices() -> None:
    assert devices.choose("cpu") == "cpu"
    assert devices.choose("auto") in devices.available()
    with pytest.raises(UsageError, match="no device 'tpu'"):
        devices.choose("tpu")


def test_a_factory_is_announced_before_its_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "announced_net.py").write_text("raise RuntimeError('ran')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with caplog.at_level("WARNING", logger="casebase"), pytest.raises(RuntimeError, match="ran"):
        backbones.load(backbones.Wanted("announced_net:make"))
    assert "announced_net:make" in caplog.text
