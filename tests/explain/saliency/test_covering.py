"""Occlusion and RISE against loops over their formulas, and on networks that read a single place."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from casebase.explain.saliency.covering import GRID, KEPT, rise_masks
from tests.explain.saliency.attributed import SIZE, Convolved, Explained, Weighed, built, noise, values

LARGER = (28, 35)


def probability(module: torch.nn.Module, image: np.ndarray, target: int) -> float:
    with torch.no_grad():
        scores = copy.deepcopy(module).eval()(torch.from_numpy(image[None].astype(np.float32)))[0].double()
    return float(torch.softmax(scores, 0)[target])


def at(row: int, column: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """1 in one pixel, all channels."""
    weights = np.zeros((3, *size), np.float32)
    weights[:, row, column] = 1
    return weights


@pytest.fixture
def _captum() -> None:
    pytest.importorskip("captum")


@pytest.mark.usefixtures("_captum")
@pytest.mark.parametrize("size", [LARGER, (30, 17)])
def test_occlusion_is_the_mean_drop_over_the_windows_that_cover_a_pixel(size: tuple[int, int]) -> None:
    """At the far edge the last window is cut, where the steps do not fit."""
    image, target = noise(1, size), 2
    (found,) = built("occlusion", Explained(Convolved(), size)).raw(image, [target])
    whole = probability(Convolved(), image[0], target)
    drops, covers = np.zeros(size), np.zeros(size)
    (high, wide), (down, right) = found.facts["window"], found.facts["stride"]
    for top in range(0, size[0] - high + down, down):
        for left in range(0, size[1] - wide + right, right):
            window = np.s_[top : top + high, left : left + wide]
            hidden = image[0].copy()
            hidden[:, *window] = 0
            drops[window] += whole - probability(Convolved(), hidden, target)
            covers[window] += 1
    assert covers.min() >= 1
    assert found.values == pytest.approx(drops / covers, abs=1e-6)
    assert np.abs(found.values).max() > 1e-4


@pytest.mark.usefixtures("_captum")
@pytest.mark.parametrize(("row", "column"), [(0, 0), (5, 9), (11, 13)])
def test_occlusion_finds_the_only_pixel_that_a_network_reads(row: int, column: int) -> None:
    image = noise(1)
    image[0, :, row, column] = 0.8
    module = Weighed(at(row, column))
    found = values(built("occlusion", module), image, [0])[0]
    drop = probability(module, image[0], 0) - 0.5
    assert found[row, column] == pytest.approx(drop, abs=1e-6)  # every window on it takes all of it
    far = np.ones(SIZE, bool)
    far[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4] = False
    assert not found[far].any()
    assert found.max() == pytest.approx(drop, abs=1e-6)


@pytest.mark.usefixtures("_captum")
def test_what_speaks_against_a_class_is_negative() -> None:
    image = np.ones((1, 3, *SIZE), np.float32)
    found = values(built("occlusion", Weighed(-at(5, 5))), image, [0])[0]
    assert found[5, 5] < -0.1


@pytest.mark.usefixtures("_captum")
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 8), (13, 50)])
def test_images_of_any_size_are_covered(size: tuple[int, int]) -> None:
    for name in ("occlusion", "rise"):
        found = values(built(name, Explained(Convolved(), size)), noise(1, size), [1])
        assert found.shape == (1, *size)
        assert np.isfinite(found).all()


def test_rise_is_its_formula() -> None:
    """1 / (N E[M]) times the sum over masks of p(x * M) M, pixel by pixel."""
    image, target, count, seed = noise(1), 1, 23, 7
    module = Convolved()
    expected = np.zeros(SIZE)
    masks = np.concatenate([part.numpy() for part in rise_masks(count, SIZE, seed, 1000)])
    assert masks.shape == (count, *SIZE)
    for mask in masks:
        left = probability(module, image[0] * mask, target)
        for row in range(SIZE[0]):
            for column in range(SIZE[1]):
                expected[row, column] += left * mask[row, column] / (count * 0.5)
    found = values(built("rise", module, samples=count, seed=seed, batch=4), image, [target])[0]
    assert found == pytest.approx(expected, abs=1e-6)
    assert found.min() >= 0


def test_rise_of_a_network_that_always_says_the_same_is_that_everywhere() -> None:
    """The expected mask is the same for every pixel, also at the edge: no place is favoured."""
    (found,) = built("rise", Weighed(np.zeros((3, *SIZE))), samples=4000, batch=500).raw(noise(1), [0])
    assert found.values == pytest.approx(np.full(SIZE, 0.5), abs=0.03)


@pytest.mark.parametrize(("row", "column"), [(3, 3), (14, 20), (24, 31)])
def test_rise_finds_the_only_place_that_a_network_reads(row: int, column: int) -> None:
    """The cells of its grid are 4 x 5 pixels here, and it sees no finer than that."""
    image = np.ones((1, 3, *LARGER), np.float32)
    found = values(built("rise", Explained(Weighed(at(row, column, LARGER)), LARGER), samples=1500), image, [0])[0]
    highest = np.unravel_index(found.argmax(), LARGER)
    assert abs(highest[0] - row) <= 4
    assert abs(highest[1] - column) <= 5


def test_rise_says_how_much_of_its_map_is_chance() -> None:
    """The standard error falls with the root of the masks, and is what another seed moves the map by."""
    image = noise(1)
    maps = {
        (count, seed): built("rise", Convolved(), samples=count, seed=seed, batch=100).raw(image, [1])[0]
        for count in (100, 1600)
        for seed in range(4)
    }
    few, many = maps[100, 0].facts["chance"], maps[1600, 0].facts["chance"]
    assert 2 < few * np.ptp(maps[100, 0].values) / (many * np.ptp(maps[1600, 0].values)) < 8
    between = np.std([maps[1600, seed].values for seed in range(4)], axis=0, ddof=1)
    assert np.sqrt((between**2).mean()) == pytest.approx(many * np.ptp(maps[1600, 0].values), rel=0.5)


def test_masks_are_the_same_in_any_batch_and_lie_between_nothing_and_all() -> None:
    whole, parts = (torch.cat(list(rise_masks(50, LARGER, 3, batch))) for batch in (50, 7))
    assert torch.equal(whole, parts)
    assert whole.min() >= 0
    assert whole.max() <= 1
    assert float(whole.mean()) == pytest.approx(KEPT, abs=0.05)
    assert not torch.equal(whole, torch.cat(list(rise_masks(50, LARGER, 4, 50))))


def test_masks_are_those_of_the_paper_inside_the_image() -> None:
    """Petsiuk's own code enlarges with scikit-image, which continues differently beyond the outermost cells."""
    transform = pytest.importorskip("skimage.transform")
    size, count = (40, 48), 6
    random = np.random.default_rng(3)
    cells = random.random((count, 1, GRID, GRID)) < KEPT
    corners = random.integers(0, (5, 6), (count, 2))
    found = torch.cat(list(rise_masks(count, size, 3, 4))).numpy()
    for mask, grid, (top, left) in zip(found, cells[:, 0], corners, strict=True):
        large = transform.resize(grid.astype(np.float64), (45, 54), order=1, mode="reflect", anti_aliasing=False)
        assert mask[6:-6, 7:-7] == pytest.approx(large[top : top + 40, left : left + 48][6:-6, 7:-7], abs=1e-5)
