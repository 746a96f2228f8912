"""The real command on a base with held-out images: P(correct) with n and interval, the panel, ``--rerank``."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.flow.command import Call, run
from tests.flow.conftest import PLAIN, draw

COUNT = {"train": 12, "val": 30, "test": 30}


@pytest.fixture(scope="module")
def split_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders under train, val and test, with wrong labels among the held-out ones, so that there are errors."""
    folder = tmp_path_factory.mktemp("split") / "photos"
    number = 0
    for split, each in COUNT.items():
        for kind in ("cat", "dog", "owl"):
            (folder / split / kind).mkdir(parents=True)
            for i in range(each):
                number += 1
                drawn = "owl" if split != "train" and kind == "dog" and i % 3 == 0 else kind
                draw(drawn, number).save(folder / split / kind / f"{i:03d}.png", compress_level=1)
    return folder


@pytest.fixture(scope="module")
def split_base(tmp_path_factory: pytest.TempPathFactory, split_photos: Path, model: Path) -> Path:
    base = tmp_path_factory.mktemp("split-base") / "base"
    run("index", split_photos, "--model", model, *PLAIN, "--base", base, "--quiet").expect(0)
    return base


def spoken(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_a_query_shows_p_correct_with_n_and_interval(split_base: Path, stranger: Path, tmp_path: Path) -> None:
    page = tmp_path / "why.html"
    done = run("query", stranger, "--base", split_base, "--report", page).expect(0)
    said = spoken(done.out)
    found = re.search(
        r"Softmax → P\(correct\) ([\d.]+) % Of (\d+) held-out answers with evidence like this, "
        r"(\d+|all of them) (?:was|were) right "
        r"\(95 % interval ([\d.]+) % to ([\d.]+) %\)", said,
    )  # fmt: skip
    assert found is not None, said
    assert "Trust → P(correct)" in said
    value = run("query", stranger, "--base", split_base, "--json", "--no-overlays").expect(0).json
    correct = value["trust"]["p_correct"]["softmax"]
    assert correct["n"] == int(found[2]) >= 30
    assert correct["p"] == pytest.approx(1 - correct["n_errors"] / correct["n"])
    assert 100 * correct["p"] == pytest.approx(float(found[1]), abs=0.06)
    assert (100 * correct["low"], 100 * correct["high"]) == pytest.approx((float(found[4]), float(found[5])), abs=0.06)
    assert correct["total"] == 180
    assert value["rerank"] is None
    assert value["panel"][0]["class"] == value["prediction"]["predicted"]
    text = page.read_text(encoding="utf-8")
    assert "Softmax → P(correct)" in text
    assert 'class="span"' in text


def test_a_held_out_query_is_left_out_of_its_reference(split_base: Path, split_photos: Path, call: Call) -> None:
    picture = split_photos / "val" / "dog" / "000.png"
    value = call("query", picture, "--base", split_base, "--json", "--no-overlays").expect(0).json
    assert value["query"]["held_out"]
    assert value["trust"]["p_correct"]["softmax"]["total"] == 179


def test_a_base_without_held_out_images_says_that_nothing_is_calibrated(
    shared_base: Path, stranger: Path, call: Call
) -> None:
    said = spoken(call("query", stranger, "--base", shared_base, "--no-overlays").expect(0).out)
    assert "Not calibrated to a chance of being right: this base has no held-out images." in said
    told = call("query", stranger, "--base", shared_base, "--rerank", "--json", "--no-overlays").expect(0).json
    assert told["rerank"]["beta"] == 0
    assert not told["rerank"]["changed"]
    assert "no held-out images" in told["rerank"]["reason"]


def test_rerank_is_told_with_its_weight_and_gain_and_keeps_the_classifiers_answer(
    split_base: Path, stranger: Path, call: Call
) -> None:
    ask = ("query", stranger, "--base", split_base, "--no-overlays", "--rerank")
    value = call(*ask, "--json").expect(0).json
    told = value["rerank"]
    assert told["classifier"] == value["prediction"]["predicted"]
    assert told["changed"] == (told["predicted"] != told["classifier"])
    assert set(told["gain"]) == {"before", "after", "value", "low", "high", "n"}
    assert told["gain"]["n"] == 180
    assert all(row["predicted"] == told["predicted"] for row in value["twins"])
    said = spoken(call(*ask).expect(0).out)
    assert re.search(r"Re-rank(ed with neighbours|ing changes nothing)", said)
    assert "points (95 % interval" in said
    refused = call("query", stranger, "--base", split_base, "--space", "contribution", "--rerank").expect(2)
    assert "use --space avgpool" in refused.sentence


def test_a_base_of_the_last_version_is_asked_and_gains_its_evidence(
    split_base: Path, stranger: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(split_base, tmp_path / "base"))
    (seal,) = base.glob("matrix/*/seal.json")
    sums = json.loads(seal.read_text())
    seal.write_text(json.dumps({name: value for name, value in sums.items() if "evidence" not in name}))
    (file,) = base.glob("matrix/*/avgpool.evidence.npz")
    file.unlink()
    run("verify", "--base", base).expect(0)
    value = run("query", stranger, "--base", base, "--json", "--no-overlays").expect(0).json
    assert value["trust"]["p_correct"]["softmax"]["total"] == 180
    assert file.exists()
    assert json.loads(seal.read_text())[file.name] == sums[file.name]
    run("verify", "--deep", "--base", base).expect(0)


def test_the_python_api_has_what_the_command_has(split_base: Path, stranger: Path) -> None:
    import casebase

    with casebase.open(split_base) as base:
        answer = base.query(stranger, rerank=True)
        assert answer.reranked is not None
        assert answer.trust.softmax_correct is not None
        seen = base.explain(stranger, saliency=None, panel=True)
        assert seen.report is not None
        assert seen.report.panel is not None
        assert len(seen.report.panel.sides) == len(answer.panel)
