"""Tiny pictures, a tiny network, and bases made once and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from casebase.cli.main import invoke
from tests.flow.command import Call

COLOURS = {"cat": (200, 60, 40), "dog": (40, 180, 60), "owl": (50, 70, 190)}
WRONG = {"test/dog/0100.png": "cat", "test/owl/0101.png": "dog"}
"""Pictures in the colour of one class in the folder of another, so that it is known which answers are wrong."""
PLAIN = ("--precision", "fp32", "--no-thumbnails")


def draw(kind: str, number: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A blotchy picture in the colour of its class."""
    random = np.random.default_rng([len(kind), ord(kind[0]), number])
    cells = np.clip(np.array(COLOURS[kind]) + random.normal(0, 45, (8, 8, 3)), 0, 255).astype(np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


def photos_at(folder: Path, each: int, kinds: Sequence[str] = tuple(COLOURS), size: tuple[int, int] = (48, 40)) -> Path:
    """A folder of class folders with ``each`` pictures a class."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
        for number in range(each):
            draw(kind, number, size).save(folder / kind / f"{number:04d}.png", compress_level=1)
    return folder


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.delenv("CASEBASE_BASE", raising=False)
    monkeypatch.delenv("CASEBASE_DEBUG", raising=False)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """The networks are tiny, and threads that wait for one another slow a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return Call(capsys)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from casebase.networks import backbones, model_folder
    from casebase.networks.explained import ExplainedNetwork

    loaded = backbones.load(backbones.Wanted("casebase:resnet10", pretrained=False, seed=0))
    return model_folder.save(ExplainedNetwork(loaded), tmp_path_factory.mktemp("network") / "model")


@pytest.fixture(scope="session")
def shared_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 x 10 pictures that no test changes."""
    return photos_at(tmp_path_factory.mktemp("shared") / "photos", 10)


@pytest.fixture(scope="session")
def shared_base(tmp_path_factory: pytest.TempPathFactory, shared_photos: Path, model: Path) -> Path:
    """The base of ``shared_photos``, which no test changes."""
    return _indexed(tmp_path_factory.mktemp("shared-base") / "base", shared_photos, model)


@pytest.fixture(scope="session")
def many_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,050 pictures: several commits, and more than Chroma keeps in its log before it writes a graph."""
    return photos_at(tmp_path_factory.mktemp("many") / "photos", 350, size=(16, 16))


@pytest.fixture(scope="session")
def many_base(tmp_path_factory: pytest.TempPathFactory, many_photos: Path, model: Path) -> Path:
    """The base of ``many_photos``, made in one go; no test changes it."""
    return _indexed(tmp_path_factory.mktemp("many-base") / "base", many_photos, model)


def _indexed(base: Path, photos: Path, model: Path) -> Path:
    assert invoke(["index", str(photos), "--model", str(model), *PLAIN, "--quiet", "--json", "--base", str(base)]) == 0
    return base


@pytest.fixture
def photos(tmp_path: Path, shared_photos: Path) -> Path:
    """A copy of ``shared_photos`` of one's own."""
    return Path(shutil.copytree(shared_photos, tmp_path / "photos"))


@pytest.fixture
def base(tmp_path: Path, shared_base: Path) -> Path:
    """A copy of ``shared_base`` of one's own."""
    return Path(shutil.copytree(shared_base, tmp_path / "base"))


@pytest.fixture
def many(tmp_path: Path, many_base: Path) -> Path:
    """A copy of ``many_base`` of one's own."""
    return Path(shutil.copytree(many_base, tmp_path / "base"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that is in no base."""
    path = tmp_path_factory.mktemp("query") / "stranger.png"
    draw("cat", 9999).save(path)
    return path


@pytest.fixture(scope="session")
def shared_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes, training and test images, two of the latter with a wrong label."""
    folder = tmp_path_factory.mktemp("parts")
    photos_at(folder / "train", 12)
    for number, kind in enumerate(COLOURS):
        (folder / "test" / kind).mkdir(parents=True)
        for n in range(4):
            draw(kind, 40 + 10 * number + n).save(folder / "test" / kind / f"{n:04d}.png")
    for path, kind in WRONG.items():
        draw(kind, int(Path(path).stem)).save(folder / path)
    return folder


def indexed_whole(folder: Path, base: Path, model: Path) -> Path:
    """A base with thumbnails."""
    arguments = ["index", str(folder), "--model", str(model), "--precision", "fp32", "--quiet", "--base", str(base)]
    assert invoke(arguments) == 0
    return base


@pytest.fixture(scope="session")
def shared_wrong(tmp_path_factory: pytest.TempPathFactory, shared_parts: Path, model: Path) -> Path:
    """The base of ``shared_parts``, which no test changes."""
    return indexed_whole(shared_parts, tmp_path_factory.mktemp("wrong") / "base", model)
