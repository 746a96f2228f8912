"""What scripts rely on: JSON alone on stdout, no escape codes, options in any place, help without heavy libraries."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flow.command import Call, colourless, environment, lists, run
from tests.flow.conftest import PLAIN

NEIGHBOUR = {"rank", "id", "path", "label", "predicted", "distance", "similarity", "percentile", "group_size"}
QUERY = {
    "schema", "query", "prediction", "twins", "counterfactuals", "nearest", "semi_factuals", "trust", "overlays",
    "search", "fingerprint", "warnings", "seconds",
}  # fmt: skip
INDEX = {
    "schema", "seen", "added", "updated", "unchanged", "withdrawn", "skipped", "cases", "classes", "space",
    "fingerprint", "seconds", "images_per_second",
}  # fmt: skip


def finite(value: object) -> None:
    """No NaN and no infinity anywhere."""
    json.dumps(value, allow_nan=False)


def check_query(value: dict[str, object]) -> None:
    """One object of schema ``casebase.query/1``."""
    assert value.keys() >= QUERY
    assert value["schema"] == "casebase.query/1"
    assert value["query"].keys() >= {"path", "sha256", "known_case"}  # type: ignore[attr-defined]
    assert value["prediction"].keys() >= {"predicted", "confidence", "runner_up", "probabilities"}  # type: ignore[attr-defined]
    assert value["trust"].keys() >= {"trust_score", "softmax", "k_same", "k_unlike"}  # type: ignore[attr-defined]
    assert value["search"].keys() >= {"space", "metric", "cases", "lists"}  # type: ignore[attr-defined]
    assert value["search"]["lists"].keys() == {"nearest", "twins", "counterfactuals"}  # type: ignore[index]
    assert value["seconds"].keys() >= {"embed", "search", "explain", "total"}  # type: ignore[attr-defined]
    for name in ("nearest", "twins", "counterfactuals", "semi_factuals"):
        for row in value[name]:  # type: ignore[attr-defined]
            assert row.keys() >= NEIGHBOUR
            assert row["distance"] >= 0
    finite(value)


def test_a_query_is_one_object_and_several_are_a_list(shared_base: Path, stranger: Path, photos: Path) -> None:
    done = run("query", stranger, "--json", "--k", "3", "--base", shared_base).expect(0)
    check_query(done.json)
    assert Path(done.json["overlays"]["gradcam"]).is_file()
    assert len(done.json["nearest"]) == 3
    several = run("query", stranger, photos / "owl/0001.png", "--json", "--no-overlays", "--base", shared_base)
    assert [one["schema"] for one in several.expect(0).json] == ["casebase.query/1"] * 2
    for one in several.json:
        check_query(one)


def test_the_same_question_has_the_same_answer(shared_base: Path, stranger: Path, call: Call) -> None:
    ask = ("query", stranger, "--json", "--no-overlays", "--base", shared_base)
    one, other = (call(*ask).expect(0).json for _ in range(2))
    for value in (one, other):
        value.pop("seconds")
    assert one == other


def test_index_stats_and_verify_print_their_documented_keys(
    tmp_path: Path, shared_photos: Path, model: Path, call: Call
) -> None:
    base = tmp_path / "base"
    done = run("index", shared_photos, "--model", model, *PLAIN, "--base", base, "--json").expect(0)
    assert done.json.keys() >= INDEX
    assert done.json["classes"] == {"cat": 10, "dog": 10, "owl": 10}
    finite(done.json)
    stats = call("stats", "--base", base, "--json").expect(0).json
    assert stats["schema"] == "casebase.stats/1"
    assert stats.keys() >= {"labels", "predicted", "splits", "spaces", "bytes", "generation", "fingerprint"}
    assert stats["fingerprint"] == done.json["fingerprint"]
    verify = call("verify", "--base", base, "--json").expect(0).json
    assert verify["schema"] == "casebase.verify/1"
    assert verify["findings"] == []
    assert call("repair", "--plan", "--base", base, "--json").expect(0).json["done"] == []
    assert call("config", "--base", base, "--json").expect(0).json["schema"] == "casebase.config/1"
    case = call("query", shared_photos / "cat/0000.png", "--base", base, "--json").json["query"]["known_case"]
    assert call("cases", "show", case, "--base", base, "--json").expect(0).json["id"] == case
    assert "no case" in call("cases", "show", "nothing", "--base", base).expect(1).sentence


def test_quiet_says_nothing_but_errors(shared_base: Path, shared_photos: Path, stranger: Path, call: Call) -> None:
    assert call("query", stranger, "--base", shared_base, "--json", "--quiet").expect(0).err == ""
    assert call("index", shared_photos, "--base", shared_base, "--json", "--quiet").expect(0).err == ""
    assert call("query", "none.png", "--base", shared_base, "--quiet").expect(1).sentence


@pytest.mark.parametrize("setting", [{}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, {"TERM": "dumb", "FORCE_COLOR": "1"}])
def test_no_colour_where_nobody_wants_it_and_no_escape_code_at_all_in_a_pipe(
    shared_base: Path, stranger: Path, setting: dict[str, str], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    for command in (["query", stranger], ["stats"], ["verify"]):
        done = call(*command, "--base", shared_base).expect(0)
        assert done.out
        assert colourless(done.out + done.err)
        assert setting or "\x1b" not in done.out + done.err


@pytest.mark.parametrize("width", ["80", "200"])
def test_no_line_ends_in_blanks_in_a_pipe(shared_wrong: Path, stranger: Path, tmp_path: Path, width: str) -> None:
    for line in (
        ("query", stranger, "--no-overlays"),
        ("errors", "--out", tmp_path / "mistakes"),
        ("evaluate", "model", "--out", tmp_path / "m"),
        ("stats",),
        ("verify", "--deep"),
    ):
        told = run(*line, "--base", shared_wrong, COLUMNS=width).expect(0).out
        assert len(told.splitlines()) > 1
        assert [one for one in told.splitlines() if one != one.rstrip()] == []


def test_the_last_line_of_an_index_can_be_pasted(
    tmp_path: Path, shared_photos: Path, model: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = 'b Vögel "x" <i> and a name that makes the line longer than any terminal, as names of folders may well be'
    monkeypatch.chdir(tmp_path)
    told = call("index", shared_photos, "--model", model, *PLAIN, "--base", base, "--limit", 6).expect(0)
    last = told.out.splitlines()[-1]
    assert last.startswith("next: ")
    assert shlex.split(last.removeprefix("next: ")) == ["casebase", "query", "IMAGE", "--k", "5", "--base", base]


def test_a_query_that_writes_a_page_offers_no_other_and_the_page_none(
    shared_base: Path, stranger: Path, tmp_path: Path, call: Call
) -> None:
    page = tmp_path / "q.html"
    ask = ("query", stranger, "--no-overlays", "--base", shared_base)
    assert "--report report.html" in call(*ask).expect(0).out
    assert "--report report.html" not in call(*ask, "--report", page).expect(0).out
    assert "--report report.html" not in page.read_text(encoding="utf-8")


def test_images_outside_of_their_manifest_are_shown_by_where_they_are(
    tmp_path: Path, shared_parts: Path, model: Path, call: Call
) -> None:
    """Manifests that `train` writes lead from the model folder to the photographs."""
    home = tmp_path / "model"
    home.mkdir()
    images = sorted(shared_parts.rglob("*.png"))
    rows = [
        f"{os.path.relpath(path, home)},{path.parent.name},{path.relative_to(shared_parts).parts[0]}" for path in images
    ]
    (home / "split.csv").write_text("\n".join(["path,label,split", *rows]), encoding="utf-8")
    base, mistakes = tmp_path / "base", tmp_path / "mistakes"
    call("index", home / "split.csv", "--model", model, *PLAIN, "--base", base, "--quiet").expect(0)
    told = call("errors", "--base", base, "--out", mistakes).expect(0).out
    (again,) = [line.strip() for line in told.splitlines() if line.strip().startswith("casebase query")]
    asked = Path(shlex.split(again)[2])
    assert asked in images
    assert ".." not in asked.parts
    (looked,) = [line.strip() for line in told.splitlines() if line.strip().startswith("casebase cases show")]
    told += call("query", asked, "--base", base).expect(0).out
    told += call(*shlex.split(looked)[1:]).expect(0).out
    shown = told + "".join(page.read_text(encoding="utf-8") for page in mistakes.rglob("*.html"))
    shown = re.sub(r"path +\.\./.*", "", shown)  # `cases show` has the stored path too, and so has a page's JSON
    shown = re.sub(r"<script type=\"application/json\".*?</script>", "", shown, flags=re.DOTALL)
    assert re.findall(r"(?:\.\./){2}[^\s\"<]*", shown) == []
    data = json.loads((mistakes / "errors.json").read_text(encoding="utf-8"))
    assert all(one["query"]["path"].startswith("../") for one in data["errors"]), "what is stored stays as it was"


def test_colour_is_there_when_it_is_forced(
    shared_base: Path, stranger: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the test above can fail."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not colourless(call("query", stranger, "--base", shared_base).expect(0).out)
    assert colourless(call("query", stranger, "--base", shared_base, "--no-color").expect(0).out)


@pytest.mark.parametrize("arguments", [["--help"], ["index", "--help"], ["query", "-h"], ["--version"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom casebase.cli.main import invoke\ncode = invoke(sys.argv[1:])\n"
        "print('\\nLOADED', code, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=True)
    code, *loaded = done.stdout.splitlines()[-1].removeprefix("LOADED ").split()
    assert code == "0"
    assert "casebase" in loaded
    assert not {"torch", "torchvision", "chromadb", "sqlalchemy", "sklearn", "timm", "scipy"} & set(loaded)
    assert "casebase" in done.stdout.splitlines()[0]


def test_a_dash_reads_standard_input(shared_base: Path, stranger: Path, call: Call) -> None:
    arguments = ["query", "-", "--json", "--no-overlays", "--base", shared_base]
    done = run(*arguments, stdin=stranger.read_bytes()).expect(0).json
    named = call("query", stranger, "--json", "--no-overlays", "--base", shared_base).expect(0).json
    assert lists(done) == lists(named)
    assert done["query"]["sha256"] == named["query"]["sha256"]
    assert done["query"]["path"] == "standard input"
    assert "empty file" in run(*arguments, stdin=b"").expect(1).sentence
    assert "once" in call("query", "-", "-", "--base", shared_base).expect(2).sentence


def test_options_may_stand_before_and_after_the_command(shared_base: Path, stranger: Path, call: Call) -> None:
    after = call("query", stranger, "--json", "--no-overlays", "--base", shared_base).expect(0).json
    before = call("--json", "--base", shared_base, "--seed=0", "query", "--no-overlays", stranger).expect(0).json
    assert lists(before) == lists(after)
    assert call("--base", shared_base, "--json", "cases", "show", after["nearest"][0]["id"]).expect(0).json


def test_the_base_may_be_named_by_the_environment(shared_base: Path, stranger: Path, tmp_path: Path) -> None:
    done = run("stats", "--json", cwd=tmp_path, CASEBASE_BASE=str(shared_base)).expect(0).json
    assert done["cases"] == 30


def test_a_reader_who_leaves_early_gets_no_traceback(shared_base: Path) -> None:
    command = [sys.executable, "-m", "casebase", "stats", "--json", "--base", str(shared_base)]
    with subprocess.Popen(command, stdout=-1, stderr=-1, env=environment()) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_debug_shows_the_traceback_and_nothing_else_does(tmp_path: Path) -> None:
    done = run("query", "x.png", "--debug", cwd=tmp_path)
    assert done.code == 10
    assert "Traceback" in done.err
    assert "Traceback" in run("query", "x.png", cwd=tmp_path, CASEBASE_DEBUG="1").err
