"""Explaining many answers together gives what explaining each alone gives, with every picture read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from casebase import reading
from casebase.answers import Retrieval
from casebase.cases import Case, SourceImage
from casebase.explain import service
from casebase.explain.service import Explainer, Wanted
from casebase.explain.work import mapped_cases, shown_cases
from casebase.explanations import QUERY_ID, Explanation
from casebase.networks.explained import ExplainedNetwork
from casebase.ports import Entry
from casebase.query import Ask, Networks, ask
from casebase.storage.memory import MemoryCaseStore
from tests.explain.test_passes import Counting
from tests.fakes import changes
from tests.networks.conftest import small, views_for

CASES, QUERIES = 14, 10


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["casebase:resnet10", "torchvision:squeezenet1_1"])
def network(request: pytest.FixtureRequest) -> ExplainedNetwork:
    """One with Grad-CAM in closed form and where maps, one for torchcam."""
    return ExplainedNetwork(small(request.param))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures wider than high, so that a crop shows."""
    folder = tmp_path_factory.mktemp("pictures")
    views = views_for(small("casebase:resnet10"), CASES + QUERIES)
    found = []
    for number, view in enumerate(views):
        found.append(folder / f"{number:02d}.png")
        Image.fromarray(view).resize((96, 80)).save(found[-1])
    return found


class Asked:
    """A store of the first files, and the answers to the others."""

    def __init__(self, network: ExplainedNetwork, files: Sequence[Path]) -> None:
        pictures = [reading.read(file) for file in files]
        read = network.read(np.stack([network.preprocess.pixels(p.image) for p in pictures]))
        assert read.probabilities is not None
        names = list(network.classes or ())
        # Random networks call everything the same: a few columns changed give several classes to choose from.
        said = np.roll(read.probabilities, np.arange(len(files)) % 3, axis=0)
        for row in range(len(files)):
            said[row] = np.roll(read.probabilities[row], row % 3)
        self.store = MemoryCaseStore()
        self.store.source(files[0].parent)
        entries = [
            Entry(
                image=SourceImage(file.stem, file, file.name, names[int(probabilities.argmax())]), source=1,
                file_size=1, file_mtime=1, width=96, height=80, sha256=picture.sha256, pixel_hash=picture.pixel_hash,
                look_hash=number << 20, held_out=False, vectors={"avgpool": vector}, probabilities=probabilities,
            )
            for number, (file, picture, vector, probabilities) in enumerate(
                zip(files[:CASES], pictures, read.features, said, strict=False)
            )
        ]  # fmt: skip
        facts = {"fingerprint": "c0ffee", "classes": names, "fair": True}
        with self.store.writing("test") as run:
            self.store.declare("avgpool", network.fingerprint, {})
            self.store.retain(run, entries)
            self.store.publish(run, changes(facts=facts))
        assert network.classifier is not None
        self.asked = [(file.name, picture) for file, picture in zip(files, pictures, strict=True)][CASES:]
        self.answers = ask(self.asked, Ask(3), Networks(network, network.classifier, {}), self.store)

    def pairs(self) -> list[tuple[Retrieval, reading.Picture | Case]]:
        return [(answer, picture) for answer, (_, picture) in zip(self.answers, self.asked, strict=True)]


@pytest.fixture(scope="module")
def asked(network: ExplainedNetwork, files: list[Path]) -> Asked:
    return Asked(network, files)


def explainer(network: Any) -> Explainer:
    return Explainer(network, network.classes, lambda pixel_hash: None)


def same(one: Explanation, other: Explanation) -> None:
    assert one.shown.keys() == other.shown.keys()
    assert all((one.shown[name].view == other.shown[name].view).all() for name in one.shown)
    assert one.saliency.keys() == other.saliency.keys()
    for key, found in one.saliency.items():
        assert found.degenerate == other.saliency[key].degenerate
        assert found.values == pytest.approx(other.saliency[key].values, abs=1e-5), key
    assert one.where.keys() == other.where.keys()
    for key, where in one.where.items():
        assert where.query_values == pytest.approx(other.where[key].query_values, abs=1e-5)
        assert where.case_values == pytest.approx(other.where[key].case_values, abs=1e-5)
    assert len(one.deletions) == len(other.deletions)
    for found, expected in zip(one.deletions, other.deletions, strict=True):
        assert (found.target, found.share, found.draws) == (expected.target, expected.share, expected.draws)
        assert (found.marked, found.random) == pytest.approx((expected.marked, expected.random), abs=1e-5)
    assert one.warnings == other.warnings


def test_together_or_alone_gives_the_same_maps(network: ExplainedNetwork, asked: Asked) -> None:
    together = list(explainer(network).explain(asked.pairs(), Wanted(), {}))
    assert len(together) == QUERIES > service.BLOCK  # more than one block
    for pair, found in zip(asked.pairs(), together, strict=True):
        alone = next(explainer(network).explain([pair], Wanted(), {}))
        assert found.retrieval is pair[0]
        assert found.saliency
        assert bool(found.where) is network.pooled_exactly
        same(found, alone)


def test_a_picture_in_many_lists_is_decoded_and_read_once(
    network: ExplainedNetwork, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def counted(source: Path, **over: float) -> reading.Picture:
        opened.append(source)
        return real(source, **over)

    real = reading.read
    monkeypatch.setattr("casebase.explain.album.reading.read", counted)
    counting = Counting(network)
    told = list(explainer(counting).explain(asked.pairs(), Wanted(), {}))
    shown = {row.case.id for answer in asked.answers for row in shown_cases(answer).values()}
    assert len(opened) == len(set(opened)) == len(shown)
    mapped = {name for answer in asked.answers for name in mapped_cases(answer)}
    assert {len(one.deletions) for one in told} <= {1, 2}
    hidden = sum(30 + 3 * len(one.deletions) for one in told)  # random pictures are shared by the maps of a query
    passes = sum(counting.batches) - hidden
    assert passes == (len(mapped) + QUERIES if network.pooled_exactly else 0)


def test_without_overlays_nothing_is_hidden_and_nothing_is_looked_at(network: ExplainedNetwork, asked: Asked) -> None:
    found = next(explainer(network).explain(asked.pairs()[:1], Wanted(None), {}))
    assert (found.saliency, found.deletions) == ({}, [])


def test_the_label_gets_a_map_however_many_rivals_are_likelier(network: ExplainedNetwork, asked: Asked) -> None:
    answer, picture = asked.pairs()[0]
    last = min(answer.prediction.probabilities, key=answer.prediction.probabilities.__getitem__)
    rivals = [replace(answer.rivals[0], name=name) for name in network.classes or () if name != last]
    labelled = replace(
        answer, query=replace(answer.query, label=last), rivals=[*rivals, replace(answer.rivals[0], name=last)]
    )
    found = next(explainer(network).explain([(labelled, picture)], Wanted(), {}))
    assert (QUERY_ID, last) in found.saliency


def test_a_query_whose_file_is_gone_is_shown_by_its_thumbnail_without_maps(
    network: ExplainedNetwork, asked: Asked, tmp_path: Path
) -> None:
    answer, _ = asked.pairs()[0]
    gone = replace(answer.nearest[0].case, file=tmp_path / "gone.png", path="gone.png")
    small_one = Image.new("RGB", (12, 10), (9, 9, 9))
    made = Explainer(network, network.classes or (), lambda name: small_one if name == gone.pixel_hash else None)
    found = next(made.explain([(answer, gone)], Wanted(), {}))
    assert found.shown[QUERY_ID].view.shape == (10, 12, 3)
    assert not any(image == QUERY_ID for image, _ in found.saliency)
    assert (found.where, found.deletions) == ({}, [])
    assert "the query gone.png: no such file; shown by thumbnail, without maps of it" in found.warnings
    nothing = next(explainer(network).explain([(answer, gone)], Wanted(), {}))
    assert QUERY_ID not in nothing.shown
    assert any("shown without its picture" in warning for warning in nothing.warnings)


def test_a_file_that_has_changed_is_not_shown_as_what_it_was(
    network: ExplainedNetwork, asked: Asked, files: list[Path]
) -> None:
    answer, picture = asked.pairs()[0]
    stranger = replace(answer.nearest[0], case=replace(answer.nearest[0].case, pixel_hash="another picture"))
    found = next(explainer(network).explain([(replace(answer, nearest=[stranger]), picture)], Wanted(), {}))
    assert any("changed since it was indexed" in warning for warning in found.warnings)
