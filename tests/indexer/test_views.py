"""Views are the same from memory and from the disk, and a file that changed is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casebase import reading
from casebase.errors import DataError
from casebase.indexer.sources import open_source
from casebase.indexer.views import Seeing, look_through
from casebase.reading import Preprocess
from tests.flow.conftest import photos_at

CHAIN = Preprocess(None, (200, 200), "bilinear", (0.5,) * 3, (0.5,) * 3)
VIEW = 200 * 200 * 3


def look(folder: Path, megabytes: int, workers: int = 2):
    source = open_source(folder)
    return look_through(source, source.listed, Seeing(CHAIN, workers, megabytes))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = photos_at(tmp_path / "photos", 12, ("cat", "dog"))
    (folder / "cat" / "0003.png").write_bytes(b"no image")
    return folder


@pytest.mark.parametrize("megabytes", [0, 1, 100])
def test_memory_is_bounded_and_changes_nothing(photos: Path, megabytes: int) -> None:
    looked = look(photos, megabytes)
    assert list(looked.refused) == ["cat/0003.png"]
    assert len(looked.listed) == len(looked.views) == 23
    assert looked.views.in_memory == min(23, megabytes * 1_000_000 // VIEW)
    rows = np.array([22, 0, 7, 8, 9, 0])
    expected = [CHAIN.pixels(reading.read(photos / looked.listed[row].relative).image) for row in rows]
    np.testing.assert_array_equal(looked.views[rows], np.stack(expected))
    some = looked.views.only([5, 21, 1])
    np.testing.assert_array_equal(some[np.array([1, 2])], looked.views[np.array([21, 1])])
    np.testing.assert_array_equal(some.only([2])[np.array([0])], looked.views[np.array([1])])


def test_a_file_that_vanishes_or_changes_meanwhile_is_named(photos: Path) -> None:
    looked = look(photos, 0)
    (photos / "dog" / "0001.png").unlink()
    (photos / "cat" / "0000.png").write_bytes((photos / "cat" / "0001.png").read_bytes())
    place = {image.relative: row for row, image in enumerate(looked.listed)}
    with pytest.raises(DataError, match=r"0001\.png could be read when training began, and now not \(no such file\)"):
        looked.views[np.array([place["dog/0001.png"]])]
    with pytest.raises(DataError, match=r"0000\.png has changed since training began"):
        looked.views[np.array([place["cat/0000.png"]])]


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of 1 images can be used; the first, cat/a\.png: empty file"):
        look(tmp_path / "photos", 1)
