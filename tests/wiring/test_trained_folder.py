"""What is said of a training that taught nothing."""

from __future__ import annotations

from casebase.wiring.trained_folder import nothing_learnt

COUNTS = {"train": {"cat": 30, "dog": 10}, "val": {"cat": 6, "dog": 4}}


def test_no_better_than_one_answer_for_all_is_said_with_both_shares() -> None:
    (said,) = nothing_learnt({"train": {"value": 0.9}, "val": {"value": 0.6}}, COUNTS)
    assert said.startswith("nothing was learnt: 60.0 % of the validation images are right, and always answering cat")
    assert "60.0 %;" in said


def test_better_than_that_is_not() -> None:
    assert list(nothing_learnt({"train": {"value": 0.5}, "val": {"value": 0.61}}, COUNTS)) == []


def test_without_validation_images_training_images_tell() -> None:
    (said,) = nothing_learnt({"train": {"value": 0.75}}, COUNTS)
    assert "75.0 % of the training images" in said
