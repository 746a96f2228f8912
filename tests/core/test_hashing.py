"""Names for contents: equal contents have equal names, other contents other ones."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from casebase import hashing

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
BITS = st.integers(0, 2**64 - 1)


def grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.repeat(values[..., None], 3, axis=2).astype(np.uint8))


def test_bytes_are_named_by_sha256() -> None:
    assert hashing.of_bytes(b"abc") == ABC
    assert hashing.of_bytes(memoryview(b"abc")) == ABC


def test_the_order_of_keys_does_not_matter_but_their_values_do() -> None:
    assert hashing.of_json({"a": 1, "b": [2]}) == hashing.of_json({"b": [2], "a": 1})
    assert hashing.of_json({"a": 1}) != hashing.of_json({"a": 2})
    assert hashing.of_json({"a": 1}) != hashing.of_json({"a": "1"})
    assert len(hashing.of_json({})) == 16


def test_nan_has_no_name() -> None:
    with pytest.raises(ValueError):
        hashing.of_json({"a": float("nan")})


def test_pixels_have_one_name_in_every_lossless_format() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8))
    names = set()
    for kind in ("PNG", "BMP", "TIFF"):
        out = io.BytesIO()
        image.save(out, kind)
        names.add(hashing.of_pixels(Image.open(out).convert("RGB")))
    assert names == {hashing.of_pixels(image)}


def test_the_same_bytes_in_another_shape_are_another_picture() -> None:
    pixels = np.arange(18, dtype=np.uint8)
    wide, tall = Image.fromarray(pixels.reshape(2, 3, 3)), Image.fromarray(pixels.reshape(3, 2, 3))
    assert wide.tobytes() == tall.tobytes()
    assert hashing.of_pixels(wide) != hashing.of_pixels(tall)


def test_a_case_keeps_its_id_for_ever() -> None:
    """Ids stand in reports and in the database: this one must never change."""
    assert hashing.case_id(1, "cat/1.jpg") == "071f2a8feec025b4"


def test_ids_tell_sources_and_paths_apart() -> None:
    ids = {hashing.case_id(1, "cat/1.jpg"), hashing.case_id(2, "cat/1.jpg"), hashing.case_id(1, "dog/1.jpg")}
    assert len(ids) == 3


def test_a_file_name_that_is_no_utf8_has_an_id() -> None:
    assert len(hashing.case_id(1, "cat/\udcff.jpg")) == 16


def test_the_look_of_hand_made_ramps() -> None:
    rising = np.tile(np.arange(0, 90, 10), (8, 1))
    assert hashing.of_look(grey(rising)) == 2**64 - 1
    assert hashing.of_look(grey(rising[:, ::-1])) == 0
    assert hashing.of_look(grey(np.full((8, 9), 77))) == 0
    lower_falls = np.concatenate([rising[:4], rising[:4, ::-1]])
    assert hashing.of_look(grey(lower_falls)) == 0xFFFFFFFF00000000
    one_step = np.zeros((8, 9))
    one_step[7, 8] = 9  # the last two cells of the last row: the last bit
    assert hashing.of_look(grey(one_step)) == 1


def test_a_look_survives_rescaling_and_jpeg() -> None:
    rng = np.random.default_rng(3)
    image = grey(rng.integers(0, 256, (8, 9))).resize((180, 160), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    image.resize((117, 104)).save(out, "JPEG", quality=70)
    apart = hashing.look_distance(hashing.of_look(image), hashing.of_look(Image.open(out)))
    other = grey(np.random.default_rng(4).integers(0, 256, (160, 180)))
    assert apart <= 4
    assert hashing.look_distance(hashing.of_look(image), hashing.of_look(other)) > 12


def test_bits_are_counted_by_hand() -> None:
    assert hashing.look_distance(0b1011, 0b0010) == 2
    assert hashing.look_distance(0, 2**64 - 1) == 64


@given(BITS, BITS, BITS)
def test_look_distance_is_a_distance(a: int, b: int, c: int) -> None:
    assert hashing.look_distance(a, a) == 0
    assert hashing.look_distance(a, b) == hashing.look_distance(b, a)
    assert hashing.look_distance(a, c) <= hashing.look_distance(a, b) + hashing.look_distance(b, c)
