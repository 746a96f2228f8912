"""Integrated gradients and SmoothGrad on networks whose gradient is known, and against captum called plainly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from casebase.explain.saliency.gradients import NOISE
from tests.explain.saliency.attributed import SIZE, Convolved, Linear, Squared, built, noise, values

pytest.importorskip("captum")


def test_integrated_gradients_of_a_linear_network_are_weight_times_image() -> None:
    """The gradient is the same everywhere on the way, and the mean colour is fed as zero."""
    images = noise(2)
    found = values(built("integrated-gradients", Linear()), images, [2, 0])
    expected = [(Linear().weights(target) * image).sum(0) for image, target in zip(images, (2, 0), strict=True)]
    assert found == pytest.approx(np.stack(expected), abs=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_integrated_gradients_of_a_square_are_exact(steps: int) -> None:
    """f = (w . x)^2 gives w_i x_i (w . x): Gauss's rule integrates a straight line exactly from one point on."""
    image, row = noise(1), Squared().row.weight.detach().numpy().reshape(3, *SIZE)
    (found,) = built("integrated-gradients", Squared(), samples=steps).raw(image, [0])
    terms = row * image[0]
    assert found.values == pytest.approx((terms * terms.sum()).sum(0), abs=1e-5)
    assert found.facts["delta"] == pytest.approx(0, abs=1e-5)
    assert found.facts["difference"] == pytest.approx(terms.sum() ** 2, abs=1e-5)


@pytest.mark.parametrize("target", [0, 1, 2])
def test_integrated_gradients_sum_to_the_scores_difference_within_the_delta_they_state(target: int) -> None:
    image, module = 3 * noise(1), Convolved().eval()
    (found,) = built("integrated-gradients", Convolved(), samples=50).raw(image, [target])
    with torch.no_grad():
        scores = module(torch.from_numpy(np.concatenate([image, np.zeros_like(image)])))[:, target]
    difference = float(scores[0] - scores[1])
    assert found.facts["difference"] == pytest.approx(difference, abs=1e-5)
    assert found.values.sum() - difference == pytest.approx(found.facts["delta"], abs=1e-5)
    assert abs(found.facts["delta"]) < 0.01 * np.abs(found.values).sum()


def test_more_steps_miss_less() -> None:
    image = 3 * noise(1)
    few, many = (
        built("integrated-gradients", Convolved(), samples=steps).raw(image, [1])[0].facts["delta"]
        for steps in (1, 400)
    )
    assert abs(many) < 0.1 * abs(few)


def test_steps_go_through_in_batches_without_changing_the_map() -> None:
    whole, parts = (
        values(built("integrated-gradients", Convolved(), samples=11, batch=batch), noise(1), [1]) for batch in (64, 3)
    )
    assert parts == pytest.approx(whole, abs=1e-6)


def test_integrated_gradients_equal_captums_on_a_batch() -> None:
    from captum.attr import IntegratedGradients

    images, targets = noise(3), [2, 1, 0]
    found = values(built("integrated-gradients", Convolved(), samples=50), images, targets)
    plain = IntegratedGradients(Convolved().eval()).attribute(torch.from_numpy(images), 0.0, target=targets)
    assert found == pytest.approx(plain.detach().sum(1).numpy(), abs=1e-5)


def test_smoothgrad_of_a_linear_network_is_its_weights() -> None:
    found = values(built("smoothgrad", Linear()), noise(2), [2, 0])
    assert found == pytest.approx(np.stack([Linear().weights(2).sum(0), Linear().weights(0).sum(0)]), abs=1e-5)


def test_smoothgrads_noise_is_as_wide_as_it_says() -> None:
    """Half the sum of squares has the gradient x + e: what is left beside x is the mean of the noise."""
    image, draws = noise(1), 40
    (found,) = built("smoothgrad", Squared(), samples=draws).raw(image, [1])
    left = found.values - image[0].sum(0)
    spread = NOISE * float(np.ptp(image))
    assert found.facts["noise"] == pytest.approx(spread, rel=1e-5)
    assert left.std() == pytest.approx(spread * np.sqrt(3 / draws), rel=0.15)
    assert abs(left.mean()) < 3 * spread * np.sqrt(3 / draws / left.size)


def test_smoothgrad_without_noise_is_the_gradient() -> None:
    """An image of one colour has no range, so nothing is added to it."""
    image = np.full((1, 3, *SIZE), 0.7, np.float32)
    given = torch.from_numpy(image.copy()).requires_grad_(True)
    (plain,) = torch.autograd.grad(Convolved().eval()(given)[0, 1], given)
    found = values(built("smoothgrad", Convolved()), image, [1])
    assert found[0] == pytest.approx(plain[0].sum(0).numpy(), abs=1e-6)


def test_smoothgrad_uses_every_draw_whatever_the_batch() -> None:
    """11 draws in batches of 4 leave a rest of 3; a rest that is lost or counted double moves the linear gradient."""
    found = values(built("smoothgrad", Linear(), samples=11, batch=4), noise(1), [1])
    assert found[0] == pytest.approx(Linear().weights(1).sum(0), abs=1e-5)


def test_what_was_chosen_is_recorded() -> None:
    assert built("integrated-gradients", Linear(), samples=None).facts["steps"] == 50
    assert built("integrated-gradients", Linear(), samples=9).facts["steps"] == 9
    facts = built("smoothgrad", Linear(), samples=9, seed=3).facts
    assert (facts["samples"], facts["seed"], facts["noise_share"]) == (9, 3, NOISE)
