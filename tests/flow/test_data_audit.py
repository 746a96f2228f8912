"""``casebase data audit`` as it is typed: terminal, JSON, page, exit codes, bad input."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

import casebase
from tests.evaluate.data_audit.drawn import jpeg, png, scene, two_classes, write
from tests.flow.command import Call, run

HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m&"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return Call(capsys)


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One class in PNG, the other in JPEG; one photograph in both, one twice in one."""
    root = tmp_path_factory.mktemp("leaky") / "photos"
    for number in range(30):
        write(root, f"generated/{number:02}.png", png(scene(number)))
        write(root, f"real/{number:02}.jpg", jpeg(scene(100 + number)))
    write(root, "real/twin.jpg", jpeg(scene(7), 60))
    write(root, "generated/again.png", png(scene(9)))
    return root


def test_findings_come_first_and_worst_first(leaky: Path, call: Call) -> None:
    said = call("data", "audit", leaky).expect(0).out
    text = " ".join(said.split())
    assert text.index("The files give the class away") < text.index("The class told by files alone")
    assert "1 photograph stands (1 saved anew or rescaled) under two labels" in text
    assert "generated/07.png (generated) and real/twin.jpg (real)" in text
    assert "1 photograph stands (1 byte for byte) more than once" in text
    assert "format = PNG generated" in text or "format is not" in text or "JPEG quality" in text
    assert f"casebase data audit {leaky} --report audit.html" in said


def test_strict_fails_a_pipeline_where_something_is_serious(leaky: Path, tmp_path: Path, call: Call) -> None:
    call("data", "audit", leaky, "--strict", "-q").expect(3)
    call("data", "audit", two_classes(tmp_path), "--strict", "-q").expect(0)


def test_json_is_the_whole_answer(leaky: Path, call: Call) -> None:
    found = call("data", "audit", leaky, "--json").expect(0).json
    assert found["schema"] == "casebase.data-audit/1"
    assert found["serious"] is True
    assert found["images"] == 62
    assert found["leak"]["alarm"] is True
    assert found["leak"]["accuracy_low"] > found["leak"]["majority"]
    assert {one["name"] for one in found["leak"]["attributes"]} >= {"format", "bytes per pixel", "quantisation tables"}
    (across, within) = found["copies"]
    assert across["across_classes"] is True
    assert across["pairs"][0]["kind"] == "near"
    assert within["pairs"][0]["kind"] == "bytes"
    again = call("data", "audit", leaky, "--json").expect(0).json
    for answer in (found, again):
        for timed in ("date", "seconds", "seconds_reading"):
            del answer["settings"][timed]
    assert found == again


def test_the_page_shows_the_pictures_and_loads_nothing(leaky: Path, tmp_path: Path, call: Call) -> None:
    page = tmp_path / "audit.html"
    said = call("data", "audit", leaky, "--report", page).expect(0)
    assert str(page) in said.out
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in html.unescape(text)
    assert text.count('<img src="data:image/') == 4
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert 'style="' not in text
    data = re.search(r'<script type="application/json" id="casebase-result">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert json.loads(data.group(1))["schema"] == "casebase.data-audit/1"


def test_hostile_names_stay_text_everywhere(tmp_path: Path, call: Call) -> None:
    root = two_classes(tmp_path / "photos", 12)
    name = HOSTILE.replace("/", "_")
    write(root, f"cat/{name}.jpg", jpeg(scene(1)))
    write(root, f"{name}/1.jpg", jpeg(scene(2)))
    write(root, f"cat/{name}.png", b"")
    page = tmp_path / "audit.html"
    said = call("data", "audit", root, "--report", page).expect(0)
    text = page.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror" in text
    for shown in (said.out, said.err, text):
        assert "\x1b[31m" not in shown
        assert "\u202e" not in shown


def test_one_class_has_no_leak_test_and_all_the_rest(tmp_path: Path, call: Call) -> None:
    for number in range(12):
        write(tmp_path, f"cat/{number}.jpg", jpeg(scene(number)))
    write(tmp_path, "cat/again.jpg", jpeg(scene(3)))
    said = " ".join(call("data", "audit", tmp_path).expect(0).out.split())
    assert "cannot be tested: there is only one class" in said
    assert "All images are of one class, cat" in said
    assert "stands (1 byte for byte) more than once" in said


def test_missing_files_of_a_manifest_and_absent_splits_are_said(tmp_path: Path, call: Call) -> None:
    two_classes(tmp_path, 12)
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in sorted(tmp_path.rglob("*.jpg"))]
    manifest = tmp_path / "photos.csv"
    manifest.write_text("\n".join(["path,label", *rows, "cat/gone.jpg,cat"]))
    said = " ".join(call("data", "audit", manifest).expect(0).out.split())
    assert "1 file of 25 cannot be read (cat/gone.jpg: no such file)" in said
    assert "No splits are named" in said


def test_a_set_of_which_nothing_can_be_read_is_serious(tmp_path: Path, call: Call) -> None:
    (tmp_path / "photos.csv").write_text("path,label\ngone.jpg,cat\naway.jpg,dog\n")
    said = call("data", "audit", tmp_path / "photos.csv", "--strict").expect(3)
    assert "2 files of 2 cannot be read" in " ".join(said.out.split())


def test_bad_input_gets_one_sentence(tmp_path: Path, call: Call) -> None:
    two_classes(tmp_path / "photos", 2)
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    (tmp_path / "wrong.csv").write_text("file,label\na.jpg,cat\n")
    assert "no image to index" in call("data", "audit", tmp_path / "empty").expect(1).sentence
    assert "no such folder or manifest" in call("data", "audit", tmp_path / "nowhere").expect(1).sentence
    assert "no column path" in call("data", "audit", tmp_path / "wrong.csv").expect(1).sentence
    assert "is a folder" in call("data", "audit", tmp_path / "photos", "--report", tmp_path).expect(2).sentence
    gone = call("data", "audit", tmp_path / "photos", "--report", tmp_path / "no" / "a.html").expect(1).sentence
    assert "there is no folder" in gone
    call("data", "audit").expect(2)


def test_the_command_runs_by_itself(leaky: Path, tmp_path: Path) -> None:
    done = run("data", "audit", leaky, "--report", "audit.html", "--strict", cwd=tmp_path).expect(3)
    assert (tmp_path / "audit.html").is_file()
    assert "The files give the class away" in done.out


def test_python_has_the_same_answer(leaky: Path, tmp_path: Path) -> None:
    found = casebase.audit_data(leaky)
    assert found.serious
    assert found.save(tmp_path / "a.html").is_file()
    assert "srcdoc" in found._repr_html_()
    assert found.to_dict()["images"] == 62
