"""Prototypes in explanations and on pages: drawn birds, a real network, prototypes that are cells of its cases."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch.nn import functional

from casebase import reading
from casebase.cases import Case, Status
from casebase.cli.render_prototypes import terminal_parts, terminal_set
from casebase.cli.render_terminal import terminal
from casebase.errors import NotFound, StorageFailed, UsageError
from casebase.explain.prototypes import gallery
from casebase.explain.prototypes.pages import PrototypePages
from casebase.explain.render_html import HtmlRenderer
from casebase.explain.render_json import dumps
from casebase.explain.service import Explainer, Wanted
from casebase.explanations import Explanation, Level
from casebase.indexer.toy import SPECIES, draw
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.prototypes.model import PrototypeReader, Tensors
from casebase.prototypes import Stage, cell_box
from tests.explain.prototypes.planted import a_set
from tests.explain.prototypes.test_matching import Counted
from tests.explain.test_render_html import EVIL, Page
from tests.explain.test_together import CASES, Asked
from tests.explained import read
from tests.networks.conftest import small

SIZE, PARTS, QUERIES = 160, 10, 3


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network() -> ExplainedNetwork:
    return ExplainedNetwork(small("casebase:resnet10", size=SIZE))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("birds")
    found = []
    for number in range(CASES + QUERIES):
        bird = draw(number % len(SPECIES), np.random.default_rng(number), size=96)
        found.append(folder / f"{number:02d}.png")
        Image.fromarray(bird.pixels).save(found[-1])
    return found


@pytest.fixture(scope="module")
def asked(network: ExplainedNetwork, files: list[Path]) -> Asked:
    return Asked(network, files)


@pytest.fixture(scope="module")
def prototypes(network: ExplainedNetwork, files: list[Path], asked: Asked) -> PrototypeReader:
    """The cells of ten cases, under a random head."""
    pictures = [reading.read(file) for file in files[:PARTS]]
    _, maps, _ = network.read_maps(np.stack([network.preprocess.pixels(one.image) for one in pictures]))
    cells, rng = torch.from_numpy(maps), torch.Generator().manual_seed(0)
    mean = cells.mean((0, 2, 3))
    places = [(number % cells.shape[2], (2 * number + 1) % cells.shape[3]) for number in range(PARTS)]
    vectors = torch.stack([cells[i, :, row, column] for i, (row, column) in enumerate(places)]) - mean
    classes = list(network.classes or ())
    found = a_set(
        [classes[number % len(classes)] for number in range(PARTS)], classes, grid=tuple(cells.shape[2:]),
        cases=[(files[i].stem, pictures[i].pixel_hash) for i in range(PARTS)], places=places, view=(SIZE, SIZE),
    )  # fmt: skip
    tensors = Tensors(
        functional.normalize(vectors, dim=1), mean, torch.full((PARTS,), 0.5), torch.full((PARTS,), 0.2),
        torch.randn(len(classes), PARTS, generator=rng), torch.randn(len(classes), generator=rng),
        {"weight": torch.eye(len(mean))[:, :, None, None]},
    )  # fmt: skip
    return PrototypeReader(network, replace(found, layer=network.spatial_layer or ""), tensors)


def explainer(view: Any, asked: Asked, network: ExplainedNetwork, **over: Case | None) -> Explainer:
    """With prototypes; ``over`` are cases by id that the base knows otherwise, or None for no more."""

    def cases(ids: Sequence[str]) -> Mapping[str, Case]:
        found = {**asked.store.get(ids), **over}
        return {name: case for name, case in found.items() if case is not None and name in ids}

    return Explainer(network, network.classes or (), lambda pixel_hash: None, prototypes=view, cases=cases)


@pytest.fixture(scope="module")
def explained(prototypes: PrototypeReader, asked: Asked, network: ExplainedNetwork) -> list[Explanation]:
    return list(explainer(prototypes, asked, network).explain(asked.pairs(), Wanted(), {}))


def test_every_answer_has_parts_of_the_answer_and_its_rival_and_they_add_up(explained: list[Explanation]) -> None:
    assert len(explained) == QUERIES
    for one in explained:
        assert one.parts is not None
        assert list(one.parts.targets) == [one.retrieval.called, one.retrieval.rivals[0].name]
        for name in one.parts.targets:
            matches = one.parts.matches[name]
            assert len(matches) == 3
            made = one.parts.bias[name] + sum(match.contribution for match in matches) + one.parts.rest[name]
            made += one.parts.absent[name]
            assert made == pytest.approx(one.parts.score[name], abs=1e-5)
            assert all(match.check is not None and match.prototype.number in one.sources for match in matches)


def test_a_prototype_is_found_again_in_its_own_case(
    prototypes: PrototypeReader, asked: Asked, network: ExplainedNetwork, files: list[Path]
) -> None:
    own = prototypes.found.prototypes[4]
    seen = explainer(prototypes, asked, network).learnt.parts("x.png", reading.read(files[4]), 0, {})
    matches = {one.prototype.number: one for name in seen.parts.targets for one in seen.parts.matches[name]}
    if 4 not in matches:  # shown only where its contribution is among the five largest
        pytest.fail("choose another head: prototype 4 is not shown for its own case")
    assert matches[4].similarity == pytest.approx(1.0, abs=1e-4)
    assert matches[4].box == own.patch.box == cell_box(own.patch.row, own.patch.column, prototypes.found.grid)


def test_the_maps_that_the_network_made_anyway_are_used(
    prototypes: PrototypeReader, asked: Asked, network: ExplainedNetwork, explained: list[Explanation]
) -> None:
    """Only the checks go through the network: sixteen views and one for each cell of every query."""
    counted = Counted(prototypes)
    again = list(explainer(counted, asked, network).explain(asked.pairs(), Wanted(method=None), {}))
    cells = [{m.box for name in one.parts.targets for m in one.parts.matches[name]} for one in again if one.parts]
    assert counted.views == sum(16 + len(one) for one in cells)
    for one, other in zip(again, explained, strict=True):
        assert dumps(one.to_dict()["prototypes"]) == dumps(other.to_dict()["prototypes"])


def test_without_prototypes_nothing_is_said(asked: Asked, network: ExplainedNetwork) -> None:
    plain = Explainer(network, network.classes or (), lambda pixel_hash: None)
    (one,) = plain.explain(asked.pairs()[:1], Wanted(), {})
    assert one.to_dict()["prototypes"] is None
    assert read(one).parts is None
    assert "parts-title" not in HtmlRenderer().page(read(one))
    with pytest.raises(NotFound, match="casebase prototypes train"):
        plain.learnt.prototypes({})


def numbers(value: Any) -> list[float]:
    if isinstance(value, Mapping):
        return [one for inner in value.values() for one in numbers(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in numbers(inner)]
    return [value] if isinstance(value, float) else []


def test_json_is_finite_and_names_the_sources(explained: list[Explanation]) -> None:
    told = json.loads(dumps(explained[0].to_dict()))["prototypes"]
    assert all(math.isfinite(one) for one in numbers(told))
    match = told["classes"][0]["matches"][0]
    assert set(match["source"]) == {"path", "label", "predicted", "problem"}
    assert match["check"]["draws"] <= 16


def test_every_picture_of_the_section_has_a_text_and_the_line_adds_up(explained: list[Explanation]) -> None:
    report = read(explained[0])
    assert report.parts is not None
    page = HtmlRenderer().page(report)
    images = Page(page).all("img")
    assert len(images) >= 18
    assert all(len(str(one["alt"])) > 20 for one in images if "Colour bar" not in str(one["alt"]))
    for one in report.parts.classes:
        assert one.equation in page
        for match in one.matches:
            assert match.said.text.replace(" %", "\u00a0%") in page
            assert f"similarity <b>{match.similarity}</b>" in page
    assert "sees up to" in report.parts.seen
    assert page.index('id="even-if"') < page.index('id="parts"') < page.index('id="checks-title"')


@pytest.mark.parametrize("width", [100, 80])
def test_terminals_of_every_width_hold_their_lines(
    prototypes: PrototypeReader, asked: Asked, network: ExplainedNetwork, explained: list[Explanation], width: int
) -> None:
    one = explainer(prototypes, asked, network)
    alone = one.learnt.parts("x.png", asked.asked[0][1], 0, {"base": "b", "network": "n"})
    for show in (
        lambda console: terminal(read(explained[0]), console, pictures=False, paged=True),
        lambda console: terminal_parts(alone, console, None),
        lambda console: terminal_set(one.learnt.prototypes({"base": "b"}), console, None),
    ):
        out = io.StringIO()
        show(Console(file=out, width=width, no_color=True, highlight=False))
        assert max(len(line) for line in out.getvalue().splitlines()) <= width
        assert "score" in out.getvalue() or "weight" in out.getvalue()


def test_a_source_that_cannot_be_shown_is_said_where_it_would_stand(
    prototypes: PrototypeReader, asked: Asked, network: ExplainedNetwork, files: list[Path]
) -> None:
    known = asked.store.get([file.stem for file in files[:PARTS]])
    lost = {
        files[0].stem: replace(known[files[0].stem], status=Status.WITHDRAWN),
        files[1].stem: replace(known[files[1].stem], pixel_hash="other"),
        files[2].stem: None,
        files[3].stem: replace(known[files[3].stem], file=Path("/nowhere/x.png")),
    }
    page = explainer(prototypes, asked, network, **lost).learnt.prototypes({})
    cards = {card.number: card for one in page.classes for card in one.cards}
    for number, reason in ((0, "was withdrawn"), (1, "has other pixels now"), (2, "no longer in this base")):
        assert cards[number].picture.pixels is None
        assert cards[number].patch.pixels is None
        assert reason in cards[number].picture.alt
        assert any(reason in told.text for told in page.warnings)
    assert cards[3].picture.pixels is None
    assert cards[4].picture.pixels is not None
    text = PrototypePages().page(page)
    assert "was withdrawn" in text
    assert json.loads(dumps(page.to_dict()))["prototypes"][2]["source"]["path"] is None


def test_warnings_of_the_last_stage_stand_in_front(
    prototypes: PrototypeReader, asked: Asked, network: ExplainedNetwork
) -> None:
    page = explainer(prototypes, asked, network).learnt.prototypes({})
    assert page.warnings[0].text == "A class takes everything."
    assert page.warnings[0].level == Level.ALARM
    assert "several views of one cue" in page.warnings[1].text
    assert page.stages.rows[1][:5] == ["head", "90.0 %", "93.0 %", "−3.0", "95.0 %"]
    assert page.stages.rows[0][1:] == ["–"] * 7
    text = PrototypePages().page(page)
    assert text.index("A class takes everything") < text.index("Prototype 0")
    assert "8 of 10" in text
    assert "<dd>unknown</dd>" in text


def test_names_and_paths_cannot_bring_a_script(
    prototypes: PrototypeReader, asked: Asked, network: ExplainedNetwork, files: list[Path]
) -> None:
    """Hostile class names, paths and ids on all three pages."""
    known = asked.store.get([file.stem for file in files[:PARTS]])
    evil = {name: replace(case, path=EVIL, label=EVIL) for name, case in known.items()}
    names = [EVIL, *prototypes.found.classes[1:]]
    found = replace(
        prototypes.found, classes=names, settings={EVIL: EVIL}, layer=EVIL,
        prototypes=[replace(one, of_class=names[one.number % len(names)]) for one in prototypes.found.prototypes],
        stages=[replace(prototypes.found.stages[1], name=EVIL, alarms=[EVIL])],
    )  # fmt: skip
    made = explainer(Renamed(prototypes, found), asked, network, **evil)
    (one,) = made.explain(asked.pairs()[:1], Wanted(), {})
    pages = [
        HtmlRenderer().page(read(one)), PrototypePages().page(made.learnt.prototypes({"base": EVIL})),
        PrototypePages().page(made.learnt.parts(EVIL, asked.asked[0][1], 0, {"base": EVIL})),
    ]  # fmt: skip
    for text in pages:
        page = Page(text)
        assert "<script>alert" not in text
        assert len(page.all("script")) == 2
        assert not [attrs for _, attrs in page.elements if "onerror" in attrs]
        assert {str(img["src"]).split(";")[0] for img in page.all("img")} == {"data:image/jpeg"}
        assert "\x1b" not in text
    (rest,) = [json.loads(one) for one in Page(pages[1]).raw["script"] if one.startswith("{")]
    assert rest["schema"] == "casebase.prototypes/1"
    (rest,) = [json.loads(one) for one in Page(pages[2]).raw["script"] if one.startswith("{")]
    assert rest["schema"] == "casebase.parts/1"


class Renamed(Counted):
    """A view with another set."""

    def __init__(self, view: PrototypeReader, found: Any) -> None:
        super().__init__(view)
        self.found = found


def test_a_page_is_written_whole_or_not_at_all(
    prototypes: PrototypeReader, asked: Asked, network: ExplainedNetwork, tmp_path: Path
) -> None:
    page = explainer(prototypes, asked, network).learnt.prototypes({})
    with pytest.raises(UsageError, match="without a writer"):
        page.save(tmp_path / "x.html")
    page = replace(page, writer=PrototypePages())
    assert page.save(tmp_path / "x.html").read_text(encoding="utf-8").endswith("</html>")
    assert "<iframe" in page._repr_html_()
    with pytest.raises(StorageFailed, match="name another file"):
        page.save(tmp_path / "nowhere" / "x.html")
    assert [one.name for one in tmp_path.iterdir()] == ["x.html"]


@pytest.mark.parametrize(
    ("aside", "on", "against"),
    [
        (1, "the 40 cases set aside from the training", "a linear head"),
        (0, "the 40 cases they were learnt from", "the network;"),
    ],
)
def test_the_log_says_what_it_was_judged_on_and_held_against(aside: int, on: str, against: str) -> None:
    told = gallery.stages([Stage("after pruning", {"balanced_accuracy": 0.9, "gap": -0.03, "n": 40, "aside": aside})])
    assert on in told.note
    assert f"held against: {against}" in told.note
    assert told.rows[0][3] == "−3.0"
