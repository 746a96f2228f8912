"""One way from a file to pixels: every odd file is either converted faithfully or refused with its reason."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from casebase import reading
from casebase.errors import ImageError, ModelError
from casebase.reading import Preprocess

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 9, 3), np.uint8)  # 6 rows, 9 columns


def plain(resize: int | None, crop: tuple[int, int], how: str = "bilinear") -> Preprocess:
    return Preprocess(resize, crop, how, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(reading.read(data).image)


# -- formats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_come_back_pixel_by_pixel(kind: str) -> None:
    assert (pixels(encoded(Image.fromarray(PIXELS), kind)) == PIXELS).all()


def test_lossless_webp_comes_back_pixel_by_pixel() -> None:
    assert (pixels(encoded(Image.fromarray(PIXELS), "WEBP", lossless=True)) == PIXELS).all()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats_come_back_nearly(kind: str) -> None:
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    found = pixels(encoded(Image.fromarray(ramp), kind))
    assert np.abs(found.astype(int) - ramp).mean() < 4


def test_a_file_and_its_bytes_are_the_same_picture(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(PIXELS))
    (tmp_path / "a.png").write_bytes(data)
    one, other = reading.read(tmp_path / "a.png"), reading.read(data)
    assert (one.sha256, one.pixel_hash, one.look_hash) == (other.sha256, other.pixel_hash, other.look_hash)
    assert one.size == (9, 6)


def test_the_suffix_does_not_decide(tmp_path: Path) -> None:
    """A PNG called .jpg is a PNG."""
    (tmp_path / "a.jpg").write_bytes(encoded(Image.fromarray(PIXELS)))
    assert (np.asarray(reading.read(tmp_path / "a.jpg").image) == PIXELS).all()


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, PIXELS),
        (2, PIXELS[:, ::-1]),
        (3, PIXELS[::-1, ::-1]),
        (4, PIXELS[::-1]),
        (5, PIXELS.transpose(1, 0, 2)),
        (6, np.rot90(PIXELS, -1)),
        (7, PIXELS[::-1, ::-1].transpose(1, 0, 2)),
        (8, np.rot90(PIXELS, 1)),
    ],
)
def test_every_exif_orientation_is_made_upright(orientation: int, upright: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = reading.read(encoded(Image.fromarray(PIXELS), "PNG", exif=exif.tobytes()))
    assert (np.asarray(found.image) == upright).all()
    plainly = reading.read(encoded(Image.fromarray(np.ascontiguousarray(upright))))
    assert found.pixel_hash == plainly.pixel_hash


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    wide = np.array([[0, 255, 256, 32768, 65535]] * 4, np.uint16)
    found = pixels(encoded(Image.fromarray(wide)))
    assert found[0].tolist() == [[v, v, v] for v in (0, 0, 1, 128, 255)]


def test_cmyk_ink_becomes_light() -> None:
    ink = np.zeros((4, 4, 4), np.uint8)
    ink[:, 1, 0] = 255  # full cyan
    ink[:, 2, 3] = 255  # full black
    found = pixels(encoded(Image.fromarray(ink, "CMYK"), "TIFF"))
    assert found[0, :3].tolist() == [[255, 255, 255], [0, 255, 255], [0, 0, 0]]


def test_transparency_lies_on_white() -> None:
    layered = np.zeros((4, 4, 4), np.uint8)
    layered[:, 0, 3], layered[:, 1, 3], layered[:, 2, 3] = 0, 128, 255
    found = pixels(encoded(Image.fromarray(layered, "RGBA")))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[0, 1] == pytest.approx([127, 127, 127], abs=1)
    assert found[0, 2].tolist() == [0, 0, 0]


def test_transparency_of_a_palette_and_of_grey_lies_on_white() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((0, 0), 0)
    found = pixels(encoded(palette, "PNG", transparency=1))
    assert found[0, 0].tolist() == [10, 20, 30]
    assert found[2, 2].tolist() == [255, 255, 255]
    assert pixels(encoded(Image.new("LA", (4, 4), (0, 0))))[0, 0].tolist() == [255, 255, 255]


def test_of_an_animation_the_first_frame_is_read() -> None:
    frames = [Image.new("RGB", (5, 5), colour) for colour in ("red", "green", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(data)[2, 2].tolist() == [255, 0, 0]


def test_one_bit_and_grey_become_rgb() -> None:
    assert pixels(encoded(Image.new("1", (4, 4), 1)))[0, 0].tolist() == [255, 255, 255]
    assert pixels(encoded(Image.new("L", (4, 4), 77)))[0, 0].tolist() == [77, 77, 77]


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "kind"), [("F", "floating-point"), ("I", "32-bit integer"), ("LAB", "Lab")])
def test_pixels_without_a_faithful_form_are_refused_by_name(mode: str, kind: str) -> None:
    with pytest.raises(ImageError, match=kind):
        reading.read(encoded(Image.new(mode, (5, 5)), "TIFF"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", r"empty file \(0 bytes\)"),
        (b"hello", "not an image casebase reads"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image casebase reads"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image casebase reads"),
        (encoded(Image.fromarray(PIXELS))[:-30], "damaged or truncated"),
        (encoded(Image.fromarray(PIXELS.repeat(20, 0)), "JPEG")[:400], "damaged or truncated"),
    ],
)
def test_bytes_that_are_no_whole_picture_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        reading.read(data)


def test_every_cut_of_a_file_is_refused_or_the_same_picture() -> None:
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        data = encoded(Image.fromarray(PIXELS.repeat(4, 0)), kind)
        whole = reading.read(data).pixel_hash
        for cut in range(0, len(data), max(1, len(data) // 40)):
            try:
                assert reading.read(data[:cut]).pixel_hash == whole, (kind, cut)
            except ImageError:
                continue


@given(st.binary(max_size=200), st.integers(0, 400))
def test_damaged_bytes_never_bring_anything_but_an_image_error(noise: bytes, place: int) -> None:
    data = bytearray(encoded(Image.fromarray(PIXELS), "PNG"))
    data[place : place + len(noise)] = noise
    said = ""
    try:
        reading.read(bytes(data))
    except ImageError as error:
        said = str(error)
    assert "\n" not in said


def test_folders_and_missing_files_have_their_own_words(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="a folder, not an image"):
        reading.read(tmp_path)
    with pytest.raises(ImageError, match="no such file"):
        reading.read(tmp_path / "none.jpg")


def test_size_has_a_least_and_a_most() -> None:
    with pytest.raises(ImageError, match=r"too small \(3x9 pixels"):
        reading.read(encoded(Image.new("RGB", (3, 9))))
    assert reading.read(encoded(Image.new("RGB", (4, 4)))).size == (4, 4)
    big = encoded(Image.new("RGB", (200, 100)))
    assert reading.read(big, megapixels=0.02).size == (200, 100)
    with pytest.raises(ImageError, match="max_megapixels"):
        reading.read(big, megapixels=0.019)


def test_a_bomb_is_refused_before_its_pixels_are_made() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    with pytest.raises(ImageError, match="megapixels"):
        reading.read(data + chunk(b"IEND", b""))


# -- the network's view -------------------------------------------------------------------------------------------


def test_the_box_of_a_wide_picture_by_hand() -> None:
    """400 x 200 to 200 x 100; the crop 80 x 60 begins at (60, 20); twice that in the original's pixels."""
    assert plain(100, (60, 80)).box((400, 200)) == (120.0, 40.0, 280.0, 160.0)


def test_the_box_of_a_tall_picture_by_hand() -> None:
    """200 x 400 to 100 x 200; the crop 80 wide and 60 high begins at (10, 70)."""
    assert plain(100, (60, 80)).box((200, 400)) == (20.0, 140.0, 180.0, 260.0)


def test_without_a_resize_the_whole_picture_is_squashed() -> None:
    assert plain(None, (5, 7)).box((31, 17)) == (0.0, 0.0, 31.0, 17.0)
    assert plain(None, (5, 7)).pixels(Image.new("RGB", (31, 17))).shape == (5, 7, 3)


def test_a_crop_larger_than_the_picture_is_refused() -> None:
    with pytest.raises(ModelError, match="crop 80x60 is larger"):
        plain(50, (60, 80)).box((400, 400))


SIDES = st.integers(4, 3000)


@given(SIDES, SIDES, st.integers(8, 512), st.floats(0.1, 1.0), st.floats(0.1, 1.0))
def test_the_box_lies_inside_the_picture(width: int, height: int, resize: int, high: float, wide: float) -> None:
    crop = (max(1, int(resize * high)), max(1, int(resize * wide)))
    left, top, right, bottom = plain(resize, crop).box((width, height))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    if width <= height:  # the crop's width is its share of the shorter side
        assert right - left == pytest.approx(width * crop[1] / resize)
    else:
        assert bottom - top == pytest.approx(height * crop[0] / resize)


@pytest.mark.parametrize("size", [(301, 200), (200, 301), (97, 98), (640, 480), (64, 640)])
def test_the_view_is_that_of_torchvision(size: tuple[int, int]) -> None:
    """One resize with a box against torchvision's Resize and CenterCrop on the same picture."""
    from torchvision.transforms import v2

    width, height = size
    across, down = np.meshgrid(np.linspace(0, 4, width), np.linspace(0, 3, height))
    waves = [np.sin(across * 2 + down), np.cos(down * 3), np.sin(across * down)]
    image = Image.fromarray(((np.stack(waves, axis=-1) + 1) * 127).astype(np.uint8))
    theirs = v2.Compose([v2.Resize(64), v2.CenterCrop(56)])(image)
    ours = plain(64, (56, 56)).pixels(image)
    difference = np.abs(ours.astype(int) - np.asarray(theirs).astype(int))
    assert difference.max() <= 2
    assert difference.mean() < 0.25


def test_a_view_keeps_left_and_right_and_top_and_bottom() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    image[:10, 60:] = 255  # upper right
    view = plain(None, (8, 8)).pixels(Image.fromarray(image))
    assert view[0, 7].tolist() == [255, 255, 255]
    assert view[7, 7].tolist() == view[0, 0].tolist() == [0, 0, 0]


def test_a_larger_view_for_display_shows_the_same_part() -> None:
    image = Image.fromarray(RNG.integers(0, 256, (60, 90, 3), np.uint8))
    chain = plain(48, (40, 32))
    assert chain.crop_of(image, 3.0).size == (96, 120)
    small = np.asarray(chain.crop_of(image, 3.0).resize((32, 40), Image.Resampling.BOX), int)
    assert np.abs(small - chain.pixels(image)).mean() < 12


def test_normalising_by_hand() -> None:
    chain = Preprocess(None, (1, 2), "bilinear", (0.5, 0.0, 0.0), (0.5, 1.0, 2.0))
    batch = np.array([[[[255, 51, 0], [0, 0, 255]]]], np.uint8)  # (1, 1, 2, 3)
    found = chain.normalise(batch)
    assert found.shape == (1, 3, 1, 2)
    assert found.dtype == np.float32
    assert found[0, :, 0].tolist() == [[1.0, -1.0], [pytest.approx(0.2), 0.0], [0.0, 0.5]]


def test_a_chain_survives_json_and_its_name_changes_with_every_field() -> None:
    chain = Preprocess(256, (224, 192), "bicubic", (0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    assert Preprocess.from_dict(chain.to_dict()) == chain
    others = [
        Preprocess(255, (224, 192), "bicubic", (0.1, 0.2, 0.3), (1.0, 2.0, 3.0)),
        Preprocess(256, (192, 224), "bicubic", (0.1, 0.2, 0.3), (1.0, 2.0, 3.0)),
        Preprocess(256, (224, 192), "bilinear", (0.1, 0.2, 0.3), (1.0, 2.0, 3.0)),
        Preprocess(256, (224, 192), "bicubic", (0.1, 0.2, 0.4), (1.0, 2.0, 3.0)),
        Preprocess(256, (224, 192), "bicubic", (0.1, 0.2, 0.3), (1.0, 2.0, 3.5)),
    ]
    assert len({one.short for one in [chain, *others]}) == 6


def test_a_chain_of_another_decoder_or_interpolation_is_refused() -> None:
    with pytest.raises(ModelError, match="decoder 'other/2'"):
        Preprocess.from_dict({**plain(8, (8, 8)).to_dict(), "decoder": "other/2"})
    with pytest.raises(ModelError, match="'hamming'"):
        plain(8, (8, 8), "hamming")


# -- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe 大", "Größe 大"),
        ("a\x1b[31mb\nc", "a�[31mb�c"),
        ("x\u202ey\u0085", "x�y�"),
        ("caf\udce9.jpg", "caf�.jpg"),
        ("\ud800", "�"),
    ],
)
def test_text_from_data_is_made_safe_to_print(text: str, shown: str) -> None:
    assert reading.printable(text) == shown


@given(st.text())
def test_printable_text_is_printable_and_stays_so(text: str) -> None:
    shown = reading.printable(text)
    assert shown.isprintable() or {c for c in shown if not c.isprintable()} <= {" "}
    assert reading.printable(shown) == shown
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0.0 %"),
        (0.0004, "<0.1 %"),
        (0.5, "50.0 %"),
        (0.9995, ">99.9 %"),
        (1.0, "100.0 %"),
        (float("nan"), "–"),
    ],
)
def test_a_share_is_rounded_to_0_or_100_only_if_it_is(share: float, shown: str) -> None:
    assert reading.percent(share) == shown
