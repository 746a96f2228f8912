"""Masks of every kind against shapes worked out by hand, and every sentence that a wrong file or choice brings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from casebase import reading
from casebase.errors import DataError, UsageError
from casebase.evaluate.saliency.annotations import Masks, open_masks, seen
from casebase.evaluate.saliency.coco import box, polygon
from casebase.indexer.toy import PARTS, write_set
from casebase.reading import Preprocess

SIZE = (6, 4)
"""Width and height of the pictures here."""


def written(path: Path, codes: Any, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(codes, np.uint8))
    if mode == "P":
        image = image.convert("P")
        image.putdata(np.asarray(codes, np.uint8).ravel().tolist())
        image.putpalette([7, 9, 11] * 256)
    elif mode != "L":
        image = image.convert(mode)
    image.save(path)
    return path


def picture(path: Path, orientation: int | None = None, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.new("RGB", size, (90, 120, 30)).save(path, exif=exif)
    return path


LEFT = np.zeros((4, 6), np.uint8)
LEFT[:, :2] = 1


# ---------------------------------------------------------------- PNG files


@pytest.mark.parametrize(("factor", "mode"), [(1, "L"), (255, "L"), (1, "P"), (255, "1"), (255, "RGB"), (255, "RGBA")])
def test_binary_masks_of_any_kind(tmp_path: Path, factor: int, mode: str) -> None:
    written(tmp_path / "masks" / "a.png", LEFT * factor, mode)
    masks = open_masks(tmp_path / "masks")
    np.testing.assert_array_equal(masks.read(tmp_path / "a.jpg", SIZE).inside, LEFT.astype(bool))
    assert masks.facts["kind"] == "binary"


def test_index_masks_take_the_values_named(tmp_path: Path) -> None:
    codes = LEFT * 4
    codes[0, 5], codes[3, 5] = 9, 200
    written(tmp_path / "a.png", codes, "P")
    image = Path("somewhere/a.jpg")
    for values in ([4], [9], [4, 9]):
        found = open_masks(tmp_path, values=values, ignored=[200]).read(image, SIZE)
        np.testing.assert_array_equal(found.inside, np.isin(codes, values))
        assert found.ignored is not None
        np.testing.assert_array_equal(found.ignored, codes == 200)
    with pytest.raises(DataError, match=r"a\.png has the values 0, 4, 9, 200, a binary one has 0 and one more"):
        open_masks(tmp_path).read(image, SIZE)
    with pytest.raises(DataError, match=r"a\.png is empty: no pixel is 5, it has 0, 4, 9, 200"):
        open_masks(tmp_path, values=[5]).read(image, SIZE)
    assert open_masks(tmp_path, values=[4, 9]).facts["values"] == [4, 9]


def test_trimaps_are_known_and_their_border_is_a_choice(tmp_path: Path) -> None:
    codes = np.full((4, 6), 2, np.uint8)
    codes[1:3, 1:4], codes[1, 1] = 1, 3
    written(tmp_path / "cat.png", codes)
    image = Path("cat.jpg")
    masks = open_masks(tmp_path)
    found = masks.read(image, SIZE)
    np.testing.assert_array_equal(found.inside, codes == 1)
    assert found.ignored is not None
    np.testing.assert_array_equal(found.ignored, codes == 3)
    assert masks.facts == {
        "kind": "trimap", "path": str(tmp_path), "masks": 1, "values": [1], "ignored": [3], "as_stored": False,
    }  # fmt: skip
    assert open_masks(tmp_path, ignored=()).read(image, SIZE).ignored is None
    np.testing.assert_array_equal(open_masks(tmp_path, values=(1, 3)).read(image, SIZE).inside, codes != 2)


def test_a_strange_value_among_trimaps_is_an_error(tmp_path: Path) -> None:
    for number in range(40):
        written(tmp_path / f"{number:02}.png", np.full((4, 6), 2) - LEFT)
    odd = np.full((4, 6), 2) - LEFT
    odd[0, 5] = 7
    written(tmp_path / "01.png", odd)  # not among the first and last, which are looked at when the folder is opened
    masks = open_masks(tmp_path)
    assert masks.facts["kind"] == "trimap"
    assert masks.read(Path("00.jpg"), SIZE).inside.sum() == 8
    with pytest.raises(DataError, match=r"01\.png has the value 7, but only 1, 2, 3 have a meaning"):
        masks.read(Path("01.jpg"), SIZE)


def test_masks_belong_to_the_path_that_ends_alike(tmp_path: Path) -> None:
    masks_at = tmp_path / "masks"
    written(masks_at / "train" / "cat" / "1.png", LEFT)
    written(masks_at / "test" / "cat" / "1.png", 1 - LEFT)
    written(masks_at / "dog.jpg.png", LEFT)
    written(masks_at / "deep" / "owl.png", 1 - LEFT)
    masks = open_masks(masks_at)
    data = tmp_path / "data"
    np.testing.assert_array_equal(masks.read(data / "train" / "cat" / "1.jpg", SIZE).inside, LEFT == 1)
    np.testing.assert_array_equal(masks.read(data / "test" / "cat" / "1.jpg", SIZE).inside, LEFT == 0)
    np.testing.assert_array_equal(masks.read(data / "dog.jpg", SIZE).inside, LEFT == 1)
    np.testing.assert_array_equal(masks.read(data / "birds" / "owl.jpg", SIZE).inside, LEFT == 0)
    with pytest.raises(DataError, match=r"test/cat/1\.png and train/cat/1\.png could both be that of .*x/1\.jpg"):
        masks.read(data / "x" / "1.jpg", SIZE)
    assert masks.has(data / "dog.jpg")
    assert not masks.has(data / "hen.jpg")
    with pytest.raises(DataError, match=r"no mask for .*hen\.jpg in .*masks"):
        masks.read(data / "hen.jpg", SIZE)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    written(tmp_path / "a.png", LEFT)
    written(tmp_path / "blank.png", LEFT * 0)
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    (tmp_path / "text.png").write_text("no picture")
    colours = np.zeros((4, 6, 3), np.uint8)
    colours[0, 0] = (255, 0, 0)
    Image.fromarray(colours).save(tmp_path / "red.png")
    masks = open_masks(tmp_path)
    for name, said in (
        ("blank", r"mask .*blank\.png is empty: 0 everywhere"),
        ("cut", r"mask .*cut\.png cannot be read"),
        ("text", r"mask .*text\.png cannot be read"),
        ("red", r"mask .*red\.png is a colour picture"),
    ):
        with pytest.raises(DataError, match=said):
            masks.read(Path(f"{name}.jpg"), SIZE)
    with pytest.raises(DataError, match=r"mask .*a\.png is 6x4, a\.jpg is 6x5; a mask must have the size"):
        masks.read(Path("a.jpg"), (6, 5))


def test_a_control_character_in_a_name_is_not_printed(tmp_path: Path) -> None:
    written(tmp_path / "a\x1b[31m.png", LEFT * 0)
    with pytest.raises(DataError) as caught:
        open_masks(tmp_path).read(Path("a\x1b[31m.jpg"), SIZE)
    assert "\x1b" not in str(caught.value)


# ---------------------------------------------------------------- choices


def test_choices_that_do_not_fit(tmp_path: Path) -> None:
    written(tmp_path / "png" / "a.png", LEFT)
    (tmp_path / "voc" / "Annotations").mkdir(parents=True)
    (tmp_path / "a.json").write_text('{"images": [], "annotations": []}')
    for path, given, said in (
        ("png", {"values": []}, "no value was given"),
        ("png", {"values": [1], "ignored": [1]}, "the value 1 cannot be the object and be ignored"),
        ("png", {"values": [-1]}, "between 0 and 65535, -1 does not"),
        ("png", {"values": [1], "part": "beak"}, "the part or the values"),
        ("png", {"part": "beak"}, r"no parts\.json in .*png"),
        ("png", {"category": "dog"}, "a folder of PNG masks, which has no choice of category"),
        ("voc", {"values": [1]}, "a VOC folder, which has no choice of values"),
        ("a.json", {"part": "beak"}, "a COCO file, which has no choice of part"),
    ):
        with pytest.raises(UsageError, match=said):
            open_masks(tmp_path / path, **given)  # type: ignore[arg-type]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no PNG mask in"):
        open_masks(tmp_path / "none")
    with pytest.raises(DataError, match=r"no masks at .*nowhere"):
        open_masks(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no XML file in"):
        open_masks(tmp_path / "voc")


# ---------------------------------------------------------------- casebase's own birds


def test_the_drawn_birds_whole_and_part_by_part(tmp_path: Path) -> None:
    root = write_set(tmp_path / "birds", per_class=2, seed=0, splits={"train": 0.5, "test": 0.5})
    image = next(iter(sorted((root / "test").rglob("*.png"))))
    size = Image.open(image).size
    codes = np.asarray(Image.open(root / "masks" / image.relative_to(root)))
    for start in (root, root / "masks"):
        whole = open_masks(start)
        assert whole.facts["parts"] == ["legs", "tail", "body", "wing", "crest", "beak", "eye"]
        np.testing.assert_array_equal(whole.read(image, size).inside, codes >= PARTS.index("legs"))
    wing = open_masks(root, part="wing").read(image, size).inside
    np.testing.assert_array_equal(wing, codes == PARTS.index("wing"))
    with pytest.raises(UsageError, match=r"no part 'nose' in .*parts\.json; it has background, perch, .*eye"):
        open_masks(root, part="nose")
    (root / "masks" / "parts.json").write_text("[1, 2]")
    with pytest.raises(DataError, match=r"parts\.json is no JSON object"):
        open_masks(root)


# ---------------------------------------------------------------- EXIF orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_of_the_pixels_as_stored_is_turned_as_the_picture_is(tmp_path: Path, orientation: int) -> None:
    codes = np.zeros((40, 60), np.uint8)
    codes[4:12, 8:40] = 255
    stored = Image.fromarray(codes)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.tif", exif=exif)
    written(tmp_path / "masks" / "a.png", codes)
    upright = reading.read(tmp_path / "a.tif").image
    found = open_masks(tmp_path / "masks", as_stored=True).read(tmp_path / "a.tif", upright.size).inside
    np.testing.assert_array_equal(found, np.asarray(upright.convert("L")) > 0)


def test_a_mask_that_lies_across_is_explained(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.jpg", orientation=6)
    written(tmp_path / "masks" / "a.png", LEFT)
    masks = open_masks(tmp_path / "masks")
    with pytest.raises(DataError, match=r"a\.png is 6x4, .*a\.jpg is 4x6; the picture is turned by its EXIF"):
        masks.read(image, reading.read(image).size)
    written(tmp_path / "masks" / "a.png", LEFT.T)  # drawn on the upright picture
    np.testing.assert_array_equal(masks.read(image, (4, 6)).inside, LEFT.T == 1)


# ---------------------------------------------------------------- what the network sees


@pytest.mark.parametrize(
    ("size", "chain"),
    [
        ((90, 60), (48, (32, 32))), ((60, 90), (48, (32, 32))), ((61, 143), (None, (40, 24))),
        ((300, 200), (256, (224, 224))), ((37, 53), (64, (64, 64))),
    ],
)  # fmt: skip
def test_a_mask_is_cropped_as_the_pixels_are(size: tuple[int, int], chain: tuple[int | None, tuple[int, int]]) -> None:
    """A picture that is its own mask: what the network sees of both agrees but for the contour, which is blurred."""
    preprocess = Preprocess(*chain, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    mask = ((columns - 0.6 * width) / (0.2 * width)) ** 2 + ((rows - 0.4 * height) / (0.3 * height)) ** 2 < 1
    image = Image.fromarray(mask.astype(np.uint8) * 255).convert("RGB")
    view = preprocess.pixels(image)[..., 0]
    found = seen(mask, preprocess)
    assert found.shape == chain[1]
    certain = (view == 0) | (view == 255)
    assert certain.mean() > 0.7
    np.testing.assert_array_equal(found[certain], view[certain] == 255)


# ---------------------------------------------------------------- COCO


def coco(tmp_path: Path, *annotations: dict[str, Any], **over: Any) -> Path:
    image = {"id": 7, "file_name": "a.jpg", "width": 6, "height": 4}
    whole = {
        "images": [image, {"id": 8, "file_name": "bare.jpg"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 2} | one for one in annotations],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(whole | over))
    return path


def read(path: Path, **given: Any) -> np.ndarray:
    return open_masks(path, **given).read(Path("a.jpg"), SIZE).inside


def test_coco_polygons_boxes_and_run_lengths_are_the_same_pixels(tmp_path: Path) -> None:
    expected = np.zeros((4, 6), bool)
    expected[1:3, 2:5] = True
    corners = [2, 1, 5, 1, 5, 3, 2, 3]
    counts = [2 * 4 + 1, 2, 2, 2, 2, 2, 1 + 4]
    for shape in ([corners], {"counts": counts, "size": [4, 6]}, [], None):
        path = coco(tmp_path, {"segmentation": shape, "bbox": [2, 1, 3, 2]})
        np.testing.assert_array_equal(read(path), expected)
        facts = open_masks(path).facts
        note = open_masks(path).read(Path("a.jpg"), SIZE).note
        assert facts["boxes"] == (0 if shape else 1)
        assert note == (None if shape else "a box, for there is no contour")


def test_coco_objects_are_taken_together_or_by_class(tmp_path: Path) -> None:
    one = {"segmentation": [[0, 0, 2, 0, 2, 2, 0, 2], [4, 2, 6, 2, 6, 4, 4, 4]]}
    other = {"category_id": 1, "iscrowd": 1, "segmentation": {"counts": [23, 1], "size": [4, 6]}}
    path = coco(tmp_path, one, other)
    assert read(path, category="dog").sum() == 8
    assert read(path, category="cat").sum() == 1
    assert read(path).sum() == 8  # the crowd's pixel lies in the second polygon
    with pytest.raises(UsageError, match=r"no class 'owl' in .*instances\.json; it has cat, dog"):
        open_masks(path, category="owl")
    masks = open_masks(path)
    assert masks.has(Path("x/a.jpg"))
    assert not masks.has(Path("x/bare.jpg"))
    with pytest.raises(DataError, match=r"no mask for bare\.jpg"):
        masks.read(Path("bare.jpg"), SIZE)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ({"segmentation": {"counts": "PPYo1", "size": [4, 6]}}, "compressed run lengths are not read"),
        ({"segmentation": {"counts": [3, 4], "size": [4, 6]}}, "do not add up"),
        ({"segmentation": {"counts": [30, -6], "size": [4, 6]}}, "do not add up"),
        ({"segmentation": {"counts": [24], "size": [6, 4]}}, "are for 4x6 pixels, not 6x4"),
        ({"segmentation": {"counts": [24], "size": []}}, "annotation 1 of a.jpg"),
        ({"segmentation": [[0, 0, 1, 1]]}, "three corners"),
        ({"segmentation": [[0, 0, 1, 1, 2]]}, "annotation 1 of a.jpg"),
        ({"segmentation": [[0, 0, 1, 1, 1e300, 1e300]]}, "three corners, each two numbers"),
        ({"segmentation": ["abc"]}, "annotation 1 of a.jpg"),
        ({"bbox": [1, 2, 3]}, "annotation 1 of a.jpg"),
        ({"image_id": []}, "annotations image_id"),
        ({}, "bbox"),
    ],
)
def test_a_broken_coco_annotation_is_named(tmp_path: Path, one: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=rf"instances\.json is no COCO instances JSON \(.*{said}"):
        read(coco(tmp_path, one))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"id": [7], "file_name": "a.jpg"}, "is no COCO instances JSON"),
        ({"id": 7, "file_name": "a.jpg", "width": "\ud800", "height": 4}, "width and height of a.jpg are no whole"),
        ({"id": 7, "file_name": ""}, "no mask for a.jpg"),
        ({"id": 7, "file_name": "."}, "no mask for a.jpg"),
        ({"id": 7}, "is no COCO instances JSON"),
    ],
)
def test_a_broken_coco_image_is_named(tmp_path: Path, image: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read(coco(tmp_path, {"bbox": [0, 0, 2, 2]}, images=[image]))
    assert str(caught.value).isprintable()


def test_an_empty_or_misfitting_coco_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"of a\.jpg in .*instances\.json is empty"):
        read(coco(tmp_path, {"segmentation": [[1.1, 1.1, 1.3, 1.1, 1.2, 1.3]]}))
    path = coco(tmp_path, {"bbox": [0, 0, 2, 2]})
    with pytest.raises(DataError, match=r"is 6x4, a\.jpg is 5x4"):
        open_masks(path).read(Path("a.jpg"), (5, 4))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": 1}', '{"images": [1], "annotations": []}', "[" * 100_000])
def test_a_broken_json_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json is no COCO instances JSON"):
        open_masks(tmp_path / "a.json")


def test_a_polygon_holds_the_pixels_whose_centre_is_in_it() -> None:
    np.testing.assert_array_equal(box([0.6, 0.4, 2, 1.2], (4, 3)), [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
    triangle = polygon(np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]), (4, 4))
    assert triangle.sum() == pytest.approx(8, abs=2)
    outside = polygon(np.array([[-5.0, -5.0], [9.0, -5.0], [9.0, 9.0], [-5.0, 9.0]]), (4, 3))
    assert outside.all()
    ring = polygon(np.array([[0, 0], [5, 0], [5, 5], [0, 5], [0, 0], [1, 1], [4, 1], [4, 4], [1, 4], [1, 1.0]]), (5, 5))
    assert ring.sum() == 25 - 9


# ---------------------------------------------------------------- Pascal VOC


XML = """<annotation><size><width>6</width><height>4</height></size>
<object><name>dog</name><bndbox><xmin>2</xmin><ymin>1</ymin><xmax>3.0</xmax><ymax>4</ymax></bndbox></object>
<object><name>cat</name><bndbox><xmin>5</xmin><ymin>4</ymin><xmax>60</xmax><ymax>40</ymax></bndbox></object>
</annotation>"""


def voc(tmp_path: Path, text: str | bytes = XML) -> Path:
    path = tmp_path / "VOC2012" / "Annotations" / "a.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path / "VOC2012"


def test_voc_boxes_count_from_one_and_hold_their_last_pixel(tmp_path: Path) -> None:
    root = voc(tmp_path)
    expected = np.zeros((4, 6), bool)
    expected[:, 1:3] = True
    np.testing.assert_array_equal(read(root, category="dog"), expected)
    expected[3, 4:] = True
    for path in (root, root / "Annotations"):
        np.testing.assert_array_equal(read(path), expected)
    found = open_masks(root).read(Path("JPEGImages/a.jpg"), SIZE)
    assert found.note == "boxes, no contours"
    assert open_masks(root).facts["kind"] == "voc boxes"
    with pytest.raises(DataError, match=r"a\.xml is empty: no owl, it has cat, dog"):
        read(root, category="owl")


def test_voc_segments_leave_the_void_open_and_win_over_boxes(tmp_path: Path) -> None:
    root = voc(tmp_path)
    codes = np.zeros((4, 6), np.uint8)
    codes[0, :3], codes[1, :3], codes[2] = 12, 8, 255
    written(root / "SegmentationClass" / "a.png", codes, "P")
    for path in (root, root / "SegmentationClass"):
        found = open_masks(path).read(Path("a.jpg"), SIZE)
        np.testing.assert_array_equal(found.inside, (codes == 12) | (codes == 8))
        assert found.ignored is not None
        np.testing.assert_array_equal(found.ignored, codes == 255)
    np.testing.assert_array_equal(read(root, category="dog"), codes == 12)
    with pytest.raises(UsageError, match="no class 'dragon' in Pascal VOC; it has aeroplane"):
        read(root, category="dragon")
    codes[3, 3] = 99
    written(root / "SegmentationClass" / "a.png", codes, "P")
    with pytest.raises(DataError, match=r"a\.png has the value 99"):
        read(root)


BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "12"><!ENTITY c "&b;&b;">]><annotation>&c;</annotation>"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no VOC annotation"),
        ("<annotation><object>", "is no VOC annotation"),
        (BOMB, "declares a document type"),
        (BOMB.replace("?>", ' encoding="utf-16"?>', 1).encode("utf-16"), "declares a document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "declares a document type"),
        (XML.replace("<xmin>2</xmin>", "<xmin>two</xmin>"), "xmin is 'two', not a number"),
        (XML.replace("<xmin>2</xmin>", "<xmin>nan</xmin>"), "xmin is 'nan', not a number"),
        (XML.replace("<xmin>2</xmin>", ""), "xmin is None, not a number"),
        ("<annotation><object><name>cat</name></object></annotation>", "'cat' has no bndbox"),
        ("<annotation></annotation>", "no box in the picture"),
        (XML.replace("<width>6</width>", "<width>60</width>"), r"a\.xml is 60x4, a\.jpg is 6x4"),
    ],
)
def test_a_broken_voc_file_is_named(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read(voc(tmp_path, text))
    assert "a.xml" in str(caught.value)


def test_masks_say_what_they_are(tmp_path: Path) -> None:
    written(tmp_path / "a.png", LEFT)
    for masks in (open_masks(tmp_path), open_masks(coco(tmp_path)), open_masks(voc(tmp_path))):
        assert isinstance(masks, Masks)
        json.dumps(dict(masks.facts))
        assert {"kind", "path", "as_stored"} <= set(masks.facts)
