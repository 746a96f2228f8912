"""The drawn birds keep their promises: same seed same bytes, masks that tile, twins that differ in one part."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from casebase.errors import UsageError
from casebase.indexer.toy import PARTS, SPECIES, draw, write_set

TWINS = ((0, 1), (2, 3))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    one, two, other = (write_set(tmp_path / n, per_class=4, seed=s) for n, s in (("a", 5), ("b", 5), ("c", 6)))
    assert tree(one) == tree(two)
    assert tree(one)["train/saddle-finch/000.png"] != tree(other)["train/saddle-finch/000.png"]


def test_a_set_has_every_picture_once_with_a_mask_beside_the_splits_and_says_it_is_synthetic(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", per_class=5, seed=0, splits={"train": 0.6, "val": 0.2, "test": 0.2})
    pictures = [p for split in ("train", "val", "test") for p in (folder / split).rglob("*.png")]
    assert len(pictures) == 5 * len(SPECIES)
    assert {p.name for p in (folder / "train").iterdir()} == {s.folder for s in SPECIES}
    for path in pictures:
        mask = np.asarray(Image.open(folder / "masks" / path.relative_to(folder)))
        assert mask.shape == (160, 160)
        assert mask.max() < len(PARTS)
        with Image.open(path) as picture:
            assert picture.info["synthetic"] == "drawn by casebase"
    assert "Synthetic" in (folder / "README.txt").read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["set"]  # no workshop left behind


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        write_set(tmp_path, per_class=1, seed=0)


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="add up to 1"):
        write_set(tmp_path / "x", per_class=1, seed=0, splits={"train": 0.5})
    with pytest.raises(UsageError, match="per_class"):
        write_set(tmp_path / "x", per_class=0, seed=0)
    with pytest.raises(UsageError, match="species_index"):
        draw(4, np.random.default_rng(0))


def test_the_masks_tile_the_picture_and_each_part_shows_in_nearly_every_bird() -> None:
    drawings = [draw(i % 4, np.random.default_rng([3, i])) for i in range(16)]
    for drawing in drawings:
        assert (np.stack([drawing.parts[name] for name in PARTS]).sum(axis=0) == 1).all()
    for name in PARTS:
        assert np.mean([drawing.parts[name].any() for drawing in drawings]) > 0.9, name


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_twins_drawn_alike_differ_inside_the_deciding_part_only(one: int, other: int) -> None:
    part, inside = SPECIES[one].deciding, []
    for seed in range(4):
        a, b = (draw(k, np.random.default_rng([seed, 9])) for k in (one, other))
        gap = np.abs(a.pixels.astype(int) - b.pixels.astype(int)).max(axis=2)  # (S, S)
        union = Image.fromarray((a.parts[part] | b.parts[part]).astype(np.uint8) * 255)
        rim = np.asarray(union.filter(ImageFilter.MaxFilter(7))) > 0  # three pixels: the reach of the reduction
        assert gap[~rim].max() == 0
        inside.append(gap[rim].max())
    assert np.median(inside) > 40


@pytest.mark.parametrize("shortcut", [False, True])
def test_only_a_shortcut_lets_the_background_colour_name_the_species(*, shortcut: bool) -> None:
    def colours(start: int) -> np.ndarray:  # (species, 8, 3)
        birds = [[draw(k, np.random.default_rng([start, k, i]), shortcut=shortcut) for i in range(8)] for k in range(4)]
        return np.array([[bird.pixels[bird.parts["background"]].mean(axis=0) for bird in row] for row in birds])

    known, asked = colours(0), colours(1)
    away = ((asked[:, :, None, None] - known[None, None]) ** 2).sum(axis=-1).reshape(4, 8, -1)  # to 32 known ones
    right = float((away.argmin(axis=2) // 8 == np.arange(4)[:, None]).mean())
    assert right > 0.9 if shortcut else right < 0.55
