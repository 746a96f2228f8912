"""Who belongs together, and which part they go to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from casebase import hashing
from casebase.errors import DataError
from casebase.indexer import pairing
from casebase.indexer.pairing import Seen
from casebase.indexer.sources import LEADS_BACK, one_class


def seen(label: str, number: int, group: str | None = None, look: int | None = None) -> Seen:
    """An image of its own; ``look`` makes several look alike."""
    key = number if look is None else look
    random = np.random.default_rng([key, look is None])
    miniature = random.normal(size=256).astype(np.float32)
    miniature /= np.linalg.norm(miniature)
    name = f"{label}-{number}"
    return Seen(Path(name), name, label, group, (64, 64), name, name, int(random.integers(0, 2**63)), miniature)


def test_groups_and_looks_are_joined_across_classes_and_transitively() -> None:
    images = [
        seen("real", 0, group="tom"), seen("real", 1, group="tom", look=7), seen("generated", 2, look=7),
        seen("generated", 3), seen("real", 4),
    ]  # fmt: skip
    assert pairing.together(images) == [[0, 1, 2], [3], [4]]


def test_an_equal_look_with_other_pixels_joins_nothing() -> None:
    one, other = seen("real", 0), seen("real", 1)
    assert hashing.look_distance(one.look_hash, other.look_hash) > 6
    alike = Seen(**{**{name: getattr(other, name) for name in Seen.__dataclass_fields__}, "look_hash": one.look_hash})
    assert pairing.together([one, alike]) == [[0], [1]]


def test_pairs_far_apart_in_the_list_are_found() -> None:
    images = [seen("real", number) for number in range(600)]
    images[599] = seen("real", 599, look=1)
    images[3] = seen("generated", 3, look=1)
    assert [3, 599] in pairing.together(images)


@pytest.mark.parametrize(
    ("count", "val", "test", "expected"),
    [(10, 0.2, 0.2, (6, 2, 2)), (3, 0.2, 0.2, (1, 1, 1)), (7, 0.0, 0.3, (5, 0, 2)), (5, 0.0, 0.0, (5, 0, 0))],
)
def test_shares_of_a_count(count: int, val: float, test: float, expected: tuple[int, ...]) -> None:
    assert tuple(pairing.needs(count, {"val": val, "test": test}).values()) == expected


@given(
    sizes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25), seed=st.integers(0, 99)
)
def test_every_image_is_in_one_part_blocks_are_whole_and_classes_equal(sizes: list[tuple[int, int]], seed: int) -> None:
    images = [seen("real", 0), seen("generated", 1)]
    blocks = [[0], [1]]
    for real, generated in sizes:
        block = []
        for label, n in (("real", real), ("generated", generated)):
            block += range(len(images) + len(block) - len(block), len(images) + n)
            images += [seen(label, len(images) + number) for number in range(n)]
        if block:
            blocks.append(block)
    have = min(sum(image.label == label for image in images) for label in ("real", "generated"))
    need = pairing.needs(max(have, 3), {"val": 0.2, "test": 0.2})
    found = pairing.dealt(images, blocks, need, seed)
    places = [place for by_class in found.values() for rows in by_class.values() for place in rows]
    assert len(places) == len(set(places))
    part_of = {place: part for part, by_class in found.items() for rows in by_class.values() for place in rows}
    for block in blocks:
        assert len({part_of[place] for place in block if place in part_of}) <= 1
    for part, by_class in found.items():
        assert len(by_class["real"]) == len(by_class["generated"]) <= need[part]
        assert all(images[place].label == label for label, rows in by_class.items() for place in rows)
    assert found == pairing.dealt(images, blocks, need, seed)


def test_a_part_without_images_is_refused() -> None:
    images = [seen("real", 0, "a"), seen("real", 1, "a"), seen("generated", 2), seen("generated", 3)]
    need = {"train": 1, "val": 1, "test": 0}
    found = pairing.dealt(images, pairing.together(images), need, 0)
    with pytest.raises(DataError, match="no image is left for"):
        pairing.check_enough(found, need)


def test_a_folder_is_one_class_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("one.png", "a/two.jpg", "a/b/three.png", "a/.hidden.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "four.heic").write_bytes(b"x")
    (tmp_path / "a" / "back").symlink_to(tmp_path, target_is_directory=True)
    found = one_class(tmp_path, "real")
    assert [(image.relative, image.label) for image in found.listed] == [
        ("a/b/three.png", "real"), ("a/two.jpg", "real"), ("one.png", "real"),
    ]  # fmt: skip
    assert set(found.refused) == {"four.heic", "a/back"}
    assert found.refused["a/back"] == LEADS_BACK
