from __future__ import annotations

import numpy as np
import pytest

from casebase.association import GRAPH, STRAIGHT
from casebase.errors import ModelError, UnknownClass, UsageError
from casebase.explain.cae.walking import HALVINGS, End, runner_up, start_of, walk, walks
from tests.explain.cae.planted import (
    BLUE,
    BRIGHT,
    CELL,
    EDGE,
    PLAIN,
    SIDE,
    Planted,
    association,
    line,
    nodes,
    seen,
    three,
)  # fmt: skip


def test_the_walk_goes_from_the_reconstruction_to_a_case_of_the_rival_and_finds_where_the_class_flips() -> None:
    found = walk(Planted(), seen(red=100), BRIGHT)
    assert (found.predicted, found.rival, found.route, found.refused) == (PLAIN, BRIGHT, GRAPH, None)
    assert [frame.at for frame in found.frames] == pytest.approx(np.linspace(0, 1, 20))
    assert [found.frames[0].called, found.frames[-1].called] == [PLAIN, BRIGHT]
    assert found.frames[0].image.tolist() == seen(red=100)[0, ::2, ::2].tolist()
    assert found.error == 0.0
    assert found.monotone == 1.0
    assert found.warnings == ()
    assert found.reference is not None
    assert found.passed[-1] == found.reference
    # The nearest bright case lies at 0.08, of which 1 grey value is 0.02: the class flips above 0, and by a hair.
    assert found.flip is not None
    assert found.flip.called == BRIGHT
    assert int(found.flip.image.max()) == int(EDGE) + 1
    length = float(np.linalg.norm(np.diff(found.path, axis=0), axis=1).sum())
    assert found.flip.at * length == pytest.approx((EDGE + 0.5 - 100) / 50, abs=0.02)


def test_the_difference_is_the_spot_and_nothing_else_and_it_has_a_sign() -> None:
    brighter = walk(Planted(), seen((2, 5), red=100), BRIGHT).difference
    inside = np.zeros((SIDE, SIDE), bool)
    inside[2 * CELL : 3 * CELL, 5 * CELL : 6 * CELL] = True
    assert (brighter[inside][:, :2] > 0).all()
    assert not brighter[~inside].any()
    assert not brighter[..., 2].any()
    darker = walk(Planted(), seen((2, 5), red=200), PLAIN).difference
    assert (darker[inside][:, :2] < 0).all()
    assert darker.dtype == np.float32


def test_every_image_is_decoded_and_judged_once() -> None:
    view = Planted()
    found = walk(view, seen(), BRIGHT, frames=20)
    # Judged: view, reduced view, reconstruction, 4 ends and the mean, 18 frames between, at most 12 halvings.
    assert view.decoded <= 1 + 5 + 18 + HALVINGS
    assert view.asked == view.decoded + 2
    assert len(found.frames) == 20


def test_a_start_called_otherwise_once_rebuilt_or_reduced_is_refused() -> None:
    rebuilt = walk(Planted(fades=30), seen(red=170), PLAIN)
    assert rebuilt.refused is not None
    assert "the reconstruction is called plain instead of bright" in rebuilt.refused
    assert (len(rebuilt.frames), rebuilt.flip) == (1, None)
    assert not rebuilt.difference.any()
    reduced = walk(Planted(shrinks=30), seen(red=170), PLAIN)
    assert reduced.refused == "reduced to 32 x 32 pixels, the image is called plain instead of bright"
    assert walk(Planted(fades=30), seen(red=200), PLAIN).refused is None


def test_an_image_of_a_class_that_takes_no_part_is_refused() -> None:
    view = Planted(classes=(PLAIN, BRIGHT, BLUE))
    found = walk(view, seen(blue=220), BRIGHT)
    assert found.refused == "the network calls the image blue, a class that the embedding has not learnt"


def test_without_a_case_of_the_rival_there_is_no_walk() -> None:
    found = walk(Planted(nodes=line(end=-0.5)), seen(), BRIGHT)
    assert found.refused == "no case that is called bright keeps that class when it is rebuilt"


def test_the_nearest_unlike_case_is_the_end_where_it_works_and_is_passed_over_where_it_does_not() -> None:
    view = Planted()
    good = walk(view, seen(), BRIGHT, end=End("nun", np.array([1.0, -1.0], np.float32)))
    assert good.reference == "nun"
    assert good.path[-1].tolist() == [1.0, -1.0]
    poor = walk(view, seen(), BRIGHT, end=End("nun", np.array([-0.4, -1.0], np.float32)))
    assert poor.reference is not None
    assert poor.reference.startswith("case")
    assert any("the nearest unlike case the network does not call the image bright" in told for told in poor.warnings)
    assert not good.warnings


def test_a_case_that_is_a_node_already_is_not_passed_twice() -> None:
    view = Planted()
    named = End("case030", view.nodes.codes[30])
    found = walk(view, seen(), BRIGHT, end=named)
    assert found.reference == "case030"
    assert list(found.passed).count("case030") == 1


def test_where_no_code_of_the_rival_flips_the_class_the_way_is_a_line_to_their_mean_and_never_flips() -> None:
    found = walk(Planted(fades=90), seen(red=100), BRIGHT)
    assert (found.route, found.reference, found.flip) == (STRAIGHT, None, None)
    assert len(found.path) == 2
    assert "straight line to their mean" in found.warnings[0]
    assert "the class never flips" in found.warnings[1]
    assert len(found.frames) == 20
    assert not found.difference[found.difference < 0].any()


def test_the_straight_route_is_the_line_to_the_same_end() -> None:
    graph, straight = (walk(Planted(), seen(), BRIGHT, route=route) for route in (GRAPH, STRAIGHT))
    assert straight.reference == graph.reference
    assert (straight.route, straight.passed, len(straight.path)) == (STRAIGHT, [], 2)
    assert straight.warnings == ()


def test_a_way_over_a_stretch_without_cases_says_so() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal((centre, -1.0), 0.05, (20, 2)) for centre in (-1.0, 1.0)]
    found = walk(Planted(nodes=nodes(np.concatenate(parts))), seen(), BRIGHT)
    assert found.gap
    assert any("that no cases join" in told for told in found.warnings)
    assert not walk(Planted(), seen(), BRIGHT).gap


def test_a_flip_to_a_third_class_is_named() -> None:
    view = three()
    # The only way along cases to the bright one leads past blue ones.
    view.nodes = nodes(np.concatenate([_bent(), [[1.2, -1.0]]]), np.array([*[0] * 5, *[2] * 20, 1]))
    found = walk(view, seen(red=100, blue=100), BRIGHT)
    assert found.flip is not None
    assert found.flip.called == BLUE
    assert any("flips to blue before it could become bright" in told for told in found.warnings)
    assert found.frames[-1].called == BRIGHT


def _bent() -> np.ndarray:
    up = [[-1.0, blue] for blue in np.linspace(-1.0, 1.0, 10)]
    over = [[red, 1.0] for red in np.linspace(-0.9, 1.2, 8)]
    down = [[1.2, blue] for blue in np.linspace(0.8, -0.8, 7)]
    return np.array([*up, *over, *down])


def test_a_class_that_comes_back_on_the_way_is_told() -> None:
    first = np.stack([np.linspace(-1.0, 0.6, 12), np.full(12, -1.0)], axis=1)
    bent = np.concatenate([first, [[0.6 - step, -1.0 + step] for step in np.linspace(0.2, 1.4, 8)]])
    back = np.concatenate([bent, [[red, 0.4] for red in np.linspace(-0.6, 1.0, 12)]])
    view = Planted(nodes=nodes(back, (np.arange(len(back)) == len(back) - 1).astype(np.intp)))
    found = walk(view, seen(), BRIGHT)
    assert any("goes back and forth" in told for told in found.warnings)
    assert found.monotone is not None
    assert found.monotone < 1


def test_the_runner_up_is_the_most_probable_other_class_that_takes_part() -> None:
    view = three()
    assert runner_up(view, start_of(view, seen(red=120, blue=140))) == BLUE
    view.found = association((PLAIN, BRIGHT))
    assert runner_up(view, start_of(view, seen(red=120, blue=140))) == BRIGHT


def test_many_walks_are_the_walks_of_each() -> None:
    views = np.concatenate([seen((1, 1), red=100), seen((6, 3), red=200)])
    together = walks(Planted(), views, [BRIGHT, PLAIN])
    for one, view, rival in zip(together, views, (BRIGHT, PLAIN), strict=True):
        alone = walk(Planted(), view[None], rival)
        assert one.to_dict() == alone.to_dict()
        assert np.array_equal(one.difference, alone.difference)


@pytest.mark.parametrize(
    ("rival", "kind", "said"),
    [("nobody", UnknownClass, "no class 'nobody' takes part"), (PLAIN, UsageError, "calls the image plain already")],
)
def test_a_rival_that_is_none_is_a_sentence(rival: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        walk(Planted(), seen(), rival)


def test_routes_and_frames_that_are_none_are_sentences() -> None:
    with pytest.raises(UsageError, match="graph or straight, not 'round'"):
        walk(Planted(), seen(), BRIGHT, route="round")
    with pytest.raises(UsageError, match="at least 2 frames"):
        walk(Planted(), seen(), BRIGHT, frames=1)


def test_an_answer_that_is_no_number_ends_in_a_sentence() -> None:
    class Broken(Planted):
        def judge(self, images: np.ndarray) -> np.ndarray:
            return super().judge(images) * np.nan

    with pytest.raises(ModelError, match="no number"):
        walk(Broken(), seen(), BRIGHT)


def test_the_json_says_that_it_is_synthetic() -> None:
    found = walk(Planted(), seen(), BRIGHT).to_dict()
    assert found["synthetic"] is True
    assert len(found["frames"]) == 20
