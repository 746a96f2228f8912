"""From a folder or manifest to images in a fixed order; what is refused is named, with its line or path."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from casebase.errors import DataError, UsageError
from casebase.indexer.sources import Listed, Source, open_source


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def listed(source: Source) -> list[tuple[str, str, str | None]]:
    return [(image.relative, image.label, image.split) for image in source.listed]


# -- folders ------------------------------------------------------------------------------------------------------


def test_class_folders(tmp_path: Path) -> None:
    source = open_source(touch(tmp_path, "dog/2.jpg", "dog/1.PNG", "cat/deep/er/3.jpeg", "cat/notes.txt"))
    assert listed(source) == [
        ("cat/deep/er/3.jpeg", "cat", None),
        ("dog/1.PNG", "dog", None),
        ("dog/2.jpg", "dog", None),
    ]
    assert (source.labels, source.splits, source.refused) == (["cat", "dog"], [], {})
    assert not source.has_training_split


def test_splits_above_class_folders(tmp_path: Path) -> None:
    source = open_source(touch(tmp_path, "train/cat/1.jpg", "Val/cat/2.jpg", "test/dog/3.jpg", "masks/cat/1.png"))
    assert listed(source) == [
        ("Val/cat/2.jpg", "cat", "val"),
        ("test/dog/3.jpg", "dog", "test"),
        ("train/cat/1.jpg", "cat", "train"),
    ]
    assert source.has_training_split
    assert source.splits == ["test", "train", "val"]
    assert "folders beside the splits were not read: masks" in source.notes


def test_a_class_called_test_is_a_class_where_there_is_no_training_split(tmp_path: Path) -> None:
    source = open_source(touch(tmp_path, "test/1.jpg", "rest/2.jpg"))
    assert source.labels == ["rest", "test"]
    assert source.splits == []


def test_the_order_does_not_depend_on_the_disk(tmp_path: Path) -> None:
    names = [f"c{c}/{i}.jpg" for c in (2, 0, 1) for i in (3, 10, 1)]
    one = open_source(touch(tmp_path / "one", *names))
    other = open_source(touch(tmp_path / "other", *reversed(names)))
    assert listed(one) == listed(other) == sorted(listed(one))


def test_hidden_files_and_folders_are_not_data(tmp_path: Path) -> None:
    source = open_source(touch(tmp_path, "cat/1.jpg", "cat/.2.jpg", "cat/.thumbs/3.jpg", ".git/4.jpg", "dog/5.jpg"))
    assert [image.relative for image in source.listed] == ["cat/1.jpg", "dog/5.jpg"]


def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    source = open_source(touch(tmp_path, "cat/1.jpg", "cat/2.heic", "dog/3.jpg", "loose.png", "empty/readme.md"))
    assert source.refused == {
        "cat/2.heic": "format .heic is not read; convert it to JPEG or PNG",
        "loose.png": "not in a class folder",
    }
    assert "the class folder 'empty' holds no image" in source.notes


def test_one_folder_is_one_class_and_is_said(tmp_path: Path) -> None:
    source = open_source(touch(tmp_path, "photos/cat/1.jpg", "photos/dog/2.jpg"))
    assert source.labels == ["photos"]
    assert "there is one class, 'photos'; index photos/ itself" in source.notes[0]


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    root = touch(tmp_path / "data", "cat/1.jpg")
    touch(tmp_path / "elsewhere", "2.jpg")
    (root / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (root / "cat" / "again").symlink_to(root / "cat")
    assert [image.relative for image in open_source(root).listed] == ["cat/1.jpg", "cat/more/2.jpg"]


def test_a_folder_name_that_is_no_utf8_is_no_class(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg")
    try:
        os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")  # noqa: PTH102  # Path takes no bytes
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9/1.jpg")).write_bytes(b"x")
    source = open_source(tmp_path)
    assert source.labels == ["cat"]
    assert list(source.refused.values()) == ["the folder's name is not UTF-8, so it cannot be a class name"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "images belong into one folder per class, such as photos/cat/1.jpg"),
        (["cat/readme.txt"], "images belong into one folder per class"),
        (["1.jpg", "2.jpg"], r"2 files were refused, the first '\d.jpg' \(not in a class folder\)"),
        (["cat/1.heic"], "1 file was refused, 'cat/1.heic'"),
    ],
)
def test_a_folder_without_an_image_says_what_was_found(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        open_source(touch(tmp_path, *names))


def test_what_is_neither_folder_nor_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder or manifest"):
        open_source(tmp_path / "none")
    with pytest.raises(DataError, match="is a file, not a folder of class folders"):
        open_source(touch(tmp_path, "a.txt") / "a.txt")


def test_a_split_that_does_not_occur_names_those_that_do(tmp_path: Path) -> None:
    source = open_source(touch(tmp_path, "train/cat/1.jpg", "val/cat/2.jpg"))
    assert [image.relative for image in source.chosen("val")] == ["val/cat/2.jpg"]
    assert len(source.chosen(None)) == 2
    with pytest.raises(UsageError, match=r"no image of split 'test' .* it has train, val"):
        source.chosen("test")


def test_an_image_keeps_its_id_when_its_folder_moves(tmp_path: Path) -> None:
    one = open_source(touch(tmp_path / "here", "cat/1.jpg"))
    ids = one.image(one.listed[0], 1).id, one.image(one.listed[0], 2).id
    shutil.move(tmp_path / "here", tmp_path / "there")
    other = open_source(tmp_path / "there")
    assert other.image(other.listed[0], 1).id == ids[0] != ids[1]
    assert other.image(other.listed[0], 1).path == tmp_path / "there" / "cat/1.jpg"


# -- manifests ----------------------------------------------------------------------------------------------------


def manifest(folder: Path, text: str, name: str = "labels.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_csv_with_every_column(tmp_path: Path) -> None:
    source = open_source(manifest(tmp_path, "path,label,split,group,note\nb/2.jpg,dog,val,g1,x\na/1.jpg,cat,train,,\n"))
    assert source.root == tmp_path
    assert source.listed == [Listed("a/1.jpg", "cat", "train", None), Listed("b/2.jpg", "dog", "val", "g1")]
    assert source.has_training_split


def test_a_csv_from_a_spreadsheet(tmp_path: Path) -> None:
    """A byte order mark, quotes, a comma in a name, and Windows line ends."""
    (tmp_path / "l.csv").write_bytes('\ufefflabel,path\r\n"big, grey",a.jpg\r\n'.encode())
    assert open_source(tmp_path / "l.csv").listed == [Listed("a.jpg", "big, grey")]


def test_jsonl_with_numbers_as_labels_and_empty_lines(tmp_path: Path) -> None:
    rows = [{"path": "a.jpg", "label": 3}, {"path": "b.jpg", "label": "4", "split": None, "group": 7}]
    text = "\n\n".join(json.dumps(row) for row in rows)
    for name in ("l.jsonl", "l.ndjson"):
        assert open_source(manifest(tmp_path, text, name)).listed == [
            Listed("a.jpg", "3"),
            Listed("b.jpg", "4", None, "7"),
        ]


def test_paths_outside_and_absolute_ones_are_relative_to_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    text = f"path,label\n../x/1.jpg,cat\n{tmp_path}/y/2.jpg,dog\n./z/../3.jpg,dog\n"
    source = open_source(manifest(tmp_path / "lists", text))
    assert [image.relative for image in source.listed] == ["../x/1.jpg", "../y/2.jpg", "3.jpg"]


def test_an_image_listed_twice_is_taken_once_and_said(tmp_path: Path) -> None:
    source = open_source(manifest(tmp_path, "path,label\na.jpg,cat\nb.jpg,cat\n./a.jpg,cat\n"))
    assert [image.relative for image in source.listed] == ["a.jpg", "b.jpg"]
    assert source.refused == {"a.jpg (line 4)": "listed twice, first on line 2"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.csv", "", r"line 1: no column path and no column label; found nothing"),
        ("l.csv", "file,label\na.jpg,cat\n", r"line 1: no column path; found file, label"),
        ("l.csv", "path,label\na.jpg,cat\nb.jpg\n", "line 3: no label; every row needs path and label"),
        ("l.csv", "path,label\n,cat\n", "line 2: no path"),
        ("l.csv", "path,label\na.jpg,cat,3\n", "line 2: more fields than columns"),
        ("l.csv", "path,label\na.jpg,cat\na.jpg,dog\n", "line 3: 'a.jpg' is labelled 'dog', but 'cat' on line 2"),
        ("l.csv", "path,label\n", "no image to index"),
        ("l.jsonl", '{"path": "a.jpg", "label": "cat"}\n{"path": \n', "line 2: not JSON"),
        ("l.jsonl", '["a.jpg", "cat"]\n', "line 1: not an object"),
        ("l.jsonl", '{"path": "a.jpg"}\n', "line 1: no label"),
        ("l.jsonl", '{"path": "a\\u0000.jpg", "label": "cat"}\n', "line 1: a NUL character"),
        ("l.jsonl", "[" * 100_000 + "\n", "line 1: not JSON"),
    ],
)
def test_a_manifest_with_a_mistake_names_the_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        open_source(manifest(tmp_path, text, name))


@pytest.mark.parametrize("name", ["l.csv", "l.jsonl"])
def test_a_manifest_that_is_no_text(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"path,label\n\xff\xfe,cat\n")
    with pytest.raises(DataError, match="cannot be read as"):
        open_source(tmp_path / name)
