"""``evaluate model`` on made-up answers: known figures, what is said about them, and inputs with little in them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from casebase.errors import EmptyCaseBase, UsageError
from casebase.evaluate.model import measure
from casebase.evaluations import Evaluation, Measured, told
from casebase.explanations import Level
from casebase.storage.memory import MemoryCaseStore
from tests.evaluate.bases import Answer, base, matrix, study

TWO, SIX = ("cat", "dog"), ("a", "b", "c", "d", "e", "f")


def row(evaluation: Evaluation, table: str, **wanted: object) -> Mapping[str, Any]:
    """The one row of a table with these values."""
    (held,) = (one for one in evaluation.tables if one.key == table)
    (found,) = (one for one in held.rows if all(one[key] == value for key, value in wanted.items()))
    return found


def said(evaluation: Evaluation, level: Level) -> str:
    return " | ".join(one.text for one in evaluation.statements if one.level is level)


@pytest.fixture(scope="module")
def founding() -> Evaluation:
    return measure(study())


def test_the_founding_studys_accuracy_and_its_interval(founding: Evaluation) -> None:
    found = row(founding, "overall", metric="accuracy")["value"]
    assert (found.value, found.n) == (0.91, 100)
    assert (round(found.low, 3), round(found.high, 3)) == (0.838, 0.952)
    assert row(founding, "overall", metric="accuracy")["control"].value == 0.5


def test_the_founding_studys_classes(founding: Evaluation) -> None:
    real, generated = (row(founding, "classes", **{"class": name}) for name in ("real", "generated"))
    for found, precision, recall, f1 in ((real, 0.94, 0.88, 0.91), (generated, 0.89, 0.94, 0.91)):
        assert round(found["precision"].value, 2) == precision
        assert round(found["recall"].value, 2) == recall
        assert round(found["f1"].value, 2) == f1
        for key in ("precision", "recall", "f1"):
            assert found[key].low < found[key].value < found[key].high
    assert (real["images"], real["answers"], real["right"]) == (50, 47, 44)
    assert real["recall"].n == 50
    assert real["precision"].n == 47
    assert row(founding, "averages", average="macro")["f1"].value == pytest.approx(0.91, abs=5e-4)


def test_the_founding_studys_confusion_and_mistakes(founding: Evaluation) -> None:
    assert row(founding, "confusion", label="real") == {
        "label": "real", "predicted real": 44, "predicted generated": 6,
    }  # fmt: skip
    first = founding.tables[4].rows[0]
    assert (first["label"], first["predicted"], first["images"]) == ("real", "generated", 6)
    assert isinstance(first["of_errors"], Measured)
    assert first["of_errors"].value == pytest.approx(6 / 9)
    assert isinstance(first["of_label"], Measured)
    assert first["of_label"].value == pytest.approx(6 / 50)


def test_the_founding_study_is_told_that_it_is_small(founding: Evaluation) -> None:
    assert "Only 9 answers are wrong" in said(founding, Level.CAUTION)
    assert "no AUROC" in said(founding, Level.CAUTION)
    assert "anything from 83.8 % to 95.2 %" in said(founding, Level.CAUTION)
    assert said(founding, Level.ALARM) == ""
    assert "Right on 91 of 100 images" in said(founding, Level.PLAIN)


def test_calibration_of_the_founding_matrix(founding: Evaluation) -> None:
    """All confidences are .9, 91 of 100 are right: one bin, an error of a hundredth."""
    found = row(founding, "calibration", metric="ece")["value"]
    assert found.value == pytest.approx(0.01, abs=1e-6)
    assert row(founding, "probabilities", metric="gap")["value"].value == pytest.approx(-0.01, abs=1e-6)
    assert len(next(one for one in founding.tables if one.key == "bins").rows) == 1
    brier = (91 * 2 * 0.1**2 + 9 * 2 * 0.9**2) / 100
    assert row(founding, "probabilities", metric="brier")["value"].value == pytest.approx(brier, rel=1e-5)
    assert row(founding, "probabilities", metric="brier")["control"] == pytest.approx(0.5)
    loss = -(91 * math.log(0.9) + 9 * math.log(0.1)) / 100
    assert row(founding, "probabilities", metric="log_loss")["value"].value == pytest.approx(loss, rel=1e-5)


def test_the_same_base_and_seed_give_the_same_evaluation(founding: Evaluation) -> None:
    again = measure(study())
    assert again.to_dict() == founding.to_dict()
    assert [one.svg for one in again.plots] == [one.svg for one in founding.plots]
    assert measure(study(), seed=1).to_dict() != founding.to_dict()


def test_every_number_of_json_is_finite_and_every_row_is_in_it(founding: Evaluation) -> None:
    value = founding.to_dict()
    json.dumps(value, allow_nan=False)
    assert value["schema"] == "casebase.evaluation/1"
    assert len(value["rows"]) == sum(len(table.rows) for table in founding.tables)
    assert {"table": "overall", "metric": "accuracy", "value": 0.91}.items() <= value["rows"][0].items()
    assert value["rows"][0]["value_n"] == 100
    assert value["settings"]["errors"] == 9


def test_the_rows_behind_the_figures(founding: Evaluation) -> None:
    assert len(founding.per_query) == 100
    assert sum(one["right"] for one in founding.per_query) == 91
    wrong = next(one for one in founding.per_query if not one["right"])
    assert wrong["label_probability"] == pytest.approx(0.1)
    assert wrong["label_rank"] == 2


def test_the_figures_have_words_for_those_who_cannot_see_them(founding: Evaluation) -> None:
    assert [one.key for one in founding.plots] == ["confusion", "calibration", "bins"]
    assert "Of 100 images, 91 lie on the diagonal" in founding.plots[0].alt
    assert "91 right answers" in founding.plots[1].alt


DEGENERATE = {
    "one image": [Answer("cat", "cat")],
    "one wrong image": [Answer("cat", "dog")],
    "no errors": matrix([[20, 0], [0, 20]], TWO),
    "all wrong": matrix([[0, 20], [20, 0]], TWO),
    "one label": matrix([[15, 5], [0, 0]], TWO),
    "one answer": matrix([[20, 0], [10, 0]], TWO),
    "certain": [Answer("cat", "cat", 1.0)] * 5 + [Answer("dog", "cat", 1.0)] * 5,
    "even": [Answer("cat", "cat", 0.5)] * 5 + [Answer("dog", "cat", 0.5)] * 5,
    "unknown label": [*matrix([[9, 1], [1, 9]], TWO), Answer("owl", "cat")],
    "only unknown labels": [Answer("owl", "cat"), Answer("emu", "dog")],
    "one group": [Answer("cat", "cat", group="g"), Answer("dog", "dog", group="g"), Answer("dog", "cat", group="g")],
}


@cache
def degenerate(name: str) -> Evaluation:
    return measure(base(DEGENERATE[name], TWO))


@pytest.mark.parametrize("name", DEGENERATE)
def test_little_input_gives_finite_figures_or_a_reason(name: str) -> None:
    answers = DEGENERATE[name]
    found = degenerate(name)
    json.dumps(found.to_dict(), allow_nan=False)
    wrong = sum(one.label != one.predicted for one in answers)
    assert found.settings["errors"] == wrong
    for table in found.tables:
        for one in table.rows:
            for cell in one.values():
                if isinstance(cell, Measured):
                    assert cell.value is not None or cell.reason
                    if cell.low is not None and table.key not in ("calibration", "probabilities"):
                        assert cell.low - 1e-9 <= cell.value <= cell.high + 1e-9  # type: ignore[operator]
    assert len(found.plots) == 3
    assert found.statements


def test_a_network_of_one_class() -> None:
    found = measure(base([Answer("cat", "cat", 1.0)] * 4, ("cat",)))
    assert row(found, "overall", metric="accuracy")["value"].value == 1.0
    assert "one label" in said(found, Level.ALARM)


def test_no_errors_is_no_proof() -> None:
    found = degenerate("no errors")
    accuracy = row(found, "overall", metric="accuracy")["value"]
    assert (accuracy.value, accuracy.high) == (1.0, 1.0)
    assert accuracy.low == pytest.approx(1 / (1 + 1.959964**2 / 40))  # Wilson at p = 1
    assert row(found, "averages", average="macro")["f1"].low is None
    assert "No answer is wrong" in said(found, Level.CAUTION)
    assert row(found, "classes", **{"class": "cat"})["f1"].low < 1.0
    assert next(one for one in found.tables if one.key == "mistakes").rows == []


def test_no_better_than_always_the_same_is_an_alarm() -> None:
    found = measure(base(matrix([[90, 0], [9, 1]], TWO), TWO))
    assert "Not shown to be better than always answering cat" in said(found, Level.ALARM)
    assert found.statements[0].level is Level.ALARM
    assert "uneven" in said(found, Level.CAUTION)
    fine = measure(base(matrix([[90, 2], [1, 40]], TWO), TWO))
    assert "Not shown" not in said(fine, Level.ALARM)


def test_a_class_that_is_never_predicted_is_named() -> None:
    found = measure(base(matrix([[20, 0, 0], [0, 20, 0], [5, 5, 0]], ("cat", "dog", "owl")), ("cat", "dog", "owl")))
    assert "never predicts a class of these images: owl (10 images)" in said(found, Level.ALARM)
    precision = row(found, "classes", **{"class": "owl"})["precision"]
    assert (precision.value, precision.reason) == (None, "never predicted")


def test_labels_that_the_network_does_not_know_are_errors_of_their_own_class() -> None:
    found = degenerate("unknown label")
    assert "no class owl" in said(found, Level.ALARM)
    assert row(found, "overall", metric="accuracy")["value"].value == pytest.approx(18 / 21)
    owl = row(found, "classes", **{"class": "owl"})
    assert (owl["images"], owl["recall"].value, owl["precision"].reason) == (1, 0.0, "the network has no such class")
    assert row(found, "probabilities", metric="log_loss")["value"].n == 20
    assert found.per_query[-1]["label_rank"] is None
    assert found.settings["unknown_labels"] == ["owl"]


def test_confidence_that_is_far_too_high_is_called_so() -> None:
    answers = [Answer("cat", "cat", 0.99)] * 60 + [Answer("cat", "dog", 0.99)] * 40 + [Answer("dog", "dog", 0.99)] * 60
    found = measure(base(answers, TWO))
    assert "Not calibrated" in said(found, Level.CAUTION)
    assert "too high" in said(found, Level.CAUTION)


def drawn(n: int, seed: int, right: float | None = None) -> Evaluation:
    """``n`` answers of spread confidence, right as often as they say (or as ``right`` says)."""
    random = np.random.default_rng(seed)
    answers = []
    for sure in random.uniform(0.5, 1.0, n).tolist():
        label = "cat" if random.random() < (sure if right is None else right) else "dog"
        answers.append(Answer(label, "cat", sure))
    return measure(base(answers, TWO))


@pytest.mark.parametrize("seed", [0, 4, 5])
@pytest.mark.parametrize(("n", "right"), [(12, None), (12, 0.3), (60, None), (60, 0.7)])
def test_what_is_said_of_calibration_is_what_the_table_shows(n: int, right: float | None, seed: int) -> None:
    found = drawn(n, seed, right)
    rows = [row(found, "calibration", metric=metric) for metric in ("ece", "ece_mass")]
    outside = [one["value"].value > one["calibrated"].high + 1e-9 for one in rows]
    text = said(found, Level.CAUTION) + said(found, Level.PLAIN)
    assert any(outside) == ("Not calibrated" in text)
    assert (sum(outside) == 1) == ("One of two ways to bin does not show it" in text)
    if sum(outside) == 1:
        assert all(told(one["value"], "share").split(" (")[0] in text for one in rows)


def test_with_few_images_a_large_error_of_calibration_cannot_be_ruled_out() -> None:
    few, many = drawn(12, 0), drawn(2000, 0)
    assert "even a large error cannot be ruled out" in said(few, Level.CAUTION)
    assert "No sign" not in said(few, Level.CAUTION) + said(few, Level.PLAIN)
    assert row(few, "calibration", metric="ece_mass")["figure"] == "ECE, one bin of all answers"
    assert "a small error cannot be ruled out" in said(many, Level.PLAIN)
    assert row(many, "calibration", metric="ece_mass")["figure"] == "ECE, 15 bins of as many answers each"


def test_copies_of_training_images_are_an_alarm_and_left_out_for_comparison() -> None:
    learnt = [Answer("cat", "cat", split="train", pixels="seen"), Answer("dog", "dog", split="train")]
    held = [Answer("cat", "cat", pixels="seen"), *matrix([[6, 4], [2, 8]], TWO)]
    found = measure(base([*learnt, *held], TWO))
    assert "1 image have exactly" not in said(found, Level.ALARM)
    assert "1 image has exactly the pixels of a training image" in said(found, Level.ALARM)
    assert "70.0 %" in said(found, Level.ALARM)
    assert found.settings["images"] == 21


def test_an_image_that_occurs_twice_is_said() -> None:
    held = [Answer("cat", "cat", pixels="twice"), Answer("cat", "cat", pixels="twice"), *matrix([[6, 4], [2, 8]], TWO)]
    assert "1 image repeats the pixels" in said(measure(base(held, TWO)), Level.CAUTION)


def test_groups_widen_the_interval() -> None:
    alone = measure(base([Answer("cat", "cat")] * 80 + [Answer("dog", "cat")] * 20, TWO))
    grouped = [Answer("cat", "cat", group=f"g{n // 10}") for n in range(80)]
    grouped += [Answer("dog", "cat", group=f"h{n // 10}") for n in range(20)]
    together = measure(base(grouped, TWO))
    one, ten = (row(found, "overall", metric="accuracy")["value"] for found in (alone, together))
    assert ten.high - ten.low > 2 * (one.high - one.low)
    assert together.settings["groups"] == 10


def test_top_five_is_given_from_six_classes_on() -> None:
    answers = [Answer(name, name) for name in SIX for _ in range(3)]
    found = measure(base([*answers, Answer("a", "b", 0.7)], SIX))
    top = row(found, "overall", metric="top5")
    assert top["value"].n == 19
    assert top["value"].value == pytest.approx(18 / 19)  # the other five are equally improbable: ties count against it
    assert "top5" not in [one.get("metric") for one in measure(study()).tables[0].rows]


def test_of_many_classes_only_the_most_confused_are_drawn() -> None:
    names = [f"class {n:02d}" for n in range(30)]
    answers = [Answer(name, name) for name in names for _ in range(2)] + [Answer("class 07", "class 19")]
    found = measure(base(answers, names))
    drawn = found.plots[0]
    assert drawn.key == "mistakes"
    assert "10 classes with most mistakes, of 30" in drawn.title
    assert "class 07" in drawn.svg
    assert "class 19" in drawn.svg
    assert "confusion" not in [one.key for one in found.tables]


def test_training_images_are_measured_on_request_with_an_alarm_first() -> None:
    learnt = [Answer("cat", "cat", split="train")] * 5 + [Answer("dog", "dog", split="train")] * 5
    held = matrix([[6, 4], [2, 8]], TWO)
    found = measure(base([*learnt, *held], TWO), split="train")
    assert found.statements[0].level is Level.ALARM
    assert "training images" in found.statements[0].text
    assert found.settings["images"] == 10
    assert measure(base([*learnt, *held], TWO)).settings["images"] == 20


def test_nothing_held_out_and_nothing_at_all_are_errors() -> None:
    with pytest.raises(UsageError, match="held out"):
        measure(base([Answer("cat", "cat", split="train")], TWO))
    with pytest.raises(EmptyCaseBase):
        measure(MemoryCaseStore())


def test_no_sentence_claims_a_cause_and_none_says_one_images() -> None:
    for name in DEGENERATE:
        for one in degenerate(name).statements:
            assert "because" not in one.text.lower()
            assert " 1 images" not in f" {one.text}"
            assert "nan" not in one.text.lower().split()
