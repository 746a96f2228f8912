"""Clusters of evidence: planted directions are found, every prototype is a real cell of a case of its own."""

from __future__ import annotations

import numpy as np
import pytest

from casebase.errors import ModelError
from casebase.networks.prototypes import clusters


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def test_planted_directions_are_found() -> None:
    rng = np.random.default_rng(0)
    planted = np.eye(3, 8, dtype=np.float32)
    vectors = unit(np.repeat(planted, 30, axis=0) + 0.05 * rng.normal(size=(90, 8)))
    found = clusters.centres(vectors, 3, seed=0)
    assert sorted((found @ planted.T).argmax(1).tolist()) == [0, 1, 2]
    assert (found @ planted.T).max(1) == pytest.approx(np.ones(3), abs=0.01)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_the_cells_of_largest_evidence_are_taken_from_each_image() -> None:
    maps = np.zeros((2, 4, 3), np.float32)
    maps[0, 2] = (2, 0, 0)
    maps[1, 1] = (1, 5, 0)
    maps[1, 3] = (3, 0, 0)
    found = clusters.of_evidence(maps.copy(), maps, np.array([7, 9]), np.array([1, 0, 0], np.float32), 1)
    assert found.images.tolist() == [7, 9]
    assert found.cells.tolist() == [2, 3]
    assert found.vectors.tolist() == [[2, 0, 0], [3, 0, 0]]


def test_no_image_stands_for_two_prototypes_while_there_are_others() -> None:
    similar = np.array([[0.9, 0.8], [0.5, 0.1], [0.2, 0.4]], np.float32)
    chosen = clusters.nearest_real(similar, np.array([4, 5, 6]), np.array([0, 1, 2]))
    assert chosen == [(4, 0), (6, 2)]  # the first is surer of image 4; the second takes its next best
    only = clusters.nearest_real(similar[:1], np.array([4]), np.array([0]))
    assert only == [(4, 0), (4, 0)]


def test_too_few_different_patches_are_told() -> None:
    with pytest.raises(ModelError, match=r"only 1 different patches for 2 prototypes.*--k"):
        clusters.centres(np.ones((5, 3), np.float32), 2, seed=0)
