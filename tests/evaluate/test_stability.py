"""Images read again from the disk: unchanged ones keep their lists, missing ones are counted, controls see pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casebase import reading
from casebase.cases import Status
from casebase.evaluate import random_control, stability
from casebase.evaluate.images import Images, Sides, features, load
from casebase.evaluate.neighbours import Lists
from casebase.evaluate.pictures import Disk, Progress, Tally
from casebase.evaluate.random_control import Controls, Drawn, thumbnail
from casebase.evaluate.stability import CHANGES, Stability, overlap, sampled
from casebase.evaluate.twin_study import silent
from casebase.parts import Part
from casebase.ports import Embedder, Reading
from casebase.reading import Preprocess
from casebase.storage.memory import MemoryCaseStore
from tests.evaluate.made_up import images, noise
from tests.fakes import clustered, entry, fill, fingerprint


class CornerNetwork:
    """Features are the mean colours of the left and the right half; it says 0 where the left one is brighter."""

    space, batch_size = "avgpool", 4
    preprocess = Preprocess(None, (8, 8), "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    fingerprint = fingerprint(6)

    def read(self, views: np.ndarray) -> Reading:
        left, right = views[:, :, :4].mean(axis=(1, 2)), views[:, :, 4:].mean(axis=(1, 2))
        first = (left.sum(axis=1) >= right.sum(axis=1)).astype(np.float32)
        return Reading(np.concatenate([left, right], 1).astype(np.float32) + 1, np.stack([first, 1 - first], 1))


NETWORK = CornerNetwork()


def drawn(folder: Path, n: int, seed: int, prefix: str) -> Images:
    """Blotchy pictures, brighter on the left or on the right, read through ``NETWORK``."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    views, hashes, files = [], [], []
    for i in range(n):
        cells = random.integers(0, 200, (4, 4, 3))
        cells[:, :2] += 55 * (i % 2)
        cells[:, 2:] += 55 * (1 - i % 2)
        path = folder / f"{prefix}{i}.png"
        Image.fromarray(cells.astype(np.uint8)).resize((24, 16), Image.Resampling.BICUBIC).save(path)
        picture = reading.read(path)
        files.append(path)
        hashes.append(picture.pixel_hash)
        views.append(NETWORK.preprocess.pixels(picture.image))
    said = NETWORK.read(np.stack(views))
    assert said.probabilities is not None
    called = said.probabilities.argmax(axis=1).tolist()
    made = images(
        said.features, [1 - i % 2 for i in range(n)], called, probabilities=said.probabilities, pixels=hashes,
        prefix=prefix, classes=2,
    )  # fmt: skip
    return replace(made, cases=[replace(case, file=file) for case, file in zip(made.cases, files, strict=True)])


def steady(both: Sides, most: int = 50, progress: Progress = silent) -> Stability:
    chosen = sampled(len(both.queries), most, 0)
    return stability.measure(both, 5, NETWORK, chosen, Disk(90.0, Tally(len(chosen) * len(CHANGES), progress)))


def controls(both: Sides, network: Embedder, cases: int) -> Controls | None:
    drawn = Drawn.of(both, cases, 0)
    return random_control.measure(both, 5, network, drawn, 0, Disk(90.0, Tally(drawn.passes, silent)))


@pytest.fixture
def both(tmp_path: Path) -> Sides:
    return Sides(drawn(tmp_path / "cases", 40, 0, "c"), drawn(tmp_path / "queries", 20, 1, "q"))


def test_images_read_again_unchanged_keep_every_neighbour_and_answer(both: Sides) -> None:
    found = steady(both)
    again = found.turnovers[0]
    assert again.change.key == "again"
    assert again.nearest.tolist() == again.twins.tolist() == [1.0] * 20
    assert not again.answer_changed.any()
    assert found.rows.tolist() == list(range(20))
    assert found.missing.total == 0
    assert [turn.change.key for turn in found.turnovers] == [change.key for change in CHANGES]


def test_a_mirror_swaps_the_answer_of_a_network_that_looks_left_and_right(both: Sides) -> None:
    flip = steady(both).turnovers[-1]
    assert flip.answer_changed.mean() > 0.9
    assert flip.twins[flip.answer_changed].max() == 0.0  # twins of another answer are other cases
    assert flip.right.mean() == pytest.approx(1 - (~both.queries.wrong).mean(), abs=0.1)


def test_worse_jpeg_moves_neighbours_no_less(both: Sides) -> None:
    found = {t.change.key: t.nearest.mean() for t in steady(both).turnovers}
    assert found["jpeg30"] <= found["jpeg90"] + 0.05
    assert found["jpeg90"] > 0.7


def test_deleted_and_changed_files_are_left_out_and_counted(both: Sides) -> None:
    both.queries.cases[3].file.unlink()
    both.queries.cases[4].file.write_bytes(b"no image")
    Image.new("RGB", (24, 16), (9, 9, 9)).save(both.queries.cases[5].file)
    told: list[tuple[int, int, int]] = []
    found = steady(both, progress=lambda *counts: told.append(counts))
    assert (found.missing.gone, found.missing.altered) == (2, 1)
    assert found.missing.told() == ("2 without a readable file and 1 whose pixels have changed since they were indexed")
    assert sorted(set(range(20)) - set(found.rows.tolist())) == [3, 4, 5]
    assert told[-1] == (180, 180, 3)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


def test_without_any_file_there_is_nothing_to_tell(both: Sides) -> None:
    for case in both.queries.cases:
        case.file.unlink()
    found = steady(both, 5)
    assert (len(found.rows), list(found.turnovers), found.missing.gone) == (0, [], 5)


def test_a_shift_moves_by_one_pixel_and_repeats_the_border() -> None:
    seen = np.arange(64 * 3, dtype=np.uint8).reshape(8, 8, 3)
    by_key = {change.key: change.view for change in CHANGES}
    picture = Image.fromarray(seen)
    exact = Preprocess(None, (8, 8), "nearest", (0.0,) * 3, (1.0,) * 3)
    np.testing.assert_array_equal(by_key["right"](picture, exact)[:, 1:], seen[:, :-1])
    np.testing.assert_array_equal(by_key["right"](picture, exact)[:, 0], seen[:, 0])
    np.testing.assert_array_equal(by_key["left"](picture, exact)[:, :-1], seen[:, 1:])
    np.testing.assert_array_equal(by_key["down"](picture, exact)[1:], seen[:-1])
    np.testing.assert_array_equal(by_key["up"](picture, exact)[:-1], seen[1:])
    np.testing.assert_array_equal(by_key["flip"](picture, exact), seen[:, ::-1])
    np.testing.assert_array_equal(by_key["again"](picture, exact), seen)


def test_overlap_by_hand() -> None:
    one = Lists(np.array([[0, 1, 2], [3, 4, -1], [-1, -1, -1], [-1, -1, -1]]), np.zeros((4, 3)))
    other = Lists(np.array([[2, 9, 0], [3, -1, -1], [-1, -1, -1], [1, 2, 3]]), np.zeros((4, 3)))
    assert overlap(one, other) == pytest.approx([2 / 3, 1 / 2, 1.0, 0.0])


def test_a_sample_is_seeded_without_repeats_and_never_too_large() -> None:
    assert sampled(5, 100, 0).tolist() == [0, 1, 2, 3, 4]
    found = sampled(100, 10, 3)
    assert len(set(found.tolist())) == 10
    assert found.tolist() == sampled(100, 10, 3).tolist()
    assert found.tolist() != sampled(100, 10, 4).tolist()


def test_controls_on_pixels_tell_trained_from_untrained_features(both: Sides) -> None:
    class Nothing(CornerNetwork):
        def read(self, views: np.ndarray) -> Reading:
            random = np.random.default_rng(int(views.sum()))
            return Reading(random.normal(size=(len(views), 8)).astype(np.float32), None)

    found = controls(both, Nothing(), 30)
    assert found is not None
    assert found.cases == 30
    assert [control.key for control in found.several] == ["trained", "untrained", "pixels", "shuffled"]
    trained, untrained = found.of("trained"), found.of("untrained")
    assert trained is not None
    assert untrained is not None
    assert trained.votes.hard.mean() > 0.8
    assert untrained.votes.hard.mean() < trained.votes.hard.mean() - 0.1


def test_controls_leave_out_what_is_gone(both: Sides) -> None:
    both.cases.cases[0].file.unlink()
    both.queries.cases[0].file.unlink()
    found = controls(both, NETWORK, 1000)
    assert found is not None
    assert (found.cases, len(found.rows), found.missing.gone) == (39, 19, 2)
    same = found.of("untrained")  # here the very network: what is embedded anew is what was stored
    own = found.of("trained")
    assert same is not None
    assert own is not None
    np.testing.assert_array_equal(same.votes.hard, own.votes.hard)
    for case in [*both.cases.cases, *both.queries.cases]:
        case.file.unlink(missing_ok=True)
    assert controls(both, NETWORK, 1000) is None


def test_the_drawn_queries_hold_more_errors_and_mark_the_even_ones() -> None:
    both = Sides(noise(500, 4, 3, 0, "c"), noise(1000, 4, 3, 1, "q", right=0.6))
    found = Drawn.of(both, 100, 0)
    assert len(found.cases) == 100
    assert found.evenly.sum() == 200
    assert len(found.queries) == 300
    assert both.queries.wrong[found.queries[~found.evenly]].all()
    assert len(set(found.queries.tolist())) == 300


def test_a_thumbnail_is_the_mean_colour_of_its_cells() -> None:
    view = np.zeros((32, 32, 3), np.uint8)
    view[:2, :2] = 255
    found = thumbnail(view).reshape(16, 16, 3)
    assert found[0, 0].tolist() == [1, 1, 1]
    assert found.sum() == 3


def test_another_space_is_put_in_the_order_of_the_images() -> None:
    vectors, called = clustered(12)
    store = MemoryCaseStore()
    entries = [
        replace(
            entry(f"{i:02d}", v, int(c), held_out=i % 4 == 0),
            vectors={"avgpool": v, "clip": np.array([i + 1, 1, 1], np.float32)},
        )
        for i, (v, c) in enumerate(zip(vectors, called, strict=True))
    ]
    store.declare("clip", fingerprint(3), {})
    fill(store, entries)
    found = load(store, Part(Status.HELD_OUT, None, 3))
    some = found.cases.take(np.array([5, 0, 2]))
    placed = features(store, "clip", Status.ACTIVE, some)
    assert placed is not None
    assert placed[:, 0].tolist() == [float(int(case.id) + 1) for case in some.cases]
    assert features(store, "clip", Status.HELD_OUT, some) is None
