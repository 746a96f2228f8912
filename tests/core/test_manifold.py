from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from casebase.manifold import along, evenly, graph, nearest, principal, shortest, way_to

CODES = arrays(np.float64, st.tuples(st.integers(1, 25), st.integers(1, 4)), elements=st.integers(-3, 3).map(float))
"""Many ties, and codes on one spot."""


def ring(count: int = 24) -> np.ndarray:
    angles = np.arange(count) * 2 * np.pi / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_the_shortest_way_leads_round_a_hole() -> None:
    over = graph(ring(), 2)
    lengths, before = shortest(over, 0)
    side = 2 * np.sin(np.pi / 24)
    assert lengths[12] == pytest.approx(12 * side)
    assert way_to(before, 12) in (list(range(13)), [0, *range(23, 11, -1)])
    assert way_to(before, 5) == [0, 1, 2, 3, 4, 5]
    assert not over.bridges


def test_two_parts_are_joined_by_one_bridge_at_their_nearest_codes_and_crossing_it_is_seen() -> None:
    left = np.stack([np.arange(6.0), np.zeros(6)], axis=1)
    over = graph(np.concatenate([left, left + np.array([20.0, 0.0])]), 3)
    assert over.bridges == {(5, 6)}
    _, before = shortest(over, 0)
    assert over.crosses(way_to(before, 9))
    assert not over.crosses(way_to(before, 4))
    assert over.crosses([6, 5])


def test_three_parts_take_two_bridges() -> None:
    spots = np.concatenate([np.arange(4.0) + far for far in (0.0, 50.0, 90.0)])[:, None]
    assert graph(spots, 2).bridges == {(3, 4), (7, 8)}


def test_only_mutual_neighbours_are_joined() -> None:
    """The outlier's nearest is code 2, which has nearer ones of its own; a bridge joins the two nevertheless."""
    over = graph(np.array([[0.0], [1.0], [2.0], [9.0]]), 1)
    assert [pair for pair, _ in over.joined[0]] == [1]
    assert over.bridges == {(1, 2), (2, 3)}


def test_codes_on_one_spot_hang_together_without_a_bridge() -> None:
    over = graph(np.zeros((30, 2)), 3)
    assert not over.bridges
    assert np.isfinite(shortest(over, 0)[0]).all()


def test_ties_fall_to_the_earlier_code_every_time() -> None:
    square = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert nearest(square, 1)[0].tolist() == [[1], [0], [0], [1]]
    ways = {tuple(way_to(shortest(graph(square, 2), 0)[1], 3)) for _ in range(3)}
    assert ways == {(0, 1, 3)}


@given(codes=CODES, k=st.integers(1, 6))
def test_every_code_can_be_reached_and_no_way_is_shorter_than_the_line(codes: np.ndarray, k: int) -> None:
    over = graph(codes, k)
    lengths, before = shortest(over, 0)
    assert np.isfinite(lengths).all()
    assert (lengths >= np.linalg.norm(codes - codes[0], axis=1) - 1e-9).all()
    for end in range(len(codes)):
        way = way_to(before, end)
        steps = np.linalg.norm(np.diff(codes[way], axis=0), axis=1)
        assert steps.sum() == pytest.approx(lengths[end])
        assert (way[0], way[-1]) == (0, end)
    assert all((one, length) in over.joined[other] for other, row in enumerate(over.joined) for one, length in row)


@given(codes=CODES, k=st.integers(1, 6))
def test_the_bridges_are_as_many_as_it_takes_to_join_the_parts(codes: np.ndarray, k: int) -> None:
    over = graph(codes, k)
    parts = list(range(len(codes)))
    for one, row in enumerate(over.joined):
        for other, length in row:
            if length == 0 or (min(one, other), max(one, other)) not in over.bridges:
                parts = [parts[one] if part == parts[other] else part for part in parts]
    assert len(over.bridges) == len(set(parts)) - 1


@given(codes=CODES, k=st.integers(1, 6))
def test_the_nearest_are_those_of_all_distances(codes: np.ndarray, k: int) -> None:
    rows, lengths = nearest(codes, k)
    apart = np.linalg.norm(codes[:, None] - codes[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert lengths == pytest.approx(np.sort(apart, axis=1)[:, : rows.shape[1]])
    assert rows.shape == (len(codes), min(k, len(codes) - 1))
    assert not (rows == np.arange(len(codes))[:, None]).any()


def test_more_rows_than_a_block_are_compared_with_all() -> None:
    codes = np.random.default_rng(0).normal(size=(600, 3))
    rows, _ = nearest(codes, 1)
    apart = np.linalg.norm(codes[:, None] - codes[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert np.array_equal(rows[:, 0], apart.argmin(axis=1))


@given(codes=arrays(np.float64, (12, 4), elements=st.floats(-3, 3, width=16)))
def test_principal_components_agree_with_a_singular_value_decomposition(codes: np.ndarray) -> None:
    found = principal(codes, 4)
    centred = codes - codes.mean(axis=0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    if values.sum() > 1e-6:
        assert found.shares == pytest.approx(values / values.sum(), abs=1e-9)
        assert found.shares.sum() == pytest.approx(1.0)
        assert (found.on(codes).astype(np.float64) ** 2).sum() == pytest.approx((centred**2).sum(), rel=1e-4)
    assert found.axes @ found.axes.T == pytest.approx(np.eye(4), abs=1e-9)


def test_the_map_of_the_same_codes_is_the_same_whatever_their_order() -> None:
    codes = np.random.default_rng(1).normal(size=(40, 3)) * [3.0, 2.0, 1.0]
    order = np.random.default_rng(2).permutation(40)
    one, other = principal(codes), principal(codes[order])
    assert one.on(codes)[order] == pytest.approx(other.on(codes[order]), abs=1e-5)
    assert (one.axes[np.arange(2), np.abs(one.axes).argmax(axis=1)] > 0).all()


def test_codes_without_spread_and_codes_of_one_number_have_a_map_too() -> None:
    same = principal(np.ones((5, 3)))
    assert same.shares.tolist() == [0.0, 0.0]
    assert not same.on(np.ones((5, 3))).any()
    narrow = principal([[0.0], [2.0]])
    assert narrow.on([[0.0], [2.0]]).tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert narrow.shares.tolist() == [1.0, 0.0]


def test_points_of_a_way_are_spaced_by_its_length_and_both_ends_are_exact() -> None:
    way = np.array([[0.1, 0.2], [0.1, 0.2], [0.7, 0.2], [0.7, 1.1]])
    found = evenly(way, 7)
    assert found[0].tolist() == way[0].tolist()
    assert found[-1].tolist() == way[-1].tolist()
    assert np.linalg.norm(along(way, np.linspace(0, 0.4, 5))[1:] - along(way, np.linspace(0, 0.4, 5))[:-1], axis=1) == (
        pytest.approx(1.5 / 10)
    )


def test_a_way_without_length_stays_where_it_is() -> None:
    assert evenly([[1.0, 2.0], [1.0, 2.0]], 3).tolist() == [[1.0, 2.0]] * 3
    assert evenly([[1.0, 2.0]], 2).tolist() == [[1.0, 2.0]] * 2
