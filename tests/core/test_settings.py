"""Settings: flags before environment before the base's file before the user's file before defaults."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from casebase import settings
from casebase.errors import SettingsError
from casebase.settings import Settings

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the user's folder is found otherwise there")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A base's folder, and an environment whose user settings lie beside it."""
    base = tmp_path / "base"
    base.mkdir()
    (tmp_path / "config" / "casebase").mkdir(parents=True)
    return base, {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def test_without_anything_there_are_defaults(places: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    found = settings.load(None, None, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert found.base == Path(".casebase")
    assert found == Settings(origin={"base": "default"})


def test_each_source_wins_over_the_ones_before_it(places: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    base, env = places

    def seed(flags: dict[str, Any] | None = None) -> tuple[int, str]:
        found = settings.load(base, flags, env)
        return found.seed, found.origin.get("seed", "default")

    assert seed() == (0, "default")
    user = tmp_path / "config" / "casebase" / "casebase.toml"
    user.write_text("seed = 1\n")
    assert seed() == (1, str(user))
    (base / "casebase.toml").write_text("seed = 2\n")
    assert seed() == (2, str(base / "casebase.toml"))
    env["CASEBASE_SEED"] = "3"
    assert seed() == (3, "environment")
    assert seed({"seed": 4}) == (4, "flag")
    assert seed({"seed": None}) == (3, "environment")  # a flag that was not given
    assert seed({"seed": 0}) == (0, "flag")  # zero was given


def test_sources_are_merged_key_by_key(places: tuple[Path, dict[str, str]]) -> None:
    base, env = places
    (base / "casebase.toml").write_text('device = "cpu"\nworkers = 3\n')
    found = settings.load(base, {"precision": "fp32"}, env | {"CASEBASE_WORKERS": "2"})
    assert (found.device, found.workers, found.precision) == ("cpu", 2, "fp32")


def test_the_base_itself(places: tuple[Path, dict[str, str]]) -> None:
    base, env = places
    env["CASEBASE_BASE"] = str(base)
    assert settings.load(None, None, env).base == base
    assert settings.load(None, None, env).origin["base"] == "environment"
    assert settings.load("other", None, env).base == Path("other")
    assert settings.load("other", None, env).origin["base"] == "flag"


def test_every_key_can_come_from_the_environment(places: tuple[Path, dict[str, str]]) -> None:
    base, env = places
    given = {
        "data": "photos", "sql_url": "sqlite://", "chroma_url": "http://host:8000", "device": "cpu",
        "precision": "bf16", "max_megapixels": "12.5", "workers": "2", "batch_size": "8", "seed": "7",
        "view_megabytes": "50",
    }  # fmt: skip
    assert set(given) == {f.name for f in fields(Settings)} - {"base", "origin"}
    found = settings.load(base, None, env | {f"CASEBASE_{name.upper()}": value for name, value in given.items()})
    assert {name: str(getattr(found, name)) for name in given} == given


def test_an_empty_variable_is_none(places: tuple[Path, dict[str, str]]) -> None:
    base, env = places
    assert settings.load(base, None, env | {"CASEBASE_DEVICE": ""}).device == "auto"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speed = 3", "unknown setting 'speed'; known are batch_size"),
        ('seed = "x"', "seed must be of kind int, not 'x'"),
        ("seed = -1", "seed must be at least 0, not -1"),
        ("seed = true", "seed must be of kind int, not True"),
        ("batch_size = 0", "batch_size must be at least 1, not 0"),
        ("max_megapixels = 0", "max_megapixels must be at least"),
        ("max_megapixels = nan", "max_megapixels must be at least"),
        ("device = 3", "device must be of kind str, not 3"),
        ('device = "gpu"', "device must be one of auto, cpu, cuda, mps, not 'gpu'"),
        ('precision = "int8"', "precision must be one of auto, fp32, bf16"),
        ("seed = ", "cannot be read"),
    ],
)
def test_a_value_that_makes_no_sense_names_its_file(places: tuple[Path, dict[str, str]], text: str, said: str) -> None:
    base, env = places
    (base / "casebase.toml").write_text(text + "\n")
    with pytest.raises(SettingsError) as caught:
        settings.load(base, None, env)
    assert said in str(caught.value)
    assert str(base / "casebase.toml") in str(caught.value)


def test_a_bad_variable_names_the_environment_and_a_bad_flag_the_flag(places: tuple[Path, dict[str, str]]) -> None:
    base, env = places
    with pytest.raises(SettingsError, match="environment: workers must be of kind int, not 'many'"):
        settings.load(base, None, env | {"CASEBASE_WORKERS": "many"})
    with pytest.raises(SettingsError, match="flag: unknown setting 'model'"):
        settings.load(base, {"model": "x"}, env)


def test_a_file_that_is_no_text_is_one_sentence(places: tuple[Path, dict[str, str]]) -> None:
    base, env = places
    (base / "casebase.toml").write_bytes(b"\xff\xfe seed")
    with pytest.raises(SettingsError, match=r"casebase\.toml cannot be read"):
        settings.load(base, None, env)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql+psycopg://me:se/cr:et@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("postgresql://me@host/db?password=secret&x=1", "postgresql://me@host/db?password=***&x=1"),
        ("http://host:8000", "http://host:8000"),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db"),
    ],
)
def test_a_password_is_never_shown(places: tuple[Path, dict[str, str]], url: str, shown: str) -> None:
    base, env = places
    found = settings.load(base, {"sql_url": url, "chroma_url": url}, env)
    rows = {row["name"]: row for row in settings.shown(found)}
    assert rows["sql_url"]["value"] == rows["chroma_url"]["value"] == shown
    assert rows["sql_url"]["origin"] == "flag"
    assert rows["device"] == {"name": "device", "value": "auto", "origin": "default"}
    assert set(rows) == {f.name for f in fields(Settings)} - {"origin"}


def test_the_file_a_new_base_gets_sets_nothing_and_names_real_keys(places: tuple[Path, dict[str, str]]) -> None:
    from casebase.storage.skeleton import TEMPLATE

    base, env = places
    (base / "casebase.toml").write_text(TEMPLATE)
    assert settings.load(base, None, env) == Settings(base=base, origin={"base": "flag"})
    lines = [line.removeprefix("# ") for line in TEMPLATE.splitlines() if " = " in line]
    (base / "casebase.toml").write_text("\n".join(lines))
    assert set(settings.load(base, None, env).origin) > {"data", "device"}
