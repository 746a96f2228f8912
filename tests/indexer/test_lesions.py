"""The drawn lesions keep their promises: same seed same bytes, and the class shows nowhere but in the mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casebase.errors import UsageError
from casebase.evaluate.saliency.annotations import open_masks
from casebase.indexer.toy import NOTICE, draw_lesion, write_lesions


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    one, two, other = (write_lesions(tmp_path / n, per_class=3, seed=s) for n, s in (("a", 5), ("b", 5), ("c", 6)))
    assert tree(one) == tree(two)
    assert tree(one)["train/lesion/lesion-000.png"] != tree(other)["train/lesion/lesion-000.png"]


@pytest.mark.parametrize("side", [16, 64, 100])
def test_the_class_shows_in_the_mask_and_nowhere_else(side: int) -> None:
    for seed in range(20):
        ill, well = (draw_lesion(np.random.default_rng(seed), lesion=lesion, side=side) for lesion in (True, False))
        apart = (ill.pixels != well.pixels).any(axis=2)  # (S, S)
        assert not apart[~ill.mask].any()
        assert ill.pixels.shape == (side, side, 3)
        assert 0.004 < ill.mask.mean() < 0.1
        assert not well.mask.any()
        bright = np.abs(ill.pixels.astype(int) - well.pixels.astype(int)).max(axis=2)[ill.mask]
        assert np.median(bright) > (60 if side > 16 else 20)


def test_bodies_with_and_without_a_spot_are_drawn_alike() -> None:
    """Outside the spot no statistic of the picture tells the class."""
    ill, well = (
        [draw_lesion(np.random.default_rng([place, k]), lesion=bool(place)) for k in range(150)] for place in (1, 0)
    )
    means = [[one.pixels[~one.mask].mean() for one in group] for group in (ill, well)]
    spread = np.sqrt(sum(np.var(group) / len(group) for group in means))
    assert abs(np.mean(means[0]) - np.mean(means[1])) < 3.5 * spread


def test_a_set_has_masks_of_spots_alone_and_says_it_is_synthetic(tmp_path: Path) -> None:
    folder = write_lesions(tmp_path / "set", per_class=4, seed=0, side=32, splits={"train": 0.5, "test": 0.5})
    pictures = sorted(folder.glob("t*/*/*.png"))
    assert len(pictures) == 8
    assert len(list((folder / "masks").rglob("*.png"))) == 4
    masks = open_masks(folder)
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.info["synthetic"] == NOTICE
        assert masks.has(path) == (path.parent.name == "lesion")
        if masks.has(path):
            number = int(path.stem[-3:])
            found = draw_lesion(np.random.default_rng([0, 1, number]), lesion=True, side=32)
            assert (masks.read(path, (32, 32)).inside == found.mask).all()
    assert "Synthetic" in (folder / "README.txt").read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        write_lesions(tmp_path, per_class=1, seed=0)
    with pytest.raises(UsageError, match="per_class"):
        write_lesions(tmp_path / "x", per_class=0, seed=0)
    with pytest.raises(UsageError, match="16 pixels or more, not 8"):
        write_lesions(tmp_path / "x", per_class=1, seed=0, side=8)
    assert list(tmp_path.iterdir()) == []
