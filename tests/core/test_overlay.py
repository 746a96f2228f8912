"""Maps on pixels: rising values give rising colours, the bar tells the truth, and nothing is turned or mirrored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebase import overlay

LUMA = np.array([0.2126, 0.7152, 0.0722])
RAMP = np.linspace(0, 1, 256, dtype=np.float32)


def test_a_rising_ramp_gives_rising_lightness() -> None:
    light = overlay.sequential(RAMP) @ LUMA
    assert (np.diff(light) > 0).all()


def test_the_ends_and_the_middle_are_viridis() -> None:
    """Matplotlib's viridis at 0, 0.5 and 1; 0.5 stays the middle (it would be 0.25 if a map were squared)."""
    found = overlay.sequential(np.array([0, 0.5, 1], np.float32))
    assert found[0] == pytest.approx([68, 1, 84])
    assert found[1] == pytest.approx([33, 145, 140], abs=3)
    assert found[2] == pytest.approx([253, 231, 37])


def test_signs_have_colours_and_zero_has_none() -> None:
    against, nothing, for_it = overlay.diverging(np.array([-1, 0, 1], np.float32), 1.0)
    assert against[2] > against[0] + 40  # purple
    assert for_it[0] > for_it[2] + 100  # orange
    assert np.ptp(nothing) == 0
    light = overlay.diverging(np.linspace(0, 1, 64, dtype=np.float32), 1.0) @ LUMA
    assert (np.diff(light) < 0).all()


@given(st.floats(-3, 3, width=32), st.floats(0.01, 10))
def test_the_bound_is_the_full_colour(value: float, bound: float) -> None:
    scaled = overlay.diverging(np.array([value * bound], np.float32), bound)
    assert scaled == pytest.approx(overlay.diverging(np.array([value], np.float32), 1.0), abs=0.1)


def test_the_bar_is_what_the_overlay_draws() -> None:
    """On black, an overlay shows alpha times the colour of the value: the same colour as in the bar."""
    bar = overlay.sequential_bar(width=101)
    for place in (0, 25, 50, 75, 100):
        value = np.full((2, 2), place / 100, np.float32)
        drawn = overlay.saliency_overlay(np.zeros((8, 8, 3), np.uint8), value, opacity=1.0)
        alpha = 0.35 + 0.65 * place / 100
        assert drawn[4, 4] / alpha == pytest.approx(bar[0, place], abs=0.51 / alpha + 0.51)


def test_the_diverging_bar_is_what_the_where_overlay_draws() -> None:
    bar = overlay.diverging_bar(width=101)
    view = np.full((8, 8, 3), 128, np.uint8)
    for place, sign in ((0, -1.0), (100, 1.0)):
        drawn = overlay.where_overlay(view, np.full((2, 2), 0.2 * sign, np.float32), 0.2, opacity=1.0)
        assert drawn[4, 4] == pytest.approx(bar[0, place], abs=1)


def test_a_cell_at_the_upper_right_is_drawn_at_the_upper_right() -> None:
    view = np.full((20, 60, 3), 100, np.uint8)
    values = np.zeros((2, 3), np.float32)
    values[0, 2] = 1
    drawn = overlay.saliency_overlay(view, values).astype(float)
    yellow = drawn[..., 0] - drawn[..., 2]
    assert drawn.shape == view.shape
    assert np.unravel_index(yellow.argmax(), yellow.shape) == pytest.approx((2, 55), abs=5)
    assert yellow[15, 55] < yellow[2, 55]
    assert yellow[2, 5] < yellow[2, 55]


def test_enlarging_takes_height_before_width_and_keeps_sums_of_flat_maps() -> None:
    values = np.array([[0, 1, 2]], np.float32)
    found = overlay.enlarge(values, (4, 9))
    assert found.shape == (4, 9)
    assert found[0].tolist() == found[3].tolist()
    assert (np.diff(found[0]) >= 0).all()
    assert overlay.enlarge(np.full((2, 3), 0.25, np.float32), (5, 7)) == pytest.approx(0.25)


def test_a_map_outside_0_to_1_is_drawn_as_its_nearest_end() -> None:
    view = np.full((4, 4, 3), 50, np.uint8)
    above = overlay.saliency_overlay(view, np.full((2, 2), 7, np.float32))
    assert (above == overlay.saliency_overlay(view, np.ones((2, 2), np.float32))).all()


def test_a_where_map_of_zeros_leaves_a_grey_picture() -> None:
    view = np.zeros((6, 6, 3), np.uint8)
    view[..., 0] = 200
    drawn = overlay.where_overlay(view, np.zeros((2, 2), np.float32), 0.0)
    assert np.ptp(drawn, axis=-1).max() == 0
    assert (drawn == round(0.75 * 0.299 * 200 + 48)).all()


def test_the_callers_arrays_stay_as_they_were() -> None:
    view, values = np.full((4, 4, 3), 50, np.uint8), np.full((2, 2), 0.5, np.float32)
    overlay.saliency_overlay(view, values)
    overlay.where_overlay(view, values, 1.0)
    overlay.boxed(view, (0.25, 0.25, 0.75, 0.75))
    assert (view == 50).all()
    assert (values == 0.5).all()


def test_the_crop_box_lies_where_it_is_said_to_lie() -> None:
    whole = np.full((100, 200, 3), 200, np.uint8)
    drawn = overlay.boxed(whole, (0.5, 0.1, 0.75, 0.6))  # left, top, right, bottom
    assert (drawn[10, 100:150] == 255).all()  # upper edge
    assert (drawn[59, 100:150] == 255).all()  # lower edge
    assert (drawn[10:60, 100] == 255).all()
    assert (drawn[10:60, 149] == 255).all()
    assert (drawn[30, 120] == 200).all()
    assert (drawn[30, 10] == 90).all()
    assert (drawn[90, 120] == 90).all()


def test_a_crop_of_everything_draws_no_line() -> None:
    whole = np.full((10, 20, 3), 200, np.uint8)
    assert (overlay.boxed(whole, (0, 0, 1, 1)) == whole).all()
