"""A walk as a person reads it: every frame marked in its pixels, the flip framed, the real case beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from casebase.answers import finite
from casebase.explain.cae import picture, walk_words
from casebase.explain.cae.section import STRIP, absent, section
from casebase.explanations import Level, Statement
from tests.explain.cae.planted import BRIGHT, PLAIN, SIDE, association, seen, three
from tests.explain.cae.showing import FAILED, neighbour, page_of, walk_of

IMAGE = seen(red=120)[0]


def shown(**over: object):
    walk = replace(walk_of(), **over)  # type: ignore[arg-type]  # fields of a walk
    return section(walk, three().found, IMAGE, neighbour(), seen((4, 1), 190)[0])


def strip_of(pixels: np.ndarray) -> np.ndarray:
    """The rows below the picture."""
    return pixels[pixels.shape[1] :]


@pytest.mark.parametrize("mark", [picture.MARK, picture.UNTRUSTED])
@pytest.mark.parametrize("view", [(64, 64), (224, 224), (96, 64), (64, 300)])
def test_the_mark_is_added_below_and_covers_nothing(view: tuple[int, int], mark: str) -> None:
    image = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    drawn, plain = picture.synthetic(image, view, mark), picture.shaped(image, view)
    height, width = plain.shape[:2]
    assert max(height, width) >= picture.SIDE
    assert abs(height / width - view[0] / view[1]) < 0.02
    assert (drawn[:height] == plain).all()
    strip = drawn[height:].astype(int)
    assert len(strip) >= 12
    dark, light = (strip.max(axis=2) < 80).mean(), (strip.min(axis=2) > 200).mean()
    assert dark > 0.5
    assert light > 0.01, "the mark is written"
    edge = strip[:, : max(1, width // 60)]
    assert (edge.max(axis=2) < 80).all(), "the mark is not cut off"


def test_everything_a_decoder_made_is_marked_and_nothing_else() -> None:
    found = shown()
    marks = picture.synthetic(np.zeros((SIDE, SIDE, 3), np.uint8), (64, 64))[picture.SIDE :]
    for one in found.stills:
        assert (strip_of(one.figure.pixels) == marks).all()
        assert one.figure.alt.startswith("Synthetic image")
    image, *made, real = found.compared
    assert all((strip_of(one.pixels) == marks).all() for one in made)
    assert len(made) == 3
    for one in (image, real):
        assert one.pixels.shape[0] == one.pixels.shape[1]
        assert "ynthetic" not in one.alt
    assert "real case" in real.alt


def test_the_flip_stands_among_the_frames_in_its_place() -> None:
    walk = walk_of(frames=20)
    found = section(walk, three().found, IMAGE, None, None)
    places = [one.at for one in found.stills]
    assert places == sorted(places)
    assert len(found.stills) == 21
    (flip,) = [one for one in found.stills if one.flip]
    assert flip.at == walk.flip.at
    assert flip.strip
    assert flip.figure.role == "rival"
    assert sum(one.strip for one in found.stills) == STRIP + 1
    assert found.stills[0].strip
    assert found.stills[-1].strip
    assert f"first says {BRIGHT} at {100 * walk.flip.at:.0f} % of the way" in found.flip.text
    assert found.flip.level is Level.PLAIN
    assert found.curve.of_rival == [finite(float(one)) for one in found.curve.of_rival]
    assert found.curve.flip == walk.flip.at


def test_a_flip_that_is_one_of_the_frames_is_not_shown_twice() -> None:
    walk = walk_of(frames=12)
    found = section(replace(walk, flip=walk.frames[6]), three().found, IMAGE, None, None)
    assert len(found.stills) == 12
    assert [one.flip for one in found.stills].index(True) == 6


def test_a_walk_without_a_flip_says_what_its_end_is_called() -> None:
    found = shown(flip=None)
    assert found.flip.level is Level.CAUTION
    assert "still says" in found.flip.text
    assert found.compared[2].caption.startswith("end of the walk")
    assert found.curve.flip is None
    assert "the answer never changes" in found.curve.alt


def test_a_third_class_is_a_caution() -> None:
    walk = walk_of()
    other = replace(walk.flip, called="blue")
    assert walk_words.flip(replace(walk, flip=other)).level is Level.CAUTION


def test_what_changed_is_signed_and_taken_from_the_reconstruction() -> None:
    walk = walk_of()
    brighter = picture.signed(walk.difference)
    assert brighter.max() > 0
    assert brighter.min() >= 0
    assert (picture.signed(-walk.difference) <= 0).all()
    turned = np.zeros((4, 4, 3), np.float32)
    turned[..., 0], turned[..., 1] = 0.3, -0.3
    assert np.allclose(np.abs(picture.signed(turned)), 0.2), "a change of hue is a change"
    drawn = shown().compared[3]
    assert "of the pixels by more than half of the largest change" in drawn.alt


def test_a_refused_walk_shows_no_picture() -> None:
    found = section(replace(walk_of(), refused="the reconstruction is called plain"), three().found, IMAGE, None, None)
    assert found.missing.text == "No walk is shown for this image: the reconstruction is called plain."
    assert not found.stills
    assert not found.compared


def test_below_the_gate_there_is_one_sentence_that_points_at_real_cases() -> None:
    found = absent(Statement(walk_words.no_walk([FAILED])))
    assert found.missing.text == (
        f"No trustworthy generated view can be had for this set ({FAILED}); "
        "the retrieved counterfactuals above are real cases."
    )


def test_an_untrusted_walk_says_so_in_words_and_in_every_picture() -> None:
    view = three()
    found = section(walk_of(view), association(failed=[FAILED]), IMAGE, None, None)
    assert found.untrusted.level is Level.ALARM
    assert FAILED in found.untrusted.text
    marks = picture.synthetic(np.zeros((SIDE, SIDE, 3), np.uint8), (64, 64), picture.UNTRUSTED)[picture.SIDE :]
    assert (strip_of(found.stills[0].figure.pixels) == marks).all()


def test_without_a_real_case_or_its_file_it_is_said_where_it_would_stand() -> None:
    walk = walk_of()
    nobody = section(walk, three().found, IMAGE, None, None).compared[-1]
    assert nobody.pixels is None
    assert nobody.alt == f"No case of this base is predicted {BRIGHT}."
    gone = section(walk, three().found, IMAGE, neighbour(), None).compared[-1]
    assert gone.pixels is None
    assert "its file is gone" in gone.alt


def test_a_real_case_that_is_labelled_otherwise_says_so() -> None:
    found = section(walk_of(), three().found, IMAGE, neighbour(label=PLAIN), seen((4, 1), 190)[0])
    assert found.compared[-1].caption.endswith(f"the nearest called {BRIGHT}, labelled {PLAIN}")


def test_the_json_of_a_page_is_numbers_and_says_synthetic() -> None:
    page = page_of()
    value = page.to_dict()
    assert value["schema"] == "casebase.walk/1"
    assert value["walk"]["synthetic"] is True
    assert value["retrieved"]["predicted"] == BRIGHT
    assert value["map"]["method"] == "pca"
    assert value["map"]["cases"] == 90
    assert len(value["map"]["query"]) == 2
    assert value["trustworthy"] is True
