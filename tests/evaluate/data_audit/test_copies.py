"""Which pictures are one photograph: planted copies of every kind are found, and nothing else is."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casebase.data_audit import Survey
from casebase.evaluate.data_audit import candidates
from casebase.evaluate.data_audit.copies import Copies, find_copies
from casebase.evaluate.data_audit.looks import cut, whitening
from tests.evaluate.data_audit.drawn import cropped, jpeg, looked, paths, png, scene, two_classes, write

ORIGINALS = 60


def halved(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


def doubled(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC)


CORNERS = [(0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (0.3, 0.8), (1.0, 1.0)]
PLANTED = {
    "bytes": [png(scene(n)) for n in range(5)],
    "q30": [jpeg(scene(n), 30) for n in range(5, 10)],
    "q90": [jpeg(scene(n), 90) for n in range(10, 15)],
    "half": [jpeg(halved(scene(n))) for n in range(15, 20)],
    "double": [jpeg(doubled(scene(n))) for n in range(20, 25)],
    "crop 90": [jpeg(cropped(scene(n), 0.9, CORNERS[n % 5])) for n in range(25, 30)],
    "crop 80": [jpeg(cropped(scene(n), 0.8, CORNERS[n % 5])) for n in range(30, 35)],
    "crop 85, q50": [jpeg(cropped(scene(n), 0.85, CORNERS[n % 5]), 50) for n in range(35, 40)],
}
FIRST = {"bytes": 0, "q30": 5, "q90": 10, "half": 15, "double": 20, "crop 90": 25, "crop 80": 30, "crop 85, q50": 35}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Survey, Copies]:
    root = tmp_path_factory.mktemp("planted")
    for number in range(ORIGINALS):
        write(root, f"cat/{number:02}.png", png(scene(number)))
    for kind, first in FIRST.items():
        for place, data in enumerate(PLANTED[kind]):
            suffix = "png" if kind == "bytes" else "jpg"
            write(root, f"cat/copy {kind} {first + place:02}.{suffix}", data)
    survey = looked(root)
    return survey, find_copies(survey.pictures, survey.minis)


@pytest.mark.parametrize("kind", FIRST)
def test_every_planted_copy_is_found_with_its_original(kind: str, planted: tuple[Survey, Copies]) -> None:
    groups = [paths(list(group.members)) for group in planted[1].groups]
    for number in range(FIRST[kind], FIRST[kind] + 5):
        suffix = "png" if kind == "bytes" else "jpg"
        assert {f"cat/{number:02}.png", f"cat/copy {kind} {number:02}.{suffix}"} in groups


def test_nothing_else_is_called_a_copy(planted: tuple[Survey, Copies]) -> None:
    assert len(planted[1].groups) == 40
    assert all(len(group.members) == 2 for group in planted[1].groups)


def test_a_crop_says_which_part_it_shows(planted: tuple[Survey, Copies]) -> None:
    survey, copies = planted
    (group,) = [one for one in copies.groups if "cat/copy crop 80 30.jpg" in paths(list(one.members))]
    (pair,) = group.pairs
    assert group.kind == pair.kind == "crop"
    assert survey.pictures[pair.one].relative == "cat/copy crop 80 30.jpg"
    assert pair.box == pytest.approx((0.0, 0.0, 0.8, 0.8), abs=0.04)  # 30 % 5 = 0: the upper left corner


def test_copies_of_one_file_and_of_one_picture_are_two_things(tmp_path: Path) -> None:
    write(tmp_path, "cat/a.png", png(scene(1)))
    write(tmp_path, "cat/b.png", png(scene(1)))
    scene(1).save(tmp_path / "cat" / "c.bmp")
    survey = looked(tmp_path)
    (group,) = find_copies(survey.pictures, survey.minis).groups
    assert sorted(pair.kind for pair in group.pairs) == ["bytes", "pixels"]
    assert len(group.members) == 3


def test_flat_pictures_are_not_near_one_another(tmp_path: Path) -> None:
    """White and nearly white sheets show nothing in common; exact copies of them are still exact copies."""
    for number in range(6):
        write(tmp_path, f"cat/{number}.png", png(Image.new("RGB", (40, 40), (250 + number // 2,) * 3)))
    survey = looked(tmp_path)
    groups = find_copies(survey.pictures, survey.minis).groups
    assert [len(group.members) for group in groups] == [2, 2, 2]


def test_graver_groups_come_first(tmp_path: Path) -> None:
    two_classes(tmp_path / "train", 6)
    two_classes(tmp_path / "test", 6, seed=1)
    write(tmp_path, "train/dog/within.jpg", jpeg(scene(2), 60))
    write(tmp_path, "test/dog/split.jpg", jpeg(scene(4), 60))
    write(tmp_path, "train/dog/class.jpg", jpeg(scene(3), 60))
    survey = looked(tmp_path)
    groups = find_copies(survey.pictures, survey.minis).groups
    assert [(one.across_classes, one.across_splits) for one in groups] == [(True, False), (False, True), (False, False)]


def test_a_network_may_object(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path, f"cat/{number:02}.jpg", jpeg(scene(number)))
    write(tmp_path, "cat/near.jpg", jpeg(scene(3), 40))
    write(tmp_path, "cat/other.jpg", jpeg(scene(5), 40))
    write(tmp_path, "cat/exact.jpg", jpeg(scene(7)))
    survey = looked(tmp_path)

    def embed(pictures: object) -> np.ndarray:
        names = [one.relative for one in pictures]  # type: ignore[attr-defined]  # pictures as the audit hands them over
        assert "cat/00.jpg" not in names  # only candidates are embedded
        return np.array([[0.0, 1.0] if "other" in name else [1.0, 0.0] for name in names], np.float32)

    groups = find_copies(survey.pictures, survey.minis, embed).groups
    found = {frozenset(paths(list(one.members))): one.pairs[0].embedding for one in groups}
    assert found == {frozenset({"cat/03.jpg", "cat/near.jpg"}): 0.0, frozenset({"cat/07.jpg", "cat/exact.jpg"}): None}


@pytest.mark.parametrize("bound", [0, 3, 6, 10])
def test_bands_find_every_pair_within_the_bound_once(bound: int) -> None:
    """Against comparing all with all, on hashes with planted neighbours at every distance."""
    random = np.random.default_rng(bound)
    hashes = random.integers(0, 2**63, 150, dtype=np.uint64)
    for place in range(75, 150):
        flips = random.choice(64, place % 15, replace=False)
        hashes[place] = hashes[place - 75] ^ np.bitwise_or.reduce(
            np.uint64(1) << flips.astype(np.uint64), initial=np.uint64(0)
        )
    told = [
        pair
        for one, other in candidates.by_hash(hashes, bound)
        for pair in zip(one.tolist(), other.tolist(), strict=True)
    ]
    wanted = {
        (i, j) for i, j in itertools.combinations(range(150), 2) if int(hashes[i] ^ hashes[j]).bit_count() <= bound
    }
    assert len(told) == len(set(told))
    assert set(told) == wanted


def test_what_a_set_shares_does_not_make_two_pictures_one() -> None:
    """Faint differences on one common picture: they correlate at 0.97 as they are, and hardly once whitened."""
    random = np.random.default_rng(0)
    common = np.asarray(scene(0, (32, 32)).convert("L"), np.float32)
    faint = random.normal(0, 1, (300, 8, 8)).repeat(4, axis=1).repeat(4, axis=2)
    minis = np.clip(common + 6 * faint, 0, 255).astype(np.uint8)
    cells = cut(minis, (0.0, 0.0, 1.0, 1.0), 16)
    flat = cells.reshape(300, -1)
    plain = np.asarray(np.corrcoef(flat))
    assert np.median(plain[np.triu_indices(300, 1)]) > 0.9
    looks = whitening(cells, 0.1).of(cells)
    alike = (looks @ looks.T)[np.triu_indices(300, 1)]
    assert alike.max() < 0.7
    assert np.allclose(np.linalg.norm(looks, axis=1), 1.0, atol=1e-4)


def test_one_picture_or_none_has_no_copies(tmp_path: Path) -> None:
    write(tmp_path, "cat/a.png", png(scene(1)))
    survey = looked(tmp_path)
    assert find_copies(survey.pictures, survey.minis).groups == []
    assert find_copies([], survey.minis[:0]).groups == []
