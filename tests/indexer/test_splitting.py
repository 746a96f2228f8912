"""Parts share no image, no copy and no group; what the data say themselves is kept and checked."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebase.errors import DataError
from casebase.indexer.sources import Listed, open_source
from casebase.indexer.splitting import PARTS, divide


def listed(counts: dict[str, int], split: str | None = None, group: str | None = None) -> list[Listed]:
    return [
        Listed(f"{split or 'all'}/{label}/{i}.png", label, split, group)
        for label, n in counts.items()
        for i in range(n)
    ]


def names(images: list[Listed]) -> list[str]:
    """Pixels of its own for each image."""
    return [image.relative for image in images]


def parts_of(images: list[Listed], **more) -> dict[str, Counter[str]]:
    found = divide(images, names(images), 0, **more)
    return {part: Counter(count) for part, count in found.counts().items()}


def test_a_hundred_of_each_are_divided_70_15_15() -> None:
    images = listed({"cat": 100, "dog": 100})
    assert parts_of(images) == {
        "train": {"cat": 70, "dog": 70}, "val": {"cat": 15, "dog": 15}, "test": {"cat": 15, "dog": 15}
    }  # fmt: skip
    assert divide(images, names(images), 0).made == ["train", "val", "test"]


@pytest.mark.parametrize(
    ("n", "expected"),
    [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (4, (2, 1, 1)), (10, (7, 2, 1)), (20, (14, 3, 3))],
)
def test_small_classes_worked_out_by_hand(n: int, expected: tuple[int, int, int]) -> None:
    found = parts_of(listed({"few": n, "many": 30}))
    assert tuple(found.get(part, Counter())["few"] for part in PARTS) == expected


def test_the_seed_decides_and_the_order_of_other_classes_does_not() -> None:
    images = listed({"cat": 30, "dog": 30})
    one, same, other = (divide(images, names(images), seed) for seed in (0, 0, 1))
    assert one.placed == same.placed
    assert one.placed != other.placed
    assert one.digest == same.digest != other.digest


def test_groups_belong_to_what_was_trained_on() -> None:
    images = listed({"cat": 12, "dog": 12})
    grouped = [replace(image, group=f"g{n}") for n, image in enumerate(images)]
    one, other = (divide(found, names(images), 0) for found in (images, grouped))
    assert [image.part for image in one.placed] == [image.part for image in other.placed]
    assert one.digest != other.digest


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 40)), min_size=12, max_size=60),
    st.integers(0, 5),
)
def test_no_group_and_no_copy_is_ever_parted(rows: list[tuple[str, int, int]], seed: int) -> None:
    """Groups and equal pixels at random, also across classes."""
    images = [Listed(f"{i}.png", label, None, f"g{g}" if g < 6 else None) for i, (label, g, _) in enumerate(rows)]
    pixels = [str(p) for _, _, p in rows]
    try:
        found = divide(images, pixels, seed)
    except DataError as error:
        assert "two classes" in str(error) or "no training image is labelled" in str(error)  # noqa: PT017
        return
    where = defaultdict(set)
    for image in found.placed:
        where["pixels", image.pixel_hash].add(image.part)
        if image.group is not None:
            where["group", image.group].add(image.part)
    assert all(len(parts) == 1 for parts in where.values())
    assert len(found.placed) == len(rows)
    assert not found.leaks


def test_groups_of_different_sizes_come_near_the_shares() -> None:
    images = [
        Listed(f"{label}/{g}-{i}.png", label, None, f"{label}{g}")
        for label in ("cat", "dog") for g in range(40) for i in range(1 + g % 5)
    ]  # fmt: skip
    counts = Counter(image.part for image in divide(images, names(images), 3).placed)
    assert counts["train"] / len(images) == pytest.approx(0.70, abs=0.04)
    assert counts["test"] / len(images) == pytest.approx(0.15, abs=0.03)


def test_train_and_test_get_a_validation_part_from_train() -> None:
    images = [*listed({"cat": 85, "dog": 85}, "training"), *listed({"cat": 20, "dog": 20}, "Testing")]
    assert parts_of(images) == {
        "train": {"cat": 70, "dog": 70}, "val": {"cat": 15, "dog": 15}, "test": {"cat": 20, "dog": 20}
    }  # fmt: skip


def test_train_and_validation_stay_as_they_are_and_that_is_said() -> None:
    images = [*listed({"real": 100, "made": 100}, "train"), *listed({"real": 50, "made": 50}, "val")]
    found = divide(images, names(images), 0)
    assert found.made == []
    assert Counter(image.part for image in found.placed) == {"train": 200, "val": 100}
    assert any("optimistic" in note for note in found.notes)


def test_images_without_a_split_are_left_out_beside_training_images() -> None:
    images = [*listed({"a": 9, "b": 9}, "train"), *listed({"a": 3, "b": 3}, "val"), *listed({"a": 2})]
    found = divide(images, names(images), 0)
    assert len(found.placed) == 24
    assert any("2 images without a split" in note for note in found.notes)


def test_a_test_part_alone_leaves_the_rest_to_be_divided() -> None:
    images = [*listed({"a": 20, "b": 20}), *listed({"a": 5, "b": 5}, "test")]
    assert parts_of(images)["test"] == {"a": 5, "b": 5}
    assert set(parts_of(images)) == {"train", "val", "test"}


def test_copies_across_parts_are_refused_by_name_unless_allowed() -> None:
    images = [*listed({"a": 3, "b": 3}, "train"), *listed({"a": 2, "b": 2}, "val")]
    pixels = names(images)
    pixels[6] = pixels[0]
    with pytest.raises(DataError, match=r"train/a/0\.png \(train\) and val/a/0\.png \(val\) are exact copies"):
        divide(images, pixels, 0)
    found = divide(images, pixels, 0, allow_leak=True)
    assert len(found.leaks) == 1
    assert any(note.startswith("leak allowed: ") for note in found.notes)


def test_a_group_across_parts_is_refused() -> None:
    images = [*listed({"a": 2, "b": 2}, "train", "p1"), *listed({"a": 1, "b": 1}, "test", "p1")]
    with pytest.raises(DataError, match=r"are of group p1; take them out of one part, or say --allow-leak"):
        divide(images, names(images), 0)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (listed({"a": 9}), "at least two classes, and there is only 'a'"),
        (listed({"a": 9, "b": 9}, "trainval"), "is of the split 'trainval'; training knows train, val, test"),
        (listed({"a": 9, "b": 9}, "test"), "all images are marked test; mark those to train on as train"),
        (
            [*listed({"a": 2, "b": 2}, "train"), *listed({"a": 1, "c": 1}, "val")],
            "no training image is labelled c, but images of val are",
        ),
    ],
)
def test_what_cannot_be_divided_is_told(images: list[Listed], told: str) -> None:
    with pytest.raises(DataError, match=told):
        divide(images, names(images), 0)


def test_remarks_about_small_and_uneven_classes_and_contradictions() -> None:
    images = listed({"alone": 1, "many": 40, "some": 5})
    pixels = names(images)
    pixels[1] = pixels[41]
    found = divide(images, pixels, 0)
    notes = found.notes
    assert any("a single image cannot be divided" in note and "alone" in note for note in notes)
    assert "the smallest 1; --class-weights balanced" in (found.uneven() or "")
    assert divide(listed({"a": 12, "b": 30}), names(listed({"a": 12, "b": 30})), 0).uneven() is None
    assert any(
        "different labels" in note and "all/many/0.png (many) and all/some/0.png (some)" in note for note in notes
    )


def test_the_manifest_leads_back_to_the_images_wherever_both_are_moved(tmp_path: Path) -> None:
    from tests.flow.conftest import photos_at

    photos_at(tmp_path / "here" / "photos, new", 4, ("cat", "dog"))
    source = open_source(tmp_path / "here" / "photos, new")
    found = divide(source.listed, names(list(source.listed)), 0)
    model = tmp_path / "here" / "models" / "one"
    model.mkdir(parents=True)
    (model / "split.csv").write_bytes(found.manifest(source.root, model))
    (tmp_path / "here").rename(tmp_path / "there")
    again = open_source(tmp_path / "there" / "models" / "one" / "split.csv")
    assert len(again.listed) == 8
    assert all((again.root / image.relative).is_file() for image in again.listed)
    assert Counter(i.split for i in again.listed) == Counter(i.part for i in found.placed)
    digests = {Path(i.relative).name: (i.label, i.split) for i in again.listed if i.label == "cat"}
    assert len(digests) == 4
