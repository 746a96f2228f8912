"""Class activation maps against values worked out by hand, and what they do with numbers that are none.

CAM-A and CAM-B: a map of two channels, A1 = [[1, 2], [3, 4]] and A2 = [[0, 1], [1, 0]], under two heads whose gradients
are known. CAM-A is average pooling and the weights (0.5, 1), so the gradients are constant; CAM-B gives every cell a
gradient of its own, which tells Grad-CAM, LayerCAM and XGrad-CAM apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from casebase.errors import ModelError, UsageError
from casebase.explain.saliency import cams, catalogue
from casebase.explain.saliency.cam import BATCH
from casebase.explain.saliency.method import Saliency, scaled
from casebase.explanations import SaliencyMap
from tests.explain.saliency.nets import NAMES, RECIPES, A, Convolved, Deep, Flat, Pooled, make, noise, on_a, raw


def explained(
    method: Saliency, images: np.ndarray, targets: Sequence[int], names: Sequence[str], ids: Sequence[str]
) -> list[SaliencyMap]:
    """Scaled maps."""
    found = method.raw(images, targets)
    return [
        scaled(one.values, "gradcam", name, image, method.facts)
        for one, name, image in zip(found, names, ids, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "raw_map", "scaled_map"),
    [
        ("gradcam", [0.125, 0.5, 0.625, 0.5], [0, 0.75, 1, 0.75]),
        ("layercam", [0.125, 0.5, 0.625, 0.5], [0, 0.75, 1, 0.75]),
        ("xgradcam", [0.125, 0.5, 0.625, 0.5], [0, 0.75, 1, 0.75]),
        ("gradcam++", None, [0, 0.782609, 1, 0.652174]),
    ],
)
def test_cam_a(name: str, raw_map: list[float] | None, scaled_map: list[float]) -> None:
    method = on_a(name, Pooled())
    if raw_map is not None:
        assert raw(method, A, [1])[0].ravel() == pytest.approx(raw_map, abs=1e-6)
    (found,) = explained(method, A, [1], ["owl"], ["query"])
    assert found.values.ravel() == pytest.approx(scaled_map, abs=1e-6)
    assert (found.target, found.image_id, found.layer, found.degenerate) == ("owl", "query", "tap", None)


@pytest.mark.parametrize(
    ("name", "raw_map", "scaled_map"),
    [
        ("gradcam", [0.5, 1.5, 2, 2], [0, 0.666667, 1, 1]),
        ("layercam", [1, 1, 0, 8], [0.125, 0.125, 0, 1]),
        ("xgradcam", [0.6, 1.7, 2.3, 2.4], [0, 0.611111, 0.944444, 1]),
        ("gradcam++", None, [0, 0.813008, 1, 0.560976]),
    ],
)
def test_cam_b(name: str, raw_map: list[float] | None, scaled_map: list[float]) -> None:
    method = on_a(name, Flat())
    if raw_map is not None:
        assert raw(method, A, [0])[0].ravel() == pytest.approx(raw_map, abs=1e-6)
    assert explained(method, A, [0], ["x"], ["y"])[0].values.ravel() == pytest.approx(scaled_map, abs=1e-6)


def test_score_cam_by_hand() -> None:
    """Each map, scaled to [0, 1], covers the picture (here the picture is the map); the softmax of the scores weighs.

    M1 = [[0, 1/3], [2/3, 1]] and M2 = A2. Class 1 scores 0.5 mean(M A1) + mean(M A2): for M1 (0.5 * 20 / 3 + 1) / 4,
    for M2 (0.5 * 5 + 2) / 4.
    """
    weights = np.exp([(0.5 * 20 / 3 + 1) / 4, (0.5 * 5 + 2) / 4])
    weights /= weights.sum()
    expected = weights[0] * A[0, 0] + weights[1] * A[0, 1]
    assert raw(on_a("scorecam", Pooled()), A, [1])[0] == pytest.approx(expected, abs=1e-6)


def test_eigen_cam_by_hand() -> None:
    """A A^T of the cells (1, 0), (2, 1), (3, 1), (4, 0): the map is A v, v the stronger eigenvector of A^T A.

    A^T A = [[30, 5], [5, 2]], whose larger eigenvalue is 16 + sqrt(221).
    """
    direction = np.array([16 + np.sqrt(221) - 2, 5.0])
    direction /= np.linalg.norm(direction)
    expected = direction[0] * A[0, 0] + direction[1] * A[0, 1]
    assert raw(on_a("eigencam", Pooled()), A, [1])[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shape", [(3, 4, 5), (40, 3, 3)])
def test_eigen_cam_is_the_first_singular_vector_with_a_sign_that_is_fixed(shape: tuple[int, int, int]) -> None:
    """NumPy's own decomposition, with more cells than channels and the other way round."""
    activations = np.random.default_rng(3).normal(size=(2, *shape)).astype(np.float32)
    for sign in (1, -1):
        found = cams.weighted.eigencam(torch.from_numpy(sign * activations)).numpy()
        for one, image in zip(found, sign * activations, strict=True):
            left, strength, _ = np.linalg.svd(image.reshape(shape[0], -1).T.astype(np.float64), full_matrices=False)
            expected = left[:, 0] * strength[0]
            expected = expected * np.sign(expected.sum())
            assert one.ravel() == pytest.approx(np.maximum(expected, 0), abs=1e-5)


def test_eigen_cam_says_that_it_is_of_no_class() -> None:
    method = make("eigencam", Deep(), "relu")
    assert method.facts["class_agnostic"]
    found = raw(method, np.repeat(noise(1), 2, 0), [0, 2])
    assert (found[0] == found[1]).all()


def test_grad_cam_plus_plus_keeps_small_gradients() -> None:
    """A head scaled by 1e-9 has the same first-order map as (2 + S g) goes to 2: w_k = sum of ReLU(g) / 2."""
    module = Flat()
    module.head.weight.data *= 1e-9
    (found,) = explained(on_a("gradcam++", module), A, [0], ["x"], ["y"])
    expected = 3 * A[0, 0] + 3 * A[0, 1]  # ReLU(g1) and ReLU(g2) both sum to 3
    assert found.values == pytest.approx((expected - expected.min()) / np.ptp(expected), abs=1e-5)


def test_grad_cam_plus_plus_has_no_infinite_weight_in_front_of_a_relu() -> None:
    """Activations may be negative there, and 2 + S g exactly 0."""
    activations = torch.tensor([[[[-1.0, -1.0]], [[1.0, 2.0]]]])
    slopes = torch.tensor([[[[1.0, 1.0]], [[1.0, 0.0]]]])
    assert torch.isfinite(cams.weighted.gradcam_plus_plus(activations, slopes)).all()


def test_the_map_is_that_of_the_class_asked_for() -> None:
    """Class 0 has the weights (-1, 0.25) / 4: only cells where A2 outweighs A1 would remain, and there are none."""
    found = explained(on_a("gradcam", Pooled()), np.repeat(A, 2, 0), [0, 1], ["a", "b"], ["1", "2"])
    assert found[0].degenerate == "the map is zero everywhere"
    assert not found[0].values.any()
    assert found[1].degenerate is None


@pytest.mark.parametrize("layer", ["relu", "norm"])
def test_cam_is_the_heads_row_times_what_is_averaged(layer: str) -> None:
    """Zhou et al. 2016. Grad-CAM is that over h w where the layer is what is averaged, not in front of the ReLU."""
    module = Convolved(inplace=True, functionally=True).eval() if layer == "norm" else Convolved(inplace=False).eval()
    batch, targets = noise(4), [0, 1, 2, 0]
    with torch.no_grad():
        maps = module.norm(module.conv(torch.from_numpy(batch))).relu()
        closed = torch.einsum("nd,ndhw->nhw", module.head.weight[targets], maps).relu().numpy()
    method = make("cam", module, layer)
    assert raw(method, batch, targets) == pytest.approx(closed, abs=1e-6)
    assert method.facts["head"] == "head"
    assert method.facts["activation"] == "post"
    by_gradient = raw(make("gradcam", module, layer), batch, targets)
    assert (by_gradient == pytest.approx(closed / 64, abs=1e-6)) is (layer == "relu")


def test_cam_refuses_networks_whose_scores_come_otherwise() -> None:
    """Two linear layers over all cells; a layer in front of a norm that scales."""
    normed = Convolved(inplace=False)
    normed.norm.weight.data *= 2
    for module, layer in ((Deep(), "relu"), (normed, "conv")):
        told = f"average pooling and one linear layer behind the layer '{layer}'.*gradcam"
        with pytest.raises(ModelError, match=told):
            make("cam", module, layer)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_gives_the_maps_of_its_images_alone(name: str) -> None:
    method = make(name, Convolved(inplace=False), "relu")
    count = BATCH + 3
    batch, targets = noise(count), [i % 3 for i in range(count)]
    together = raw(method, batch, targets)
    alone = np.concatenate([raw(method, batch[i : i + 1], targets[i : i + 1]) for i in range(count)])
    assert together.shape == (count, 8, 8)
    assert together.max() > 0
    assert together == pytest.approx(alone, abs=1e-5 * float(together.max()))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "cam"])
@pytest.mark.parametrize("functionally", [False, True])
def test_an_activation_that_overwrites_the_map_does_not_move_it(name: str, *, functionally: bool) -> None:
    """torchvision's ResNets (a module) and DenseNets (a function) do that to what a hook has seen."""
    kept = make(name, Convolved(inplace=False, functionally=functionally), "norm")
    moved = make(name, Convolved(inplace=True, functionally=functionally), "norm")
    assert raw(moved, noise(3), [0, 1, 2]) == pytest.approx(raw(kept, noise(3), [0, 1, 2]), abs=1e-6)
    assert (kept.facts["overwritten_downstream"], moved.facts["overwritten_downstream"]) == (False, True)


def test_a_layer_that_hands_on_what_somebody_else_overwrites() -> None:
    """An identity's output is its input, which whoever holds it may change afterwards."""

    class Shared(nn.Module):
        def __init__(self, *, inplace: bool) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.tap, self.head, self.inplace = nn.Conv2d(3, 4, 1), nn.Identity(), nn.Linear(4, 2), inplace

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            tapped = self.tap(x)
            shifted = x.add_(1) if self.inplace else x + 1
            return self.head((shifted * tapped).mean((2, 3)))

    with torch.no_grad():
        spoilt = Shared(inplace=True)
        x = torch.from_numpy(noise(1))
        assert not torch.equal(spoilt(x), Shared(inplace=False)(x)), "without a clone the two differ"
    kept, moved = (raw(make("gradcam", Shared(inplace=i), "tap"), noise(2), [0, 1]) for i in (False, True))
    assert kept.max() > 0
    assert moved == pytest.approx(kept, abs=1e-6)


@pytest.mark.parametrize("name", RECIPES)
def test_scores_that_are_no_numbers_give_no_clean_map(name: str) -> None:
    module = Pooled()
    module.head.weight.data[0, 0] = float("nan")  # the class asked for is 1, whose own row is whole
    (found,) = explained(on_a(name, module), A, [1], ["x"], ["y"])
    assert found.degenerate == "the map is not finite"
    assert not found.values.any()


@pytest.mark.parametrize("name", RECIPES)
def test_one_bad_image_does_not_spoil_the_others(name: str) -> None:
    batch = np.concatenate([A, np.full_like(A, np.nan), A])
    found = explained(on_a(name, Pooled()), batch, [1, 1, 1], ["x"] * 3, ["a", "b", "c"])
    assert [one.degenerate for one in found] == [None, "the map is not finite", None]


@pytest.mark.parametrize("name", RECIPES)
def test_activations_that_are_no_numbers_behind_clean_scores_give_no_clean_map(name: str) -> None:
    """torchcam sums around them: a pooling that leaves NaN out would hide the fault entirely."""

    class Forgiving(Pooled):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.tap(x).nanmean((2, 3)))

    spoilt = A.copy()
    spoilt[0, 0, 1, 1] = np.nan
    assert np.isnan(raw(on_a(name, Forgiving()), spoilt, [1])).all()


def test_score_cam_does_not_hide_a_covered_image_that_has_no_score() -> None:
    """The whole image scores; only its covered copies do not. torchcam alone would give a map of zeros."""

    class Brittle(Pooled):
        def forward(self, x: Tensor) -> Tensor:
            scores = super().forward(x)
            return torch.where(x[:, :1, 0, 0] > 0, scores, torch.nan)

    assert np.isnan(raw(on_a("scorecam", Brittle()), A, [1])).all()


def test_a_map_that_is_the_same_everywhere_says_nothing() -> None:
    (found,) = explained(on_a("gradcam", Pooled()), np.ones_like(A), [1], ["x"], ["y"])
    assert found.degenerate == "the map is the same everywhere"
    assert not found.values.any()


def test_maps_cannot_be_changed_afterwards() -> None:
    (found,) = explained(on_a("gradcam", Pooled()), A, [1], ["x"], ["y"])
    with pytest.raises(ValueError, match="read-only"):
        found.values[0, 0] = 1


@pytest.mark.parametrize("name", RECIPES)
def test_a_network_with_one_output_has_maps(name: str) -> None:
    """The score itself is explained; no other class is needed beside it."""
    found = raw(make(name, Deep(outputs=1), "relu"), noise(2), [0, 0])
    assert found.shape == (2, 8, 8)
    assert (found.reshape(2, -1).max(1) > 0).all()


@pytest.mark.parametrize(
    ("targets", "told"),
    [([0, 3], "classes 0 to 2, not 3"), ([0, -1], "not -1"), ([0], "2 images need as many classes")],
)
def test_classes_that_do_not_fit_are_refused(targets: list[int], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        make("gradcam", Deep(), "relu").raw(noise(2), targets)


def test_images_of_another_size_are_explained_on_their_own_grid_or_refused() -> None:
    method = make("gradcam", Convolved(inplace=False), "relu")
    assert raw(method, noise(1, (6, 10)), [0]).shape == (1, 6, 10)
    with pytest.raises(ModelError, match="cannot read images of 6x6 pixels"):
        make("gradcam", Deep(), "relu").raw(noise(1, (6, 6)), [0])


@pytest.mark.parametrize("name", NAMES)
def test_many_cores_give_the_maps_of_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every core passes its share through a copy of its own."""
    batch, targets = noise(7), [0, 1, 2, 0, 1, 2, 0]
    monkeypatch.setattr("casebase.explain.saliency.cam.cores", lambda: 1)
    one = raw(make(name, Convolved(inplace=True), "relu"), batch, targets)
    monkeypatch.setattr("casebase.explain.saliency.cam.cores", lambda: 3)
    monkeypatch.setattr("casebase.explain.album.cores", lambda: 3)
    threads = torch.get_num_threads()
    method = make(name, Convolved(inplace=True), "relu")
    assert raw(method, batch, targets) == pytest.approx(one, abs=1e-6)
    assert len(method._copies) == 3
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("strict", [True, False])
def test_networks_that_need_their_maps_in_one_order_of_memory_get_them_so(*, strict: bool) -> None:
    """``view`` on a map refuses channels that lie next to each other; ``reshape`` would copy."""

    class Viewed(Deep):
        def forward(self, x: Tensor) -> Tensor:
            x = self.relu(self.conv2(self.conv1(x)))
            return self.head(self.hidden(x.view(len(x), -1) if strict else x.reshape(len(x), -1)))

    method = make("gradcam", Viewed(), "relu")
    assert method.target.channels_last is not strict
    assert raw(method, noise(2), [0, 1]).any()


def test_no_image_no_map() -> None:
    assert make("gradcam", Deep(), "relu").raw(noise(0), []) == []


@pytest.mark.parametrize(("name", "passes"), [("gradcam", 3), ("cam", 1), ("eigencam", 1), ("scorecam", 5 + 2)])
def test_a_map_says_what_it_costs(name: str, passes: int) -> None:
    """Counted at the network: Score-CAM covers the image once for each of the five channels."""
    module = Convolved(inplace=False)
    method = make(name, module, "relu")
    counted: list[int] = []
    handle = method._copies[0].register_forward_hook(lambda _part, given, _out: counted.append(len(given[0])))
    raw(method, noise(1), [0])
    handle.remove()
    assert method.facts["passes"] == passes
    assert sum(counted) == (passes if name == "scorecam" else 1)  # the rest is a backward pass


@pytest.mark.parametrize("name", NAMES)
def test_what_is_recorded(name: str) -> None:
    facts = make(name, Convolved(inplace=False), "relu").facts
    library = "casebase" if name in ("gradcam++", "eigencam") else "torchcam 0.5"
    assert str(facts["library"]).startswith(library)
    assert (facts["layer"], facts["activation"], facts["score"], facts["grid"]) == ("relu", "post", "logit", [8, 8])
    assert catalogue.method(name).extra is None
