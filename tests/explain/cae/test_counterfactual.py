"""The saliency methods ``cae`` and ``cae-published`` on an embedding whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from casebase.errors import ModelError, UsageError
from casebase.explain.map_words import notes
from casebase.explain.mapping import shown_map
from casebase.explain.saliency.catalogue import make
from casebase.explain.saliency.counterfactual import PASSES, smoothed, views_of
from casebase.explain.saliency.method import MethodSettings, RawMap, Saliency
from casebase.explanations import Level
from casebase.reading import Preprocess
from tests.explain.cae.planted import BLUE, BRIGHT, CELL, SIDE, Planted, PlantedNetwork, association, line, seen, three

BOTH = pytest.mark.parametrize("name", ["cae", "cae-published"])


def built(view: Planted, name: str = "cae", crop: tuple[int, int] = (SIDE, SIDE)) -> tuple[Saliency, PlantedNetwork]:
    network = PlantedNetwork(view, crop)
    return make(name, network, MethodSettings(association=view)), network


def mapped(view: Planted, image: np.ndarray, target: int = 0, name: str = "cae") -> RawMap:
    method, network = built(view, name, image.shape[1:3])
    (found,) = method.raw(network.preprocess.normalise(image), [target])
    return found


def small(**planted: Any) -> np.ndarray:
    return seen(**planted)[:, ::2, ::2]


def spot(cell: tuple[int, int], margin: int = 0) -> np.ndarray:
    inside = np.zeros((SIDE, SIDE), bool)
    (row, column), lap = cell, margin
    inside[row * CELL - lap : (row + 1) * CELL + lap, column * CELL - lap : (column + 1) * CELL + lap] = True
    return inside


@pytest.mark.parametrize("target", [0, 1])
def test_the_map_is_the_spot_and_zero_beyond_the_reach_of_its_smoothing(target: int) -> None:
    found = mapped(Planted(), small(cell=(2, 5)), target)
    assert found.values.shape == (SIDE, SIDE)
    assert found.values.dtype == np.float32
    assert found.values.min() >= 0
    assert roc_auc_score(spot((2, 5)).ravel(), found.values.ravel()) == pytest.approx(1.0)
    assert not found.values[~spot((2, 5), margin=2)].any()


def test_the_map_has_the_size_of_the_view() -> None:
    found = mapped(Planted(), seen(cell=(2, 5)))
    assert found.values.shape == (64, 64)
    whole = spot((2, 5)).repeat(2, axis=0).repeat(2, axis=1)
    assert roc_auc_score(whole.ravel(), found.values.ravel()) == pytest.approx(1.0, abs=1e-3)


def test_the_reconstruction_error_is_in_the_published_map_and_not_in_ours() -> None:
    corner = spot((7, 7))
    ours, theirs = (mapped(Planted(blemished=True), small(cell=(2, 5)), name=name) for name in ("cae", "cae-published"))
    assert not ours.values[corner].any()
    assert (theirs.values[corner] > 0).all()
    assert ours.facts["reconstruction_error"] > 0
    assert mapped(Planted(), small(cell=(2, 5)), name="cae-published").values[corner].max() == 0


def test_the_predicted_class_is_explained_by_its_runner_up_and_another_by_itself() -> None:
    view = three()
    runner_up = mapped(view, small(red=100, blue=110), target=0)
    assert (runner_up.facts["rival"], runner_up.facts["flipped_to"]) == (BLUE, BLUE)
    other = mapped(view, small(red=100, blue=110), target=1)
    assert (other.facts["rival"], other.facts["flipped_to"]) == (BRIGHT, BRIGHT)


def test_the_facts_hold_flip_reference_route_smoothing_and_the_reconstruction_error() -> None:
    method, _ = built(Planted())
    assert {"embedding", "route", "smoothing", "compared_with", "frames", "side", "library"} <= set(method.facts)
    facts = mapped(Planted(), small()).facts
    assert facts["flipped"] is True
    assert 0 < facts["flip"] < 1
    assert str(facts["reference"]).startswith("case")
    assert (facts["reconstruction_error"], facts["gap"], facts["synthetic"]) == (0.0, False, True)


@BOTH
def test_an_image_that_is_refused_has_a_map_that_says_nothing_and_why(name: str) -> None:
    found = mapped(Planted(fades=30), small(red=170), 1, name)
    assert not found.values.any()
    shown = shown_map(found, name, BRIGHT, "query", {}, "positive")
    assert shown.degenerate is not None
    assert "the reconstruction is called plain instead of bright" in shown.degenerate


def test_a_class_that_takes_no_part_has_a_map_that_says_why() -> None:
    view = three(found=association())
    assert "no class 'blue' takes part" in mapped(view, small(), 2).facts["silent"]


def test_a_walk_that_never_flips_says_so_beside_its_map() -> None:
    found = mapped(Planted(fades=90), small(red=100))
    assert (found.facts["flipped"], found.facts["flip"], found.facts["reference"]) == (False, None, None)
    (told,) = notes(shown_map(found, "cae", "plain", "query", built(Planted())[0].facts, "positive"))
    assert told.level is Level.CAUTION
    assert "the class never flips" in told.text


def test_a_map_tells_where_the_class_flips() -> None:
    found = shown_map(mapped(Planted(), small()), "cae", "plain", "query", built(Planted())[0].facts, "positive")
    (told,) = notes(found)
    assert told.text.startswith("Synthetic: the difference from the reconstruction of a walk to bright")


@BOTH
def test_without_an_embedding_the_command_that_makes_one_is_named(name: str) -> None:
    with pytest.raises(ModelError, match="there is none; make one in its base with `casebase cae train`"):
        make(name, PlantedNetwork(Planted()), MethodSettings())


@BOTH
def test_below_the_gate_there_is_no_map(name: str) -> None:
    view = Planted(found=association(failed=["of plain edits 40 % were reassigned", "it copies"]))
    with pytest.raises(ModelError, match=r"did not pass its gates: of plain edits 40 % were reassigned \(and 1 more\)"):
        make(name, PlantedNetwork(view), MethodSettings(association=view))


def test_a_map_does_not_depend_on_what_else_is_asked() -> None:
    method, network = built(Planted())
    images = network.preprocess.normalise(np.concatenate([small(cell=(1, 1)), small(cell=(6, 2), red=200)]))
    together = method.raw(images, [0, 1])
    alone = [method.raw(images[i : i + 1], [i])[0] for i in (0, 1)]
    assert all(np.array_equal(one.values, two.values) for one, two in zip(together, alone, strict=True))
    assert not network.lock.locked()


def test_the_passes_that_are_told_are_the_most_a_map_costs() -> None:
    view = Planted(nodes=line(end=1.0))
    mapped(view, small())
    assert view.asked <= PASSES


def test_scores_that_are_no_numbers_give_a_map_of_nan() -> None:
    class Broken(Planted):
        def judge(self, images: np.ndarray) -> np.ndarray:
            return super().judge(images) * np.nan

    assert np.isnan(mapped(Broken(), small()).values).all()
    method, network = built(Planted())
    image = network.preprocess.normalise(small())
    image[0, 0, 0, 0] = np.nan
    assert np.isnan(method.raw(image, [0])[0].values).all()


def test_the_network_that_is_explained_is_the_judge() -> None:
    """A redrawn network has the embedding of the trained one; what it says decides."""
    view = Planted()
    blind = PlantedNetwork(Planted())
    blind.scores = lambda images: np.tile(np.array([[1.0, 0.0]], np.float32), (len(images), 1))  # type: ignore[method-assign]
    (found,) = make("cae", blind, MethodSettings(association=view)).raw(blind.preprocess.normalise(small()), [0])
    assert found.facts["flipped"] is False


def test_classes_that_are_not_there_are_refused() -> None:
    method, network = built(Planted())
    image = network.preprocess.normalise(small())
    with pytest.raises(UsageError, match="1 images and 2 classes"):
        method.raw(image, [0, 1])
    with pytest.raises(UsageError, match="no class number 2; the network has 0 to 1"):
        method.raw(image, [2])


def test_views_come_back_to_the_byte() -> None:
    chain = Preprocess(None, (16, 16), "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    views = np.arange(3 * 256, dtype=np.uint16).reshape(1, 16, 16, 3).astype(np.uint8)
    assert np.array_equal(views_of(chain.normalise(views), chain), views)


def test_smoothing_is_a_gaussian_that_keeps_the_sum_inside() -> None:
    one = np.zeros((21, 21), np.float32)
    one[10, 10] = 1.0
    found = smoothed(one, 2.0)
    assert found.sum() == pytest.approx(1.0, abs=1e-5)
    assert found[10, 12] / found[10, 10] == pytest.approx(np.exp(-0.5), abs=1e-4)
    assert np.array_equal(found, found.T)
