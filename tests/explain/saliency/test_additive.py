"""SHAP and LIME on networks whose answer is known, and against the libraries called plainly."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from casebase.errors import UsageError
from casebase.explain.saliency.lime_patches import POOR_FIT, displayed, relabelled
from tests.explain.saliency.attributed import SIZE, Convolved, Explained, Linear, Weighed, built, noise, values

LARGER = (24, 28)
"""Enough pixels for superpixels of more than one."""


@pytest.fixture
def _shap() -> None:
    with warnings.catch_warnings():  # matplotlib's deprecations, at shap's import
        warnings.simplefilter("ignore")
        pytest.importorskip("shap")


@pytest.fixture
def _no_shap(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("captum")
    for name in ["shap", *(name for name in sys.modules if name.startswith("shap."))]:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(params=["_shap", "_no_shap"])
def estimator(request: pytest.FixtureRequest) -> str:
    """shap itself, and captum in its place."""
    request.getfixturevalue(request.param)
    return "shap" if request.param == "_shap" else "captum"


def test_shap_of_a_linear_network_is_weight_times_distance_from_the_mean_colour(estimator: str) -> None:
    images = noise(2)
    method = built("shap", Linear())
    found = method.raw(images, [2, 0])
    for one, image, target in zip(found, images, (2, 0), strict=True):
        terms = (Linear().weights(target) * image).sum(0)
        assert one.values == pytest.approx(terms, abs=1e-5)
        assert one.facts["difference"] == pytest.approx(terms.sum(), abs=1e-4)
        assert one.facts["additivity_gap"] == pytest.approx(0, abs=1e-4)
    assert method.facts["library"].startswith(estimator)
    assert ("stand_in" in method.facts) == (estimator == "captum")
    assert (method.facts["background"], method.facts["background_size"]) == ("the mean colour", 1)


def test_shap_of_a_linear_network_is_weight_times_distance_from_the_mean_background(estimator: str) -> None:
    image, background = noise(1), noise(3, seed=8) + 1
    method = built("shap", Linear(), background=background, samples=3000, batch=500)
    (found,) = method.raw(image, [1])
    terms = Linear().weights(1) * (image[0] - background.mean(0))
    spread = (Linear().weights(1) * background.std(0)).std()
    assert found.values == pytest.approx(terms.sum(0), abs=5 * spread * np.sqrt(3 / 3000))
    assert abs(found.facts["additivity_gap"]) < 0.02 * np.abs(terms).sum()
    assert method.facts["background_size"] == 3


def test_shap_says_by_how_much_its_sum_misses(estimator: str) -> None:
    image, background = 3 * noise(1), noise(4, seed=8)
    (found,) = built("shap", Convolved(), background=background, samples=20).raw(image, [1])
    with torch.no_grad():
        scores = Convolved().eval()(torch.from_numpy(np.concatenate([image, background])))[:, 1]
    difference = float(scores[0] - scores[1:].mean())
    assert found.facts["difference"] == pytest.approx(difference, abs=1e-5)
    assert found.values.sum() - difference == pytest.approx(found.facts["additivity_gap"], abs=1e-4)
    assert abs(found.facts["additivity_gap"]) > 1e-3


def test_shap_from_one_colour_tends_to_integrated_gradients(estimator: str) -> None:
    """The same integral, by points at random instead of Gauss's."""
    image = 3 * noise(1)
    found = values(built("shap", Convolved(), samples=4000, batch=500), image, [1])
    expected = values(built("integrated-gradients", Convolved(), samples=300), image, [1])
    assert found == pytest.approx(expected, abs=0.03 * float(np.abs(expected).max()))


@pytest.mark.usefixtures("_shap")
def test_one_column_gives_what_shap_gives_for_that_class_of_all() -> None:
    from shap import GradientExplainer

    image, background = noise(1), noise(5, seed=8)
    legacy = np.random.get_state()  # noqa: NPY002  # shap seeds it
    plain = GradientExplainer(Convolved().eval(), torch.from_numpy(background)).shap_values(
        torch.from_numpy(image), nsamples=12, rseed=6
    )
    np.random.set_state(legacy)  # noqa: NPY002
    for target in range(3):
        found = values(built("shap", Convolved(), background=background, seed=6, batch=50), image, [target])
        assert found[0] == pytest.approx(plain[0, ..., target].sum(0), abs=1e-6)


@pytest.mark.parametrize(
    ("background", "said"),
    [
        (noise(2, (5, 6)), "the background has images of 6x5 pixels, the image to be explained 14x12"),
        (noise(0), r"not one of shape \(0, 3, 12, 14\)"),
        (noise(1)[0], r"not one of shape \(3, 12, 14\)"),
        (noise(1)[:, :2], r"not one of shape \(1, 2, 12, 14\)"),
    ],
)
def test_a_background_that_does_not_fit_is_refused(background: np.ndarray, said: str) -> None:
    pytest.importorskip("captum")
    with pytest.raises(UsageError, match=said):
        built("shap", Convolved(), background=background).raw(noise(1), [0])


@pytest.fixture
def _lime() -> None:
    pytest.importorskip("lime")


def superpixels(image: np.ndarray) -> np.ndarray:
    """(H, W): what LIME hides of an image, which does not depend on the network."""
    size = image.shape[2:]
    (found,) = built("lime", Explained(Convolved(), size)).raw(image, [0])
    return found.facts["segments"]


@pytest.mark.usefixtures("_lime")
@pytest.mark.parametrize("number", [0, 7, -1])
def test_lime_finds_the_only_superpixel_that_a_network_reads(number: int) -> None:
    """Squares, because a hidden superpixel keeps its mean. The last one is what off-by-one numbering never hides."""
    image = noise(1, LARGER)
    segments = superpixels(image)
    number %= segments.max() + 1
    module = Weighed(np.repeat((segments == number)[None], 3, 0), scale=0.1, even=True)
    (found,) = built("lime", Explained(module, LARGER), samples=None).raw(image, [0])
    inside = found.values[segments == number]
    assert np.ptp(inside) == 0
    assert inside[0] > 0.05
    assert np.abs(found.values[segments != number]).max() < 0.1 * inside[0]
    assert found.facts["fit"] > 0.9
    assert found.facts["poor_fit"] is None


@pytest.mark.usefixtures("_lime")
def test_evidence_against_a_class_weighs_less_than_nothing() -> None:
    image = noise(1, LARGER)
    segments = superpixels(image)
    module = Weighed(np.repeat((segments == 3)[None], 3, 0), scale=-0.1, even=True)
    (found,) = built("lime", Explained(module, LARGER), samples=None).raw(image, [0])
    assert found.values.min() == found.values[segments == 3][0] < -0.05


@pytest.mark.usefixtures("_lime")
def test_lime_equals_the_library_called_plainly(capfd: pytest.CaptureFixture[str]) -> None:
    from lime.lime_image import LimeImageExplainer

    image, network = noise(1, LARGER), Explained(Convolved(), LARGER)
    (found,) = built("lime", network, samples=300, seed=5).raw(image, [2])
    assert capfd.readouterr() == ("", "")
    segments = np.array(found.facts["segments"], np.int64)
    mean, std = np.array(network.preprocess.mean), np.array(network.preprocess.std)

    def predict(pictures: np.ndarray) -> np.ndarray:
        assert pictures.shape[1:] == (*LARGER, 3)
        fed = ((pictures - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
        return torch.softmax(torch.from_numpy(network.scores(np.ascontiguousarray(fed))), 1).numpy()

    plain = LimeImageExplainer(random_state=5).explain_instance(
        image[0].transpose(1, 2, 0) * std + mean,
        predict,
        labels=(2,),
        top_labels=None,
        num_samples=300,
        segmentation_fn=lambda _: segments,
        random_seed=0,
    )
    weights = dict(plain.local_exp[2])
    expected = np.vectorize(weights.__getitem__)(segments)
    assert found.values == pytest.approx(expected, abs=1e-6)
    assert found.facts["fit"] == pytest.approx(plain.score, abs=1e-5)
    assert "it/s" in capfd.readouterr().err  # the library's own progress bar, which ours does not show


@pytest.mark.usefixtures("_lime")
def test_superpixels_are_there_to_be_drawn_and_numbered_without_gaps() -> None:
    (found,) = built("lime", Explained(Convolved(), LARGER)).raw(noise(1, LARGER), [0])
    segments = found.facts["segments"]
    assert segments.shape == LARGER
    assert segments.dtype == np.int32
    assert not segments.flags.writeable
    assert np.unique(segments).tolist() == list(range(found.facts["superpixels"]))
    for number in range(found.facts["superpixels"]):
        assert np.ptp(found.values[segments == number]) == 0


def test_numbers_are_closed_up() -> None:
    assert relabelled(np.array([[1, 1, 5], [9, 5, 1]])).tolist() == [[0, 0, 1], [2, 1, 0]]


def test_pictures_are_shown_in_the_range_they_came_in() -> None:
    network = Explained(Convolved())
    views = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3)).astype(np.uint8)
    fed = torch.from_numpy(network.preprocess.normalise(views))
    assert displayed(fed, network.preprocess) == pytest.approx(views[0] / 255, abs=1e-6)


@pytest.mark.usefixtures("_lime")
def test_fifteen_samples_a_superpixel_are_taken_unless_told_otherwise() -> None:
    (found,) = built("lime", Explained(Convolved(), LARGER), samples=None).raw(noise(1, LARGER), [0])
    assert found.facts["samples"] == 15 * found.facts["superpixels"]
    (found,) = built("lime", Explained(Convolved(), LARGER), samples=30).raw(noise(1, LARGER), [0])
    assert found.facts["samples"] == 30
    said = f"fewer than 10 samples per superpixel (30 for {found.facts['superpixels']})"
    assert found.facts["poor_fit"] == said


class Erratic(nn.Module):
    """A probability that no sum over superpixels comes near."""

    def forward(self, x: Tensor) -> Tensor:
        wave = 3 * torch.sin(200 * (x**2).sum((1, 2, 3)))
        return torch.stack([wave, -wave], 1)


@pytest.mark.usefixtures("_lime")
def test_a_poor_fit_is_called_one() -> None:
    (found,) = built("lime", Explained(Erratic(), LARGER), samples=None).raw(noise(1, LARGER), [0])
    assert found.facts["fit"] < POOR_FIT
    assert found.facts["poor_fit"] == f"R² is {found.facts['fit']:.2f}, below {POOR_FIT}"


@pytest.mark.usefixtures("_lime")
def test_an_image_of_one_colour_hides_nothing() -> None:
    image = np.full((1, 3, *LARGER), 0.3, np.float32)
    (found,) = built("lime", Explained(Convolved(), LARGER)).raw(image, [0])
    assert np.abs(found.values).max() < 1e-6


@pytest.mark.usefixtures("_lime")
def test_a_fit_to_one_sample_is_refused() -> None:
    with pytest.raises(UsageError, match="needs at least 2, not 1"):
        built("lime", Convolved(), samples=1)
