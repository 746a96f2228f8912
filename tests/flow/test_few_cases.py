"""Fewer cases than were asked for: what there is, with a warning, and exit code 0."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.flow.command import Call, lists, names, run
from tests.flow.conftest import PLAIN, draw, photos_at


def test_k_beyond_the_class_gives_what_there_is(shared_base: Path, stranger: Path, call: Call) -> None:
    done = call("query", stranger, "--k", "1000", "--base", shared_base, "--json", "--no-overlays").expect(0).json
    assert len(done["nearest"]) == 30
    called = done["prediction"]["predicted"]
    assert len(done["twins"]) == sum(row["predicted"] == called for row in done["nearest"])
    rivals = {row["predicted"] for row in done["counterfactuals"]}
    assert rivals
    assert called not in rivals
    warned = " ".join(done["warnings"])
    for name in ("nearest: 30 of 1000", f"twins: {len(done['twins'])} of 1000", "counterfactuals: "):
        assert name in warned


def test_a_class_with_one_case(tmp_path: Path, model: Path, stranger: Path, call: Call) -> None:
    photos = photos_at(tmp_path / "photos", 8, ("dog", "owl"))
    (photos / "cat").mkdir()
    draw("cat", 1).save(photos / "cat" / "only.png")
    told = call("index", photos, "--model", model, *PLAIN, "--base", tmp_path / "base", "--json").expect(0).json
    assert told["classes"] == {"cat": 1, "dog": 8, "owl": 8}
    done = run("query", stranger, "--base", "base", "--json", cwd=tmp_path).expect(0).json
    assert len(done["nearest"]) == 5
    assert any("of 5 asked for" in warning for warning in done["warnings"])


def test_a_base_with_one_class_cannot_contradict_and_says_so(
    tmp_path: Path, model: Path, stranger: Path, call: Call
) -> None:
    photos = photos_at(tmp_path / "photos", 3, ("cat",))
    base = tmp_path / "base"
    done = call("index", photos, "--model", model, *PLAIN, "--base", base, "--json").expect(0).json
    assert done["classes"] == {"cat": 3}
    assert any("one class" in warning for warning in done["warnings"])
    answer = call("query", stranger, "--base", base, "--json").expect(0).json
    assert answer["prediction"]["predicted"] == "cat"
    assert answer["counterfactuals"] == answer["semi_factuals"] == []
    assert len(answer["twins"]) == 3
    warned = " ".join(answer["warnings"])
    assert "every case of this base is predicted 'cat'" in warned
    assert "twins: 3 of 5" in warned
    call("query", stranger, "--base", base, "--report", tmp_path / "why.html").expect(0)
    assert call("query", stranger, "--base", base, "--rival", "dog").expect(2).sentence
    call("verify", "--deep", "--base", base).expect(0)


def test_a_base_with_one_case_answers_and_of_itself_says_that_nothing_is_left(
    tmp_path: Path, model: Path, stranger: Path, call: Call
) -> None:
    photos = photos_at(tmp_path / "photos", 1, ("cat",))
    base = tmp_path / "base"
    call("index", photos, "--model", model, *PLAIN, "--base", base).expect(0)
    assert names(call("query", stranger, "--base", base, "--json").expect(0).json["nearest"]) == ["cat/0000.png"]
    itself = call("query", photos / "cat/0000.png", "--base", base, "--json").expect(0).json
    assert itself["nearest"] == itself["twins"] == []
    assert "it was left out of every list" in " ".join(itself["warnings"])
    call("verify", "--deep", "--base", base).expect(0)


def test_copies_fold_into_one_row_and_a_case_as_query_is_left_out_and_named(
    tmp_path: Path, photos: Path, model: Path, stranger: Path, call: Call
) -> None:
    draw("cat", 700).save(photos / "cat" / "one.png")
    shutil.copy(photos / "cat" / "one.png", photos / "cat" / "other.png")
    draw("cat", 700).save(photos / "cat" / "third.bmp")
    base = tmp_path / "base"
    call("index", photos, "--model", model, *PLAIN, "--base", base).expect(0)
    answer = call("query", stranger, "--k", "50", "--base", base, "--json").expect(0).json
    copies = {"cat/one.png", "cat/other.png", "cat/third.bmp"}
    (row,) = [row for row in answer["nearest"] if row["path"] in copies]
    assert row["group_size"] == 3
    assert len(answer["nearest"]) == 31
    itself = call("query", photos / "cat" / "one.png", "--k", "50", "--base", base, "--json").expect(0).json
    assert not copies & set(names(itself["nearest"]))
    assert all(name in " ".join(itself["warnings"]) for name in copies)
    assert itself["query"]["known_case"]
    # the same answer from a copy elsewhere under another name and in another lossless format
    draw("cat", 700).save(tmp_path / "elsewhere.tiff")
    again = call("query", tmp_path / "elsewhere.tiff", "--k", "50", "--base", base, "--json").expect(0).json
    assert lists(again) == lists(itself)
