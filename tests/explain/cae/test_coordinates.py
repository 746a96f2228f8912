from __future__ import annotations

import numpy as np
import pytest

from casebase.errors import UsageError
from casebase.explain.cae.coordinates import coordinates
from tests.explain.cae.planted import BRIGHT, EDGE, PLAIN, SOFT, UNIT, Planted, nodes, seen


def test_the_number_that_makes_the_spot_bright_has_the_effect_and_the_other_has_none() -> None:
    rng = np.random.default_rng(0)
    view = Planted(nodes=nodes(rng.normal(0.0, (1.0, 0.5), (200, 2))))
    found = coordinates(view, np.concatenate([seen(red=140), seen(red=160)]))
    assert found.order == [0, 1]
    assert found.spread == pytest.approx(view.nodes.codes.std(axis=0), rel=1e-5)
    assert not found.below[1].any()
    assert not found.above[1].any()
    assert found.flipped.tolist() == [1.0, 0.0]
    assert found.n == 2
    moved = [UNIT * found.spread[0] + red - EDGE for red in (140, 160)]
    expected = np.mean([_bright(one) for one in moved]) - np.mean([_bright(red - EDGE) for red in (140, 160)])
    assert found.above[0, 1] == pytest.approx(expected, abs=1e-3)
    assert found.above.sum(axis=1) == pytest.approx(0.0, abs=1e-6)


def _bright(above: float) -> float:
    return float(1 / (1 + np.exp(-above / SOFT)))


def test_the_table_begins_with_the_largest_effect() -> None:
    view = Planted(nodes=nodes(np.array([[-1.0, -1.0], [1.0, 0.0], [1.0, 1.0]])))
    value = coordinates(view, seen(red=150)).to_dict()
    assert value["synthetic"] is True
    assert [one["number"] for one in value["coordinates"]] == [0, 1]
    assert set(value["coordinates"][0]["above"]) == {PLAIN, BRIGHT}


def test_without_an_image_there_is_nothing_to_move() -> None:
    with pytest.raises(UsageError, match="no image was given"):
        coordinates(Planted(), seen()[:0])


def test_without_a_case_that_keeps_its_class_nothing_says_how_far_to_move() -> None:
    with pytest.raises(UsageError, match="no case keeps its class"):
        coordinates(Planted(nodes=nodes(np.zeros((0, 2)))), seen())
