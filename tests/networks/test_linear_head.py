"""A head on frozen features: good where it can be, honest where it cannot."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from casebase.errors import ModelError
from casebase.networks.linear_head import fit, probabilities, split
from casebase.reuse import wilson


def blobs(counts: dict[str, int], dim: int = 16, apart: float = 6.0, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    parts, labels = [], []
    for name, n in counts.items():
        parts.append(rng.normal(size=(n, dim)) + apart * rng.normal(size=dim))
        labels += [name] * n
    return np.concatenate(parts).astype(np.float32), labels


def test_digits_are_told_apart_and_the_fit_is_deterministic() -> None:
    digits = load_digits()
    features, labels = digits.data.astype(np.float32), [str(t) for t in digits.target]
    head, again = fit(features, labels, seed=1), fit(features, labels, seed=1)
    assert head.held_out_accuracy is not None
    assert head.held_out_accuracy > 0.9
    assert head.held_out_interval is not None
    assert head.held_out_interval[0] < head.held_out_accuracy < head.held_out_interval[1]
    assert head.chosen_on > 200
    assert head.held_out_n > 200
    np.testing.assert_array_equal(head.weight, again.weight)
    np.testing.assert_array_equal(head.bias, again.bias)
    rows = probabilities(features, head.weight, head.bias)
    np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-5)
    assert (rows.argmax(1) == digits.target).mean() > 0.95
    assert head.to_dict()["reason"] is None


def test_scale_and_offset_of_features_do_not_matter() -> None:
    features, labels = blobs({"a": 60, "b": 50, "c": 40}, apart=1.0)
    one, other = fit(features, labels), fit(features * 50 + 300, labels)
    p, q = probabilities(features, one.weight, one.bias), probabilities(features * 50 + 300, other.weight, other.bias)
    np.testing.assert_allclose(p, q, atol=2e-2)


def test_features_that_never_vary_are_harmless() -> None:
    features, labels = blobs({"a": 40, "b": 40})
    features[:, 3] = 7.0
    head = fit(features, labels)
    assert np.isfinite(head.weight).all()
    assert np.all(head.weight[:, 3] == 0)


def test_one_class_is_constant() -> None:
    features, labels = blobs({"only": 40})
    head = fit(features, labels)
    assert not head.weight.any()
    assert not head.bias.any()
    assert np.all(probabilities(features, head.weight, head.bias) == 1)
    assert head.held_out_accuracy is None
    assert head.reason == "there is only one class"


def test_few_images_give_no_accuracy_and_a_reason() -> None:
    features, labels = blobs({"a": 5, "b": 1, "c": 3})
    head = fit(features, labels)
    assert (head.strength, head.held_out_accuracy, head.held_out_n) == (1.0, None, 0)
    assert "9 images are too few" in (head.reason or "")
    called = [head.classes[i] for i in probabilities(features, head.weight, head.bias).argmax(1)]
    assert called == labels


def test_many_classes_of_one_image_are_fitted() -> None:
    features, labels = blobs({f"c{i}": 1 for i in range(40)})
    head = fit(features, labels)
    assert head.held_out_accuracy is None
    assert "no class" in (head.reason or "")
    assert len(head.classes) == 40


def test_small_and_large_classes_together() -> None:
    features, labels = blobs({"a": 60, "b": 2, "c": 1, "d": 40})
    head = fit(features, labels)
    assert head.held_out_accuracy is not None
    assert head.classes == ("a", "b", "c", "d")


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(0, 9))), min_size=1, max_size=80),
    st.integers(0, 5),
)
def test_splits_part_everything_once_and_keep_groups_whole(rows: list[tuple[int, int | None]], seed: int) -> None:
    target, groups = np.array([r[0] for r in rows]), [r[1] for r in rows]
    parts = split(target, groups, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(rows)))
    for group in {g for g in groups if g is not None}:
        members = {i for i, g in enumerate(groups) if g == group}
        assert sum(bool(members & set(p.tolist())) for p in parts) == 1
    if all(g is None for g in groups):
        assert set(target[parts[0]].tolist()) == set(target.tolist()), "every class has an image to learn from"


def test_groups_make_the_accuracy_honest() -> None:
    """Ten looks of each animal, and animals without any class in common: only by group is that seen."""
    rng = np.random.default_rng(0)
    animals = rng.normal(size=(60, 64)) * 5
    features = np.repeat(animals, 10, 0) + rng.normal(size=(600, 64)) * 0.1
    labels = [str(i // 10 % 2) for i in range(600)]
    groups = [f"animal {i // 10}" for i in range(600)]
    loose, strict = fit(features.astype(np.float32), labels), fit(features.astype(np.float32), labels, groups=groups)
    assert loose.held_out_accuracy == 1.0
    assert strict.held_out_accuracy is not None
    assert strict.held_out_accuracy < 0.9


def test_wilson_against_published_values() -> None:
    """R. G. Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I."""
    for right, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert wilson(right, n) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("features", "labels", "told"),
    [
        (np.zeros((2, 3), np.float32), ["a"], "one label per image"),
        (np.zeros((0, 3), np.float32), [], "there are none"),
        (np.full((2, 3), np.nan, np.float32), ["a", "b"], "finite"),
    ],
)
def test_what_cannot_be_fitted_is_told(features: np.ndarray, labels: list[str], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        fit(features, labels)


@pytest.mark.slow
def test_ten_thousand_images_take_seconds() -> None:
    features, labels = blobs({f"c{i}": 1000 for i in range(10)}, dim=512, apart=0.15)
    started = time.perf_counter()
    assert fit(features, labels).held_out_accuracy is not None
    assert time.perf_counter() - started < 120


def test_the_interval_of_grouped_images_is_the_wider_one() -> None:
    """Pictures of one animal stand or fall together: ten of each, and labels that are noise to the features."""
    random = np.random.default_rng(0)
    animals = random.normal(size=(60, 4)).astype(np.float32)
    features = np.repeat(animals, 10, axis=0)
    called = [("cat", "dog")[int(random.random() < 0.5)] for _ in range(60)]
    labels = [label for label in called for _ in range(10)]
    groups = [f"animal{i // 10}" for i in range(600)]
    head = fit(features, labels, groups=groups, seed=0)
    assert head.held_out_interval is not None
    low, high = wilson(round((head.held_out_accuracy or 0) * head.held_out_n), head.held_out_n)
    assert head.held_out_interval[1] - head.held_out_interval[0] > 1.5 * (high - low)
