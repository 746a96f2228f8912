"""Purity among the images most like a prototype, and what a failed gate says."""

from __future__ import annotations

import numpy as np
import pytest

from casebase.networks.prototypes import gates


def test_purity_counts_the_ten_nearest_without_the_source() -> None:
    label = np.repeat([0, 1], 20)
    similar = np.linspace(1, 0, 40).astype(np.float32)
    assert gates.purity(similar, label, 0, 0) == (1.0, 10)
    assert gates.purity(similar, label, 1, -1) == (0.0, 10)
    similar[25] = 2.0
    assert gates.purity(similar, label, 0, -1) == (pytest.approx(0.9), 10)
    assert gates.purity(similar, label, 0, 25) == (1.0, 10)


def test_a_small_class_is_asked_for_no_more_than_it_has() -> None:
    label = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    similar = np.array([9, 8, 7, 6, 5, 4, 3, 2], np.float32)
    assert gates.purity(similar, label, 0, 0) == (1.0, 2)
    assert gates.purity(similar[:1], label[:1], 0, 0) == (None, 0)
