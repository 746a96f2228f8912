"""The benchmark of Grad-CAM on a small network: that its contenders do the same work, and what its rows say."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import saliency_bench
from benchmarks.saliency_bench import CLOSED, EXAMPLE, MANY, Prepared, furthest, measured
from casebase.networks.explained import ExplainedNetwork
from tests.networks.conftest import small, views_for


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """A residual network with random weights, twelve pictures of noise."""
    network = ExplainedNetwork(small("casebase:resnet10"))
    return Prepared(network, views_for(network.loaded, 12))


def test_the_contenders_make_the_same_maps(prepared: Prepared) -> None:
    prepared.many()
    prepared.closed()
    prepared.example()
    assert set(prepared.found) == {MANY, CLOSED, EXAMPLE}
    assert all(found.shape == (12, 2, 2) for found in prepared.found.values())
    for name in (MANY, CLOSED):
        assert furthest(prepared.found[name], prepared.found[EXAMPLE]) < saliency_bench.SAME


def test_the_check_sees_another_map() -> None:
    maps = np.random.default_rng(0).random((2, 4, 4), np.float32)
    other = maps.copy()
    other[1, 0, 0] += 0.5
    assert furthest(maps, maps) == 0
    assert furthest(maps, other) > 0.05


def test_every_row_is_there_and_the_bars_are_those_of_the_issue(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saliency_bench, "SINGLES", 2)
    section = measured(prepared, 1, "made up")
    bars = [row.bar.text() for row in section.rows if row.bar is not None]
    assert bars == ["≤ 1.35", "≥ 2"]
    assert all(check.holds for row in section.rows for check in row.checks)
    assert sum(len(row.checks) for row in section.rows) == 2
