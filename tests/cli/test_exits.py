"""Every error has an exit code, and every code is what the documents say."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from casebase import errors
from casebase.cli import exits
from casebase.cli.main import invoke

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.CasebaseError)]
LEAVES = [kind for kind in TREE if not any(other.__base__ is kind for other in TREE)]
WANTED = {
    "SettingsError": 2, "UnknownBackbone": 2, "UnknownClass": 2, "MissingExtra": 2,
    "DataError": 1, "Diverged": 1, "GateFailed": 1, "ImageError": 1, "NoTargetLayer": 1, "CheckpointRefused": 1,
    "WeightsMissing": 1,
    "NotFound": 1, "EmptyCaseBase": 1, "FingerprintMismatch": 1, "MigrationNeeded": 1, "StorageFailed": 1,
    "Moved": 1,
    "Locked": 5, "NoCaseBase": 10, "NoLike": 1, "NoUnlike": 1,
}  # fmt: skip


def test_the_table_names_every_leaf_of_the_tree() -> None:
    assert {kind.__name__ for kind in LEAVES} == set(WANTED)


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_every_leaf_has_its_code(kind: type[errors.CasebaseError]) -> None:
    assert exits.code_of(kind("x")) == WANTED[kind.__name__]


def test_the_nearest_class_above_decides() -> None:
    class Odd(errors.Locked):
        """Made up."""

    assert exits.code_of(Odd("x")) == exits.LOCKED
    assert exits.code_of(errors.CasebaseError("x")) == exits.FAILED


def test_the_drawing_at_the_top_of_the_errors_names_every_class() -> None:
    assert errors.__doc__ is not None
    for kind in TREE:
        assert kind.__name__ in errors.__doc__


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["stats", "--base", "{}/none"], exits.NO_BASE, "no case base at"),
        (["verify", "--base", "{}/none"], exits.NO_BASE, "casebase index DATA"),
        (["query", "x.jpg", "--base", "{}/none"], exits.NO_BASE, "no case base at"),
        (["query"], exits.USAGE, "Try `casebase --help`"),
        (["nonsense"], exits.USAGE, "nonsense"),
        (["query", "x.jpg", "--images", "all", "--base", "{}/none"], exits.USAGE, "--images must be auto"),
        (["query", "x.jpg", "-k", "0"], exits.USAGE, "greater than or equal to 1"),
        (["index", "{}/none", "--base", "{}/base"], exits.FAILED, "no such folder or manifest"),
        (["index", "{}", "--head", "none", "--base", "{}/base"], exits.USAGE, "--head must be auto, network or fit"),
        (["config", "--base", "{}"], exits.USAGE, "unknown setting 'speed'"),
    ],
)
def test_what_went_wrong_is_one_line_and_a_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "casebase.toml").write_text("speed = 3\n")
    assert invoke([text.replace("{}", str(tmp_path)) for text in arguments]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("casebase: ")
    assert shown.err.count("\n") == 1
    assert said in shown.err
    assert not (tmp_path / "base").exists()  # nothing was made for a request that failed


def test_fine_is_0(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert invoke(["config", "--json", "--base", str(tmp_path)]) == exits.OK
    assert invoke(["--version"]) == exits.OK
    assert capsys.readouterr().err == ""
