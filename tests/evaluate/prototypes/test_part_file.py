"""Files of part places: their forms, the way through the crop, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casebase.errors import DataError
from casebase.evaluate.prototypes.part_file import in_view, read_parts
from casebase.reading import Preprocess

WHOLE = Preprocess(None, (100, 100), "nearest", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
CROPPED = Preprocess(100, (100, 100), "nearest", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def _file(folder: Path, text: str, name: str = "parts.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_points_go_through_the_crop_and_those_outside_are_not_seen() -> None:
    """A picture of 200 x 100 loses 50 pixels on the left and on the right: x = 0.5 stays the middle, 0.1 is gone."""
    points = np.array([[0.5, 0.5], [0.25, 0.0], [0.1, 0.5], [0.75, 0.5]])
    found = in_view(points, (200, 100), CROPPED)
    assert found[:2].tolist() == [[0.5, 0.5], [0.0, 0.0]]
    assert np.isnan(found[2:]).all()  # 0.75 is pixel 150, the first beyond the view
    assert in_view(points, (200, 100), WHOLE).tolist() == points.tolist()


def test_images_are_named_by_id_through_the_labels_beside_or_by_path(tmp_path: Path) -> None:
    _file(tmp_path, "path,image_id\nbirds/a.jpg,1\nbirds/b.jpg,2\n", "labels.csv")
    by_id = read_parts(_file(tmp_path, "image_id,part,x,y\n1,beak,0.5,0.25\n2,beak,0,1\n2,tail,0.1,0.1\n"))
    by_path = read_parts(_file(tmp_path, "path,part,x,y\nbirds/a.jpg,beak,0.5,0.25\n", "paths.csv"))
    assert list(by_id.names) == ["beak", "tail"]
    for one in (by_id, by_path):
        seen = one.seen(Path("/somewhere/birds/a.jpg"), (10, 10), WHOLE)
        assert seen is not None
        assert seen[0].tolist() == [0.5, 0.25]
    first = by_id.seen(Path("/x/a.jpg"), (10, 10), WHOLE)
    assert first is not None
    assert np.isnan(first[1]).all()  # no tail in the first image
    assert by_id.seen(Path("/x/c.jpg"), (10, 10), WHOLE) is None
    assert by_id.facts["images"] == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,part,x\na.jpg,beak,0.5\n", "has no column y"),
        ("path,part,x,y\n", "holds no row"),
        ("path,part,x,y\na.jpg,beak,0.5,1.5\n", "'1.5' in line 2"),
        ("path,part,x,y\na.jpg,beak,0.5,low\n", "'low' in line 2"),
        ("path,part,x,y\na.jpg,beak,0.5,nan\n", "'nan' in line 2"),
        ("path,part,x,y\na.jpg,beak,0,0\na.jpg,beak,1,1\n", "twice, again in line 3"),
        ("image_id,part,x,y\n1,beak,0.5,0.5\n", "no labels.csv beside it"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_parts(_file(tmp_path, text))


def test_ids_that_nobody_knows_and_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file"):
        read_parts(tmp_path / "parts.csv")
    _file(tmp_path, "path,image_id\na.jpg,1\n", "labels.csv")
    with pytest.raises(DataError, match="names the image 7 in line 2"):
        read_parts(_file(tmp_path, "image_id,part,x,y\n7,beak,0.5,0.5\n"))
    _file(tmp_path, "path,number\na.jpg,1\n", "labels.csv")
    with pytest.raises(DataError, match="no columns path and image_id"):
        read_parts(_file(tmp_path, "image_id,part,x,y\n1,beak,0.5,0.5\n"))
