"""The whole measurement on planted editors: a copier, one that changes nothing, and an honest one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casebase import parts
from casebase.errors import DataError, UsageError
from casebase.evaluate import MaskChoice
from casebase.evaluate.cae.looking import evenly, look
from casebase.evaluate.cae.measure import CaeOptions, CaeRun, measure
from casebase.evaluations import Evaluation, Measured
from casebase.explanations import Level
from tests.evaluate.cae.planted import Copier, Keeper, base, honest, sight
from tests.explain.cae.planted import Planted, association, nodes


def measured(folder: Path, view: Planted, options: CaeOptions | None = None) -> Evaluation:
    store = base(folder)
    return measure(store, parts.choose(store.parts()), options or CaeOptions(walks=6), CaeRun(sight(view)))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """An honest editor, measured."""
    return measured(tmp_path_factory.mktemp("good"), honest(), CaeOptions(walks=8))


def rows(found: Evaluation, table: str) -> list[dict[str, object]]:
    return [dict(row) for one in found.tables if one.key == table for row in one.rows]


def value(cell: object) -> float | None:
    assert isinstance(cell, Measured)
    return cell.value


def alarms(found: Evaluation) -> str:
    return "\n".join(one.text for one in found.statements if one.level is Level.ALARM)


def test_an_honest_editor_is_reassigned_and_keeps_its_sources(good: Evaluation) -> None:
    assert [(row["from"], row["to"], value(row["reassigned"])) for row in rows(good, "directions")] == [
        ("plain", "bright", 1.0), ("bright", "plain", 1.0),
    ]  # fmt: skip
    own = {row["what"]: row for row in rows(good, "whose")}["swaps, in pixels"]
    assert (value(own["nearer"]) or 0.0) > 0.9
    assert (value(own["own"]) or 0.0) > 0.9  # a dull spot lies near nothing: one image is nearer to another
    assert value(own["donor"]) == pytest.approx(1 / 12, abs=0.1)
    assert own["chance_donor"] == pytest.approx(1 / 12)
    (codes,) = rows(good, "codes")
    assert value(codes["rebuilt"]) == 1.0
    assert value(codes["separable"]) == 1.0
    leak = value(codes["leak"])
    assert leak is not None
    assert leak < 0.75
    assert not alarms(good)


def test_a_copier_is_reassigned_in_full_and_said_to_copy(tmp_path: Path) -> None:
    found = measured(tmp_path, Copier(nodes=honest().nodes))
    assert {value(row["reassigned"]) for row in rows(found, "directions")} == {1.0}
    own = rows(found, "whose")[0]
    assert (value(own["nearer"]), value(own["own"]), value(own["donor"])) == (0.0, 0.0, 1.0)
    assert "the decoder copies the lender" in alarms(found)


def test_an_editor_that_changes_nothing_fails_reassignment(tmp_path: Path) -> None:
    found = measured(tmp_path, Keeper(nodes=honest().nodes))
    assert {value(row["reassigned"]) for row in rows(found, "directions")} == {0.0}
    assert value(rows(found, "whose")[0]["nearer"]) == 1.0
    assert "In the worse direction" in alarms(found)


def test_pasting_an_image_of_the_class_reassigns_as_well_and_is_nobodys_edit(good: Evaluation) -> None:
    assert {value(row["pasted"]) for row in rows(good, "directions")} == {1.0}
    pasted = {row["what"]: row for row in rows(good, "whose")}["pasted NUN, in pixels"]
    assert (value(pasted["nearer"]), value(pasted["own"]), value(pasted["donor"])) == (0.0, 0.0, 1.0)


def test_walks_flip_along_cases_and_stay_nearer_than_what_is_retrieved(good: Evaluation) -> None:
    graph, straight = rows(good, "walks")
    assert (graph["route"], straight["route"]) == ("graph", "straight")
    for row in (graph, straight):
        assert (value(row["made"]), value(row["flips"]), value(row["monotone"])) == (1.0, 1.0, 1.0)
        at = value(row["alpha"])
        assert at is not None
        assert 0.0 < at < 1.0
        assert value(row["covered"]) == pytest.approx(1.0, abs=0.2)
    for row in rows(good, "nearer"):
        saved = row["saved"]
        assert isinstance(saved, Measured)
        assert saved.n == 8
        assert (saved.value or 0.0) > 0.0
    assert [plot.key for plot in good.plots] == ["walks"]


def test_images_that_are_called_otherwise_once_rebuilt_are_counted_and_not_walked(tmp_path: Path) -> None:
    found = measured(tmp_path, honest(fades=120.0))
    assert value(rows(found, "walks")[0]["made"]) == 0.5
    assert value(rows(found, "codes")[0]["rebuilt"]) == 0.5
    assert "50.0 %" in alarms(found)


def test_where_no_case_keeps_its_class_the_rest_is_measured(tmp_path: Path) -> None:
    view = honest()
    view.nodes = nodes(np.zeros((0, 2)))
    found = measured(tmp_path, view)
    assert {value(row["made"]) for row in rows(found, "walks")} == {0.0}
    assert value(rows(found, "codes")[0]["separable"]) is None


def test_what_the_training_failed_comes_first(tmp_path: Path) -> None:
    found = measured(tmp_path, honest(found=association(failed=["only 10% of 20 edits are called so"])))
    assert found.statements[0].level is Level.ALARM
    assert any("ended below its gates: only 10%" in one.text for one in found.statements)


def test_every_image_has_a_row_and_the_settings_name_the_embedding(good: Evaluation) -> None:
    assert len(good.per_query) == 24
    assert sum(row["swaps"] for row in good.per_query) == 24
    assert sum("rival" in row for row in good.per_query) == 8
    assert good.settings["embedding"]["digest"] == "d" * 64
    assert good.to_dict()["kind"] == "cae"


def test_without_walks_and_maps_their_tables_say_so(tmp_path: Path) -> None:
    found = measured(tmp_path, honest(), CaeOptions(walks=0))
    assert value(rows(found, "walks")[0]["flips"]) is None
    assert found.plots == []
    assert not rows(found, "removal_uniform")


def test_images_of_one_class_cannot_be_swapped(tmp_path: Path) -> None:
    store = base(tmp_path)
    part = parts.choose(store.parts())
    view = Planted(nodes=honest().nodes, shrinks=0.0)
    view.judge = lambda images: np.tile(np.array([[0.9, 0.1]], np.float32), (len(images), 1))  # type: ignore[method-assign]
    with pytest.raises(DataError, match="calls all 24 images of test that were read 'plain'"):
        look(store, part, 200, 0, sight(view))
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match="none of the 24 images of test can be measured"):
        look(store, part, 200, 0, sight(honest()))


def test_images_are_drawn_from_every_class_in_turn() -> None:
    assert evenly(["a"] * 10 + ["b"] * 2, 4, 0)[-2:] == [10, 11]
    assert evenly(["a", "b"], 9, 0) == [0, 1]
    assert evenly([], 3, 0) == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"n": 3}, "at least 4 images, not 3"),
        ({"walks": -1}, "--walks must be 0 or more"),
        ({"hidden": -1}, "--hidden must be 0 or more"),
        ({"draws": 0}, "--draws must be 1 or more"),
        ({"mask_choice": MaskChoice(part="wing")}, "belongs to --masks"),
    ],
)
def test_wrong_choices_are_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        CaeOptions(**given)  # type: ignore[arg-type]
