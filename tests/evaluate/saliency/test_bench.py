"""The bench on a tiny untrained network and drawn pictures, with methods and metrics made for the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from casebase import reading
from casebase.errors import ImageError, MissingExtra, ModelError, NoTargetLayer
from casebase.evaluate.saliency import bench, catalogue, study
from casebase.evaluate.saliency.baselines import BASELINES
from casebase.evaluate.saliency.kept import Kept
from casebase.evaluate.saliency.marks import Outcome, Row
from casebase.evaluate.saliency.metric import BenchSettings, Figure, Metric, Scored, Subject
from casebase.evaluate.saliency.summary import Summary
from casebase.explain.render_evaluation import _headlines
from casebase.explain.saliency.method import Method, MethodSettings, Network, RawMap
from casebase.explanations import Level
from casebase.networks import backbones
from casebase.networks.explained import ExplainedNetwork

SIDE = 32


@dataclass
class Made:
    """A method whose map is bright on the left, or what a test says; counts how often it is asked."""

    draw: Callable[[int], NDArray[np.float32]] = lambda _: np.tile(np.linspace(1, 0, 8, dtype=np.float32), (4, 1))
    asked: int = 0
    facts: Mapping[str, Any] = field(default_factory=lambda: {"library": "made 1", "layer": "layer4"})

    def raw(self, images: NDArray[np.float32], targets: Sequence[int]) -> list[RawMap]:
        self.asked += len(images)
        return [RawMap(self.draw(self.asked), {"fit": 0.5}) for _ in images]


def method(name: str, made: Made | Exception) -> Method:
    def build(_network: Network, _settings: MethodSettings) -> Made:
        if isinstance(made, Exception):
            raise made
        return made

    return Method(name, name.title(), "made up", build, passes=3)


def left(values: NDArray[np.float32], _subject: Subject, _settings: BenchSettings) -> Scored:
    """The share of the map's mass in the left half."""
    mass = float(values.sum())
    here = float(values[:, : values.shape[1] // 2].sum()) / mass if mass else None
    return Scored({"left": here}, {"curve": ([0.0, 1.0], [0.0, 1.0 if here is None else here])})


LEFT = Metric("left", "Left half", "made up", (Figure("left", "Left", "higher", "share"),), left, lambda _: 1)


@pytest.fixture(scope="module")
def network() -> ExplainedNetwork:
    loaded = backbones.load(backbones.Wanted("casebase:resnet10", pretrained=False, seed=0))
    small = replace(loaded, preprocess=replace(loaded.preprocess, resize=SIDE, crop=(SIDE, SIDE)))
    return ExplainedNetwork(small)


@pytest.fixture
def images(tmp_path: Path) -> list[bench.BenchImage]:
    found = []
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
        path = tmp_path / f"{number}.png"
        Image.fromarray(noise).save(path)
        found.append(bench.BenchImage(path.name, partial(reading.read, path)))
    return found


def ran(
    network: ExplainedNetwork,
    images: Sequence[bench.BenchImage],
    *methods: Method,
    kept: Kept | None = None,
    metrics: Sequence[Metric] = (LEFT,),
    **plan: Any,
) -> Outcome:
    wanted = bench.Plan(methods, metrics, **plan)
    return bench.run([bench.BenchNetwork("tiny", lambda: network)], images, wanted, kept or Kept(None))


def row(outcome: Outcome, name: str) -> Row:
    return next(one for one in outcome.rows if one.method == name)


def test_all_baselines_stand_in_every_table_scored_like_methods(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    outcome = ran(network, images, method("bright", Made()))
    assert [one.method for one in outcome.rows] == ["bright", *BASELINES]
    found = study.evaluation(outcome, bench.Plan((method("bright", Made()),), (LEFT,)), seed=0)
    table = next(table for table in found.tables if table.key == "left")
    assert [r["key"] for r in table.rows] == ["bright", *BASELINES]
    assert all(r["left"].n == 6 for r in table.rows)  # type: ignore[union-attr]
    assert np.allclose(row(outcome, "ones").values("left", "left", 6), 0.5)  # all ones stay ones
    assert "untrained" in found.statements[0].text


def test_an_interval_clear_of_the_best_baseline_is_said_and_one_that_is_not_is_marked(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    flat = Made(lambda n: np.random.default_rng(n).random((4, 8), np.float32))
    outcome = ran(network, images, method("bright", Made()), method("noise", flat))
    summary = Summary(outcome, 0)
    figure = LEFT.figures[0]
    good = summary.cleared(row(outcome, "bright"), LEFT, figure)
    bad = summary.cleared(row(outcome, "noise"), LEFT, figure)
    assert good is not None
    assert good.ahead
    assert bad is not None
    assert not bad.ahead
    # the paired difference is that of the same images, by hand
    best = good.other.values("left", "left", 6)
    assert good.difference.value == pytest.approx(
        float((row(outcome, "bright").values("left", "left", 6) - best).mean())
    )
    found = study.evaluation(outcome, bench.Plan((), (LEFT,)), seed=0)
    cells = {r["key"]: r for r in next(t for t in found.tables if t.key == "left").rows}
    assert cells["bright"]["clear"] == "1 of 1"
    assert cells["noise"]["clear"] == "0 of 1"
    assert "Left: " in str(cells["noise"]["reading"])
    first, second = list(_headlines(found))[:2]  # a row's own figure, called by its name
    assert (first.name, first.reading, second.reading) == ("Bright", "Left.", "Left. Not clear of: Left: Edges.")


def test_a_flip_between_metrics_is_said_in_words(network: ExplainedNetwork, images: list[bench.BenchImage]) -> None:
    dim = Made(lambda _: np.tile(np.linspace(0, 1, 8, dtype=np.float32), (4, 1)))
    right = replace(LEFT, name="right", figures=(Figure("left", "Right", "lower", "share"),))
    outcome = ran(network, images, method("bright", Made()), method("dim", dim), metrics=(LEFT, right))
    said = " ".join(one.text for one in study.evaluation(outcome, bench.Plan((), (LEFT, right)), seed=0).statements)
    # differences that are the same on every image have no interval, and prove nothing
    assert "flips between metrics beyond chance, though the means of 1 of 1 pairs do" in said
    random = np.random.default_rng(0)
    dim.draw = lambda _: np.tile(np.linspace(0, 1, 8, dtype=np.float32), (4, 1)) + random.random((4, 8), np.float32) / 9
    outcome = ran(network, images, method("bright", Made()), method("dim", dim), metrics=(LEFT, right))
    said = " ".join(one.text for one in study.evaluation(outcome, bench.Plan((), (LEFT, right)), seed=0).statements)
    assert "order of Bright and Dim flips between metrics: Bright is ahead in Left by +" in said
    assert "Dim in Right by +" in said


def test_maps_that_say_nothing_are_counted_named_and_left_out_of_a_second_mean(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    def draw(n: int) -> NDArray[np.float32]:
        return np.full((4, 8), np.nan, np.float32) if n == 2 else Made().draw(n)

    outcome = ran(network, images, method("holes", Made(draw)))
    assert [mark.image for mark in row(outcome, "holes").degenerate] == ["1.png"]
    found = study.evaluation(outcome, bench.Plan((), (LEFT,)), seed=0)
    assert any("1 of 6 maps of Holes say nothing (1.png: the map is not finite)" in s.text for s in found.statements)
    rows = [r for r in next(t for t in found.tables if t.key == "left").rows if r["key"] == "holes"]
    assert [r["silent"] for r in rows] == [1, 0]
    assert "without 1 silent map" in str(rows[1]["method"])


def test_a_method_that_cannot_do_a_network_says_why_and_the_others_go_on(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    outcome = ran(network, images, method("blind", NoTargetLayer("no layer")), method("bright", Made()))
    assert row(outcome, "blind").refused == "no layer"
    assert not row(outcome, "blind").marks
    assert len(row(outcome, "bright").marks) == 6
    table = study.evaluation(outcome, bench.Plan((), (LEFT,)), seed=0).tables[0]
    assert table.rows[0]["reading"] == "no map: no layer"
    with pytest.raises(ModelError, match="no layer"):
        ran(network, images, method("blind", NoTargetLayer("no layer")))


def test_a_library_that_is_not_there_stops_who_asked_for_it_alone(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    absent = method("absent", MissingExtra("pip install 'casebase[saliency]'"))
    with pytest.raises(MissingExtra):
        ran(network, images, absent, method("bright", Made()))
    outcome = ran(network, images, absent, method("bright", Made()), asked=False, every=True)
    assert "pip install" in str(row(outcome, "absent").refused)
    assert all(one.method != "absent" for one in ran(network, images, absent, method("b", Made()), asked=False).rows)


def test_what_is_remembered_is_not_made_again_and_scores_the_same(
    network: ExplainedNetwork, images: list[bench.BenchImage], tmp_path: Path
) -> None:
    made = Made(lambda n: np.random.default_rng(n).random((4, 8), np.float32))
    first = ran(network, images, method("bright", made), kept=Kept(tmp_path / "kept"))
    assert made.asked == 6
    other = replace(LEFT, name="other")  # a metric more explains nothing again
    second = ran(network, images, method("bright", made), kept=Kept(tmp_path / "kept"), metrics=(LEFT, other))
    assert made.asked == 6
    assert all(mark.remembered for mark in row(second, "bright").marks)
    one, two = (row(o, "bright").values("left", "left", 6) for o in (first, second))
    assert one.tolist() == two.tolist()
    assert row(second, "bright").marks[0].facts == {"fit": 0.5}
    ran(network, images, method("bright", made), kept=Kept(tmp_path / "kept", fresh=True))
    assert made.asked == 12


def test_an_interrupted_run_goes_on(network: ExplainedNetwork, images: list[bench.BenchImage], tmp_path: Path) -> None:
    def draw(n: int) -> NDArray[np.float32]:
        if n == 4:
            raise KeyboardInterrupt
        return Made().draw(n)

    made = Made(draw)
    with pytest.raises(KeyboardInterrupt):
        ran(network, images, method("bright", made), kept=Kept(tmp_path / "kept"))
    made.draw = Made().draw
    outcome = ran(network, images, method("bright", made), kept=Kept(tmp_path / "kept"))
    assert [mark.remembered for mark in row(outcome, "bright").marks] == [True, True, True, False, False, False]


def test_another_setting_is_another_map(
    network: ExplainedNetwork, images: list[bench.BenchImage], tmp_path: Path
) -> None:
    made, kept = Made(), Kept(tmp_path / "kept")
    ran(network, images[:1], method("bright", made), kept=kept)
    ran(network, images[:1], method("bright", made), kept=kept, chosen=MethodSettings(samples=7))
    assert made.asked == 2
    ran(network, images[:1], method("bright", made), kept=kept, chosen=MethodSettings(samples=7, sign="positive"))
    assert made.asked == 2  # the sign is applied to the raw map that is remembered


def test_an_image_that_cannot_be_read_is_left_out_and_named(
    network: ExplainedNetwork, images: list[bench.BenchImage], tmp_path: Path
) -> None:
    bad = bench.BenchImage("bad.png", partial(reading.read, tmp_path / "none.png"))
    outcome = ran(network, [bad, *images], method("bright", Made()))
    assert outcome.skipped == {"bad.png": "no such file"}
    assert len(row(outcome, "bright").marks) == 6
    with pytest.raises(ImageError, match="none of the 1 images"):
        ran(network, [bad], method("bright", Made()))


def test_progress_counts_every_map_and_score(network: ExplainedNetwork, images: list[bench.BenchImage]) -> None:
    heard: list[tuple[int, int, int]] = []
    plan = bench.Plan((method("bright", Made()), method("blind", NoTargetLayer("no layer"))), (LEFT,))
    told = bench.Told(lambda done, total, skipped: heard.append((done, total, skipped)))
    bench.run([bench.BenchNetwork("tiny", lambda: network)], images, plan, Kept(None), told)
    assert heard[-1] == (84, 84, 0)  # 6 images, 2 methods and 5 baselines, a map and a score each
    assert [done for done, _, _ in heard] == sorted(done for done, _, _ in heard)
    heard.clear()  # a method that was not asked for and lacks its library has no row to wait for
    plan = bench.Plan((method("bright", Made()), method("absent", MissingExtra("none"))), (LEFT,), asked=False)
    bench.run([bench.BenchNetwork("tiny", lambda: network)], images, plan, Kept(None), told)
    assert heard[-1] == (72, 72, 0)


def test_curves_and_sheets_say_in_words_what_they_show(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    outcome = ran(network, images, method("bright", Made()))
    plots = {plot.key: plot for plot in study.evaluation(outcome, bench.Plan((), (LEFT,)), seed=0).plots}
    assert plots["curve"].table == "left"
    assert "Bright" in plots["curve"].svg  # named with text, beside the lines
    assert "Bright" in plots["sheet"].alt
    assert "0.png, called" in plots["sheet"].alt
    assert plots["sheet"].wide


def test_nothing_is_decided_over_fewer_than_six_images(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    found = Summary(ran(network, images[:5], method("bright", Made())), 0)
    against = found.cleared(row(found.outcome, "bright"), LEFT, LEFT.figures[0])
    assert against is not None
    assert against.difference.low is not None
    assert against.difference.low > 0
    assert against.verdict == "open"
    assert against.turned.difference.value == -(against.difference.value or 0.0)


def test_figures_that_are_all_alike_have_an_interval_only_where_images_are_counted(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    """Six of six is no proof of always, as Wilson's interval says; a drop of 0 on each of six counts nothing."""

    def always(_values: NDArray[np.float32], _subject: Subject, _settings: BenchSettings) -> Scored:
        return Scored({"rose": 1.0, "drop": 0.0})

    figures = (Figure("rose", "Rose", "higher", "share", counted=True), Figure("drop", "Drop", "lower", "share"))
    metric = Metric("always", "Always", "made up", figures, always, lambda _: 1)
    outcome = ran(network, images, method("bright", Made()), metrics=(metric,))
    rose, drop = (Summary(outcome, 0).mean(row(outcome, "ones"), metric, figure) for figure in figures)
    assert (rose.value, rose.high) == (1.0, 1.0)
    assert rose.low == pytest.approx(6 / (6 + 1.959964**2))  # Wilson at p = 1
    assert (drop.value, drop.low, drop.high) == (0.0, None, None)


def test_superpixels_are_in_no_table(network: ExplainedNetwork, images: list[bench.BenchImage], tmp_path: Path) -> None:
    """They are an array of the image's size; an older run may have remembered them."""
    segments = np.zeros((SIDE, SIDE), np.int32)
    made = Made()
    made.raw = lambda given, _: [RawMap(made.draw(1), {"segments": segments, "fit": 0.5}) for _ in given]  # type: ignore[method-assign]
    outcome = ran(network, images[:1], method("patchy", made), kept=Kept(tmp_path / "kept"))
    assert row(outcome, "patchy").marks[0].facts == {"fit": 0.5}
    assert not [file for file in (tmp_path / "kept").rglob("*.map") if b"segments" in file.read_bytes()]


def test_every_curve_of_the_removal_metrics_has_a_title_and_names_its_axis(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    metrics = [catalogue.metric(name) for name in ("road", "deletion", "aopc")]
    settings = BenchSettings(steps=2, patches=2, road_fractions=(0.5,))
    outcome = ran(network, images[:1], method("bright", Made()), metrics=metrics, settings=settings)
    drawn = [plot for plot in study.evaluation(outcome, bench.Plan((), metrics), seed=0).plots if plot.key != "sheet"]
    assert len(drawn) == 6
    assert all("share of" in plot.svg and "is better" in plot.title for plot in drawn)


def test_further_maps_of_a_costly_method_are_left_out_with_the_reason(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    costly, sensitivity = replace(method("dear", Made()), passes=201), catalogue.metric("max-sensitivity")
    outcome = ran(network, images[:1], costly, method("cheap", Made()), metrics=(sensitivity,))
    dear, cheap = (row(outcome, name).marks[0] for name in ("dear", "cheap"))
    assert "it would take 2010 forward passes an image" in dear.problems["max-sensitivity"]
    assert dear.figures["max-sensitivity", "max_sensitivity"] is None
    assert cheap.figures["max-sensitivity", "max_sensitivity"] == 0.0


def test_a_curve_says_of_how_many_images_it_is(network: ExplainedNetwork, images: list[bench.BenchImage]) -> None:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[:8] = True
    masked = [
        replace(one, mask=(lambda _picture, _view: (mask, None)) if n < 2 else None) for n, one in enumerate(images)
    ]
    outcome = ran(network, masked, method("bright", Made()), metrics=(catalogue.metric("iou"),))
    plots = {plot.key: plot for plot in study.evaluation(outcome, bench.Plan((), outcome.metrics), seed=0).plots}
    assert "mean of 2 images" in plots["iou"].alt


def test_nobody_is_held_against_a_figure_that_was_given_to_a_baseline(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    whole = Figure("left", "Left", "lower", "share", given=frozenset({"ones"}))

    def kept(values: NDArray[np.float32], _subject: Subject, _settings: BenchSettings) -> Scored:
        return Scored({"left": 1.0 - float(values.mean())})

    metric = Metric("left", "Kept", "made up", (whole,), kept, lambda _: 1)
    outcome = ran(network, images, method("bright", Made()), metrics=(metric,))
    assert np.allclose(row(outcome, "ones").values("left", "left", 6), 0.0), "as good as can be, knowing nothing"
    best = Summary(outcome, 0).best_baseline("tiny", metric, whole)
    assert best is not None
    assert best.method != "ones"
    against = Summary(outcome, 0).best_baseline("tiny", metric, replace(whole, given=frozenset()))
    assert against is not None
    assert against.method == "ones"


def test_images_without_a_mask_are_counted_as_left_out_once(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    masked = replace(LEFT, needs=frozenset({"mask"}))
    metrics = (masked, replace(masked, name="other", title="Another"))
    outcome = ran(network, images, method("bright", Made()), metrics=metrics)
    assert outcome.unmasked == {image.name for image in images}
    found = study.evaluation(outcome, bench.Plan((method("bright", Made()),), metrics), seed=0)
    assert found.settings["left out"] == 6
    (said,) = [one for one in found.statements if "no mask of this image" in one.text]
    assert said.text.startswith("Left half, Another lack figures for 6 of 6 images")
    assert said.level == Level.CAUTION


def test_maps_of_single_pixels_are_drawn_in_coarser_cells_on_the_sheet(
    network: ExplainedNetwork, images: list[bench.BenchImage]
) -> None:
    fine = Made(lambda n: np.random.default_rng(n).random((120, 120), np.float32))
    outcome = ran(network, images, method("bright", Made()), method("fine", fine))
    assert {name for strip in outcome.strips["tiny"] for name in strip.fine} == {"fine"}


def test_findings_come_worst_first(network: ExplainedNetwork, images: list[bench.BenchImage]) -> None:
    flat = Made(lambda n: np.random.default_rng(n).random((4, 8), np.float32))
    found = study.evaluation(
        ran(network, images, method("bright", Made()), method("noise", flat)), bench.Plan((), (LEFT,)), seed=0
    )
    warnings = [one.level for one in found.statements if one.level in (Level.ALARM, Level.CAUTION)]
    assert {Level.ALARM, Level.CAUTION} == set(warnings)
    assert warnings == sorted(warnings, key=[Level.ALARM, Level.CAUTION].index)
    assert [one.level for one in found.statements][: len(warnings)] == warnings


def test_what_is_remembered_hangs_on_code_and_torch(
    network: ExplainedNetwork, images: list[bench.BenchImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made()
    ran(network, images, method("bright", made), kept=Kept(tmp_path / "kept"))
    ran(network, images, method("bright", made), kept=Kept(tmp_path / "kept"))
    assert made.asked == 6
    monkeypatch.setattr("casebase.evaluate.saliency.scoring.FORMAT", -1)
    ran(network, images, method("bright", made), kept=Kept(tmp_path / "kept"))
    assert made.asked == 12
    monkeypatch.setattr("casebase.evaluate.saliency.scoring.version", lambda name: "0.0")
    ran(network, images, method("bright", made), kept=Kept(tmp_path / "kept"))
    assert made.asked == 18


@pytest.mark.parametrize(
    ("threshold", "level"), [("top_fraction", 0.25), ("percentile", 0.75), ("relative_to_max", 0.5), ("otsu", None)]
)
def test_every_threshold_has_a_level_of_its_own(threshold: str, level: float | None) -> None:
    assert BenchSettings(threshold).level == level
    assert BenchSettings(threshold, 0.4).level == 0.4
    assert BenchSettings(threshold).cut == (level or 0.0)
