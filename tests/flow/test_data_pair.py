"""``casebase data pair`` as a user meets it: one pipeline for both classes, parts that share nothing, equal counts."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from casebase import reading
from tests.flow.command import Call, run

SIZE = 32
PARTS = ("train", "val", "test")


def scene(*key: int, size: tuple[int, int] = (60, 48)) -> Image.Image:
    """A picture of its own for every key."""
    cells = np.random.default_rng(key).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 photographs as JPEG with metadata, 16 generated images as PNG: as such sets are found."""
    root = tmp_path_factory.mktemp("sets")
    (root / "real").mkdir()
    (root / "fake").mkdir()
    for number in range(20):
        scene(1, number).save(root / "real" / f"{number:02d}.jpg", quality=96, comment=b"camera")
    for number in range(16):
        scene(2, number, size=(40, 40)).save(root / "fake" / f"{number:02d}.png")
    return root


@pytest.fixture
def sets(shared: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    return Path(shutil.copytree(shared, tmp_path / "sets"))


def line(sets: Path, out: Path, *more: object) -> tuple[object, ...]:
    return ("data", "pair", sets / "real", sets / "fake", out, "--size", SIZE, *more)


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(one) for one in (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def contents(out: Path) -> dict[str, str]:
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def test_both_classes_went_through_one_pipeline(call: Call, sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    told = call(*line(sets, out)).expect(0)
    assert "next: casebase train" in told.out
    found = rows(out)
    assert Counter((row["split"], row["label"]) for row in found) == {
        ("train", "real"): 10, ("train", "generated"): 10, ("val", "real"): 3, ("val", "generated"): 3,
        ("test", "real"): 3, ("test", "generated"): 3,
    }  # fmt: skip
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.jpg"))
    assert files == sorted(row["path"] for row in found)
    for part in PARTS:
        drawn = {
            label: Counter(row["quality"] for row in found if (row["split"], row["label"]) == (part, label))
            for label in ("real", "generated")
        }
        assert drawn["real"] == drawn["generated"], "the very same qualities"
        assert all(70 <= quality <= 95 for quality in drawn["real"])
    seen = set()
    for row in found:
        data = (out / row["path"]).read_bytes()
        assert row["path"].startswith(f"{row['split']}/{row['label']}/")
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert row["source_sha256"] == hashlib.sha256(Path(row["source"]).read_bytes()).hexdigest()
        with Image.open(out / row["path"]) as opened:
            seen.add((opened.format, opened.size, opened.mode, tuple(sorted(opened.info))))
    assert len(seen) == 1, "no format, size, mode or metadata tells the classes apart"
    assert len({row["source"] for row in found}) == len(found)


def test_the_leak_that_the_audit_finds_is_gone_afterwards(call: Call, sets: Path, tmp_path: Path) -> None:
    listed = [f"{kind}/{path.name},{kind}" for kind in ("real", "fake") for path in sorted((sets / kind).iterdir())]
    (sets / "both.csv").write_text("\n".join(["path,label", *listed]), encoding="utf-8")
    assert call("data", "audit", sets / "both.csv", "--strict").expect(3)
    call(*line(sets, tmp_path / "study")).expect(0)
    call("data", "audit", tmp_path / "study", "--strict").expect(0)


def test_the_same_arguments_give_the_same_bytes(call: Call, sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    call(*line(sets, out, "--seed", 3)).expect(0)
    first = contents(out)
    shutil.rmtree(out)
    call(*line(sets, out, "--seed", 3)).expect(0)
    assert contents(out) == first
    shutil.rmtree(out)
    call(*line(sets, out, "--seed", 4)).expect(0)
    assert contents(out) != first


def test_the_set_can_be_indexed_as_a_folder_and_by_its_manifest(call: Call, sets: Path, tmp_path: Path) -> None:
    from casebase.indexer import open_source

    out = tmp_path / "study"
    call(*line(sets, out)).expect(0)
    for source in (open_source(out), open_source(out / "manifest.jsonl")):
        assert len(source.listed) == 32
        assert (source.labels, source.splits, source.refused) == (["generated", "real"], ["test", "train", "val"], {})


def test_near_copies_and_groups_stay_in_one_part(call: Call, sets: Path, tmp_path: Path) -> None:
    """Re-encodings, other sizes, sub-folders, and a generated near-copy of a photograph."""
    near: list[tuple[Path, Path]] = []
    for number in (0, 3, 7):
        original = sets / "real" / f"{number:02d}.jpg"
        again = sets / "real" / f"again-{number}.jpg"
        with Image.open(original) as opened:
            opened.resize((52, 42)).save(again, quality=50)
        near.append((original, again))
    memorised = sets / "fake" / "memorised.png"
    with Image.open(sets / "real" / "05.jpg") as opened:
        opened.resize((50, 40)).save(memorised)
    near.append((sets / "real" / "05.jpg", memorised))
    for animal in ("tom", "kitty"):
        (sets / "real" / animal).mkdir()
        for number in range(3):
            scene(3, len(animal), number).save(sets / "real" / animal / f"{number}.jpg")
    both = 0
    for seed in range(4):
        out = tmp_path / f"study{seed}"
        call(*line(sets, out, "--seed", seed, "--val", 0.3, "--test", 0.3)).expect(0)
        by_source = {row["source"]: row for row in rows(out)}
        for one, other in near:
            found = [by_source[str(path)] for path in (one, other) if str(path) in by_source]
            if len(found) == 2:
                both += 1
                assert found[0]["split"] == found[1]["split"]
                assert found[0]["group"] is not None
                assert found[0]["group"] == found[1]["group"]
        for animal in ("tom", "kitty"):
            of_animal = {row["split"] for row in rows(out) if f"/{animal}/" in row["source"]}
            assert len(of_animal) <= 1
        groups: dict[str, set[str]] = {}
        for row in rows(out):
            groups.setdefault(row["group"] or row["path"], set()).add(row["split"])
        assert all(len(parts) == 1 for parts in groups.values())
    assert both > 4


def test_a_manifests_groups_are_kept_whole(call: Call, sets: Path, tmp_path: Path) -> None:
    listed = "".join(f"real/{number:02d}.jpg,cat,{'abcde'[number % 5]}\n" for number in range(20))
    (sets / "real.csv").write_text(f"path,label,group\n{listed}", encoding="utf-8")
    out = tmp_path / "study"
    call("data", "pair", sets / "real.csv", sets / "fake", out, "--size", SIZE).expect(0)
    parts: dict[str, set[str]] = {}
    for row in rows(out):
        if row["label"] == "real":
            parts.setdefault(row["source_group"], set()).add(row["split"])
    assert all(len(found) == 1 for found in parts.values())


def test_one_manifest_may_hold_both_classes(call: Call, sets: Path, tmp_path: Path) -> None:
    listed = [f"real/{number:02d}.jpg,photo" for number in range(20)]
    listed += [f"fake/{number:02d}.png,ai" for number in range(16)]
    (sets / "both.csv").write_text("\n".join(["path,label", *listed]), encoding="utf-8")
    asked = ("data", "pair", sets / "both.csv", sets / "both.csv", tmp_path / "study", "--size", SIZE)
    assert "calls no image 'real'; it has ai, photo" in call(*asked).expect(1).sentence
    call(*asked, "--real-label", "photo", "--generated-label", "ai").expect(0)
    assert all((row["label"] == "photo") == ("/real/" in row["source"]) for row in rows(tmp_path / "study"))


def test_exact_copies_are_left_out_and_said(call: Call, sets: Path, tmp_path: Path) -> None:
    with Image.open(sets / "real" / "00.jpg") as opened:
        opened.save(sets / "fake" / "stolen.png")
    shutil.copy(sets / "fake" / "01.png", sets / "fake" / "twice.png")
    (sets / "real" / "broken.jpg").write_bytes(b"no picture")
    told = call(*line(sets, tmp_path / "study", "--json")).expect(0).json
    assert told["schema"] == "casebase.pair/1"
    reasons = {Path(one["path"]).name: one["reason"] for one in told["left_out"]}
    assert set(reasons) == {"00.jpg", "stolen.png", "twice.png", "broken.jpg"}
    assert reasons["stolen.png"].endswith("which is real")
    assert "1 picture is in both classes and left out of both, as one of the labels is wrong" in told["warnings"]
    assert "1 exact copy was left out" in told["warnings"]
    used = {Path(row["source"]).name for row in rows(tmp_path / "study")}
    assert not used & {"stolen.png", "twice.png", "broken.jpg"}


def test_nothing_is_enlarged_and_it_is_said(call: Call, sets: Path, tmp_path: Path) -> None:
    for number in range(3):
        scene(4, number, size=(SIZE - 1, 80)).save(sets / "real" / f"small{number}.png")
    told = call(*line(sets, tmp_path / "study", "--json")).expect(0).json
    assert told["smaller"] == {"real": 3, "generated": 0}
    assert any("3 of 23 real" in warning for warning in told["warnings"])
    assert not any("small" in Path(row["source"]).name for row in rows(tmp_path / "study"))


def test_uneven_reduction_is_said(call: Call, sets: Path, tmp_path: Path) -> None:
    for number in range(20):
        scene(1, number, size=(200, 180)).save(sets / "real" / f"{number:02d}.jpg", quality=96)
    told = call(*line(sets, tmp_path / "study", "--json")).expect(0).json
    assert any("reduced unevenly (at the median real 5.6 times, generated 1.2 times)" in w for w in told["warnings"])


def test_so_many_of_each_class(call: Call, sets: Path, tmp_path: Path) -> None:
    told = call(*line(sets, tmp_path / "study", "--count", 10, "--val", 0, "--test", 0.3, "--json")).expect(0).json
    assert told["counts"] == {"train": {"real": 7, "generated": 7}, "test": {"real": 3, "generated": 3}}
    assert not (tmp_path / "study" / "val").exists()


def test_lossless_files_hold_what_the_jpeg_would(call: Call, sets: Path, tmp_path: Path) -> None:
    call(*line(sets, tmp_path / "jpeg")).expect(0)
    call(*line(sets, tmp_path / "png", "--format", "png")).expect(0)
    for one, other in zip(rows(tmp_path / "jpeg"), rows(tmp_path / "png"), strict=True):
        assert one["source"] == other["source"]
        pixels = [
            reading.read(tmp_path / kind / row["path"]).pixel_hash for kind, row in (("jpeg", one), ("png", other))
        ]
        assert pixels[0] == pixels[1]


def test_sub_folders_count_as_groups_unless_they_are_none(call: Call, sets: Path, tmp_path: Path) -> None:
    for number in range(20):
        place = sets / "real" / ("a" if number % 2 else "b")
        place.mkdir(exist_ok=True)
        (sets / "real" / f"{number:02d}.jpg").rename(place / f"{number:02d}.jpg")
    assert "no image is left for" in call(*line(sets, tmp_path / "study")).expect(1).sentence
    call(*line(sets, tmp_path / "study", "--no-groups")).expect(0)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--size", 2), "--size must be from 4"),
        (("--count", 0), "--count must be at least 1"),
        (("--val", 1), "--val must be a share"),
        (("--val", 0.5, "--test", 0.5), "leave nothing to train on"),
        (("--quality", "best"), "--quality takes a range"),
        (("--quality", "95-70"), "--quality must be two numbers"),
        (("--format", "gif"), "--format must be jpeg or png"),
        (("--real-label", "generated"), "both classes are called 'generated'"),
        (("--real-label", "../x"), "it names a folder"),
    ],
)
def test_numbers_and_names_that_make_no_sense(
    call: Call, shared: Path, tmp_path: Path, more: tuple[object, ...], said: str
) -> None:
    assert said in call(*line(shared, tmp_path / "study", *more)).expect(2).sentence
    assert not (tmp_path / "study").exists()


def test_places_that_make_no_sense(call: Call, sets: Path, tmp_path: Path) -> None:
    real, fake, out = sets / "real", sets / "fake", tmp_path / "study"
    assert "a set needs two classes" in call("data", "pair", real, real, out).expect(2).sentence
    assert "REAL lies in GENERATED" in call("data", "pair", real, sets, out).expect(2).sentence
    assert "GENERATED lies in REAL" in call("data", "pair", sets, fake, out).expect(2).sentence
    assert "lies in REAL" in call("data", "pair", real, fake, real / "study").expect(2).sentence
    assert "is there already" in call("data", "pair", real, fake, tmp_path).expect(2).sentence
    (sets / "empty").mkdir()
    assert "no image under" in call("data", "pair", real, sets / "empty", out).expect(1).sentence
    assert "no such folder or manifest" in call("data", "pair", sets / "nowhere", fake, out).expect(1).sentence
    assert not out.exists()


def test_too_few_images(call: Call, sets: Path, tmp_path: Path) -> None:
    told = call("data", "pair", sets / "real", sets / "fake", tmp_path / "study").expect(1)
    assert "0 of real and 0 of generated can be used, and 3 parts need at least 3 images" in told.sentence
    assert "36 are smaller than 256 pixels, see --size" in told.sentence
    told = call(*line(sets, tmp_path / "study", "--count", 17)).expect(1)
    assert "--count asks for 17 images of each class, and 20 of real and 16 of generated can be used" in told.sentence
    assert not (tmp_path / "study").exists()


def test_a_disk_that_cannot_be_written_leaves_nothing(sets: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o500)
    told = run(*line(sets, closed / "study"), obedient=True).expect(1)
    assert "cannot be written" in told.sentence
    assert not list(closed.iterdir())


def test_a_disk_that_gets_full_leaves_nothing(sets: Path, tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    told = run(*line(sets, tmp_path / "studies" / "one"), most_bytes=900).expect(1)
    assert "nothing was made there" in told.sentence
    assert not list((tmp_path / "studies").iterdir())


def test_in_python(shared: Path, tmp_path: Path) -> None:
    from casebase import api, settings
    from casebase.canonical import Canonical

    done = api.pair(
        settings.load(None, {"seed": 1}), shared / "real", shared / "fake", tmp_path / "study",
        api.PairOptions(Canonical(size=SIZE), count=5),
    )  # fmt: skip
    assert done.counts["train"] == {"real": 3, "generated": 3}
    assert json.loads((tmp_path / "study" / "pair.json").read_text(encoding="utf-8")) == done.to_dict()
    assert "study" in done._repr_html_()
    import casebase

    again = casebase.pair(shared / "real", shared / "fake", tmp_path / "again", size=SIZE, seed=1, count=5)
    assert [row["sha256"] for row in rows(again.folder)] == [row["sha256"] for row in rows(done.folder)]
