"""Whether files give their class away: planted leaks are found by name, clean sets raise no alarm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casebase.data_audit import Seen
from casebase.evaluate.data_audit.leak import leak_test
from casebase.file_facts import FileFacts
from tests.evaluate.data_audit.drawn import jpeg, looked, png, scene, write

BASE = FileFacts("JPEG", "RGB", 100, 80, 4000, tables="aa", quality=90.0, chroma="2x2")


def seen(number: int, label: str, facts: FileFacts = BASE, group: str | None = None) -> Seen:
    return Seen(f"{label}/{number}.jpg", label, None, group, facts, sha256=str(number))


def drawn(n: int, seed: int, labels: tuple[str, ...] = ("cat", "dog")) -> list[Seen]:
    """Images whose headers vary, and not by class."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(n):
        facts = replace(
            BASE, width=int(random.integers(80, 300)), bytes=int(random.integers(2000, 9000)),
            exif=bool(random.integers(2)), tables=random.choice(["aa", "bb"]), quality=float(random.integers(70, 95)),
        )  # fmt: skip
        found.append(seen(number, labels[number % len(labels)], facts))
    return found


@pytest.mark.parametrize("labels", [("cat", "dog"), ("cat", "cat", "cat", "cat", "dog"), tuple("abcdef")])
def test_clean_sets_raise_no_more_alarms_than_chance(labels: tuple[str, ...]) -> None:
    """An alarm of one set in a hundred is what the level means: of 12 sets, two would be far too many."""
    assert sum(leak_test(drawn(240, seed, labels), seed).alarm for seed in range(12)) <= 1


def planted_format(number: int, label: str) -> tuple[str, bytes]:
    picture = scene(number, (48, 40))
    return (f"{label}/{number}.png", png(picture)) if label == "cat" else (f"{label}/{number}.jpg", jpeg(picture))


def planted_quality(number: int, label: str) -> tuple[str, bytes]:
    return f"{label}/{number}.jpg", jpeg(scene(number, (48, 40)), 75 if label == "cat" else 95)


def planted_size(number: int, label: str) -> tuple[str, bytes]:
    return f"{label}/{number}.jpg", jpeg(scene(number, (48, 48) if label == "cat" else (48, 40)))


def planted_profile(number: int, label: str) -> tuple[str, bytes]:
    import io

    out = io.BytesIO()
    extra = {"icc_profile": b"a profile"} if label == "cat" else {}
    scene(number, (48, 40)).save(out, "JPEG", quality=85, **extra)
    return f"{label}/{number}.jpg", out.getvalue()


@pytest.mark.parametrize(
    ("plant", "attribute"),
    [
        (planted_format, "format"), (planted_quality, "quantisation tables"), (planted_size, "height"),
        (planted_profile, "colour profile"),
    ],
)  # fmt: skip
def test_a_planted_leak_is_found_and_named(
    plant: Callable[[int, str], tuple[str, bytes]], attribute: str, tmp_path: Path
) -> None:
    for number in range(40):
        write(tmp_path, *plant(number, "cat" if number % 2 else "dog"))
    found = leak_test(looked(tmp_path).seen)
    assert found.alarm
    assert not found.by_density
    assert found.p < 1e-6
    assert found.accuracy.value == pytest.approx(1.0, abs=0.06)
    alone = {one.name: one.accuracy.value for one in found.attributes}
    assert alone[attribute] == pytest.approx(1.0, abs=0.06)
    assert any("cat" in rule for rule in found.rules)


def test_a_leak_in_the_size_of_files_alone_is_called_that() -> None:
    images = [seen(i, "cat" if i % 2 else "dog", replace(BASE, bytes=3000 + 2000 * (i % 2) + i)) for i in range(80)]
    found = leak_test(images)
    assert found.alarm
    assert found.by_density
    assert found.attributes[0].name == "bytes per pixel"


def test_a_class_with_nearly_everything_hides_no_leak() -> None:
    """No accuracy is five points above 97 %, but a balanced one is far above one half."""
    images = [seen(i, "dog" if i % 33 else "cat", replace(BASE, exif=not i % 33)) for i in range(660)]
    found = leak_test(images)
    assert found.majority > 0.96
    assert found.alarm
    assert found.balanced == pytest.approx(1.0)


def test_images_of_one_group_are_not_counted_as_many() -> None:
    """24 patients of 20 images, each with a size of its own: learnt by heart, that tells nothing of a new patient."""
    images = []
    for number in range(480):
        patient = number % 24
        facts = replace(BASE, width=100 + (patient * 7) % 24)
        images.append(seen(number, "cat" if patient % 2 else "dog", facts, f"patient {patient}"))
    found = leak_test(images)
    assert found.grouped
    assert not found.alarm


def test_one_class_cannot_be_told_apart() -> None:
    found = leak_test([seen(i, "cat") for i in range(30)])
    assert found.impossible is not None
    assert "one class" in found.impossible
    assert not found.alarm
    assert found.to_dict() == {"impossible": found.impossible, "alarm": False}


def test_tiny_classes_are_left_out_and_named() -> None:
    found = leak_test([*drawn(60, 0), *(seen(100 + i, "owl") for i in range(3))])
    assert found.impossible is None
    assert found.left_out == ["owl"]
    assert leak_test(drawn(8, 0)).impossible is not None


def test_the_same_seed_gives_the_same_answer() -> None:
    images = drawn(100, 3)
    assert leak_test(images, 5).to_dict() == leak_test(images, 5).to_dict()


def test_the_quality_of_a_jpeg_is_read_from_its_tables(tmp_path: Path) -> None:
    for wanted in (30, 50, 75, 90):
        write(tmp_path, f"cat/{wanted}.jpg", jpeg(Image.new("RGB", (16, 16)), wanted))
    facts = {one.relative: one.facts for one in looked(tmp_path).seen}
    for wanted in (30, 50, 75, 90):
        found = facts[f"cat/{wanted}.jpg"]
        assert found is not None
        assert found.quality == pytest.approx(wanted, abs=1.0)
        assert found.chroma == "2x2"
