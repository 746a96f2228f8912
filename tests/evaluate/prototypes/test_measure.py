"""The whole measurement on planted pictures: what was planted is found, and little is said where there is little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from casebase import parts
from casebase.cases import Case
from casebase.errors import DataError, UsageError
from casebase.evaluate.prototypes.measure import Candidate, PrototypeOptions, PrototypeRun, measure
from casebase.evaluate.prototypes.part_file import read_parts
from casebase.evaluations import Evaluation, Measured
from casebase.explanations import Level
from casebase.reading import Picture
from tests.evaluate.prototypes.planted import BLUE, CELL, RED, SIDE, ColourCounter, ColourView, base, colours, picture


def _pictures(each: int = 6, *, traces: bool = False) -> list[tuple[str, NDArray[np.uint8]]]:
    """Images of both classes, their cell at a place of its own; ``traces`` stand where class blue has its cell."""
    made = []
    for number in range(each):
        at = (1 + number % 6, 1 + (2 * number) % 6)
        made.append(("red", picture({at: RED})))
        made.append(("blue", picture({}, traces=True) if traces else picture({at: BLUE})))
    return made


def _measured(
    folder: Path, pictures: Sequence[tuple[str, NDArray[np.uint8]]], candidates: Sequence[Candidate], sample: int = 100,
    **run: object,
) -> Evaluation:  # fmt: skip
    store = base(folder, pictures)
    given = PrototypeRun(ColourCounter(), **run)  # type: ignore[arg-type]  # fields of a run by name
    return measure(store, parts.choose(store.parts()), PrototypeOptions(sample=sample), candidates, given)


def _rows(found: Evaluation, table: str) -> list[dict[str, object]]:
    return [dict(row) for one in found.tables if one.key == table for row in one.rows]


def _value(cell: object) -> float | None:
    assert isinstance(cell, Measured)
    return cell.value


def _said(found: Evaluation) -> str:
    return "\n".join(one.text for one in found.statements)


def test_prototypes_that_find_the_colours_stand_beside_the_network(tmp_path: Path) -> None:
    found = _measured(tmp_path, _pictures(), [colours(), colours(profile="classic")])
    network, signed, classic = _rows(found, "standing")
    assert [row["set"] for row in (network, signed, classic)] == ["the network", "signed", "classic"]
    assert network["gap"] is None
    for row in (signed, classic):
        assert (_value(row["accuracy"]), _value(row["gap"]), _value(row["agreement"])) == (1.0, 0.0, 1.0)
        assert row["most"] is None
    assert [(row["set"], row["stage"]) for row in _rows(found, "stages")][:2] == [
        ("signed", "start"),
        ("signed", "head"),
    ]
    stage, last = _rows(found, "stages")[:2]
    assert (_value(stage["accuracy"]), _value(stage["gap"])) == (0.5, -0.5)  # all were called red after that stage
    assert isinstance(stage["judged"], Measured)
    assert (_value(stage["judged"]), stage["judged"].n) == (0.8, 20)
    assert last["accuracy"] == _rows(found, "standing")[1]["accuracy"]
    made = _rows(found, "makeup")[0]
    assert (made["count"], made["per_class"], _value(made["sources"])) == (2, "1", 1.0)
    assert _value(made["purity"]) == 1.0
    assert "collapsed" not in _said(found)


def test_planted_cells_stay_under_noise_and_hiding_them_costs_the_answer(tmp_path: Path) -> None:
    found = _measured(tmp_path, _pictures(), [colours()])
    steady = _rows(found, "steadiness")[0]
    assert (_value(steady["cells"]), _value(steady["top"])) == (1.0, 1.0)
    assert (_value(steady["region"]) or 0.0) > 0.5
    network, score = _rows(found, "deletion")
    for row in (network, score):
        assert (_value(row["more"]) or 0.0) > 0.05  # the network's probability hardly falls: half a red is still red
    assert "does not visibly rest on them" not in _said(found)
    checked = _rows(found, "localisation")[0]
    assert (_value(checked["agrees"]) or 0.0) > (_value(checked["chance"]) or 1.0)


def test_an_image_that_is_only_read_again_changes_nothing(tmp_path: Path) -> None:
    found = _measured(tmp_path, _pictures(), [colours()])
    again = _rows(found, "formats")[0]
    assert again["change"] == "read again, unchanged"
    assert (_value(again["top"]), _value(again["class"]), _value(again["fall"])) == (1.0, 0.0, 0.0)
    jpeg = next(row for row in _rows(found, "formats") if row["change"] == "JPEG, quality 90")
    assert (_value(jpeg["top"]), _value(jpeg["class"])) == (1.0, 0.0)


def test_a_prototype_that_lives_on_traces_of_the_encoding_is_found_out_by_its_class(tmp_path: Path) -> None:
    found = _measured(tmp_path, _pictures(traces=True), [colours(looks=("red", "traces"))])
    jpeg = {str(row["label"]): row for row in _rows(found, "formats_classes") if row["change"] == "JPEG, quality 75"}
    assert (_value(jpeg["red"]["top"]), _value(jpeg["red"]["class"])) == (1.0, 0.0)
    assert _value(jpeg["blue"]["fall"]) == pytest.approx(0.94 * (60 * 4 / 255), rel=0.15)
    worst = next(one for one in found.statements if one.text.startswith("Saved as JPEG"))
    assert (_value(jpeg["blue"]["class"]) or 0.0) == 0.0 or worst.level is Level.CAUTION


def test_a_collapsed_set_comes_first(tmp_path: Path) -> None:
    good = colours()
    view = ColourView(good.found, ("red", "blue"), [[1.0, 1.0], [0.0, 0.0]])  # red, whatever it sees
    found = _measured(tmp_path, _pictures(), [Candidate(view, good.vectors)])
    first = found.statements[0]
    assert first.level is Level.ALARM
    assert "call 100.0 % of the images 'red', though only 50.0 % are" in first.text
    row = _rows(found, "standing")[1]
    assert (_value(row["gap"]), _value(row["excess"]), row["most"]) == (-0.5, 0.5, "red")
    assert any("−50.0" in one.text and one.level is Level.ALARM for one in found.statements)


def test_masks_are_met_by_the_matched_cell_and_hardly_by_chance(tmp_path: Path) -> None:
    def mask(case: Case, picture_: Picture) -> tuple[NDArray[np.bool_], None]:
        view = np.asarray(picture_.image).astype(int)
        return np.abs(view[..., 0] - view[..., 2]) > 100, None

    found = _measured(tmp_path, _pictures(), [colours()], sample=0, mask_of=mask)
    cell, whole, random, centre = _rows(found, "aims")
    assert (_value(cell["pointing"]), _value(cell["energy"]), _value(whole["pointing"])) == (1.0, 1.0, 1.0)
    assert _value(random["energy"]) == pytest.approx(CELL**2 / SIDE**2)
    assert (_value(centre["pointing"]) or 0.0) < 0.5
    assert _value(cell["more"]) == pytest.approx(1.0 - CELL**2 / SIDE**2)
    assert "no more on the object" not in _said(found)


def test_parts_that_prototypes_follow_are_found_in_every_image(tmp_path: Path) -> None:
    lines = ["path,part,x,y"]
    pictures = _pictures()
    for number, (label, _) in enumerate(pictures):
        at = 1 + (number // 2) % 6, 1 + (number - number % 2) % 6
        lines.append(f"{label}/{number:03d}.png,{label} cell,{(at[1] + 0.5) / 8},{(at[0] + 0.5) / 8}")
    (tmp_path / "parts.csv").write_text("\n".join(lines), encoding="utf-8")
    found = _measured(tmp_path, pictures, [colours()], parts=read_parts(tmp_path / "parts.csv"))
    row = _rows(found, "parts")[0]
    assert (_value(row["consistency"]), _value(row["stability"])) == (1.0, 1.0)
    assert _value(row["purity"]) == 0.6  # of twelve images six show the part, and all are among the ten
    each = _rows(found, "each")
    assert [(one["class"], one["part"]) for one in each] == [("red", "red cell"), ("blue", "blue cell")]
    (tmp_path / "parts.csv").write_text("path,part,x,y\nother.png,beak,0.5,0.5\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"none of the 12 images of test has parts in .*other\.png"):
        _measured(tmp_path / "again", pictures, [colours()], parts=read_parts(tmp_path / "parts.csv"))


def test_the_same_seed_gives_the_same_figures_and_no_sample_leaves_the_costly_ones_out(tmp_path: Path) -> None:
    one = _measured(tmp_path / "a", _pictures(3), [colours()], sample=4, seed=3)
    other = _measured(tmp_path / "b", _pictures(3), [colours()], sample=4, seed=3)
    assert one.rows() == other.rows()
    assert (one.settings["sample"], one.settings["images"]) == (4, 6)
    view = colours()
    none = _measured(tmp_path / "c", _pictures(3), [view], sample=0)
    assert {table.key for table in none.tables} == {"standing", "stages", "makeup", "each"}
    assert isinstance(view.view, ColourView)
    assert view.view.passes == 6  # once each


def test_one_prototype_of_one_class_is_measured_as_far_as_that_goes(tmp_path: Path) -> None:
    good = colours(looks=("red",))
    found = _measured(tmp_path, [("red", picture({(1, 1): RED}))] * 3, [good])
    assert "All these images have one label" in _said(found)
    assert "have none for some class" in _said(found)
    assert _rows(found, "makeup")[0]["per_class"] == "0–1"
    assert _value(_rows(found, "standing")[1]["accuracy"]) == 1.0


def test_images_that_are_gone_are_left_out_and_none_left_is_an_error(tmp_path: Path) -> None:
    store = base(tmp_path, _pictures(3))
    part, run = parts.choose(store.parts()), PrototypeRun(ColourCounter())
    (tmp_path / "red" / "000.png").unlink()
    (tmp_path / "blue" / "001.png").write_bytes((tmp_path / "blue" / "003.png").read_bytes())
    found = measure(store, part, PrototypeOptions(), [colours()], run)
    assert found.settings["images"] == 4
    assert "2 images were left out: 1 without a readable file and 1 whose pixels have changed" in _said(found)
    assert len(found.per_query) == 4
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match="none of the 6 images of test can be read"):
        measure(store, part, PrototypeOptions(), [colours()], run)


def test_sets_on_the_networks_own_map_share_its_pass(tmp_path: Path) -> None:
    one, other = colours(), colours(profile="classic")
    _measured(tmp_path, _pictures(2), [one, other], sample=0)
    assert isinstance(one.view, ColourView)
    assert isinstance(other.view, ColourView)
    assert (one.view.passes, other.view.passes) == (4, 0)


@pytest.mark.parametrize(
    ("wrong", "said"), [({"sample": -1}, "the sample must be"), ({"profile": "other"}, "--profile")]
)
def test_options_that_make_no_sense(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(PrototypeOptions(), **wrong)  # type: ignore[arg-type]  # one wrong field
