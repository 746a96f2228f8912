"""The one pipeline: squares, one size, JPEG, nothing else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from casebase import clock
from casebase.canonical import Canonical
from casebase.errors import UsageError


def picture(width: int, height: int) -> Image.Image:
    """A picture whose red is the column and whose green is the row."""
    rows, columns = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([columns, rows, 0 * rows], axis=2).astype(np.uint8))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_the_crop_is_the_central_square() -> None:
    assert Canonical().box((300, 201)) == (49, 0, 250, 201)
    assert Canonical().box((10, 30)) == (0, 10, 10, 20)
    made = opened(Canonical(size=100, quality=(100, 100)).encoded(picture(200, 100), 100)).convert("RGB")
    middle = np.asarray(made)[50, :, 0].astype(int)
    assert abs(middle[0] - 50) < 6
    assert abs(middle[-1] - 149) < 6


def test_what_a_file_carries_stays_behind() -> None:
    image = picture(64, 48)
    image.info.update(comment=b"secret", icc_profile=b"x" * 40, dpi=(300, 300), exif=b"Exif\0\0MM")
    plain = Canonical(size=32).encoded(picture(64, 48), 80)
    assert Canonical(size=32).encoded(image, 80) == plain
    found = opened(plain)
    assert (found.format, found.size, found.mode) == ("JPEG", (32, 32), "RGB")
    assert set(found.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_png_holds_the_pixels_of_the_jpeg() -> None:
    as_jpeg = opened(Canonical(size=32).encoded(picture(64, 64), 70)).convert("RGB")
    as_png = opened(Canonical(size=32, format="png").encoded(picture(64, 64), 70))
    assert as_png.format == "PNG"
    assert as_png.info == {}
    assert np.array_equal(np.asarray(as_jpeg), np.asarray(as_png))


def test_qualities_reach_both_ends_and_no_further() -> None:
    found = Canonical(quality=(70, 74)).qualities(400, clock.generator(0))
    assert set(found) == {70, 71, 72, 73, 74}


@pytest.mark.parametrize(
    "wrong", [{"size": 3}, {"size": 5000}, {"quality": (0, 90)}, {"quality": (90, 80)}, {"format": "gif"}]
)
def test_a_pipeline_that_makes_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Canonical(**wrong)  # type: ignore[arg-type]
