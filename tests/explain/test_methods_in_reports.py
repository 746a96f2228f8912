"""Saliency methods in a report: names, what is mapped, what is told of a map and of its check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from casebase.answers import Retrieval
from casebase.cases import Case
from casebase.errors import ModelError, UsageError
from casebase.explain import sentences, service
from casebase.explain.figures import legible, map_figure, saliency_drawn, sides
from casebase.explain.map_words import curve_alt, figures, notes, said
from casebase.explain.render_curve import curve_svg
from casebase.explain.saliency import catalogue, names
from casebase.explain.saliency.method import Method, MethodSettings, Network, RawMap, Saliency
from casebase.explain.service import Explainer, Wanted
from casebase.explain.work import looked_at, mapped_cases, shown_cases
from casebase.explanations import QUERY_ID, SEGMENTS, Deletion, Level, SaliencyMap
from casebase.networks.explained import ExplainedNetwork
from tests.explain.test_together import Asked, files  # noqa: F401  # a fixture
from tests.explained import Made, read
from tests.networks.conftest import small


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Striped:
    """A method whose maps are signed stripes; it notes what it was asked for."""

    def __init__(self, settings: MethodSettings) -> None:
        self.settings, self.asked = settings, list[int]()
        self.facts = {"library": "fake 1", "layer": None, "seed": settings.seed}

    def raw(self, images: Any, targets: Sequence[int]) -> list[RawMap]:
        self.asked += targets
        stripes = np.tile(np.array([-2.0, 0.0, 1.0, 0.5], np.float32), (4, 1))
        facts = {"fit": 0.4, "superpixels": 4, "samples": 40}
        return [RawMap(stripes + 0.001 * target, facts) for target in targets]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Striped]:
    """What was built of two registered methods: ``striped`` is costly, ``quick`` is not."""
    found: list[Striped] = []

    def build(network: Network, settings: MethodSettings) -> Saliency:
        found.append(Striped(settings))
        return found[-1]

    more = {
        "striped": Method("striped", "Stripes", "nowhere", build, passes=500, signed=True, background=True),
        "quick": Method("quick", "Quick stripes", "nowhere", build, passes=2, signed=True),
    }
    monkeypatch.setattr(catalogue, "METHODS", {**catalogue.METHODS, **more})
    monkeypatch.setattr(names, "METHOD_NAMES", (*names.METHOD_NAMES, *more))
    return found


@pytest.fixture(scope="module")
def network() -> ExplainedNetwork:
    return ExplainedNetwork(small("casebase:resnet10"))


@pytest.fixture(scope="module")
def asked(network: ExplainedNetwork, files: list[Path]) -> Asked:  # noqa: F811
    return Asked(network, files)


def test_the_names_are_those_of_the_catalogue() -> None:
    assert tuple(catalogue.METHODS) == names.METHOD_NAMES
    with pytest.raises(UsageError, match="no saliency method 'gradcamp'; there is gradcam, "):
        Wanted("gradcamp")


def test_a_costly_method_maps_the_query_alone_and_the_page_says_so(
    network: ExplainedNetwork, asked: Asked, made: list[Striped]
) -> None:
    pairs = asked.pairs()[:3]
    found = list(Explainer(network, network.classes or (), lambda _: None).explain(pairs, Wanted("striped"), {}))
    assert len(made) == 1, "made once for the network"
    for one in found:
        shown = [one.retrieval.called, *looked_at(one.retrieval)[:1]]
        assert list(one.saliency) == [(QUERY_ID, name) for name in shown]
        assert [(check.target, check.method) for check in one.deletions] == [(name, "striped") for name in shown]
        assert one.where, "where maps come from one pass and stay"
        assert "Only the query is mapped: a map by Stripes costs about 500 forward passes" in (one.map_note or "")
        assert (read(one).map_note or "") == one.map_note
    assert len(made[0].asked) == sum(len(one.saliency) for one in found)


def test_a_cheap_method_maps_the_cases_too(network: ExplainedNetwork, asked: Asked, made: list[Striped]) -> None:
    (one,) = Explainer(network, network.classes or (), lambda _: None).explain(asked.pairs()[:1], Wanted("quick"), {})
    assert one.map_note is None
    assert {image for image, _ in one.saliency} == {QUERY_ID, *mapped_cases(one.retrieval)}


def test_of_signed_maps_what_speaks_for_the_class_is_shown(
    network: ExplainedNetwork, asked: Asked, made: list[Striped]
) -> None:
    (one,) = Explainer(network, network.classes or (), lambda _: None).explain(asked.pairs()[:1], Wanted("striped"), {})
    found = one.saliency[QUERY_ID, one.retrieval.called]
    assert found.values[0] == pytest.approx([0.0, 0.0, 1.0, 0.5], abs=0.01)
    assert found.facts["sign"] == "positive"
    assert found.facts["fit"] == 0.4
    told = one.to_dict()["maps"]
    assert [(row["class"], row["method"]) for row in told] == [(check.target, "striped") for check in one.deletions]
    assert told[0]["facts"]["seed"] == 0
    report = read(one)
    assert ("Saliency method", "Stripes") in report.provenance
    assert ("Maps, library", "fake 1") in report.provenance


def test_the_background_is_random_cases_of_the_base_or_the_mean_colour(
    network: ExplainedNetwork, asked: Asked, made: list[Striped]
) -> None:
    cases = list(asked.store.get([file.stem for file in sorted(Path(c.file) for c in _cases(asked))]).values())
    drawn: list[tuple[int, int]] = []

    def sample(count: int, seed: int) -> list[Case]:
        drawn.append((count, seed))
        return cases[:5]

    explainer = Explainer(network, network.classes or (), lambda _: None, sample=sample)
    for _ in range(2):
        (one,) = explainer.explain(asked.pairs()[:1], Wanted("striped", seed=7), {})
    assert drawn == [(service.BACKGROUND, 7)]
    assert len(made) == 1
    assert made[0].settings.background is not None
    assert made[0].settings.background.shape == (5, 3, *network.preprocess.crop)
    assert one.saliency[QUERY_ID, one.retrieval.called].facts["background"] == "5 random cases of the base, seed 7"
    (one,) = Explainer(network, network.classes or (), lambda _: None).explain(asked.pairs()[:1], Wanted("striped"), {})
    assert made[1].settings.background is None
    assert one.saliency[QUERY_ID, one.retrieval.called].facts["background"] == "the mean colour"


def _cases(asked: Asked) -> list[Case]:
    return [row.case for answer in asked.answers for row in shown_cases(answer).values()]


def test_a_method_that_cannot_is_an_error_where_it_was_asked_for(
    network: ExplainedNetwork, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(network: Network, settings: MethodSettings) -> Saliency:
        raise ModelError("not this one")

    impossible = Method("impossible", "Impossible", "nowhere", build, passes=1)
    default = Method("gradcam", "Grad-CAM", "nowhere", build, passes=1)
    monkeypatch.setattr(catalogue, "METHODS", {"gradcam": default, "impossible": impossible})
    monkeypatch.setattr(names, "METHOD_NAMES", ("gradcam", "impossible"))
    explainer = Explainer(network, network.classes or (), lambda _: None)
    monkeypatch.setattr(explainer._passes, "_closed", False)
    with pytest.raises(ModelError, match="not this one"):
        explainer.ready(Wanted("impossible"))
    with pytest.raises(ModelError, match="not this one"):
        next(explainer.explain(asked.pairs()[:1], Wanted("impossible"), {}))
    explainer.ready(Wanted())
    found = next(explainer.explain(asked.pairs()[:1], Wanted(), {}))
    assert "no overlays: not this one" in found.warnings
    assert found.saliency == {}


def check(marked: float, as_much: int, *, random: float = 0.05) -> Deletion:
    return Deletion(
        "cat", 10 / 49, marked, random, as_much, 20, "gradcam", (0.0, 0.1, 0.2, 0.4), (0.9, 0.8, 0.9 - marked, 0.2),
        (0.9, 0.88, 0.9 - random, 0.7), (0.9, 0.8, 0.7, 0.6), (0.9, 0.9, 0.9, 0.8), (0, 5, 20, 5),
    )  # fmt: skip


def test_what_a_check_says() -> None:
    assert said(check(0.6, 0)).level is Level.PLAIN
    assert "more than chance" in said(check(0.6, 0)).text
    assert said(check(0.02, 15)).level is Level.CAUTION
    assert "here the map means nothing" in said(check(0.02, 15)).text
    assert (
        "with 40 % hidden this map counts for more than each of 5 random ones" in said(check(0.0, 9, random=0.0)).text
    )
    assert figures(check(0.6, 0)) == "20 % hidden P −0.60, at random −0.05: more than chance"
    assert figures(check(-0.1, 19)) == "20 % hidden P +0.10, at random −0.05: no more than chance"


def test_a_map_that_counts_at_a_fifth_and_not_where_more_is_hidden_is_not_simply_called_good() -> None:
    back = replace(check(0.6, 0), marked_curve=(0.9, 0.8, 0.3, 0.75))
    assert said(back).level is Level.CAUTION
    assert said(back).text == (
        "Hiding what this map marks counts for more than chance with 20 % hidden, and for no more than chance "
        "with 40 %."
    )


def test_a_map_whose_hiding_raises_its_class_beyond_chance_speaks_against_it_and_is_not_called_nothing() -> None:
    risen = check(-0.93, 20, random=-0.03)
    assert said(risen).text == (
        "Hiding what this map marks raises P(cat), more than any of 20 random choices: it marks what speaks against "
        "cat, not for it."
    )
    assert said(risen).level is Level.CAUTION
    assert figures(risen) == "20 % hidden P +0.93, at random +0.03: against the class, more than chance"
    assert sentences.deletion(risen).text.endswith("This map marks what speaks against cat, not for it.")
    assert "means nothing" in said(check(-0.93, 19)).text


def test_the_curve_is_drawn_from_its_numbers_and_told_to_those_who_do_not_see_it() -> None:
    one = check(0.6, 0)
    drawn = curve_svg(one)
    assert curve_alt(one) in drawn
    assert "P(cat) 0.90 with nothing hidden; 10 % hidden 0.80, at random 0.88 (0.80 to 0.90)" in curve_alt(one)
    assert "this map" in drawn
    assert "at random" in drawn
    assert drawn.count("<circle") == 4
    # 0.9 of an axis that ends at 1: a tenth below its top.
    assert 'points="34.0,31.8 ' in drawn
    assert "style=" not in drawn, "the page's policy would drop it"
    hostile = Deletion("<script>", *[getattr(one, name) for name in Deletion.__slots__[1:]])
    assert "<script>" not in curve_svg(hostile)
    assert curve_svg(Deletion("cat", 0.2, 0.3, 0.1, 0, 20)) == ""


def test_a_map_of_a_query_brings_its_check_to_the_page_and_the_terminal() -> None:
    report = Made(deletions=(check(0.6, 0),)).report
    whole, predicted, rival = report.query_figures
    assert (whole.check, rival.check) == (None, None)
    assert predicted.check == check(0.6, 0)
    assert predicted.line == "upper left 100 %; 20 % hidden P −0.60, at random −0.05: more than chance"


def test_superpixels_are_outlined_and_a_poor_fit_is_a_caution() -> None:
    segments = np.repeat([[0] * 4 + [1] * 4], 8, axis=0).astype(np.int32)
    values = np.where(segments == 1, 1.0, 0.0).astype(np.float32)
    facts = {SEGMENTS: segments, "superpixels": 2, "samples": 20, "fit": 0.31, "poor_fit": "R² is 0.31, below 0.5"}
    found = SaliencyMap(values, "lime", "cat", QUERY_ID, "", None, facts)
    view = np.full((16, 16, 3), 100, np.uint8)
    figure = map_figure(view, found, "LIME", "predicted", None, None)
    assert figure.pixels is not None
    white = (figure.pixels == 255).all(axis=-1)
    assert white[:, 8].all()
    assert white.sum() == 16, "one line between the two, and no other"
    assert [note.level for note in notes(found)] == [Level.PLAIN, Level.CAUTION]
    assert notes(found)[0].text == "R² 0.31: a linear model of 2 superpixels, 20 samples."
    assert SEGMENTS not in found.to_dict()["facts"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([[1, 0], [0, 0]], "upper left 100 %"),
        ([[1, 1], [1, 1]], "spread, upper left 25 %"),
        ([[0, 0], [0, 0]], "nowhere"),
    ],
)
def test_where_a_map_lies_in_a_few_words(values: list[list[float]], told: str) -> None:
    assert sides(np.array(values, np.float32)) == told


def test_the_label_is_looked_at_first() -> None:
    answer: Retrieval = Made().explanation.retrieval
    assert looked_at(answer) == ["dog"]


def test_a_map_of_single_pixels_is_drawn_so_that_it_can_be_seen() -> None:
    """A thousandth of the pixels holds all of it: as it is, hardly a speck of the picture would change its colour."""
    random = np.random.default_rng(0)
    values = np.full((224, 224), 0.02, np.float32)
    values[40:60, 40:60] = np.where(random.random((20, 20)) < 0.2, 0.3, 0.02)
    values[0, 0] = 1.0
    found = SaliencyMap(values, "integrated-gradients", "cat", QUERY_ID, "", None, {})
    drawn = legible(values)
    assert drawn.shape == (56, 56)
    assert drawn.max() == 1.0
    assert drawn[10:15, 10:15].mean() > 5 * drawn[30:, 30:].mean()
    assert "drawn in 56 x 56 cells" in notes(found)[-1].text
    view = np.full((224, 224, 3), 100, np.uint8)
    assert saliency_drawn(view, found)[45:55, 45:55, 1].mean() > saliency_drawn(view, found)[150:, 150:, 1].mean() + 40
    coarse = SaliencyMap(values[:7, :7], "gradcam", "cat", QUERY_ID, "layer4", None, {})
    assert notes(coarse) == []
