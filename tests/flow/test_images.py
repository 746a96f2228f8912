"""Every kind of picture file: converted properly, or skipped with its reason; the same as a query."""

from __future__ import annotations

import io
import os
import re
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casebase import reading
from casebase.errors import ImageError
from tests.flow.command import Call, lists, run
from tests.flow.conftest import PLAIN, draw

ORIENTATION = 0x0112
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def saved(image: Image.Image, kind: str, **more: object) -> bytes:
    """A picture in a file format."""
    out = io.BytesIO()
    image.save(out, kind, **more)  # type: ignore[arg-type]
    return out.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def huge() -> bytes:
    """A PNG file of some hundred bytes that claims to be 100 megapixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def endless_gif() -> bytes:
    """An animation whose first frame is whole; what follows is cut off."""
    frames = [draw("cat", n).convert("P") for n in range(20)]
    whole = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    return whole[: len(whole) * 2 // 3]


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "cat/truncated.jpg": (lambda: saved(draw("cat", 50, (64, 64)), "JPEG")[:900], "damaged or truncated"),
    "cat/cut-header.jpg": (lambda: saved(draw("cat", 51), "JPEG")[:20], "not an image|damaged"),
    "cat/truncated.png": (lambda: saved(draw("cat", 52), "PNG")[:2000], "damaged or truncated"),
    "cat/empty.jpg": (lambda: b"", "empty file"),
    "cat/text.jpg": (lambda: b"This is not a picture.\n" * 9, "not an image"),
    "cat/page.png": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "not an im"),
    "cat/huge.png": (huge, "100 megapixels, more than 90"),
    "cat/dot.png": (lambda: saved(Image.new("RGB", (1, 1)), "PNG"), "too small \\(1x1 pixels"),
    "cat/line.png": (lambda: saved(Image.new("RGB", (400, 1)), "PNG"), "too small \\(400x1 pixels"),
    "cat/phone.heic": (lambda: b"\0\0\0\x18ftypheic" + bytes(64), "format .heic is not read"),
    "cat/float.tiff": (lambda: saved(Image.new("F", (32, 32), 0.5), "TIFF"), "floating-point pixels"),
    "cat/eps.jpg": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
}


def wide_grey() -> bytes:
    """A 16-bit PNG that holds the grey values of a picture times 257."""
    grey = np.asarray(draw("owl", 60).convert("L"), np.uint16) * 257
    return saved(Image.fromarray(grey), "PNG")


GOOD: dict[str, tuple[Callable[[], bytes], Callable[[], Image.Image]]] = {
    # file: what it holds, and the upright RGB picture that it must be read as
    "owl/png-named.jpg": (lambda: saved(draw("owl", 61), "PNG"), lambda: draw("owl", 61)),
    "owl/wide.png": (wide_grey, lambda: draw("owl", 60).convert("L").convert("RGB")),
    "owl/alpha.png": (
        lambda: saved(Image.merge("RGBA", (*draw("owl", 62).split(), Image.new("L", (48, 40), 0))), "PNG"),
        lambda: Image.new("RGB", (48, 40), "white"),
    ),
    "owl/palette-alpha.png": (
        lambda: saved(draw("owl", 62).quantize(8), "PNG", transparency=bytes(8)),
        lambda: Image.new("RGB", (48, 40), "white"),
    ),
    "owl/moving.gif": (
        lambda: saved(draw("owl", 63).convert("P"), "GIF", save_all=True, append_images=[draw("cat", 1).convert("P")]),
        lambda: draw("owl", 63).convert("P").convert("RGB"),
    ),
    "owl/moving-cut.gif": (endless_gif, lambda: draw("cat", 0).convert("P").convert("RGB")),
    "owl/two-tone.png": (
        lambda: saved(draw("owl", 64).convert("1"), "PNG"), lambda: draw("owl", 64).convert("1").convert("RGB")
    ),
    "owl/UPPER.JPEG": (
        lambda: saved(draw("owl", 65), "JPEG", quality=95),
        lambda: Image.open(io.BytesIO(saved(draw("owl", 65), "JPEG", quality=95))),
    ),
    "owl/ink.jpg": (
        lambda: saved(draw("owl", 66).convert("CMYK"), "JPEG", quality=95),
        lambda: Image.open(io.BytesIO(saved(draw("owl", 66).convert("CMYK"), "JPEG", quality=95))).convert("RGB"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_good_files_are_read_as_the_picture_they_show(name: str) -> None:
    made, shown = GOOD[name]
    found = np.asarray(reading.read(made()).image, np.int16)
    wanted = np.asarray(shown(), np.int16)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1


def test_the_cmyk_picture_keeps_its_colours() -> None:
    """Adobe's inverted CMYK would come out as a negative if it were read naively."""
    made, _ = GOOD["owl/ink.jpg"]
    difference = np.asarray(reading.read(made()).image, np.int16) - np.asarray(draw("owl", 66), np.int16)
    assert np.abs(difference).mean() < 12


def test_all_bad_files_are_listed_with_their_reasons_and_good_ones_become_cases(
    tmp_path: Path, photos: Path, model: Path
) -> None:
    for name, (made, _) in {**BAD, **GOOD}.items():
        (photos / name).write_bytes(made())
    long = "n" * 251 + ".png"
    shutil.copy(photos / "cat/0000.png", photos / "cat" / long)
    draw("dog", 70).save(photos / "dog" / "bytes.png")
    (photos / "dog" / "bytes.png").rename(photos / "dog" / os.fsdecode(b"\xff\xfe\x1b[31m.png"))
    (photos / os.fsdecode(b"\xff\xff")).mkdir()
    draw("dog", 71).save(photos / "dog" / "x.png")
    shutil.copy(photos / "dog" / "x.png", photos / os.fsdecode(b"\xff\xff") / "y.png")
    (photos / "dog" / "loop").symlink_to(photos)
    (photos / "dog" / "itself.png").symlink_to("itself.png")
    (photos / "dog" / "dangling.png").symlink_to("nowhere.png")
    os.mkfifo(photos / "dog" / "pipe.png")
    done = run("index", photos, "--model", model, *PLAIN, "--base", "base", "--json", "--strict", cwd=tmp_path)
    found = done.expect(3).json
    reasons = {row["path"]: row["reason"] for row in found["skipped"]}
    for name, (_, reason) in BAD.items():
        assert re.search(reason, reasons.pop(name)), name
    for name in ("dog/itself.png", "dog/dangling.png", "dog/pipe.png", "dog/loop", "\udcff\udcff"):
        assert reasons.pop(name)
    assert reasons == {}
    # 30 pictures, the convertible ones, the long name, the undecodable name, and x.png
    assert found["cases"] == 30 + len(GOOD) + 3
    assert found["seen"] == found["cases"] + len(BAD) - 1 + 3
    assert found["classes"]["cat"] == 11  # the loop would have made cats of the dogs, or dogs of the cats
    again = run("query", photos / "owl/wide.png", "--base", "base", "--json", "--no-overlays", cwd=tmp_path)
    assert again.expect(0).json["query"]["known_case"]
    assert run("verify", "--deep", "--base", "base", cwd=tmp_path).expect(0)


@pytest.mark.parametrize("name", [name for name in BAD if not name.endswith(".heic")])
def test_a_bad_file_as_a_query_is_one_sentence_with_the_same_reason(
    tmp_path: Path, shared_base: Path, call: Call, name: str
) -> None:
    made, reason = BAD[name]
    path = tmp_path / Path(name).name
    path.write_bytes(made())
    said = call("query", path, "--base", shared_base, "--json").expect(1).sentence
    assert path.name in said
    assert re.search(reason, said)


def test_a_bad_file_as_a_query_in_a_real_process(tmp_path: Path, shared_base: Path) -> None:
    (tmp_path / "huge.png").write_bytes(huge())
    said = run("query", "huge.png", "--base", shared_base, cwd=tmp_path).expect(1).sentence
    assert "100 megapixels" in said
    assert "max_megapixels" in said


def test_among_several_queries_the_good_ones_are_answered(
    tmp_path: Path, shared_base: Path, stranger: Path, call: Call
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"")
    done = call("query", tmp_path / "bad.jpg", stranger, "--base", shared_base, "--json", "--no-overlays").expect(1)
    assert [one["query"]["path"] for one in done.json] == [str(stranger)]
    assert "empty file" in done.err


def test_a_name_with_escape_codes_is_printed_without_them(tmp_path: Path, shared_base: Path, call: Call) -> None:
    path = tmp_path / "a\x1b[31mred\nline.png"
    draw("cat", 5).save(path)
    done = call("query", path, "--base", shared_base, "--no-overlays").expect(0)
    assert "\x1b" not in done.out + done.err
    bad = tmp_path / "b\x1b[31mred.png"
    bad.write_bytes(b"x")
    assert "\x1b" not in call("query", bad, "--base", shared_base).expect(1).err


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
def test_orientation_is_applied_to_pixels_alike_for_every_value(tmp_path: Path, suffix: str) -> None:
    upright = draw("dog", 80, (48, 32))
    lossless = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    for value, back in TURNED.items():
        stored = upright.transpose(_inverse(back))
        exif = Image.Exif()
        exif[ORIENTATION] = value
        path = tmp_path / f"{value}.{suffix}"
        stored.save(path, exif=exif, **lossless)  # type: ignore[arg-type]
        found = np.asarray(reading.read(path).image, np.int16)
        assert found.shape == (32, 48, 3)
        assert np.abs(found - np.asarray(upright, np.int16)).max() <= (4 if suffix == "jpg" else 0), value


def _inverse(turn: Image.Transpose) -> Image.Transpose:
    pairs = {
        Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_270
    }  # fmt: skip
    if turn not in pairs:
        return turn
    # EXIF 6 is stored turned 90 degrees counter-clockwise and has to be shown turned 90 clockwise (Pillow: 270).
    return Image.Transpose.ROTATE_90 if turn == Image.Transpose.ROTATE_90 else Image.Transpose.ROTATE_270


def test_a_rotated_picture_is_the_same_case_and_the_same_query_as_the_upright_one(
    tmp_path: Path, photos: Path, model: Path, call: Call
) -> None:
    upright = draw("cat", 90, (40, 40))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    upright.save(photos / "cat" / "upright.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(photos / "cat" / "turned.png", exif=exif)
    base = tmp_path / "base"
    call("index", photos, "--model", model, *PLAIN, "--base", base).expect(0)
    answers = [
        call("query", photos / "cat" / f"{name}.png", "--base", base, "--json", "--no-overlays").expect(0).json
        for name in ("upright", "turned")
    ]
    assert lists(answers[0]) == lists(answers[1])
    assert answers[0]["prediction"] == answers[1]["prediction"]
    for answer in answers:  # both cases have the query's pixels, so both are left out and named
        warned = " ".join(answer["warnings"])
        assert "upright.png" in warned
        assert "turned.png" in warned
        assert not any(row["path"] in ("cat/upright.png", "cat/turned.png") for row in answer["nearest"])
    with sqlite3.connect(base / "cases.db") as connection:
        found = connection.execute(
            "SELECT vector FROM vectors JOIN cases ON cases.row = vectors.row "
            "WHERE CAST(path AS TEXT) IN ('cat/turned.png', 'cat/upright.png')"
        ).fetchall()
    connection.close()
    one, other = (np.frombuffer(row[0], "<f4") for row in found)
    assert np.abs(one - other).max() < 1e-6


def test_names_that_are_long_or_no_text_are_queries_like_any_other(
    tmp_path: Path, shared_base: Path, stranger: Path, call: Call
) -> None:
    odd = tmp_path / os.fsdecode(b"\xff\xfe" + 240 * b"n" + b".png")
    shutil.copy(stranger, odd)
    done = call("query", odd, "--base", shared_base, "--json", "--report", tmp_path / "why.html").expect(0).json
    assert done["query"]["path"] == str(odd)
    assert call("query", odd, "--base", shared_base).expect(0).out
    said = call("query", tmp_path / (300 * "n" + ".png"), "--base", shared_base).expect(1).sentence
    assert "File name too long" in said


def test_a_class_folder_that_cannot_be_read_withdraws_nothing(photos: Path, base: Path, call: Call) -> None:
    (photos / "cat").chmod(0)
    try:
        done = run("index", photos, "--base", base, "--json", obedient=True)
    finally:
        (photos / "cat").chmod(0o755)
    assert "cat cannot be read (Permission denied)" in done.expect(1).sentence
    assert call("stats", "--base", base, "--json").expect(0).json["cases"] == 30


def test_a_pipe_as_a_query_is_refused_and_standard_input_is_offered(
    tmp_path: Path, shared_base: Path, call: Call
) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "- reads standard input" in call("query", tmp_path / "pipe.png", "--base", shared_base).expect(1).sentence


def test_a_file_without_an_end_is_not_read_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "vast.jpg").open("wb") as handle:
        handle.write(b"\xff\xd8\xff")
        handle.truncate(40_000_000)
    with pytest.raises(ImageError, match="more than 17 MB"):
        reading.read(tmp_path / "vast.jpg", megapixels=0.1)


def test_only_bad_images_is_a_failure_that_says_so(tmp_path: Path, model: Path, call: Call) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "a.jpg").write_bytes(b"")
    base = tmp_path / "base"
    said = call("index", tmp_path / "photos", "--model", model, *PLAIN, "--base", base).expect(1)
    assert "none of 1 images can be used" in said.err
    assert "Traceback" not in said.err
    draw("cat", 1).save(tmp_path / "photos" / "cat" / "b.png")
    assert call("index", tmp_path / "photos", *PLAIN, "--base", base, "--json").expect(0).json["cases"] == 1
