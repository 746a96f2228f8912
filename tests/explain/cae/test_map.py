"""The map of class codes: who is where, who is drawn, what is said of it."""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from casebase.association import Manifold
from casebase.errors import MissingExtra, UsageError
from casebase.explain.cae.drawing import map_svg
from casebase.explain.cae.manifolds import Coded, known_projection, manifold
from casebase.explain.cae.map_section import DRAWN, map_section
from tests.explain.cae.planted import BLUE, BRIGHT, PLAIN, three
from tests.explain.cae.showing import coded, map_of, walk_of


def made(predicted: Sequence[str], labels: Sequence[str] | None = None, seed: int = 0) -> Manifold:
    points = np.random.default_rng(seed).normal(size=(len(predicted), 2)).astype(np.float32)
    ids = [f"c{place}" for place in range(len(predicted))]
    return Manifold(points, ids, list(labels or predicted), list(predicted), "pca", 0.98)


def test_classes_are_counted_by_what_the_network_says_and_its_errors_are_crosses() -> None:
    found = map_section(made(["a"] * 5 + ["b"] * 3, ["a"] * 4 + ["b"] * 3 + ["a"]))
    assert [(one.name, one.cases, one.errors) for one in found.spots] == [("a", 5, 1), ("b", 3, 1)]
    assert [(len(one.points), len(one.wrong)) for one in found.spots] == [(4, 1), (2, 1)]
    assert "crosses are the 2 of 8 cases" in found.lead
    drawn = map_svg(found)
    assert drawn.count("crosses") == 2
    assert "a: 5 cases, 1 wrong" in drawn


def test_answer_and_rival_wear_the_colours_of_their_roles_and_nobody_else_does() -> None:
    view = three()
    walk = walk_of(view)
    found = map_section(map_of(view, walk), PLAIN, BRIGHT)
    kinds = {one.name: one.kind for one in found.spots}
    assert kinds == {PLAIN: "predicted", BRIGHT: "rival", BLUE: "k2"}
    alone = map_section(map_of(view))
    assert {one.kind for one in alone.spots} == {"k0", "k1", "k2"}
    assert alone.query is None
    assert not alone.path


def test_the_walk_leads_from_the_query_to_its_end_on_the_same_map() -> None:
    view = three()
    walk = walk_of(view)
    found = map_section(map_of(view, walk), PLAIN, BRIGHT)
    assert found.path[0] == pytest.approx(found.query, abs=1e-6)
    assert len(found.path) == len(walk.path)
    assert all(0 <= value <= 1 for point in (*found.path, found.query) for value in point)
    drawn = map_svg(found)
    assert 'class="asked"' in drawn
    assert 'class="way"' in drawn


def test_small_classes_share_a_colour_where_there_are_many() -> None:
    names = [f"class {place}" for place in range(12) for _ in range(12 - place)]
    found = map_section(made(names))
    assert len(found.spots) == 7
    assert found.spots[-1].kind == "others"
    assert found.spots[-1].name.startswith("6 more classes: class 6")
    assert sum(one.cases for one in found.spots) == len(names)


def test_of_many_cases_some_are_drawn_and_it_is_said() -> None:
    n = DRAWN + 700
    found = map_section(made(["a", "b"] * (n // 2)))
    assert sum(len(one.points) for one in found.spots) == DRAWN
    assert sum(one.cases for one in found.spots) == n
    assert f"{DRAWN:,} of {n:,} cases are drawn" in found.note
    assert "drawn" not in map_section(made(["a"] * 9)).note
    again = map_section(made(["a", "b"] * (n // 2)))
    assert again.spots[0].points == found.spots[0].points


def test_the_axes_are_explained() -> None:
    assert "hold 98.0 % of the codes' variance" in map_section(made(["a"] * 9)).note
    flat = replace(made(["a"] * 9), points=np.stack([np.arange(9), np.arange(9) % 2 / 50], axis=1).astype(np.float32))
    assert "each on a scale of its own" in map_section(flat).note
    assert "no unit" in map_section(replace(made(["a"] * 9), method="umap", explained=None)).note


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_map_of_hardly_anybody_is_a_map(n: int) -> None:
    found = map_section(manifold(coded(three(), n=n, wrong=0)))
    assert "nan" not in map_svg(found)
    assert "nan" not in found.note


def test_a_map_of_codes_all_alike_is_a_map() -> None:
    some = coded(three(), n=5)
    found = map_section(manifold(Coded(some.cases, np.ones((5, 8), np.float32))))
    assert "nan" not in map_svg(found)


def test_umap_is_told_how_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "umap":
            raise ModuleNotFoundError("no umap")
        return real(name, *rest)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install 'casebase\[umap\]', or take --map pca"):
        manifold(coded(three()), "umap")


def test_umap_lays_the_query_and_the_walk_on_its_own_map(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fitted:
        def __init__(self, **told: object) -> None:
            assert told["random_state"] == 3
            assert told["n_components"] == 2

        def fit_transform(self, codes: np.ndarray) -> np.ndarray:
            return codes[:, :2] * 2

        def transform(self, codes: np.ndarray) -> np.ndarray:
            return codes[:, :2] * 3

    module = types.ModuleType("umap")
    module.UMAP = Fitted  # type: ignore[attr-defined]  # a module made here
    monkeypatch.setitem(sys.modules, "umap", module)
    some, path = coded(three()), np.ones((4, 2), np.float32)
    found = manifold(some, "umap", query=path[0], path=path, seed=3)
    assert np.allclose(found.points, some.codes * 2)
    assert np.allclose(found.path, 3)
    assert found.explained is None
    assert found.method == "umap"


def test_another_map_is_refused() -> None:
    with pytest.raises(UsageError, match="--map must be pca or umap, not 'tsne'"):
        known_projection("tsne")
